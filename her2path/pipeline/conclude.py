"""Stage C: from the cells of a slide to its record: selection, classes, score, flags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from her2path.annotations.roi import RoiKind
from her2path.cells.classify import CellClasses
from her2path.cells.lookalikes import lookalikes
from her2path.cells.membranes import Membranes
from her2path.cells.shared_lines import has_own_line
from her2path.cells.table import CellMeasurements
from her2path.criteria.call import Call
from her2path.criteria.clusters import Clusters
from her2path.criteria.ish import StatusCall, status
from her2path.criteria.rule_set import DEFAULT_CRITERIA, RuleSet, load_rule_set
from her2path.criteria.score import Intensity, Organ, Score, Status
from her2path.flags.checks import needs_review
from her2path.pipeline.network import Positions, network_facts, with_network_scores
from her2path.pipeline.reasons import Suspects, flags_of_reading, flags_of_refusal
from her2path.pipeline.regions import read_regions_of
from her2path.pipeline.scoring import (
    LEAST_UPPER_PCT,
    CountedCells,
    clusters_of,
    empty_reading,
    read_counted,
    score_of,
)
from her2path.pipeline.selection import (
    Selection,
    is_sample,
    selected_cells,
)
from her2path.pipeline.settings import ScoreSettings
from her2path.pipeline.stability import try_shifts
from her2path.pipeline.survey import Survey
from her2path.pipeline.told_by_nuclei import read_tumor_membranes
from her2path.results.columns import Exclusion
from her2path.results.record import (
    BlankFacts,
    CellSelection,
    Heterogeneity,
    RegionKind,
    RegionRecord,
    SharedLines,
    SlideRecord,
    Stability,
)
from her2path.results.run_record import settings_hash, software_version
from her2path.statistics.heterogeneity import (
    LEAST_REGION_CELLS,
    find_3plus_cluster,
    spread_of,
)
from her2path.statistics.readers import Opinion

__all__ = ["Conclusion", "Counted", "conclude_cells", "conclude_without_cells"]

# How tumor cells are told from others where no network is used.
METHOD = "measurements"
# Between these editions differ in what they call a few faint cells.
FAINT_SCORES = frozenset({Score.ZERO, Score.ULTRALOW, Score.ONE_PLUS})


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """The cells of a slide: what was measured, their classes, and what became of them.

    `has_own_line`, of shape (n,), tells which stay stained if each line belongs to one cell only.
    """

    cells: CellMeasurements
    classes: CellClasses
    selection: Selection
    has_own_line: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Conclusion:
    """The record of a slide, and the cells that it rests on (None when not assessable)."""

    record: SlideRecord
    counted: Counted | None = None


def conclude_without_cells(
    survey: Survey, settings: ScoreSettings, *, timings: Mapping[str, float]
) -> Conclusion:
    """Conclude on a slide that is not worth scoring."""
    flags = flags_of_refusal(survey)
    record = unscored(survey, settings, timings)
    return Conclusion(replace(record, flags=flags, review=needs_review(flags)))


def unscored(survey: Survey, settings: ScoreSettings, timings: Mapping[str, float]) -> SlideRecord:
    """Return the record of a slide before any cell is counted: provenance, and no score."""
    job = survey.job
    return SlideRecord(
        slide_id=job.slide_id,
        path=str(job.path),
        software_version=software_version(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        settings_hash=settings_hash([settings.identity, job.unlabelled]),
        scan=survey.scan,
        tissue=survey.tissue_facts,
        stain=survey.stain,
        calibration=job.calibration,
        rule_set=job.rule_set.name,
        edition=job.rule_set.edition,
        organ=job.rule_set.organ,
        score=Score.NOT_ASSESSABLE,
        status=Status.NOT_ASSESSABLE,
        status_comment=survey.tissue_facts.explanation,
        call=None,
        ish=job.ish,
        blank=BlankFacts(
            source="calibration",
            min_line_contrast_od=job.calibration.min_line_contrast_od,
            n_reference=0,
            stained_pct=None,
            upper_pct=job.calibration.blank_upper_pct,
        ),
        selection=CellSelection(
            method=METHOD if settings.network is None else settings.model,
            cut=settings.tumor_cut,
            cut_in_roi=settings.tumor_cut_in_roi,
            n_cells=0,
            excluded=dict.fromkeys(Exclusion, 0),
            uncertain_margin=settings.uncertain_margin,
        ),
        reading=empty_reading(),
        stability=Stability((), 0.0),
        heterogeneity=Heterogeneity(),
        flags=(),
        review=True,
        regions=(),
        timings=dict(timings),
        remarks=survey.remarks,
        specimen=job.specimen,
        patient_id=job.patient_id or "",
        extras=job.extras,
        model=settings.model,
    )


def conclude_cells(
    survey: Survey,
    cells: CellMeasurements,
    settings: ScoreSettings,
    *,
    timings: Mapping[str, float],
    positions: Positions | None = None,
) -> Conclusion:
    """Conclude on the cells of a slide.

    Parameters
    ----------
    survey : Survey
    cells : CellMeasurements
        All of them in reading order, x and y in level-0 px.
    settings : ScoreSettings
    timings : mapping of str to float
        Seconds of the stages so far.
    positions : Positions, optional
        What the network says, where a run uses one.
    """
    job = survey.job
    rule_set, calibration = job.rule_set, job.calibration
    cells, selection = selected_cells(cells, survey, settings)
    place_um = cells.x * survey.mpp.x, cells.y * survey.mpp.y
    selection, membranes, is_by_nuclei = read_tumor_membranes(
        cells, selection, place_um, calibration=calibration, rule_set=rule_set
    )
    cells, classes, blank = membranes.cells, membranes.classes, blank_facts(membranes)
    everything = CountedCells.of(cells, classes, place_um)
    counted = everything.select(selection.is_counted)
    clusters = clusters_of(counted, rule_set)
    blank = with_below_blank(blank, counted, classes.is_below_blank[selection.is_counted], rule_set)
    is_own = own_lines(cells, classes, place_um, selection.is_counted)
    shared = shared_lines_of(counted, is_own[selection.is_counted], blank.upper_pct, rule_set)
    call = rule_set.call(counted.tally, blank_upper_pct=blank.upper_pct, clusters=clusters)
    reading = read_counted(
        counted,
        rule_set,
        blank_upper_pct=blank.upper_pct,
        rng=np.random.default_rng([settings.seed, 0]),
        n_resamples=settings.n_resamples,
        clusters=clusters,
    )
    regions = read_regions_of(
        everything,
        (cells.x, cells.y),
        selection,
        survey,
        blank_upper_pct=blank.upper_pct,
        rule_set=rule_set,
        settings=settings,
    )
    network = None
    if survey.network is not None and positions is not None:
        positions = positions.select(is_sample(positions.x, positions.y, survey))
        rule = Opinion(call.score, reading.probabilities)
        # It has learned the criteria of the breast: others give other scores for the same cells.
        told_as = rule_set.told_as if rule_set.organ is Organ.BREAST else {}
        network = network_facts(survey.network, positions, rule, told_as=told_as)
        drawn = {roi.roi_id: roi for roi in survey.rois_of(RoiKind.TUMOR)}
        regions = with_network_scores(regions, survey.network, positions, drawn, told_as=told_as)
    stability = try_shifts(
        cells,
        selection,
        place_um,
        min_line_contrast_od=blank.min_line_contrast_od,
        calibration=calibration,
        rule_set=rule_set,
    )
    heterogeneity = heterogeneity_of(counted, regions, rule_set, blank.upper_pct, clusters)
    facts = selection_facts(
        cells, classes, selection, is_by_nuclei, everything, survey, settings, blank
    )
    answer = status(call.score, job.ish, organ=rule_set.organ)
    answer = with_score_of_today(answer, call, counted, blank)
    stain = replace(survey.stain, nuclear_hematoxylin_od=counterstain_of(cells, selection))
    record = replace(
        unscored(survey, settings, timings),
        stain=stain,
        score=call.score,
        status=answer.status,
        status_comment=answer.comment,
        call=call,
        blank=blank,
        selection=facts,
        reading=reading,
        stability=stability,
        heterogeneity=heterogeneity,
        regions=regions,
        network=network,
        shared_lines=shared,
    )
    suspects = suspects_of(everything, selection, settings, survey, blank)
    flags = flags_of_reading(survey, record, counted, call=call, answer=answer, suspects=suspects)
    record = replace(record, flags=flags, review=needs_review(flags))
    return Conclusion(record, Counted(cells, classes, selection, is_own))


def with_score_of_today(
    answer: StatusCall, call: Call, counted: CountedCells, blank: BlankFacts
) -> StatusCall:
    """Return the status with a comment where null or low is a word of an edition without 0+."""
    if answer.status not in (Status.NULL, Status.LOW):
        return answer
    today = load_rule_set(DEFAULT_CRITERIA).call(counted.tally, blank_upper_pct=blank.upper_pct)
    if today.score is call.score or not {today.score, call.score} <= FAINT_SCORES:
        return answer
    stained_pct = counted.tally.shares().pct_stained
    words = (
        f"{stained_pct:.1f} % of the tumour cells are stained, which these criteria call "
        f"{call.score}; {today.edition} calls it {today.score}"
    )
    return replace(answer, comment="; ".join(filter(None, (answer.comment, words))))


def suspects_of(
    everything: CountedCells,
    selection: Selection,
    settings: ScoreSettings,
    survey: Survey,
    blank: BlankFacts,
) -> Suspects:
    """Return the tumor cells in suspected control tissue, and the score the other way."""
    suspected = selection.is_suspected_tumor
    n_cells = int(suspected.sum())
    if not n_cells:
        return Suspects(0, settings.exclude_controls, None)
    counted = selection.is_counted
    other = counted | suspected if settings.exclude_controls else counted & ~suspected
    score, _ = score_of(
        everything.select(other), survey.job.rule_set, blank_upper_pct=blank.upper_pct
    )
    return Suspects(n_cells, settings.exclude_controls, score)


def blank_facts(membranes: Membranes) -> BlankFacts:
    """Return the limits that the slide's own cells set, for the record."""
    blank = membranes.blank
    return BlankFacts(
        source="slide" if blank.is_own else "calibration",
        min_line_contrast_od=blank.min_line_contrast_od,
        n_reference=blank.n_reference,
        stained_pct=blank.reference_stained_pct if blank.n_reference else None,
        upper_pct=max(blank.upper_pct, LEAST_UPPER_PCT),
        line_even=membranes.line_even,
    )


