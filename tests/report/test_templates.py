"""Templates as they are written: what every page must have for those who hear it."""

import itertools
import re
from importlib import resources

import pytest

TEMPLATES = {
    file.name: file.read_text(encoding="utf-8")
    for file in (resources.files("her2path.report") / "templates").iterdir()
    if file.name.endswith(".html")
}


def test_tables_are_written_by_the_macro_that_names_them_and_lets_them_scroll():
    assert "<caption" in TEMPLATES["macros.html"]
    found = {name for name, source in TEMPLATES.items() if "<table" in source}
    assert found == {"macros.html"}


@pytest.mark.parametrize("name", ["pair.html", "cohort.html", "outcomes.html", "summary.html"])
def test_headings_go_down_one_level_at_a_time(name):
    levels = [int(level) for level in re.findall(r"<h(\d)", TEMPLATES[name])]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_every_head_of_a_column_has_words():
    assert [name for name in TEMPLATES if re.search(r"<th[^>]*></th>", TEMPLATES[name])] == []
