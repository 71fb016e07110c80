"""What the page is told of a case: little before the reader has scored it, everything after."""

from __future__ import annotations

from typing import Any

import numpy as np

from her2path.cells.table import OUTLINE_STEP_UM
from her2path.criteria.score import EXPRESSION_SCORES, Score
from her2path.errors import ResultsError
from her2path.geometry import Mpp, Region
from her2path.report.charts import hex_of, text_on
from her2path.report.fields import REACH_UM, read_gallery
from her2path.report.overlay import UNSTAINED_COLOR
from her2path.report.phrases import FIELD_TITLES, FLAG_ADVICE, FLAG_TITLES
from her2path.report.view import scores_used
from her2path.report.wording import SCORE_WORDS, STATUS_WORDS, counted, percent, sentence
from her2path.results.cells import CellTable
from her2path.results.colors import INTENSITY_COLORS, SCORE_COLORS
from her2path.results.columns import UNSEEN
from her2path.results.folder import SlideFolder
from her2path.results.record import RESEARCH_USE, SlideRecord
from her2path.results.review_log import EntryKind, ReviewEntry
from her2path.review.queue import Case, CaseState, ReviewQueue
from her2path.review.tiles import TILE_PX, pyramid_of

__all__ = ["OUTLINE_COLUMNS", "tell_case", "tell_outlines", "tell_queue"]

OUTLINE_COLUMNS = ("x", "y", "excluded", "intensity", "outline_um", "stained_sectors")
# More outlines than this on one screen are a carpet: the reader is asked to go closer.
MAX_OUTLINES = 3000

Told = dict[str, Any]


def tell_queue(queue: ReviewQueue) -> Told:
    """Return what the list of cases shows."""
    return {
        "reader": queue.reader,
        "is_blinded": queue.is_blinded,
        "research_use": RESEARCH_USE,
        "score_words": {score.value: SCORE_WORDS[score] for score in Score},
        "score_colors": {score.value: hex_of(color) for score, color in SCORE_COLORS.items()},
        "score_inks": {score.value: text_on(color) for score, color in SCORE_COLORS.items()},
        "intensity_colors": {
            level.label: hex_of(color) for level, color in INTENSITY_COLORS.items()
        },
        "unstained_color": hex_of(UNSTAINED_COLOR),
        "cases": [tell_line(queue, case) for case in queue.cases],
    }


def tell_line(queue: ReviewQueue, case: Case) -> Told:
    """Return one line of the list; a blinded reader's names no slide before it is read."""
    own = queue.own(case, EntryKind.DECISION) or queue.own(case, EntryKind.READING)
    return {
        "number": case.number,
        "state": queue.state(case),
        "slide_id": case.slide_id if queue.may_tell(case) else None,
        "own_score": own.score if own else None,
    }


def tell_case(queue: ReviewQueue, case: Case) -> Told:
    """Return what is shown of one case, with the program's result where it may be told."""
    record = queue.record(case)
    pyramid = pyramid_of(record)
    state = queue.state(case)
    return {
        **tell_line(queue, case),
        "width": pyramid.size.width,
        "height": pyramid.size.height,
        "mpp": pyramid.mpp.mean,
        # Tenths of a µm to level-0 px.
        "px_per_step": [OUTLINE_STEP_UM / pyramid.mpp.x, OUTLINE_STEP_UM / pyramid.mpp.y],
        "tile_px": TILE_PX,
        "max_zoom": pyramid.max_zoom,
        # What is given is given for this result, and for no later one.
        "scored": record.created,
        # Criteria without a 0+ do not ask for it.
        "scores": [*(score.value for score in scores_used(record)), Score.NOT_ASSESSABLE.value],
        "reading": tell_entry(queue, queue.own(case, EntryKind.READING)),
        "decision": tell_entry(queue, queue.own(case, EntryKind.DECISION)),
        "earlier_decision": tell_entry(queue, queue.earlier_decision(case)),
        "others": []
        if state is CaseState.OPEN
        else [tell_entry(queue, entry) for entry in queue.others(case)],
        "result": tell_result(record, queue.folder(case)) if queue.may_tell(case) else None,
    }


