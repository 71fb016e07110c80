"""Hold a folder of results against references: scores, probabilities, flags, cells."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from her2path.criteria.label import ScoreLabel
from her2path.criteria.score import EXPRESSION_SCORES, Score
from her2path.criteria.words import score_named
from her2path.errors import ResultsError
from her2path.evaluation.agreement import ScoreAgreement, agree
from her2path.evaluation.case import Case, on_one_scale, shared_scale
from her2path.evaluation.cells import CELL_COLUMNS, CellAgreement, compare_cells, pooled
from her2path.evaluation.human import HUMAN_AGREEMENT, HumanFigure
from her2path.evaluation.references import Reference, read_known_cells
from her2path.evaluation.selective import FlagWorth, worth_of_flags
from her2path.evaluation.stated import (
    SetCoverage,
    StatedProbabilities,
    coverage_of_sets,
    examine_stated,
)
from her2path.results.cells import read_cells
from her2path.results.columns import PROBABILITY_COLUMNS, SlideState
from her2path.results.faults import SheetFaults
from her2path.results.folder import ResultsFolder
from her2path.results.sheet import SheetRow, number_in, read_sheet
from her2path.statistics.counted import Counted

__all__ = ["Evaluation", "Readings", "evaluate", "read_readings"]

logger = logging.getLogger(__name__)

SET_COLUMN = "network_set"
READ_BY_COLUMNS = ("calibration", "model", "rule_set")
# Whose scores came by these; of another reader of the table they say nothing.
READ_BY_THEM = frozenset({"", "network"})
OPTIONAL = (
    *("state", "error", "review", "review_reasons", "patient_id"),
    *(SET_COLUMN, *READ_BY_COLUMNS),
)
# How programs and people write whether a slide is flagged.
FLAGGED, NOT_FLAGGED = {"true", "yes", "1"}, {"", "false", "no", "0"}
# Stands in a reading until it meets its reference.
NO_REFERENCE = ScoreLabel(EXPRESSION_SCORES[0], EXPRESSION_SCORES[-1])
# Probabilities of a table are rounded; five of them may miss 1 by this much.
SUM_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class Readings:
    """Slides as they were read, by their id, and why others failed.

    `folder` holds their cells; None where only a table was given. `reader` is whose scores these
    are: empty for the call.
    """

    cases: Mapping[str, Case]
    failed: Mapping[str, str]
    folder: Path | None
    reader: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What an evaluation found.

    Attributes
    ----------
    reader : str
        Whose scores were evaluated; empty for the call.
    is_truth : bool
        Whether references are the truth of drawn slides.
    cases : tuple of Case
        Slides with a reference and a result, all on the scale that their references tell apart.
    scores : ScoreAgreement
    by_group : mapping of str to ScoreAgreement
        The same for each laboratory or group; empty with fewer than two.
    stated : StatedProbabilities or None
    sets : SetCoverage or None
        The network's sets of scores; None where it stated none.
    flags : FlagWorth
    not_assessable : Counted
        Of the slides that should not be assessable: those that were not assessed.
    cells : mapping of str to CellAgreement
        By slide; empty without cell truth.
    all_cells : CellAgreement or None
        All of them added up.
    failed : mapping of str to str
        Slides that were not read, and why; they count in no figure.
    without_reference, without_result : tuple of str
        Slides that could not be compared.
    human : tuple of HumanFigure
        How far people agree.
    seed : int
        Of the resampling.
    """

    reader: str
    is_truth: bool
    cases: tuple[Case, ...]
    scores: ScoreAgreement
    by_group: Mapping[str, ScoreAgreement]
    stated: StatedProbabilities | None
    sets: SetCoverage | None
    flags: FlagWorth
    not_assessable: Counted
    cells: Mapping[str, CellAgreement]
    all_cells: CellAgreement | None
    failed: Mapping[str, str]
    without_reference: tuple[str, ...]
    without_result: tuple[str, ...]
    human: tuple[HumanFigure, ...]
    seed: int

    @property
    def read_by(self) -> dict[str, tuple[str, ...]]:
        """Calibrations, networks and rule sets by which slides were read, each named once."""
        return {
            column: tuple(
                dict.fromkeys(case.read_by[column] for case in self.cases if column in case.read_by)
            )
            for column in READ_BY_COLUMNS
        }


