"""What the page is told: words for a reader, and no more outlines than a screen can show."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_slides import cell_columns, record_of, refused, tally_of

from her2path.geometry import Mpp, Region
from her2path.results.cells import CellTable
from her2path.results.columns import Exclusion
from her2path.results.folder import SlideFolder
from her2path.results.record import SlideRecord
from her2path.review import telling
from her2path.review.telling import tell_outlines, tell_result

WHOLE = Region(0, 0, 1600, 1200)
MPP = Mpp(0.5, 0.5)


@pytest.fixture
def record(tmp_path: Path) -> SlideRecord:
    return record_of(tmp_path / "slide.png", tally_of(cell_columns()))


def test_flags_that_ask_for_a_read_come_before_notes(record: SlideRecord, tmp_path: Path) -> None:
    turned = replace(record, flags=record.flags[::-1])
    told = tell_result(turned, SlideFolder(tmp_path))
    assert [flag["severity"] for flag in told["flags"]] == ["review", "note"]


def test_probabilities_add_up_and_are_none_without_a_cell(
    record: SlideRecord, tmp_path: Path
) -> None:
    told = tell_result(record, SlideFolder(tmp_path))
    assert sum(one["pct"] for one in told["probabilities"]) == pytest.approx(100)
    assert tell_result(refused(record), SlideFolder(tmp_path))["probabilities"] == []


def test_why_a_slide_is_not_assessable_is_said(record: SlideRecord, tmp_path: Path) -> None:
    told = tell_result(refused(record), SlideFolder(tmp_path))
    assert told["criterion"] == "No tissue was found: the slide or core is empty."
    # Once: it is the comment of the status as well.
    assert told["status_comment"] == ""
    assert told["fields"] == []


def test_a_crowd_is_counted_and_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = CellTable(cell_columns(), {})
    monkeypatch.setattr(telling, "MAX_OUTLINES", 100)
    assert tell_outlines(cells, WHOLE, mpp=MPP) == {"n_cells": 400, "cells": None}


def test_cells_outside_the_sample_are_not_shown() -> None:
    columns = cell_columns()
    columns["excluded"] = np.full(400, Exclusion.CONTROL.value, dtype=object)
    columns["excluded"][:3] = [Exclusion.COUNTED.value, Exclusion.NOT_TUMOR.value, "ignored_roi"]
    shown = tell_outlines(CellTable(columns, {}), WHOLE, mpp=MPP)["cells"]
    assert [len(radii) for _, _, _, radii, _ in shown] == [32, 0]
