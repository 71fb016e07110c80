"""Gather what flags look at, and raise them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from her2path.criteria.call import Call
from her2path.criteria.clusters import Clusters
from her2path.criteria.ish import StatusCall
from her2path.criteria.score import Organ, Score
from her2path.criteria.tally import Tally
from her2path.flags.checks import raise_flags
from her2path.flags.evidence import HEIGHT_FACTORS, Flag, FlagEvidence, ReviewFlag
from her2path.pipeline.control_range import control_od_of
from her2path.pipeline.scoring import CountedCells, borders_of, score_of
from her2path.pipeline.survey import Survey, misfits
from her2path.results.record import RegionKind, SlideRecord
from her2path.statistics.clustered import effective_number
from her2path.statistics.intervals import Interval
from her2path.tissue.artefacts import ArtefactKind

__all__ = ["Suspects", "flags_of_reading", "flags_of_refusal"]

# A field that was cut out of a slide is tissue from edge to edge; a whole section is 50 mm² and
# more of glass.
LEAST_SCAN_MM2 = 25.0
# Where half of such a field or more is tissue, the mask has not missed it, however small it is.
FIELD_TISSUE_FRAC = 0.5


@dataclass(frozen=True, slots=True)
class Suspects:
    """Tumor cells in pieces that look like control tissue, and what hangs on them.

    `score_other_way` is with them when they were left out, else without them.
    """

    n_cells: int
    is_excluded: bool
    score_other_way: Score | None


def flags_of_refusal(survey: Survey) -> tuple[Flag, ...]:
    """Return the flags of a slide that is not assessable: why, and what else was seen."""
    call = survey.job.rule_set.call(
        Tally.zero(), blank_upper_pct=1.0, clusters=Clusters(0, 0, 0, 0)
    )
    raised = raise_flags(seen_on_scan(survey, call))
    return tuple(
        replace(flag, sentence=survey.tissue_facts.explanation)
        if flag.flag is ReviewFlag.NOT_ASSESSABLE
        else flag
        for flag in raised
        # They would say the same once more.
        if flag.flag not in (ReviewFlag.FEW_CELLS, ReviewFlag.MASK_AREA)
    )


def flags_of_reading(
    survey: Survey,
    record: SlideRecord,
    counted: CountedCells,
    *,
    call: Call,
    answer: StatusCall,
    suspects: Suspects,
) -> tuple[Flag, ...]:
    """Return the flags of a slide whose cells were read.

    Parameters
    ----------
    survey : Survey
    record : SlideRecord
        Of the slide, whole but for its flags.
    counted : CountedCells
        The tumor cells that count.
    call : Call
        What the criteria made of them.
    answer : StatusCall
        The status that this gives with what is known of ISH.
    suspects : Suspects
        Tumor cells in what may be control tissue.
    """
    job = survey.job
    tally, blocks = counted.tally, counted.block_tallies()
    facts, blank, shared = record.selection, record.blank, record.shared_lines
    control, expected = control_od_of(record.regions), job.calibration.control_od
    # The network has learned the criteria of the breast.
    is_breast = record.organ is Organ.BREAST
    joint = record.network.joint if record.network and is_breast else None

    def at_height(factor: float) -> Score:
        graded = counted.graded(job.calibration.intensity, height_factor=factor)
        return score_of(graded, job.rule_set, blank_upper_pct=blank.upper_pct)[0]

    return raise_flags(
        replace(
            seen_on_scan(survey, call),
            n_tumor_cells=tally.n_cells,
            n_effective_blocks=effective_number(blocks.sum(axis=(1, 2))),
            borders=borders_of(call, blocks, counted.wider_blocks()),
            changed_trials_pct=record.stability.changed_pct,
            regions=record.heterogeneity.regions,
            cluster=record.heterogeneity.cluster,
            cytoplasmic_pct=facts.cytoplasmic_pct,
            network_score=None if joint is None else joint.network.score,
            network_set=() if joint is None else joint.conformal_set,
            uncertain_tumor_pct=facts.uncertain_pct,
            score_without_uncertain=facts.score_without_uncertain,
            tumor_parts_at=facts.parts_at,
            score_as_read=facts.score_as_read,
            score_with_uncertain=facts.score_with_uncertain,
            stained_pct=tally.shares().columns()["pct_stained"] if tally.n_cells else None,
            by_nuclei_pct=facts.by_nuclei_pct,
            stained_as_recognized_pct=facts.stained_as_recognized_pct,
            score_as_recognized=facts.score_as_recognized,
            left_out_pct=facts.left_out_pct,
            stained_with_left_out_pct=facts.stained_with_left_out_pct,
            score_with_left_out=facts.score_with_left_out,
            hidden_nuclei_pct=facts.hidden_nuclei_pct,
            below_blank_pct=blank.below_pct,
            score_without_below=blank.score_without_below,
            stained_alone_pct=None if shared is None else shared.pct_stained,
            score_alone=None if shared is None else shared.score,
            n_suspected_cells=suspects.n_cells,
            is_suspect_excluded=suspects.is_excluded,
            score_other_way=suspects.score_other_way,
            # Where tumor is drawn elsewhere, control tissue that was found is not measured.
            has_control=bool(job.calibration.made_from)
            or any(r.kind is RegionKind.CONTROL and r.n_cells > 0 for r in record.regions),
            control_od=control[0] if control else None,
            control_od_range=expected and Interval(*expected),
            is_calibrated=job.calibration.is_site_specific
            and not misfits(job, survey.working_mpp, survey.scan, network=survey.network),
            scores_by_height={factor: at_height(factor) for factor in HEIGHT_FACTORS},
            nuclear_hematoxylin_od=record.stain.nuclear_hematoxylin_od,
            are_nuclei_seen=survey.network is not None,
            ish_comment=answer.comment if answer.needs_review and job.ish is not None else "",
        )
    )


def seen_on_scan(survey: Survey, call: Call) -> FlagEvidence:
    """Return what is known of scan, tissue and stain before any cell is counted."""
    tissue, scan = survey.tissue_facts, survey.scan
    n_mm2 = scan.width * scan.mpp_x * scan.height * scan.mpp_y * 1e-6
    is_field = n_mm2 < LEAST_SCAN_MM2 and tissue.tissue_frac >= FIELD_TISSUE_FRAC
    lost = [
        share for kind, share in tissue.artefact_frac.items() if kind != ArtefactKind.EDGE.value
    ]
    return FlagEvidence(
        call=call,
        n_tumor_cells=0,
        stain_angle_deg=max(survey.stain.angle_to_reference_deg),
        mpp=survey.mpp.mean,
        anisotropy=max(scan.mpp_x, scan.mpp_y) / min(scan.mpp_x, scan.mpp_y),
        is_mpp_by_hand=scan.mpp_source == "given",
        stated_mpp=scan.stated_mpp,
        objective_power=None if scan.mpp_source == "given" else scan.objective_power,
        out_of_focus_pct=tissue.focus.blurred_pct,
        artefact_pct=min(100 * sum(lost), 100.0),
        tissue_mm2=None if is_field else tissue.area_mm2,
        tissue_pct=100 * tissue.tissue_frac if n_mm2 >= LEAST_SCAN_MM2 else None,
    )
