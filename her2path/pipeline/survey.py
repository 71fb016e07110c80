"""Stage A: look at the whole slide once, decide whether to score it, and plan its tiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from her2path.annotations.raster import rasterise
from her2path.annotations.read import read_annotations
from her2path.annotations.roi import Roi, RoiKind
from her2path.cells.measure import MeasureSettings
from her2path.cells.nuclei import typical_counterstain
from her2path.errors import AnnotationError
from her2path.geometry import Location, Mpp, Region, Size
from her2path.pipeline.frames import covered_mask, plan_frames, working_scale
from her2path.pipeline.network import NetworkUse
from her2path.pipeline.settings import ScoreSettings, SlideJob, fingerprint_of_job
from her2path.results.record import ControlFacts, FocusFacts, ScanFacts, StainFacts, TissueFacts
from her2path.results.run_record import describe_input, settings_hash
from her2path.slides.color import has_srgb_colors
from her2path.slides.info import describe_slide
from her2path.slides.mpp import require_mpp
from her2path.slides.opening import open_slide
from her2path.slides.reading import read_at_mpp, read_overview
from her2path.slides.slide import Slide
from her2path.slides.tiling import Tile, tiles_mm2
from her2path.stain.od import WhitePoint
from her2path.stain.separate import separate
from her2path.tissue.assessment import TissueAssessment, assess_tissue
from her2path.tissue.fields import FIELD_UM
from her2path.tissue.focus import BLURRED_UM
from her2path.tissue.mask import box_of

__all__ = ["FIELD_MPP", "TOO_COARSE", "Survey", "misfits", "survey_slide"]

OVERVIEW_MPP = 6.0
# Focus and kind of staining are judged where a membrane would just be seen.
FIELD_MPP = 0.5
# At 0.7 µm/px a 1+ membrane (0.64 µm) is thinner than a pixel.
COARSEST_MPP = 0.7
TOO_COARSE = "scan_too_coarse"
NO_TISSUE_OUTLINED = "no_tissue_outlined"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Survey:
    """What stage A found; everything that the later stages need beside the file.

    Attributes
    ----------
    mpp : Mpp
        Of level 0.
    working_mpp : float
        At which cells are measured.
    tissue, excluded, control : ndarray of shape (M, N), bool
        Tissue to score; artefacts; found control tissue that is left out.
    suspected : ndarray of shape (M, N), bool
        Pieces that look like control tissue, left out or not.
    covered : ndarray of shape (M, N), bool
        Where cells are looked for: tissue of every kind and drawn outlines, and a margin of one
        px. Tiles are cut to it, so cells outside it would depend on the plan of the tiles.
    mask_downsample : float
        Level-0 px per px of these masks.
    tiles : tuple of Tile
        In the order of the file; none when the slide is not assessable.
    network : NetworkUse, optional
        Reads the tiles as well.
    parts_key : str
        Hash of all that the measurement of a tile depends on.
    """

    job: SlideJob
    mpp: Mpp
    working_mpp: float
    dimensions: Size
    scan: ScanFacts
    tissue_facts: TissueFacts
    stain: StainFacts
    measure: MeasureSettings
    tissue: NDArray[np.bool_]
    excluded: NDArray[np.bool_]
    control: NDArray[np.bool_]
    suspected: NDArray[np.bool_]
    covered: NDArray[np.bool_]
    mask_downsample: float
    rois: tuple[Roi, ...]
    tiles: tuple[Tile, ...]
    network: NetworkUse | None
    parts_key: str
    remarks: tuple[str, ...] = field(default=())

    def rois_of(self, kind: RoiKind) -> tuple[Roi, ...]:
        """Return the outlines of one kind."""
        return tuple(roi for roi in self.rois if roi.kind is kind)

    def looked_up(
        self, mask: NDArray[np.bool_], x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Return the value of one of the masks at level-0 points."""
        rows = np.minimum((y / self.mask_downsample).astype(np.int64), mask.shape[0] - 1)
        cols = np.minimum((x / self.mask_downsample).astype(np.int64), mask.shape[1] - 1)
        found: NDArray[np.bool_] = mask[rows, cols]
        return found

    @property
    def tile_mm2(self) -> float:
        """Area of all tiles in mm²."""
        return tiles_mm2(self.tiles, self.mpp)