def tell_entry(queue: ReviewQueue, entry: ReviewEntry | None) -> Told | None:
    """Return what somebody gave, and whether the slide was scored again since."""
    if entry is None:
        return None
    return {
        "reader": entry.reader,
        "score": entry.score.value,
        "is_sure": entry.is_sure,
        "is_blinded": entry.is_blinded,
        "pct_stained": entry.pct_stained,
        "remark": entry.remark,
        "written": entry.written,
        "is_earlier": queue.is_earlier(entry),
    }


def tell_result(record: SlideRecord, folder: SlideFolder) -> Told:
    """Return what the program found, in words, with the fields that show it."""
    reading = record.reading
    network = None if record.network is None else record.network.joint.network.score
    facts = [("Criteria", f"{record.rule_set} ({record.edition})")]
    if record.patient_id:
        facts.append(("Patient", record.patient_id))
    facts.append(("Counted", counted(reading.n_tumor_cells, "invasive tumour cell")))
    for name, words in (("pct_stained", "Stained"), ("pct_complete", "Complete")):
        if name in reading.shares and reading.n_tumor_cells:
            share, ends = percent(reading.shares[name]), reading.intervals.get(name)
            if ends is not None:
                share += f" (95 % interval {percent(ends.lower)} to {percent(ends.upper)})"
            facts.append((words, share))
    if network is not None:
        facts.append(("Network reads", SCORE_WORDS[network]))
    call = record.call
    criterion = sentence(call.criterion_text if call else record.tissue.explanation)
    comment = sentence(record.status_comment) if record.status_comment else ""
    return {
        "score": record.score.value,
        "status": STATUS_WORDS[record.status],
        # Of a slide that is not assessable both give the one reason.
        "status_comment": "" if comment == criterion else comment,
        "criterion": criterion,
        "facts": facts,
        "probabilities": [
            {"score": score.value, "pct": 100 * record.probabilities.get(score, 0.0)}
            for score in EXPRESSION_SCORES
            # Without a cell no score is more probable than another.
            if reading.n_tumor_cells
        ],
        "flags": [
            {
                "title": FLAG_TITLES[flag.flag],
                "severity": flag.severity,
                "sentence": sentence(flag.sentence),
                "advice": FLAG_ADVICE[flag.flag],
            }
            for flag in sorted(record.flags, key=lambda flag: flag.severity != "review")
        ],
        "fields": tell_fields(folder),
    }


def tell_fields(folder: SlideFolder) -> list[Told]:
    """Return where the fields of the report lie; none where no pictures were taken."""
    try:
        gallery = read_gallery(folder.path)
    except ResultsError:
        return []
    return [
        {
            "number": shown.number,
            "title": FIELD_TITLES[shown.kind][0],
            "x": shown.box.x,
            "y": shown.box.y,
            "width": shown.box.width,
            "height": shown.box.height,
        }
        for shown in (gallery.fields if gallery else ())
    ]


def tell_outlines(cells: CellTable, box: Region, *, mpp: Mpp) -> Told:
    """Return the cells in view with their outlines, or only how many where they are too many.

    Each is (x, y, class, radii in tenths of a µm, stained sectors); class is None and the radii
    are empty where the cell is not counted.
    """
    reach = REACH_UM / mpp.mean
    x, y = np.asarray(cells["x"], np.float64), np.asarray(cells["y"], np.float64)
    is_near = (x > box.x - reach) & (x < box.right + reach)
    is_near &= (y > box.y - reach) & (y < box.bottom + reach)
    excluded = np.asarray(cells["excluded"])
    near = np.flatnonzero(is_near)
    near = near[~np.isin(excluded[near].astype(str), UNSEEN)]
    if len(near) > MAX_OUTLINES:
        return {"n_cells": len(near), "cells": None}
    radii = np.rint(np.asarray(cells["outline_um"][near], np.float64) / OUTLINE_STEP_UM)
    is_counted = excluded[near].astype(str) == ""
    return {
        "n_cells": len(near),
        "cells": [
            (
                round(float(x[index]), 1),
                round(float(y[index]), 1),
                str(cells["intensity"][index]) if counts else None,
                [int(radius) for radius in radii[row]] if counts else [],
                int(cells["stained_sectors"][index]),
            )
            for row, (index, counts) in enumerate(zip(near.tolist(), is_counted, strict=True))
        ],
    }
