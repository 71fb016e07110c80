"""Is this slide worth scoring: everything about tissue in one value, with the reason when not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from her2path.stain.od import WhitePoint
from her2path.tissue.artefacts import (
    ArtefactKind,
    Artefacts,
    closed,
    edge_band,
    find_bubbles,
    find_dirt,
    find_folds,
    find_pen,
    overview_od,
)
from her2path.tissue.fields import COARSEST_FIELD_MPP, choose_fields, own_fields
from her2path.tissue.focus import BLURRED_UM, field_blurs_um
from her2path.tissue.mask import TissueMask, mean_density, tissue_from_density
from her2path.tissue.overview import Overview, disc, to_working_scale
from her2path.tissue.pieces import ControlCandidate, Pieces, find_control_pieces, find_pieces
from her2path.tissue.staining_kind import Staining, StainingKind, recognise_staining
from her2path.tissue.white_point import (
    WhitePointEstimate,
    estimate_white_point,
    find_padding,
    remedy_without_glass,
)

__all__ = ["AssessmentReason", "TissueAssessment", "assess_tissue"]

# 0.05 mm² hold some 250 nuclei, so that 100 tumor cells can be expected at all; fewer and a handful
# of dust on an empty core would get a score.
MIN_TISSUE_MM2 = 0.05
# Twice the blur that loses faint membranes: nothing can be said about completeness any more.
UNREADABLE_BLUR_UM = 1.3
# More than half the tissue under ink, dirt or folds: what is left was not chosen by anybody.
MAX_EXCLUDED_FRAC = 0.5
# Strokes of a pen are up to 1 mm wide.
ENCLOSED_UM = 500.0
# Strokes, folds and pieces are tens of microns wide: half the resolution finds them in a quarter of
# the time.
COARSE_MPP = 12.0
# Of what was scanned round tissue so much is glass; spots of fluorescence that are as even and as
# bright cover less.
LEAST_SCANNED_GLASS = 0.05
# Next to what was not scanned pixels are mixed and JPEG leaves fringes, and the step to it would be
# the sharpest edge of a field.
UNSCANNED_RIM_UM = 5.0
# Where glass is as bright, pure white is glass.
CLIPPED_GLASS = 254.0
# Half a million pixels settle the hue of a slide.
ENOUGH_PX = 500_000


class AssessmentReason(StrEnum):
    """Why a slide is not assessable, or what is to be reviewed; codes in results."""

    NO_TISSUE = "no_tissue"
    TOO_LITTLE_TISSUE = "too_little_tissue"
    NOT_HER2_IHC = "not_her2_ihc"
    OUT_OF_FOCUS = "out_of_focus"
    ARTEFACTS = "artefacts"
    WHITE_POINT_NOT_MEASURED = "white_point_not_measured"
    CONTROL_SUSPECTED = "control_suspected"
    CONTROL_EXCLUDED = "control_excluded"


@dataclass(frozen=True, slots=True, eq=False)
class TissueAssessment:
    """What is tissue, what spoils it, and whether it may be scored.

    Parameters
    ----------
    is_assessable : bool
    reason : AssessmentReason or None
        Why it is not assessable.
    explanation : str
        The reason in a sentence; empty when assessable.
    remarks : tuple of AssessmentReason
        What a reviewer should know although the slide can be scored.
    tissue : TissueMask
        To be scored: artefacts, excluded and control tissue are not in it.
    downsample : float
        Pixels of the given overview per pixel of all masks but that of `pieces`, which is coarser.
    white_point : WhitePointEstimate
    artefacts : Artefacts
    staining : StainingKind
    pieces : Pieces
        At about 12 µm/px.
    controls : tuple of ControlCandidate
    suspected : ndarray of shape (M, N), bool
        Where these lie, on the grid of `tissue`.
    fields : tuple of ndarray of shape (K, L, 3), uint8
        What was looked at closely.
    focus_blur_um : tuple of float
        Of each quarter of the fields; nan where nothing was to be judged.
    """

    is_assessable: bool
    reason: AssessmentReason | None
    explanation: str
    remarks: tuple[AssessmentReason, ...]
    tissue: TissueMask
    downsample: float
    white_point: WhitePointEstimate
    artefacts: Artefacts
    staining: StainingKind
    pieces: Pieces
    controls: tuple[ControlCandidate, ...]
    suspected: NDArray[np.bool_]
    fields: tuple[NDArray[np.uint8], ...]
    focus_blur_um: tuple[float, ...]

    @property
    def median_blur_um(self) -> float:
        """Median blur of what could be judged in µm; nan when nothing could."""
        judged = [blur for blur in self.focus_blur_um if not math.isnan(blur)]
        return float(np.median(judged)) if judged else float("nan")


FieldsReader = Callable[[Sequence[tuple[float, float]]], Sequence[NDArray[np.uint8]]]


def assess_tissue(
    overview_rgb: NDArray[np.uint8],
    mpp: float,
    *,
    read_fields: FieldsReader | None = None,
    field_mpp: float | None = None,
    stated_white_point: WhitePoint | None = None,
    exclude: NDArray[np.bool_] | None = None,
    sample: NDArray[np.bool_] | None = None,
    exclude_controls: bool = False,
    size_um: tuple[float, float] | None = None,
    min_tissue_mm2: float = MIN_TISSUE_MM2,
) -> TissueAssessment:
    """Find the tissue of a slide and decide whether it may be scored.

    Parameters
    ----------
    overview_rgb : ndarray of shape (M, N, 3), uint8
        The whole slide at 4–8 µm/px, or a plain field at any finer scale.
    mpp : float
        µm per pixel.
    read_fields : callable, optional
        Gets the top-left corners of fields on tissue, in µm, as `choose_fields` returns them, and
        returns these fields at `field_mpp`. Without it a fine overview serves itself, and of a
        coarse one only hue is judged, not focus and not nuclear DAB.
    field_mpp : float, optional
        µm per pixel of these fields, ≤ 1.
    stated_white_point : tuple of 3 float, optional
    exclude : ndarray of shape (M, N), bool, optional
        Never tissue, on the grid of the given overview: annotated control tissue.
    sample : ndarray of shape (M, N), bool, optional
        Drawn as tumor, on the same grid: no piece that holds some of it is taken for control.
    exclude_controls : bool
        Leave out what looks like control tissue; else it is only reported.
    size_um : tuple of 2 float, optional
        Width and height of what the overview shows, where its last pixels reach beyond it.
    min_tissue_mm2 : float

    Returns
    -------
    TissueAssessment

    Raises
    ------
    ValueError
        Wrong type or shape, or `read_fields` without `field_mpp`.
    """
    if (read_fields is None) != (field_mpp is None):
        raise ValueError("read_fields and field_mpp belong together: give both or neither")
    overview = to_working_scale(overview_rgb, mpp)
    white = estimate_white_point(overview.rgb, stated=stated_white_point)
    od = overview_od(overview.rgb, white.rgb)
    marks = reduce_mask(exclude, overview, overview_rgb.shape[:2])
    tissue, artefacts = find_clean_tissue(overview, od, marks)
    step = coarse_step(tissue.mpp)
    pieces = find_pieces(TissueMask(shrunk(tissue.mask, step), tissue.mpp * step), shrunk(od, step))
    drawn = reduce_mask(sample, overview, overview_rgb.shape[:2])
    controls = find_control_pieces(pieces, sample=None if drawn is None else shrunk(drawn, step))
    of_control = np.isin(pieces.labels, [candidate.label for candidate in controls])
    suspected = stretched(of_control, tissue.mask.shape)
    remarks = []
    if controls and exclude_controls:
        # What is left out stays in `pieces`, so that it can be shown and put back.
        tissue = TissueMask(tissue.mask & ~suspected, tissue.mpp)
        remarks.append(AssessmentReason.CONTROL_EXCLUDED)
    elif controls:
        remarks.append(AssessmentReason.CONTROL_SUSPECTED)
    corners = choose_fields(tissue, spoiled=artefacts.excluded)
    if read_fields is not None and field_mpp is not None:
        fields = read_fields(corners) if corners else ()
    else:
        field_mpp = mpp
        fields = own_fields(overview_rgb, mpp, corners)
    scanned = [scanned_part(rgb, field_mpp, white) for rgb in fields]
    blurs: tuple[float, ...] = ()
    if field_mpp <= COARSEST_FIELD_MPP:
        blurs = field_blurs_um(fields, scanned, field_mpp)
    fields = [
        rgb if part is None else with_glass(rgb, ~part, white)
        for rgb, part in zip(fields, scanned, strict=True)
    ]
    staining = judge_staining(overview, white, tissue, fields, field_mpp)
    judged = [blur for blur in blurs if not math.isnan(blur)]
    blur = float(np.median(judged)) if judged else 0.0
    lost = sum(
        share for kind, share in artefacts.area_frac.items() if kind is not ArtefactKind.EDGE
    )
    rows, cols = overview_rgb.shape[:2]
    reason, explanation = decide(
        staining,
        tissue.area_mm2,
        blur,
        lost,
        white=white,
        picture_um=size_um or (cols * mpp, rows * mpp),
        min_tissue_mm2=min_tissue_mm2,
        is_marked=marks is not None and bool(marks.any()),
    )
    if white.source == "default":
        remarks.append(AssessmentReason.WHITE_POINT_NOT_MEASURED)
    if blur > BLURRED_UM:
        remarks.append(AssessmentReason.OUT_OF_FOCUS)
    if artefacts.reasons():
        remarks.append(AssessmentReason.ARTEFACTS)
    return TissueAssessment(
        is_assessable=reason is None,
        reason=reason,
        explanation=explanation,
        remarks=tuple(remarks),
        tissue=tissue,
        downsample=overview.downsample,
        white_point=white,
        artefacts=artefacts,
        staining=staining,
        pieces=pieces,
        controls=controls,
        suspected=suspected,
        fields=tuple(fields),
        focus_blur_um=blurs,
    )


def decide(
    staining: StainingKind,
    area_mm2: float,
    blur_um: float,
    lost_frac: float,
    *,
    white: WhitePointEstimate,
    picture_um: tuple[float, float],
    min_tissue_mm2: float,
    is_marked: bool,
) -> tuple[AssessmentReason | None, str]:
    """Return the first reason against scoring and its sentence, or None and nothing.

    `is_marked` tells whether a part was excluded beforehand, as control tissue that was drawn.
    """
    if staining.kind not in (Staining.HER2_IHC, Staining.BLANK):
        return AssessmentReason.NOT_HER2_IHC, f"This is not HER2 IHC: {staining.reason}."
    if area_mm2 == 0.0 or staining.kind is Staining.BLANK:
        width_um, height_um = picture_um
        if width_um * height_um * 1e-6 < min_tissue_mm2:
            size = " × ".join(f"{s:.0f}" if s >= 10 else f"{s:.2g}" for s in picture_um)
            words = f"is empty, or too small to judge ({size} µm)"
            return AssessmentReason.NO_TISSUE, f"No tissue was found: the picture {words}."
        if is_marked:
            words = "No tissue was found beside what is drawn as control: look at the outlines."
            return AssessmentReason.NO_TISSUE, words
        remedy = remedy_without_glass(white)
        words = "nothing stands out from the palest" if remedy else "the slide or core is empty"
        return AssessmentReason.NO_TISSUE, f"No tissue was found: {words}.{remedy}"
    if area_mm2 < min_tissue_mm2:
        return (
            AssessmentReason.TOO_LITTLE_TISSUE,
            f"Only {area_mm2:.3f} mm² of tissue was found, at least {min_tissue_mm2:g} mm² is "
            f"needed to count cells.{remedy_without_glass(white)}",
        )
    if lost_frac > MAX_EXCLUDED_FRAC:
        return (
            AssessmentReason.ARTEFACTS,
            f"Pen, dirt, bubbles or folds cover {lost_frac:.0%} of the tissue.",
        )
    if blur_um > UNREADABLE_BLUR_UM:
        return (
            AssessmentReason.OUT_OF_FOCUS,
            f"The tissue is out of focus: edges are blurred by {blur_um:.1f} µm. Scan it again.",
        )
    return None, ""


def find_clean_tissue(
    overview: Overview,
    od: NDArray[np.float32],
    marks: NDArray[np.bool_] | None,
) -> tuple[TissueMask, Artefacts]:
    """Find artefacts, and tissue without them."""
    mpp = overview.mpp
    step = coarse_step(mpp)
    coarse = shrunk(od, step)
    pen = stretched(find_pen(coarse, mpp * step), od.shape)
    dirt, bubble = find_dirt(od, mpp), find_bubbles(od, mpp)
    blocked = pen | dirt | bubble
    if marks is not None:
        blocked |= marks
    blocked |= find_padding(overview.rgb)
    found = tissue_from_density(mean_density(od), mpp, blocked=blocked)
    folded = find_folds(coarse, mpp * step, tissue=shrunk(found.mask, step))
    fold = stretched(folded, od.shape) & found.mask
    edge = edge_band(found.mask, mpp)
    tissue = TissueMask(found.mask & ~fold, mpp)
    # A black stroke can be dirt as well: what two of them cover is lost once.
    masks = {
        ArtefactKind.PEN: pen,
        ArtefactKind.DIRT: dirt & ~pen,
        ArtefactKind.BUBBLE: bubble & ~pen & ~dirt,
        ArtefactKind.FOLD: fold,
        ArtefactKind.EDGE: edge,
    }
    # Tissue under ink is hidden, so its area is taken from what the tissue around encloses.
    whole = found.mask | enclosed(found.mask, pen | dirt | bubble, mpp)
    n_whole = max(int(np.count_nonzero(whole)), 1)
    shares = {kind: float(np.count_nonzero(mask & whole)) / n_whole for kind, mask in masks.items()}
    return tissue, Artefacts(pen, dirt, bubble, fold, edge, shares)


def coarse_step(mpp: float) -> int:
    """Pixels per pixel of the coarse scale."""
    return max(1, round(COARSE_MPP / mpp))


def shrunk(picture: NDArray[Any], step: int) -> NDArray[Any]:
    """Average blocks of `step` by `step` pixels; of a mask, keep blocks that are mostly set."""
    rows, cols = picture.shape[:2]
    size = (max(1, cols // step), max(1, rows // step))
    if picture.dtype == bool:
        averaged = cv2.resize(picture.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        return np.asarray(averaged >= 0.5)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def stretched(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Bring a shrunk mask back to `shape`."""
    size = (shape[1], shape[0])
    large = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return np.asarray(large > 0)