def survey_slide(job: SlideJob, settings: ScoreSettings) -> Survey:
    """Open a slide, assess its tissue, and plan its tiles.

    Raises
    ------
    SlideError
        The file cannot be opened or read.
    MppError
        Its µm/px is missing or cannot be used.
    AnnotationError
        Its outlines cannot be used.
    ModelError
        The network is damaged, or not made for its µm/px.
    """
    with open_slide(job.path, mpp=job.mpp, icc=job.icc) as slide:
        mpp = require_mpp(slide)
        rois: tuple[Roi, ...] = ()
        if job.roi is not None:
            rois = read_annotations(
                job.roi, slide_dimensions=slide.dimensions, offset=job.roi_offset
            )
            refuse_meaningless(rois, job.roi)
        return survey_opened(slide, mpp, rois, job, settings)


def survey_opened(
    slide: Slide, mpp: Mpp, rois: tuple[Roi, ...], job: SlideJob, settings: ScoreSettings
) -> Survey:
    whole = Region(0, 0, slide.dimensions.width, slide.dimensions.height)
    overview, downsample = read_overview(slide, mpp=OVERVIEW_MPP)
    controls = [roi for roi in rois if roi.kind is RoiKind.CONTROL]
    # A core of a microarray may be control tissue: its outline does not say that it is tumor.
    tumors = [roi for roi in rois if roi.kind is RoiKind.TUMOR and not roi.is_core]
    drawn_control, drawn_tumor = (
        rasterise(drawn, whole, downsample=downsample) if drawn else None
        for drawn in (controls, tumors)
    )
    field_mpp = max(FIELD_MPP, mpp.mean)
    is_fine = field_mpp <= COARSEST_MPP

    def read_fields(corners: Sequence[tuple[float, float]]) -> list[NDArray[np.uint8]]:
        return fields_at(slide, corners, mpp, field_mpp)

    def assess(stated: WhitePoint | None) -> TissueAssessment:
        return assess_tissue(
            overview,
            mpp.mean * downsample,
            read_fields=read_fields if is_fine else None,
            field_mpp=field_mpp if is_fine else None,
            stated_white_point=stated,
            exclude=drawn_control,
            sample=drawn_tumor,
            exclude_controls=settings.exclude_controls,
            size_um=(slide.dimensions.width * mpp.x, slide.dimensions.height * mpp.y),
        )

    found = assess(job.white_point)
    white_source = str(found.white_point.source)
    if white_source == "default" and job.calibration.white_point is not None:
        found = assess(job.calibration.white_point)
        white_source = "calibration"
    mask_downsample = downsample * found.downsample
    control = found.suspected & settings.exclude_controls
    tissue = found.tissue.mask
    working_mpp = working_scale(mpp)
    facts = tissue_facts(found, controls, mpp, settings)
    if found.is_assessable and working_mpp > COARSEST_MPP:
        facts = too_coarse(facts, mpp)
    white, matrix = found.white_point.rgb, job.calibration.matrix
    planes = [separate(rgb, white, matrix) for rgb in found.fields if facts.is_assessable]
    counterstain = typical_counterstain(planes, mpp=field_mpp)
    measure = MeasureSettings(white_point=white, matrix=matrix, counterstain=counterstain)
    covered = covered_mask(tissue, control, rois, whole, mask_downsample, mpp)
    tiles: tuple[Tile, ...] = ()
    if facts.is_assessable:
        tiles = plan_frames(slide, mpp, working_mpp, settings, covered, mask_downsample)
        if not tiles:
            facts = outlined_elsewhere(facts)
    fingerprint = fingerprint_of_job(job, settings)
    scan = scan_facts(slide, working_mpp if tiles else None)
    return Survey(
        job=job,
        mpp=mpp,
        working_mpp=working_mpp,
        dimensions=slide.dimensions,
        scan=scan,
        tissue_facts=facts,
        stain=StainFacts(
            white_point=measure.white_point,
            white_point_source=white_source,
            hematoxylin=measure.matrix.hematoxylin,
            dab=measure.matrix.dab,
            angle_to_reference_deg=measure.matrix.angles_to_reference_deg(),
            counterstain_contrast_od=counterstain.contrast_od,
            counterstain_h_od=counterstain.nucleus_h_od,
        ),
        measure=measure,
        tissue=tissue,
        excluded=found.artefacts.excluded,
        control=control,
        suspected=found.suspected,
        covered=covered,
        mask_downsample=mask_downsample,
        rois=rois,
        tiles=tiles,
        network=settings.network,
        parts_key=settings_hash([fingerprint, measure, working_mpp, tiles]),
        remarks=(
            *remarks_of(rois),
            *misfits(job, working_mpp, scan, network=settings.network),
            *unchecked(job, scan),
        ),
    )


