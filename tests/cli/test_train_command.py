"""What training says while it goes on; the training itself is tested with the network."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from her2path.cli import train
from her2path.cli.main import app
from her2path.cli.train import Display
from her2path.models.training import Progress, TrainingOptions

FIGURES = {"nucleus_f1": 0.5}
DRAWN = (Progress("drawing", 0, 4), Progress("drawing", 1, 4), Progress("drawing", 4, 4))


def said(*events: Progress, is_terminal: bool = False, is_quiet: bool = False) -> list[str]:
    console = Console(
        file=StringIO(), force_terminal=is_terminal, width=100, color_system=None, markup=False
    )
    with Display(is_quiet=is_quiet, console=console) as display:
        for event in events:
            display(event)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


def steps(first: int, last: int) -> list[Progress]:
    return [Progress("training", step, 90, 2.0) for step in range(first, last + 1)]


def test_a_log_tells_when_training_begins() -> None:
    validated = Progress("training", 3, 90, 1.5, FIGURES)
    assert said(*DRAWN, *steps(1, 3), validated, *steps(3, 5)) == [
        "drawing fields: 0 of 4",
        "drawing fields: 4 of 4",
        "training, step 1 of 90: loss 2.000",
        "step 3 of 90: loss 1.500 · nuclei 0.500",
    ]


def test_a_log_tells_now_and_then_that_training_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "PLAIN_EVERY_S", -1.0)
    assert said(*DRAWN[1:2], *steps(1, 3)) == [
        "drawing fields: 1 of 4",
        "training, step 1 of 90: loss 2.000",
        "step 2 of 90: loss 2.000",
        "step 3 of 90: loss 2.000",
    ]


def test_the_quiet_are_told_nothing_and_a_terminal_has_its_bar(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(train, "PLAIN_EVERY_S", -1.0)
    assert said(*DRAWN, *steps(1, 3), is_quiet=True) == []
    assert not any("step 2" in line for line in said(*steps(1, 3), is_terminal=True))


def test_an_interrupted_training_says_from_where_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("her2path.models.training.train", stopped)
    shown = CliRunner().invoke(app, ["train", "--recipe", "small", "--out", str(tmp_path)])
    assert shown.exit_code == 130
    words = " ".join(shown.output.split())
    assert "--resume goes on from the last validation; before the first one" in words


@pytest.mark.parametrize(
    ("processors", "threads", "processes_here", "makers"),
    [(2, 1, "1", 1), (2, 2, "1", 1), (1, 1, "1", 1), (16, 1, "1", 15), (16, 2, "4", 2)],
)
def test_batches_are_made_by_the_processors_that_the_network_leaves(
    monkeypatch: pytest.MonkeyPatch,
    processors: int,
    threads: int,
    processes_here: str,
    makers: int,
) -> None:
    monkeypatch.setattr(train, "processors", lambda: processors)
    monkeypatch.setattr(train.multiprocessing, "get_start_method", lambda: "fork")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes_here)
    assert train.makers_of_batches(threads) == makers


def test_no_process_makes_batches_where_each_would_copy_all_fields(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(train.multiprocessing, "get_start_method", lambda: "spawn")
    assert train.makers_of_batches(1) == 0


@pytest.mark.parametrize(("given", "workers"), [((), 7), (("--workers", "0"), 0)])
def test_how_many_processes_make_batches_can_be_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], workers: int
) -> None:
    asked = []

    def stopped(_recipe: object, options: TrainingOptions, **_: object) -> None:
        asked.append(options.workers)
        raise KeyboardInterrupt

    monkeypatch.setattr("her2path.models.training.train", stopped)
    monkeypatch.setattr(train, "makers_of_batches", lambda _: 7)
    CliRunner().invoke(app, ["train", "--recipe", "small", "--out", str(tmp_path), *given])
    assert asked == [workers]


def test_a_scale_of_pictures_that_nobody_named_is_wrong_use(tmp_path: Path) -> None:
    asked = ("train", "--recipe", "small", "--out", str(tmp_path / "o"), "--data-mpp", "0.25")
    shown = CliRunner().invoke(app, asked)
    assert shown.exit_code == 2
    assert "--data-mpp: is of the pictures in --data" in " ".join(shown.output.split())
    assert not (tmp_path / "o").exists()