def with_below_blank(
    blank: BlankFacts, counted: CountedCells, is_below: NDArray[np.bool_], rule_set: RuleSet
) -> BlankFacts:
    """Add how many cells are stained below the limit of blank, and the score without them."""
    is_stained = counted.intensity > Intensity.NONE
    if not is_stained.any():
        return blank
    score, _ = score_of(stained_only(counted, ~is_below), rule_set, blank_upper_pct=blank.upper_pct)
    return replace(blank, below_pct=share_pct(is_below, is_stained), score_without_below=score)


def own_lines(
    cells: CellMeasurements,
    classes: CellClasses,
    place_um: tuple[NDArray[np.float64], NDArray[np.float64]],
    is_counted: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Tell which cells stay stained where each line belongs to one cell only.

    Cells that do not count explain no line of one that does, or a tumor cell beside a lymphocyte
    would be unstained for it.
    """
    is_own = np.zeros(len(classes), np.bool_)
    for some in (is_counted, ~is_counted):
        places = (place_um[0][some], place_um[1][some])
        is_own[some] = has_own_line(cells.select(some), classes.select(some), places)
    return is_own


def shared_lines_of(
    counted: CountedCells, is_own: NDArray[np.bool_], blank_upper_pct: float, rule_set: RuleSet
) -> SharedLines | None:
    """Return what is left if each line belongs to one cell only; None where no cell is stained."""
    if not (counted.intensity > Intensity.NONE).any():
        return None
    score, _ = score_of(stained_only(counted, is_own), rule_set, blank_upper_pct=blank_upper_pct)
    return SharedLines(100 * float(is_own.mean()), score)


def stained_only(counted: CountedCells, kept: NDArray[np.bool_]) -> CountedCells:
    """Return the same cells, of which only those of a mask may be stained."""
    intensity = np.where(kept, counted.intensity, Intensity.NONE).astype(np.int8)
    return replace(counted, intensity=intensity)


def counterstain_of(cells: CellMeasurements, selection: Selection) -> float | None:
    """Return the median hematoxylin OD of nuclei that are seen by their blue."""
    seen = cells.nucleus_h_od[selection.is_in_place & ~cells.is_hidden]
    return float(np.median(seen)) if seen.size else None


def heterogeneity_of(
    counted: CountedCells,
    regions: tuple[RegionRecord, ...],
    rule_set: RuleSet,
    blank_upper_pct: float,
    clusters: Clusters | None,
) -> Heterogeneity:
    """Compare the squares of the grid, and look for an island of 3+."""
    scores = {
        region.region_id: region.score
        for region in regions
        if region.kind is RegionKind.GRID and region.reading.n_tumor_cells >= LEAST_REGION_CELLS
    }
    spread = spread_of(scores)
    if rule_set.needs_clusters:
        # Rules of clusters find the strongest island by themselves.
        return Heterogeneity(spread, None, clusters)
    cluster = find_3plus_cluster(
        counted.x_um,
        counted.y_um,
        intensity=counted.intensity,
        extent=counted.extent,
        rule_set=rule_set,
        blank_upper_pct=blank_upper_pct,
    )
    return Heterogeneity(spread, cluster, None)


def selection_facts(
    cells: CellMeasurements,
    classes: CellClasses,
    selection: Selection,
    is_by_nuclei: NDArray[np.bool_],
    everything: CountedCells,
    survey: Survey,
    settings: ScoreSettings,
    blank: BlankFacts,
) -> CellSelection:
    """Return what became of the cells, and what hangs on those that may or may not be tumor."""
    margin = settings.uncertain_margin
    surely, possibly = selection.counted_at(margin), selection.counted_at(-margin)

    def score(chosen: NDArray[np.bool_]) -> Score:
        return score_of(
            everything.select(chosen), survey.job.rule_set, blank_upper_pct=blank.upper_pct
        )[0]

    n_possible, n_counted = int(possibly.sum()), int(selection.is_counted.sum())
    is_counted = selection.is_counted
    is_stained = everything.intensity > Intensity.NONE
    is_recognized = is_counted & ~is_by_nuclei
    is_widened = bool(is_by_nuclei.any())
    alike = lookalikes(
        cells,
        is_counted,
        selection.may_count & ~is_counted & ~is_stained,
        x_um=everything.x_um,
        y_um=everything.y_um,
    )
    return CellSelection(
        method=METHOD if settings.network is None else settings.model,
        cut=settings.tumor_cut,
        cut_in_roi=settings.tumor_cut_in_roi,
        n_cells=len(cells),
        excluded=selection.counts(),
        uncertain_margin=margin,
        uncertain_pct=100 * int((possibly & ~surely).sum()) / n_possible if n_possible else None,
        score_without_uncertain=score(surely) if n_possible else None,
        score_with_uncertain=score(possibly) if n_possible else None,
        parts_at=selection.tumor.parts_at,
        score_as_read=score(selection.counted_as_read()),
        by_nuclei_pct=share_pct(is_by_nuclei, is_counted) if is_widened else None,
        stained_as_recognized_pct=share_pct(is_stained, is_recognized) if is_widened else None,
        score_as_recognized=score(is_recognized) if is_widened else None,
        left_out_pct=share_pct(alike, is_counted | alike) if n_counted else None,
        stained_with_left_out_pct=share_pct(is_stained, is_counted | alike) if n_counted else None,
        score_with_left_out=score(is_counted | alike),
        cytoplasmic_pct=share_pct(classes.is_diffuse, is_counted) if n_counted else None,
        hidden_nuclei_pct=share_pct(cells.is_hidden, is_counted) if n_counted else None,
    )


def share_pct(mask: NDArray[np.bool_], among: NDArray[np.bool_]) -> float:
    """Return the percent of `among` that are marked."""
    return 100 * float(np.count_nonzero(mask & among)) / float(np.count_nonzero(among))
