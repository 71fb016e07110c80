"""The documents: links lead somewhere, commands exist, generated tables are the generated ones."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from her2path.cli.main import app
from her2path.flags.evidence import SEVERITY, ReviewFlag
from her2path.report.phrases import FLAG_ADVICE, FLAG_TITLES
from her2path.results.columns import data_dictionary

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "sample_slides/README.md"]
)
COMMANDS = typer.main.get_command(app)
LARGEST_FIGURE = 200_000
CONSTANT = re.compile(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)`")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def commands_in(text: str) -> list[str]:
    """Every `her2path …` line of a code block, and every one in backticks with arguments."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    inline = re.findall(r"`(her2path [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    return [line for line in [*lines, *inline] if line.startswith("her2path ")]


def faults_of(line: str) -> list[str]:
    """Say which commands and options of a line do not exist."""
    words = shlex.split(line, comments=True)[1:]
    command: Any = COMMANDS
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        found = command.commands.get(words[0])
        if found is None:
            return [f"no command {words[0]} in: {line}"]
        command, words = found, words[1:]
    known = {name for parameter in command.params for name in parameter.opts}
    known |= set(command.context_settings.get("help_option_names", ["--help"])) | {"--help"}
    options = [word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    return [f"no option {option} in: {line}" for option in options if option not in known]


@each_page
def test_every_link_and_figure_of_a_page_is_there(page: Path):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text_of(page))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


@each_page
def test_every_command_of_a_page_exists_with_its_options(page: Path):
    assert [fault for line in commands_in(text_of(page)) for fault in faults_of(line)] == []


def test_a_wrong_command_or_option_would_be_found():
    assert faults_of("her2path guess slide.svs")
    assert faults_of("her2path score slide.svs --nonsense 3")
    assert not faults_of("her2path score slide.svs --out results  # a comment")


def test_the_readme_has_every_command():
    section = text_of(ROOT / "README.md").split("## Your own slides")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE)) == set(COMMANDS.commands)


def test_the_columns_in_the_documents_are_those_of_the_program():
    found = re.search(
        r"<!-- generated: data_dictionary\(\) -->\n(.*?)<!-- end -->",
        text_of(ROOT / "docs/results.md"),
        re.DOTALL,
    )
    assert found is not None
    assert found[1].strip() == data_dictionary().strip(), (
        "put what her2path.results.columns.data_dictionary() returns between the two comments"
    )


def test_every_constant_that_the_method_names_stands_in_the_package():
    assigned: set[str] = set()
    for module in (ROOT / "her2path").rglob("*.py"):
        left = re.findall(r"^([A-Z][A-Z0-9_, ]*?)(?::[^=\n]+)? = ", text_of(module), re.MULTILINE)
        assigned |= {name.strip() for names in left for name in names.split(",")}
    assert set(CONSTANT.findall(text_of(ROOT / "docs/method.md"))) - assigned == set()


def test_every_module_that_the_method_names_is_there():
    named = re.findall(
        r"`((?:her2path/)?[a-z_]+/[a-z_/]+\.(?:py|json))`", text_of(ROOT / "docs/method.md")
    )
    files = {
        name if name.split("/")[0] in {"her2path", "tests", "scripts"} else f"her2path/{name}"
        for name in named
    }
    assert {name for name in files if not (ROOT / name).is_file()} == set()


def test_figures_are_small():
    figures = list((ROOT / "docs/figures").iterdir())
    assert figures
    assert [f.name for f in figures if f.stat().st_size > LARGEST_FIGURE] == []


@pytest.mark.parametrize("name", ["how-to-score.md", "limits.md"])
def test_the_pages_that_people_act_on_state_the_intended_use(name: str):
    assert "For research use only. Not for use in diagnostic procedures." in text_of(
        ROOT / "docs" / name
    )


def test_every_flag_stands_in_the_documents_with_its_words():
    row = re.compile(
        r"^\| `([\w-]+)` \| ([^|]+) \| (review|note) \| [^|]+ \| ([^|]+) \|$", re.MULTILINE
    )
    listed = row.findall(text_of(ROOT / "docs/results.md"))
    assert listed == [
        (flag.value, FLAG_TITLES[flag], SEVERITY[flag], FLAG_ADVICE[flag]) for flag in ReviewFlag
    ]
