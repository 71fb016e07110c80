"""The checks that raise flags; each yields what it finds, in a fixed order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from her2path.criteria.call import Deciding
from her2path.criteria.score import Extent, Intensity, Score
from her2path.criteria.tally import STAINED
from her2path.criteria.words import decimals_apart
from her2path.flags.blank import below_blank_flags, few_intense_flags
from her2path.flags.evidence import (
    LOW_SCORES,
    Flag,
    FlagCuts,
    FlagEvidence,
    ReviewFlag,
    beside,
    share_above,
    spoken_score,
)
from her2path.flags.scan import scan_flags
from her2path.flags.tumor import tumor_flags
from her2path.statistics.heterogeneity import LEAST_LOCAL_PCT

__all__ = ["needs_review", "raise_flags"]


def raise_flags(evidence: FlagEvidence, cuts: FlagCuts | None = None) -> tuple[Flag, ...]:
    """Raise every flag that the evidence gives reason for, in a fixed order.

    Parameters
    ----------
    evidence : FlagEvidence
        What was measured.
    cuts : FlagCuts, optional
        Where flags are raised; defaults of `FlagCuts`.
    """
    used = FlagCuts() if cuts is None else cuts
    return tuple(flag for check in CHECKS for flag in check(evidence, used))


def needs_review(flags: tuple[Flag, ...]) -> bool:
    """Whether any flag asks for a second read."""
    return any(flag.severity == "review" for flag in flags)


def count_flags(evidence: FlagEvidence, cuts: FlagCuts) -> Iterator[Flag]:
    n = evidence.n_tumor_cells
    cells = "tumour cell was" if n == 1 else "tumour cells were"
    if evidence.call.score is Score.NOT_ASSESSABLE:
        yield Flag(
            ReviewFlag.NOT_ASSESSABLE,
            n,
            1,
            "cells",
            f"No score can be given: {n} {cells} counted.",
        )
    if n < cuts.least_cells:
        yield Flag(
            ReviewFlag.FEW_CELLS,
            n,
            cuts.least_cells,
            "cells",
            f"Only {n} {cells} counted; at least {cuts.least_cells} are needed to tell "
            "0, 0+ and 1+ apart.",
        )

    blocks = evidence.n_effective_blocks
    if blocks is not None and 0 < blocks < cuts.least_blocks:
        yield Flag(
            ReviewFlag.FEW_BLOCKS,
            blocks,
            cuts.least_blocks,
            "blocks",
            f"The cells lie in {beside(blocks, cuts.least_blocks, least=1)} effective blocks of "
            f"tissue (at least {cuts.least_blocks:g} tell how places differ): intervals and "
            "probabilities hold for this picture, not for the tumour round it.",
        )


def border_flags(evidence: FlagEvidence, cuts: FlagCuts) -> Iterator[Flag]:
    said = set()
    for border in evidence.borders:
        deciding, interval = border.deciding, border.interval_pct
        # Of the rows of one score the nearest speaks for all.
        if deciding.cut in interval and deciding.criterion.score not in said:
            said.add(deciding.criterion.score)
            lower, upper = (
                beside(end, deciding.cut, least=1) for end in (interval.lower, interval.upper)
            )
            yield Flag(
                ReviewFlag.INTERVAL_CROSSES_CUT,
                deciding.value,
                deciding.cut,
                "%",
                f"The {spoken_measure(deciding)} is {value_words(deciding)} % (95 % interval "
                f"{lower}–{upper} %), which includes the cut of "
                f"{cut_words(deciding)} % for {deciding.criterion.score}.",
            )
    changed = evidence.changed_trials_pct
    if changed is not None and changed > cuts.changed_trials_pct:
        yield Flag(
            ReviewFlag.SENSITIVE_TO_THRESHOLDS,
            changed,
            cuts.changed_trials_pct,
            "%",
            f"The score changed in {beside(changed, cuts.changed_trials_pct, least=0)} % of trials "
            f"with slightly shifted thresholds (more than {cuts.changed_trials_pct:.0f} %).",
        )
    if evidence.call.score in LOW_SCORES:
        missed = evidence.call.stained_missed
        for near in (*evidence.call.near, *((missed,) if missed else ())):
            low, high = near.cut / cuts.double_read_factor, near.cut * cuts.double_read_factor
            if near.measure == STAINED and low <= near.value <= high:
                yield Flag(
                    ReviewFlag.DOUBLE_READ,
                    near.value,
                    near.cut,
                    "%",
                    f"Stained tumour cells are {value_words(near)} %, close to the cut of "
                    f"{cut_words(near)} % for {near.criterion.score}: two readers should "
                    "agree on it.",
                )


def pattern_flags(evidence: FlagEvidence, cuts: FlagCuts) -> Iterator[Flag]:
    regions, cluster, call = evidence.regions, evidence.cluster, evidence.call
    if regions is not None and regions.grades_apart >= cuts.grades_apart:
        yield Flag(
            ReviewFlag.REGIONS_DIFFER,
            regions.grades_apart,
            cuts.grades_apart,
            "grades",
            f"Regions range from {regions.lowest} to {regions.highest}, {regions.grades_apart} "
            f"grades apart ({cuts.grades_apart} or more is heterogeneous).",
        )
    if cluster is not None and cluster.is_distinct:
        yield Flag(
            ReviewFlag.CLUSTER_3PLUS,
            cluster.local_pct,
            LEAST_LOCAL_PCT,
            "%",
            f"A contiguous group of {cluster.n_cells} intense, complete cells makes up "
            f"{beside(cluster.local_pct, LEAST_LOCAL_PCT, least=0)} % of its surroundings (more "
            f"than {LEAST_LOCAL_PCT:g} %), "
            f"which hold {cluster.share_of_tumor_pct:.1f} % of the tumour cells; elsewhere the "
            f"score is {cluster.score_elsewhere}.",
        )
    # Pattern and words are those of the row that fired, so its number stands beside them: another
    # row of this score may hold it more firmly.
    fired = call.fired
    if fired is not None and call.pattern_2plus not in ("", "complete"):
        yield Flag(
            ReviewFlag.UNUSUAL_PATTERN,
            fired.value,
            fired.cut,
            fired.unit,
            f"Unusual pattern for {call.score} ({call.pattern_2plus}): "
            f"the {spoken_measure(fired)} is {against_cut(fired)}.",
        )
    if fired is not None and call.is_decided_by_matrix:
        yield Flag(
            ReviewFlag.DECIDED_BY_MATRIX,
            fired.value,
            fired.cut,
            fired.unit,
            f"The guideline's own wording does not cover this case; {call.score} comes from the "
            f"row “{call.criterion_text}” ({spoken_measure(fired)} {against_cut(fired)}).",
        )
    yield from few_intense_flags(evidence, cuts)


def reading_flags(evidence: FlagEvidence, cuts: FlagCuts) -> Iterator[Flag]:
    yield from share_above(
        ReviewFlag.CYTOPLASMIC_STAINING,
        evidence.cytoplasmic_pct,
        cuts.cytoplasmic_pct,
        "of the tumour cells have brown cytoplasm that may hide a membrane or be taken for one",
    )
    network, score = evidence.network_score, evidence.call.score
    if network is not None and network != score:
        # Not assessable against a score counts as one grade: the two still contradict.
        apart = abs(network.rank - score.rank) if min(network.rank, score.rank) >= 0 else 1
        yield Flag(
            ReviewFlag.READERS_DISAGREE,
            apart,
            1,
            "grades",
            f"The rules give {spoken_score(score)}, the network gives {spoken_score(network)}: "
            f"{apart} {'grade' if apart == 1 else 'grades'} apart (1 or more is a disagreement).",
        )
    yield from tumor_flags(evidence, cuts)
    yield from below_blank_flags(evidence, cuts)
    yield from shared_line_flags(evidence)
    yield from share_above(
        ReviewFlag.HIDDEN_NUCLEI,
        evidence.hidden_nuclei_pct,
        cuts.hidden_nuclei_pct,
        "of the nuclei are hidden under brown, so the count of cells is uncertain",
    )


def shared_line_flags(evidence: FlagEvidence) -> Iterator[Flag]:
    now, alone, other = evidence.stained_pct, evidence.stained_alone_pct, evidence.score_alone
    score, held = evidence.call.score, evidence.call.deciding_lower
    if now is None or alone is None or other in (None, score):
        return
    # Whoever owns a line, some cell is stained: that it is none is not in doubt.
    if (score, other) == (Score.ULTRALOW, Score.ZERO):
        return
    cut = held.cut if held is not None and held.measure == STAINED else now
    yield Flag(
        ReviewFlag.SHARED_LINES,
        alone,
        cut,
        "%",
        f"{beside(now, cut, least=1)} % of the tumour cells are stained if a line between two "
        f"cells counts for both, {beside(alone, cut, least=1)} % if it belongs to one of them "
        f"only; then the score would be {other}.",
    )


def assay_flags(evidence: FlagEvidence, cuts: FlagCuts) -> Iterator[Flag]:
    n_suspected, other = evidence.n_suspected_cells, evidence.score_other_way
    score = evidence.call.score
    if n_suspected and evidence.is_suspect_excluded and other not in (None, score):
        yield Flag(
            ReviewFlag.CONTROL_SUSPECTED,
            n_suspected,
            1,
            "cells",
            f"A separate piece that looks like control tissue was left out; with its {n_suspected} "
            f"tumour {'cell' if n_suspected == 1 else 'cells'} the score would be "
            f"{spoken_score(other)} instead of {spoken_score(score)}.",
        )
    elif n_suspected and not evidence.is_suspect_excluded:
        lie, them = ("lies", "it") if n_suspected == 1 else ("lie", "them")
        effect = (
            f"the score stays {score} without {them}"
            if other in (None, score)
            else f"without {them} the score would be {spoken_score(other)} instead of {score}"
        )
        yield Flag(
            ReviewFlag.CONTROL_SUSPECTED,
            n_suspected,
            1,
            "cells",
            f"{n_suspected} of the tumour cells counted {lie} in a separate piece that looks like "
            f"control tissue; {effect}. If it is control, draw it or use --exclude-controls.",
        )
    od, expected = evidence.control_od, evidence.control_od_range
    if od is not None and expected is not None and od not in expected:
        cut = expected.lower if od < expected.lower else expected.upper
        yield Flag(
            ReviewFlag.CONTROL_OUT_OF_RANGE,
            od,
            cut,
            "OD",
            f"The control stains at {beside(od, cut, least=2)} OD, outside its range of "
            f"{stated_od(expected.lower)}–{stated_od(expected.upper)} OD.",
        )
    if evidence.has_control is False:
        yield Flag(
            ReviewFlag.NO_CONTROL,
            0,
            1,
            "controls",
            "0 controls were measured (at least 1 is needed): a failed stain would look like 0.",
        )
    if evidence.is_calibrated is False:
        yield from calibration_flags(evidence, cuts)
    angle, counterstain = evidence.stain_angle_deg, evidence.nuclear_hematoxylin_od
    if angle is not None and angle > cuts.stain_angle_deg:
        yield Flag(
            ReviewFlag.STAIN_VECTORS,
            angle,
            cuts.stain_angle_deg,
            "°",
            f"The stain colours lie {beside(angle, cuts.stain_angle_deg, least=0)}° from the "
            f"reference (more than {cuts.stain_angle_deg:.0f}°): brown and blue may be mixed up.",
        )
    least_od = cuts.seen_counterstain_od if evidence.are_nuclei_seen else cuts.counterstain_od
    if counterstain is not None and counterstain < least_od:
        yield Flag(
            ReviewFlag.PALE_COUNTERSTAIN,
            counterstain,
            least_od,
            "OD",
            f"The counterstain is pale, {beside(counterstain, least_od, least=2)} OD in nuclei "
            f"(less than {least_od:.2f} OD): nuclei may be missed.",
        )
    if evidence.ish_comment:
        yield Flag(
            ReviewFlag.ISH_DISCORDANT,
            1,
            1,
            "results",
            f"1 ISH result does not agree with the score: {evidence.ish_comment}.",
        )


def calibration_flags(evidence: FlagEvidence, cuts: FlagCuts) -> Iterator[Flag]:
    score = evidence.call.score
    others = {f: s for f, s in evidence.scores_by_height.items() if s is not score}
    likely = {f: s for f, s in others.items() if max(f, 1 / f) <= cuts.height_factor}
    unlikely = "" if likely or not others else f" {spoken_heights(others)}."
    yield Flag(
        ReviewFlag.NOT_CALIBRATED,
        0,
        1,
        "calibrations",
        "Intensity is not calibrated: 0 calibrations from controls of this site, scanner and "
        f"µm/px are in use (1 is needed).{unlikely}",
    )
    if likely:
        yield Flag(
            ReviewFlag.CALIBRATION_MATTERS,
            min(max(f, 1 / f) for f in likely),
            cuts.height_factor,
            "×",
            f"Without calibration lines may be {cuts.height_factor:g} times higher or lower than "
            f"they read. {spoken_heights(likely)}, instead of {score}.{network_answer(evidence)}",
            is_answered=evidence.is_confirmed,
        )


CHECKS: tuple[Callable[[FlagEvidence, FlagCuts], Iterator[Flag]], ...] = (
    count_flags,
    border_flags,
    pattern_flags,
    reading_flags,
    assay_flags,
    scan_flags,
)


def network_answer(evidence: FlagEvidence) -> str:
    """Say what the network answers where cut-offs of the rules are in doubt."""
    if not evidence.is_confirmed:
        return ""
    score = evidence.call.score
    return f" The network, which reads without such cut-offs, rules out every score but {score}."


def spoken_heights(scores: Mapping[float, Score]) -> str:
    """Say in words which scores come of which heights of lines."""
    each = [f"{score} if lines were {factor:.2g} times as high" for factor, score in scores.items()]
    return f"The score would be {' and '.join(each)}"


def spoken_measure(deciding: Deciding) -> str:
    """Say in words which number decides."""
    criterion = deciding.criterion
    words = criterion.intensity.label
    if criterion.intensity is Intensity.FAINT:
        words = "any"
    elif criterion.intensity is not Intensity.INTENSE:
        words += " or stronger"
    if criterion.extent is Extent.COMPLETE:
        words += ", complete"
    elif criterion.extent is Extent.BASOLATERAL:
        words += ", at least basolateral"
    what = "share of" if deciding.unit == "%" else "largest cluster of"
    return f"{what} tumour cells with {words} membrane staining"


def stated_od(od: float) -> str:
    """Write an OD as a calibration states it, none of its decimals rounded away."""
    return f"{od:.2f}" if round(od, 2) == od else f"{round(od, 4):g}"


def against_cut(deciding: Deciding) -> str:
    """Say in words how the number of a row that fires compares with its cut."""
    than = "above" if deciding.comparison == ">" else "at least"
    return f"{value_words(deciding)} {deciding.unit}, {than} {cut_words(deciding)} {deciding.unit}"


def value_words(deciding: Deciding) -> str:
    """Write a number with as many decimals as show on which side of its cut it lies."""
    return beside(deciding.value, deciding.cut, least=1 if deciding.unit == "%" else 0)


def cut_words(deciding: Deciding) -> str:
    """Write the cut beside the number; a round one without decimals."""
    digits = decimals_apart(deciding.value, deciding.cut)
    return f"{deciding.cut:.3g}" if digits == 1 else f"{round(deciding.cut, digits):g}"