def read_readings(results: Path, *, reader: str = "") -> Readings:
    """Read the scores of a results folder, or of a table with the columns of slides.csv.

    Parameters
    ----------
    results : Path
        A folder that `her2path score` has written, or a CSV with `slide_id`, `score` and, where
        they are known, `p_0 … p_3plus`, `review`, `review_reasons`, `state`, `error`.
    reader : str
        Empty for the call; another word takes the columns `WORD_score` and `WORD_p_0 …` instead.

    Raises
    ------
    TableError
        If the table cannot be read.
    ResultsError
        If values do not fit; all faults at once.
    """
    is_folder = results.is_dir()
    path = ResultsFolder(results).slides_csv if is_folder else results
    prefix = f"{reader}_" if reader else ""
    needed = "slide_id", f"{prefix}score"
    probabilities = (prefix + name for name in PROBABILITY_COLUMNS.values())
    sheet = read_sheet(path, needed=needed, known=(*needed, *OPTIONAL, *probabilities))
    faults = SheetFaults()
    if reader and not sheet.has(f"{prefix}score"):
        faults.add_words(
            f"no slide has a {prefix}score; score with a network, or leave out --reader"
        )
    cases: dict[str, Case] = {}
    failed: dict[str, str] = {}
    seen: set[str] = set()
    for row in sheet.rows:
        slide_id = row.get("slide_id")
        if not slide_id:
            faults.add(row, "slide_id", "is empty")
        elif slide_id in seen:
            faults.add(row, "slide_id", f"{slide_id!r:.60} stands twice")
        elif row.get("state").casefold() == SlideState.FAILED:
            failed[slide_id] = row.get("error") or "no reason was recorded"
        else:
            case = case_of(row, prefix, faults, separator=sheet.separator)
            if case is not None:
                cases[slide_id] = case
        seen.add(slide_id)
    faults.refuse(path, ResultsError)
    return Readings(cases, failed, results if is_folder else None, reader)


def case_of(row: SheetRow, prefix: str, faults: SheetFaults, *, separator: str) -> Case | None:
    """Return a slide as read, still without its reference; None when it has a fault."""
    words = row.get(f"{prefix}score"), *filter(None, row.get(SET_COLUMN).split(";"))
    try:
        # A second reader says nothing of a slide that the first did not assess.
        score, *score_set = (read_score(word) for word in words)
        if Score.NOT_ASSESSABLE in score_set:
            raise ValueError(score_set)
    except ValueError:
        faults.add(row, f"{prefix}score", f"{', '.join(words)!r:.60} is no score")
        return None
    if not words[0] and not prefix:
        faults.add(row, "score", "is empty")
        return None
    review = row.get("review")
    if review.casefold() not in FLAGGED | NOT_FLAGGED:
        faults.add(row, "review", f"{review!r:.40} is neither true nor false")
        return None
    return Case(
        slide_id=row.get("slide_id"),
        reference=NO_REFERENCE,
        score=score,
        probabilities=probabilities_of(row, prefix, faults, separator=separator),
        is_flagged=review.casefold() in FLAGGED,
        flags=tuple(word for word in row.get("review_reasons").split(";") if word),
        patient=row.get("patient_id"),
        score_set=tuple(score_set),
        read_by={name: row.get(name) for name in READ_BY_COLUMNS if row.get(name)}
        if prefix.removesuffix("_") in READ_BY_THEM
        else {},
    )


def read_score(word: str) -> Score:
    """Return the score that a cell names, as people and programs write it; empty is none.

    Raises
    ------
    ValueError
        If it names none.
    """
    found = score_named(word or Score.NOT_ASSESSABLE)
    if found is None:
        raise ValueError(word)
    return found


