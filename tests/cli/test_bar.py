from io import StringIO

import pytest
from rich.console import Console

from her2path.cli.bar import Bar


def console(*, is_terminal: bool) -> Console:
    return Console(
        file=StringIO(), force_terminal=is_terminal, width=100, color_system=None, markup=False
    )


def text_of(bar: Bar) -> str:
    assert isinstance(bar.console.file, StringIO)
    return bar.console.file.getvalue()


@pytest.mark.parametrize(
    ("is_terminal", "is_quiet", "is_shown"),
    [(True, False, True), (True, True, False), (False, False, False)],
)
def test_a_bar_is_for_a_terminal_that_is_not_to_be_quiet(is_terminal, is_quiet, is_shown):
    with Bar(is_quiet=is_quiet, console=console(is_terminal=is_terminal)) as bar:
        bar.show("drawing", 1, 4)
        bar.advance("drawing", 1)
    assert bar.is_shown == is_shown
    assert bool(text_of(bar)) == is_shown
    assert ("50%" in text_of(bar)) == is_shown


def test_a_terminal_that_cannot_move_its_cursor_is_told_in_lines_as_a_log(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("TERM", "dumb")
    with Bar(console=console(is_terminal=True)) as bar:
        bar.show("drawing", 1, 4)
    assert (bar.is_shown, text_of(bar)) == (False, "")


def test_each_task_has_a_line_and_names_are_shown_as_they_are():
    with Bar(console=console(is_terminal=True)) as bar:
        bar.show("[b] surveying", 2, 2)
        bar.show("measuring", 0, 3, words="a[red].svs")
    for words in ("[b] surveying", "a[red].svs"):
        assert words in text_of(bar)


def test_nothing_is_shown_before_the_first_task():
    with Bar(console=console(is_terminal=True)) as bar:
        pass
    assert text_of(bar) == ""