def fields_at(
    slide: Slide, corners: Sequence[tuple[float, float]], mpp: Mpp, field_mpp: float
) -> list[NDArray[np.uint8]]:
    """Read fields whose corners, in µm, are given."""
    width, height = round(FIELD_UM / mpp.x), round(FIELD_UM / mpp.y)
    frame = Region(0, 0, slide.dimensions.width, slide.dimensions.height)
    # The overview has square px of the mean µm/px, whatever those of the slide are.
    regions = [Region(round(x / mpp.mean), round(y / mpp.mean), width, height) for x, y in corners]
    # Beyond the slide there is only white: a field at its edge is cut.
    cut = [region.intersection(frame) for region in regions]
    return [read_at_mpp(slide, region, field_mpp) for region in cut if not region.is_empty]


def tissue_facts(
    found: TissueAssessment,
    controls: list[Roi],
    mpp: Mpp,
    settings: ScoreSettings,
) -> TissueFacts:
    """Return the assessment as it is stored."""
    blurs = [blur for blur in found.focus_blur_um if not math.isnan(blur)]
    drawn = [
        ControlFacts("drawn", roi.name, roi.bounds, roi.area_mm2(mpp), True) for roi in controls
    ]
    pieces = {piece.label: piece for piece in found.pieces.pieces}
    separate = [
        ControlFacts(
            "found",
            f"piece {candidate.label}",
            box_of(found.pieces.labels == candidate.label, found.pieces.mpp / mpp.mean),
            pieces[candidate.label].area_mm2,
            settings.exclude_controls,
        )
        for candidate in found.controls
    ]
    return TissueFacts(
        is_assessable=found.is_assessable,
        reason="" if found.reason is None else found.reason.value,
        explanation=found.explanation,
        area_mm2=found.tissue.area_mm2,
        tissue_frac=found.tissue.tissue_frac,
        artefact_frac={kind.value: share for kind, share in found.artefacts.area_frac.items()},
        staining=found.staining.kind.value,
        staining_reason=found.staining.reason,
        staining_numbers=found.staining.numbers,
        focus=FocusFacts(
            median_blur_um=float(np.median(blurs)) if blurs else None,
            blurred_pct=100 * sum(b > BLURRED_UM for b in blurs) / len(blurs) if blurs else None,
            n_fields=len(blurs),
        ),
        remarks=tuple(remark.value for remark in found.remarks),
        controls=(*drawn, *separate),
    )


def too_coarse(facts: TissueFacts, mpp: Mpp) -> TissueFacts:
    """Return the facts of a slide whose pixels are too coarse for membranes."""
    return replace(
        facts,
        is_assessable=False,
        reason=TOO_COARSE,
        explanation=f"The scan has {mpp.mean:.2f} µm/px; membranes need {COARSEST_MPP:g} µm/px or "
        "finer, 0 / 0+ / 1+ about 0.25. Scan it again at 40×.",
    )