def probabilities_of(
    row: SheetRow, prefix: str, faults: SheetFaults, *, separator: str
) -> dict[Score, float] | None:
    """Return the stated probabilities of a row, None where there are none."""
    texts = [row.get(prefix + name) for name in PROBABILITY_COLUMNS.values()]
    if not all(texts):
        return None
    values = []
    for name, text in zip(PROBABILITY_COLUMNS.values(), texts, strict=True):
        value = number_in(text, separator=separator)
        if value is None or value < 0:
            faults.add(row, prefix + name, f"{text!r:.40} is no probability; give 0 to 1")
            return None
        values.append(value)
    if sum(values) == 0:
        # Nothing was counted.
        return None
    if abs(sum(values) - 1) > SUM_TOLERANCE:
        words = f"row {row.number}: probabilities {'; '.join(texts):.80} do not sum to 1"
        faults.add_words(words, row=row.number)
        return None
    return dict(zip(EXPRESSION_SCORES, values, strict=True))


def evaluate(
    readings: Readings, references: Sequence[Reference], *, is_truth: bool, seed: int = 0
) -> Evaluation:
    """Hold readings against references.

    Parameters
    ----------
    readings : Readings
    references : sequence of Reference
    is_truth : bool
        Whether they are the truth of drawn slides.
    seed : int
        Of the resampling: the same gives the same intervals.

    Raises
    ------
    ResultsError
        If no slide has both a reading and a reference, the references tell no scores apart, or
        cells cannot be read.
    """
    known = {reference.slide_id: reference for reference in references}
    shared = [slide_id for slide_id in readings.cases if slide_id in known]
    cases = on_one_scale(
        replace(
            readings.cases[slide_id],
            reference=label,
            patient=known[slide_id].patient or readings.cases[slide_id].patient,
            group=known[slide_id].group,
        )
        for slide_id in shared
        for label in [known[slide_id].label]
        if label is not None
    )
    if not cases and shared:
        raise ResultsError(
            f"none of the {len(shared):,} slides that have both has a reference score that can be "
            "compared: all are not assessable"
        )
    if not cases:
        raise ResultsError(
            f"no slide of the results ({len(readings.cases):,}) has a reference score (references: "
            f"{len(references):,}); slides are matched by slide_id, for example "
            f"{next(iter(readings.cases), '–')!r:.60} and {next(iter(known), '–')!r:.60}"
        )
    if len(shared_scale(cases)) == 1:
        joined = sorted({str(case.reference) for case in cases if not case.reference.is_exact})
        raise ResultsError(
            f"the references {', '.join(joined)} together tell no scores apart, so that none could "
            "be wrong; leave out the rows of one of them"
        )
    rng = np.random.default_rng(seed)
    groups = sorted({case.group for case in cases})
    cells = dict(compared_cells(readings, [known[slide_id] for slide_id in shared]))
    return Evaluation(
        reader=readings.reader,
        is_truth=is_truth,
        cases=cases,
        scores=agree(cases, rng=rng),
        by_group={
            group: agree([case for case in cases if case.group == group], rng=rng)
            for group in groups
        }
        if len(groups) > 1
        else {},
        stated=examine_stated(cases, rng=rng),
        sets=coverage_of_sets(cases),
        flags=worth_of_flags(cases),
        not_assessable=Counted.of(
            not readings.cases[slide_id].is_assessed
            for slide_id in shared
            if known[slide_id].label is None
        ),
        cells=cells,
        all_cells=pooled(list(cells.values())) if cells else None,
        failed=readings.failed,
        without_reference=tuple(sorted(set(readings.cases) - set(known))),
        without_result=tuple(sorted(set(known) - set(readings.cases) - set(readings.failed))),
        human=HUMAN_AGREEMENT,
        seed=seed,
    )


def compared_cells(
    readings: Readings, references: Sequence[Reference]
) -> Iterator[tuple[str, CellAgreement]]:
    """Yield how the cells of each slide were met, where truth and results have cells."""
    if readings.folder is None:
        return
    results = ResultsFolder(readings.folder)
    for reference in references:
        if reference.cells_path is None or reference.mpp is None:
            continue
        found = results.slide(reference.slide_id).cells_parquet
        if not found.is_file():
            logger.info("%s has no cells to compare", reference.slide_id)
            continue
        yield (
            reference.slide_id,
            compare_cells(
                read_known_cells(reference.cells_path),
                read_cells(found, columns=CELL_COLUMNS),
                mpp=reference.mpp,
            ),
        )