def enclosed(
    tissue: NDArray[np.bool_], blocked: NDArray[np.bool_], mpp: float
) -> NDArray[np.bool_]:
    """Return the blocked pixels that lie within or right beside tissue."""
    if not (blocked.any() and tissue.any()):
        return np.zeros(tissue.shape, bool)
    # A gap as wide as a pen stroke is closed on a coarse copy, where the disc stays small.
    step = max(1, round(ENCLOSED_UM / mpp / 6))
    near = closed(shrunk(tissue, step), ENCLOSED_UM, mpp * step)
    return blocked & stretched(near, tissue.shape)


def judge_staining(
    overview: Overview,
    glass: WhitePointEstimate,
    tissue: TissueMask,
    fields: Sequence[NDArray[np.uint8]],
    field_mpp: float,
) -> StainingKind:
    """Recognise the staining on the fields, or on the overview where there are none."""
    white_point, rgb = glass.rgb, overview.rgb
    if has_unscanned(glass):
        rgb = with_glass(rgb, find_padding(rgb), glass)
    whole = recognise_staining([thinned(rgb)], overview.mpp, white_point=white_point)
    if whole.kind is Staining.FLUORESCENCE:
        return whole
    if not tissue.mask.any():
        return StainingKind(Staining.BLANK, "no tissue was found", whole.numbers)
    if fields:
        return recognise_staining(fields, field_mpp, white_point=white_point)
    # Empty glass around a small biopsy must not make it blank, nor ink beside tissue turn its hue.
    rows, cols = (np.flatnonzero(tissue.mask.any(axis=axis)) for axis in (1, 0))
    box = np.s_[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
    white = np.rint(white_point).astype(np.uint8)
    part = np.where(tissue.mask[box][..., None], overview.rgb[box], white)
    return recognise_staining([thinned(part)], overview.mpp, white_point=white_point)


def has_unscanned(glass: WhitePointEstimate) -> bool:
    """Tell whether black is what was not scanned, and no dark field: where glass is in view."""
    return glass.glass_frac >= LEAST_SCANNED_GLASS and glass.padding_frac > 0


def scanned_part(
    rgb: NDArray[np.uint8], mpp: float, glass: WhitePointEstimate
) -> NDArray[np.bool_] | None:
    """Return what of a field was scanned, clear of the rim of what was not; None if all was."""
    if not has_unscanned(glass):
        return None
    unscanned = find_padding(rgb)
    if max(glass.rgb) >= CLIPPED_GLASS:
        unscanned &= rgb[..., 0] == 0
    if not unscanned.any():
        return None
    near = cv2.dilate(unscanned.astype(np.uint8), disc(UNSCANNED_RIM_UM, mpp))
    return np.asarray(near == 0)


def with_glass(
    rgb: NDArray[np.uint8], where: NDArray[np.bool_], glass: WhitePointEstimate
) -> NDArray[np.uint8]:
    """Return the picture with empty glass in some places."""
    return np.where(where[..., None], np.rint(glass.rgb).astype(np.uint8), rgb)


def thinned(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Keep every n-th pixel, so that about `ENOUGH_PX` are left."""
    step = max(1, round((rgb.shape[0] * rgb.shape[1] / ENOUGH_PX) ** 0.5))
    return np.ascontiguousarray(rgb[::step, ::step])


def reduce_mask(
    mask: NDArray[np.bool_] | None, overview: Overview, given_shape: tuple[int, ...]
) -> NDArray[np.bool_] | None:
    """Bring a mask on the given picture's grid to the working scale; any pixel counts."""
    if mask is None:
        return None
    if mask.shape != given_shape:
        raise ValueError(f"a mask has shape {mask.shape}, the overview {given_shape}")
    rows, cols = overview.rgb.shape[:2]
    if mask.shape == (rows, cols):
        return mask
    step = round(overview.downsample)
    blocks = mask[: rows * step, : cols * step].reshape(rows, step, cols, step)
    reduced: NDArray[np.bool_] = np.any(blocks, axis=(1, 3))
    return reduced
