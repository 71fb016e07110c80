"""Flags of the scan itself: pixel size, focus, artefacts, area of tissue."""

from __future__ import annotations

from collections.abc import Iterator

from her2path.flags.evidence import (
    LOW_SCORES,
    Flag,
    FlagCuts,
    FlagEvidence,
    ReviewFlag,
    beside,
    share_above,
)

__all__ = ["scan_flags"]


def scan_flags(evidence: FlagEvidence, cuts: FlagCuts) -> Iterator[Flag]:
    """Say what of pixel size, focus, artefacts and tissue asks for another look."""
    mpp, anisotropy = evidence.mpp, evidence.anisotropy
    if mpp is not None and mpp > cuts.coarse_mpp and evidence.call.score in LOW_SCORES:
        yield Flag(
            ReviewFlag.COARSE_SCAN,
            mpp,
            cuts.coarse_mpp,
            "µm/px",
            f"The scan has {beside(mpp, cuts.coarse_mpp, least=2)} µm/px; {evidence.call.score} "
            f"needs {cuts.coarse_mpp:.2f} µm/px or finer, since faint membranes are only seen at "
            "40×.",
        )
    yield from share_above(
        ReviewFlag.OUT_OF_FOCUS,
        evidence.out_of_focus_pct,
        cuts.out_of_focus_pct,
        "of the tissue is out of focus, where faint membranes vanish",
    )
    yield from share_above(
        ReviewFlag.ARTEFACTS,
        evidence.artefact_pct,
        cuts.artefact_pct,
        "of the tissue is covered by artefacts (pen, folds, crush, debris)",
    )
    area, share = evidence.tissue_mm2, evidence.tissue_pct
    if area is not None and area < cuts.least_tissue_mm2:
        yield Flag(
            ReviewFlag.MASK_AREA,
            area,
            cuts.least_tissue_mm2,
            "mm²",
            f"Only {beside(area, cuts.least_tissue_mm2, least=3)} mm² of tissue were found (at "
            f"least {cuts.least_tissue_mm2:g} mm² expected): look at the tissue mask.",
        )
    yield from share_above(
        ReviewFlag.MASK_AREA,
        share,
        cuts.most_tissue_pct,
        "of the scanned area was taken for tissue: look at the tissue mask",
    )
    if evidence.is_mpp_by_hand and mpp is not None:
        yield flag_of_given_mpp(mpp, evidence.stated_mpp, cuts)
    elif mpp is not None:
        yield from flags_of_own_mpp(mpp, evidence, cuts)
    if anisotropy is not None and anisotropy > cuts.anisotropy:
        yield Flag(
            ReviewFlag.ANISOTROPIC_PIXELS,
            anisotropy,
            cuts.anisotropy,
            "×",
            f"Pixels are {beside(anisotropy, cuts.anisotropy, least=3)} times longer in one "
            f"direction (more than {cuts.anisotropy:g}).",
        )


def flags_of_own_mpp(mpp: float, evidence: FlagEvidence, cuts: FlagCuts) -> Iterator[Flag]:
    """Ask where a file contradicts itself: by its resolution tags, or by its objective."""
    tagged, power = evidence.stated_mpp, evidence.objective_power
    remedy = "Every length, and which cells are complete, rests on it: give the right one (--mpp)."
    if tagged is not None and max(mpp, tagged) > cuts.tagged_mpp_ratio * min(mpp, tagged):
        yield Flag(
            ReviewFlag.MPP_CONTRADICTED,
            mpp,
            tagged,
            "µm/px",
            f"The pixel size is {mpp:.3f} µm/px by the metadata of the file and {tagged:.3f} by "
            f"its resolution tags. {remedy}",
        )
    elif power is not None and mpp * power > cuts.mpp_times_power:
        yield Flag(
            ReviewFlag.MPP_CONTRADICTED,
            mpp,
            cuts.mpp_times_power / power,
            "µm/px",
            f"The pixel size of {mpp:.3f} µm/px hardly belongs to the {power:g}× objective that "
            f"the file states. {remedy}",
        )


def flag_of_given_mpp(mpp: float, stated: float | None, cuts: FlagCuts) -> Flag:
    """Repeat that a person gave the pixel size, and ask again where the file says another."""
    if stated is not None and max(mpp, stated) > cuts.mpp_ratio * min(mpp, stated):
        return Flag(
            ReviewFlag.MPP_CONTRADICTED,
            mpp,
            stated,
            "µm/px",
            f"The pixel size of {mpp:.3f} µm/px was given by hand; the file says {stated:.3f}. "
            "Every length, and which cells are complete, rests on it: leave --mpp out if the file "
            "is right.",
        )
    return Flag(
        ReviewFlag.MPP_BY_HAND,
        mpp,
        mpp,
        "µm/px",
        f"The pixel size of {mpp:.3f} µm/px was given by hand, not read from the file.",
    )