def outlined_elsewhere(facts: TissueFacts) -> TissueFacts:
    """Return the facts of a slide with tissue, none of which lies in an outline of tumor."""
    return replace(
        facts,
        is_assessable=False,
        reason=NO_TISSUE_OUTLINED,
        explanation="No outline of tumor lies on tissue that may be scored. Look at the outlines: "
        "are they of this slide, in level-0 px, and shifted by the right --roi-offset?",
    )


def scan_facts(slide: Slide, working_mpp: float | None) -> ScanFacts:
    """Return what was understood of the file."""
    described = describe_slide(slide)
    mpp_x, mpp_y = described["mpp"]
    return ScanFacts(
        backend=slide.backend,
        vendor=slide.vendor,
        scanner=slide.scanner,
        width=slide.dimensions.width,
        height=slide.dimensions.height,
        level_count=slide.level_count,
        mpp_x=float(mpp_x),
        mpp_y=float(mpp_y),
        mpp_source=slide.mpp_source,
        objective_power=slide.objective_power,
        compression=str(described["compression"]),
        has_icc=bool(described["has_icc"]),
        is_srgb=has_srgb_colors(slide),
        working_mpp=working_mpp,
        problems=tuple(described["problems"]),
        stated_mpp=stated_mpp(slide),
        bounds=Location(*(described["bounds"] or (0, 0))[:2]),
        sha256_ends=describe_input(slide.path).sha256_ends,
    )


def stated_mpp(slide: Slide) -> float | None:
    """Return what a slide file says of its µm/px beside the value in use.

    Where a person has given one that is what the file would be read with, else what its
    resolution tags say beside its metadata.
    """
    if slide.mpp_source == "metadata":
        return None if slide.tagged_mpp is None else slide.tagged_mpp.mean
    # A plain picture says nothing that could be trusted, and would be decoded once more.
    if slide.mpp_source != "given" or slide.backend == "image":
        return None
    with open_slide(slide.path) as unasked:
        return None if unasked.mpp is None else unasked.mpp.mean


def refuse_meaningless(rois: tuple[Roi, ...], path: Path) -> None:
    """Raise AnnotationError when no outline says anything about scoring.

    The whole slide would be scored in place of what a person has drawn.
    """
    if all(roi.kind is RoiKind.OTHER for roi in rois):
        classes = ", ".join(sorted({roi.classification for roi in rois}))
        raise AnnotationError(
            f"{path.name} has outlines of class {classes:.200} only, which say nothing about "
            "scoring; classes that do are Tumor, Ignore* and Control, and an outline without a "
            "class is scored"
        )


def remarks_of(rois: tuple[Roi, ...]) -> tuple[str, ...]:
    """Say which outlines were not used, and what they mean for the score."""
    remarks = []
    unused = sorted({roi.classification for roi in rois if roi.kind is RoiKind.OTHER})
    if unused:
        remarks.append(
            f"Outlines of class {', '.join(unused)} say nothing about scoring and were passed "
            "over; classes that do are Tumor, Ignore* and Control."
        )
    n_cores = sum(roi.is_core and roi.kind is RoiKind.TUMOR for roi in rois)
    if n_cores > 1:
        remarks.append(
            f"The slide is a microarray of {n_cores} cores: its score is over all of them, and "
            "regions.csv has that of each."
        )
    return tuple(remarks)


def misfits(
    job: SlideJob, working_mpp: float, scan: ScanFacts, *, network: NetworkUse | None
) -> tuple[str, ...]:
    """Say why the calibration of a job is not one for its scan, if it is not."""
    words = job.calibration.misfit(
        working_mpp,
        scan.scanner,
        is_srgb=scan.is_srgb,
        network="" if network is None else network.fingerprint,
    )
    return (words,) if words else ()


def unchecked(job: SlideJob, scan: ScanFacts) -> tuple[str, ...]:
    """Say that nobody knows whether the calibration of a job is of the scanner of its scan."""
    made_for = job.calibration.scanner
    if not made_for or scan.scanner:
        return ()
    return (
        f"The calibration {job.calibration.name} was made for the scanner {made_for}; the file "
        "names none, so whether it fits was not checked.",
    )
