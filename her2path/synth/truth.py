"""What is known of a drawn slide: cells, shares and score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from her2path.criteria.clusters import Clusters, largest_clusters
from her2path.criteria.rule_set import DEFAULT_CRITERIA, load_rule_set
from her2path.criteria.score import Intensity, Pattern, Score
from her2path.criteria.tally import Tally, extent_of
from her2path.geometry import Region
from her2path.synth.blocks import Block
from her2path.synth.cell_kinds import CellKind
from her2path.synth.scene import Scene
from her2path.synth.stroma_cells import StromaCells

__all__ = [
    "CellTruth",
    "KnownCells",
    "Truth",
    "cells_within",
    "scene_frame",
    "score_of",
    "shares_of",
    "tally_of",
]


@dataclass(frozen=True, slots=True)
class CellTruth:
    """Cells of a picture, one row each, in reading order.

    Attributes
    ----------
    x, y : ndarray of shape (n,), float64
        Nucleus centre, px of the picture.
    kind : ndarray of shape (n,), uint8
        As `CellKind`.
    is_tumor : ndarray of shape (n,), bool
        Invasive tumor cells: the denominator.
    region : ndarray of shape (n,), int32
        Region of the recipe.
    intensity, pattern : ndarray of shape (n,), uint8
        As `Intensity` and `Pattern`, read off the outline; 0 for cells of the stroma.
    completeness : ndarray of shape (n,), float32
        Stained share of the outline, 0–1.
    membrane_od, membrane_width_um : ndarray of shape (n,), float32
        Means over the outline of that class, as seen through the reference optics.
    nucleus_area_um2 : ndarray of shape (n,), float32
        Area of the nucleus.
    outline_start : ndarray of shape (n + 1,), int64
        The outline of cell c is points ``outline_start[c]:outline_start[c + 1]`` of the next
        two; cells of the stroma have none.
    outline_x, outline_y : ndarray, float32
        Outlines, px of the picture.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    kind: NDArray[np.uint8]
    is_tumor: NDArray[np.bool_]
    region: NDArray[np.int32]
    intensity: NDArray[np.uint8]
    pattern: NDArray[np.uint8]
    completeness: NDArray[np.float32]
    membrane_od: NDArray[np.float32]
    membrane_width_um: NDArray[np.float32]
    nucleus_area_um2: NDArray[np.float32]
    outline_start: NDArray[np.int64]
    outline_x: NDArray[np.float32]
    outline_y: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.x)

    def moved(self, dx: int, dy: int) -> CellTruth:
        """Return the cells with all places moved by (dx, dy) px."""
        return replace(
            self,
            x=self.x + dx,
            y=self.y + dy,
            outline_x=self.outline_x + np.float32(dx),
            outline_y=self.outline_y + np.float32(dy),
        )


@dataclass(frozen=True, slots=True)
class Truth:
    """Truth of a drawn picture.

    Attributes
    ----------
    cells : CellTruth
        All cells whose nucleus lies in the picture.
    shares : dict
        Shares of the tumor cells by words such as ``faint_incomplete`` (sum 1; empty without
        tumor cells).
    score : Score
        What ASCO/CAP 2018 gives for the tumor cells, with 0 split into 0 and 0+.
    tissue, tumor : ndarray of shape (M, N), bool
        Masks.
    label : ndarray of shape (M, N), int32
        Row in `cells` plus 1 of the epithelial cell of each pixel, 0 = none.
    membrane : ndarray of shape (M, N), uint8
        Class of the stained membrane (as `Intensity`) within half its width, 0 = none.
    artefacts : ndarray of shape (M, N), bool
        Where the picture is spoilt.
    """

    cells: CellTruth
    shares: dict[str, float]
    score: Score
    tissue: NDArray[np.bool_]
    tumor: NDArray[np.bool_]
    label: NDArray[np.int32]
    membrane: NDArray[np.uint8]
    artefacts: NDArray[np.bool_]


def cells_within(
    scene: Scene, region: Region, mpp: float, *, halo_px: int = 0
) -> tuple[CellTruth, NDArray[np.int64]]:
    """Return the cells whose nucleus lies in a rectangle.

    Parameters
    ----------
    scene : Scene
        The scene.
    region : Region
        Rectangle in px.
    mpp : float
        µm/px.
    halo_px : int
        How far round the rectangle the maps were drawn that the keys are for.

    Returns
    -------
    cells : CellTruth
        Places relative to the rectangle.
    key : ndarray of shape (n,), int64
        Index that `StainMaps.label` uses for each cell, −1 for cells of the stroma.
    """
    frame = _counted_frame(scene, region, mpp)
    rows: list[_Rows] = []
    outlines: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    offset = 0
    # The same blocks in the same order as when the maps were drawn: the labels agree.
    for key in scene.blocks_near(*scene_frame(region.expanded(halo_px), mpp)):
        block, stroma = scene.block(*key), scene.stroma(*key)
        chosen = np.flatnonzero(block.is_seen & _inside(block.nuclei.x, block.nuclei.y, frame))
        rows.append(_epithelial_rows(block, chosen, offset))
        start, ox, oy = block.graph.outlines()
        outlines += [(ox[start[c] : start[c + 1]], oy[start[c] : start[c + 1]]) for c in chosen]
        offset += block.graph.n_cells
        chosen = np.flatnonzero(_inside(stroma.nuclei.x, stroma.nuclei.y, frame))
        rows.append(_stroma_rows(stroma, chosen))
        outlines += [(np.zeros(0), np.zeros(0))] * len(chosen)
    table = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    order = np.lexsort((table["x"], table["y"]))
    ordered = [outlines[i] for i in order]
    lengths = [len(x) for x, _ in ordered]
    cells = CellTruth(
        x=table["x"][order] / mpp - region.x,
        y=table["y"][order] / mpp - region.y,
        kind=table["kind"][order].astype(np.uint8),
        is_tumor=table["kind"][order] == CellKind.TUMOR,
        region=table["region"][order].astype(np.int32),
        intensity=table["intensity"][order].astype(np.uint8),
        pattern=table["pattern"][order].astype(np.uint8),
        completeness=table["completeness"][order].astype(np.float32),
        membrane_od=table["membrane_od"][order].astype(np.float32),
        membrane_width_um=table["membrane_width_um"][order].astype(np.float32),
        nucleus_area_um2=table["nucleus_area_um2"][order].astype(np.float32),
        outline_start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        outline_x=_joined([x for x, _ in ordered], mpp, region.x),
        outline_y=_joined([y for _, y in ordered], mpp, region.y),
    )
    return cells, table["key"][order].astype(np.int64)


# One array for each column of the cells, in µm, and the index of `StainMaps.label` as "key".
_Rows = dict[str, NDArray[np.generic]]


def _epithelial_rows(block: Block, chosen: NDArray[np.intp], offset: int) -> _Rows:
    nuclei, truth = block.nuclei, block.truth
    return {
        "x": nuclei.x[chosen],
        "y": nuclei.y[chosen],
        "kind": block.kind[chosen],
        "region": block.region[chosen],
        "intensity": truth.intensity[chosen],
        "pattern": truth.pattern[chosen],
        "completeness": truth.completeness[chosen],
        "membrane_od": truth.od[chosen],
        "membrane_width_um": truth.width_um[chosen],
        "nucleus_area_um2": np.pi * nuclei.a_um[chosen] * nuclei.b_um[chosen],
        "key": chosen + offset,
    }


def _stroma_rows(stroma: StromaCells, chosen: NDArray[np.intp]) -> _Rows:
    nuclei, n = stroma.nuclei, len(chosen)
    return {
        "x": nuclei.x[chosen],
        "y": nuclei.y[chosen],
        "kind": stroma.kind[chosen],
        "region": stroma.region[chosen],
        "intensity": np.zeros(n, np.uint8),
        "pattern": np.zeros(n, np.uint8),
        "completeness": np.zeros(n, np.float32),
        "membrane_od": np.zeros(n, np.float32),
        "membrane_width_um": np.zeros(n, np.float32),
        "nucleus_area_um2": np.pi * nuclei.a_um[chosen] * nuclei.b_um[chosen],
        "key": np.full(n, -1),
    }


def _counted_frame(scene: Scene, region: Region, mpp: float) -> tuple[float, float, float, float]:
    """Return the rectangle (µm) whose nuclei are known.

    Whole px are up to half a px more or less than the recipe, whose cells they show: shares are
    those asked for at any µm/px.
    """
    left, top, right, bottom = scene_frame(region, mpp)
    if region.right == round(scene.recipe.width_um / mpp):
        right = scene.recipe.width_um
    if region.bottom == round(scene.recipe.height_um / mpp):
        bottom = scene.recipe.height_um
    return left, top, right, bottom


def scene_frame(region: Region, mpp: float) -> tuple[float, float, float, float]:
    """Return the rectangle in µm."""
    return region.x * mpp, region.y * mpp, region.right * mpp, region.bottom * mpp


def _inside(
    x: NDArray[np.float64], y: NDArray[np.float64], frame: tuple[float, ...]
) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (x >= frame[0]) & (y >= frame[1]) & (x < frame[2]) & (y < frame[3])
    return inside


def _joined(parts: list[NDArray[np.float64]], mpp: float, first: int) -> NDArray[np.float32]:
    joined = np.concatenate(parts) if parts else np.zeros(0)
    return (joined / mpp - first).astype(np.float32)


def shares_of(cells: CellTruth) -> dict[str, float]:
    """Return the shares of the tumor cells by intensity and pattern."""
    tumor = cells.is_tumor
    n = int(tumor.sum())
    shares: dict[str, float] = {}
    for intensity in Intensity:
        for pattern in (Pattern.ABSENT, Pattern.INCOMPLETE, Pattern.BASOLATERAL, Pattern.COMPLETE):
            count = int((tumor & (cells.intensity == intensity) & (cells.pattern == pattern)).sum())
            if count:
                word = "none" if intensity == 0 else f"{intensity.label}_{pattern.label}"
                shares[word] = count / n
    return shares


def tally_of(cells: CellTruth, region: int | None = None) -> Tally:
    """Count the tumor cells, of one region of the recipe or of all."""
    chosen = cells.is_tumor if region is None else cells.is_tumor & (cells.region == region)
    return Tally.of(cells.intensity[chosen], extent_of(cells.pattern[chosen]))


@dataclass(frozen=True, slots=True)
class KnownCells:
    """The tumor cells of a region or a slide: how many of each class, and where stained ones lie.

    Attributes
    ----------
    tally : Tally
    x_um, y_um : ndarray of shape (n,), float64
        Centers of the n stained ones.
    intensity : ndarray of shape (n,), uint8
    extent : ndarray of shape (n,), int8
    """

    tally: Tally
    x_um: NDArray[np.float64]
    y_um: NDArray[np.float64]
    intensity: NDArray[np.uint8]
    extent: NDArray[np.int8]

    @classmethod
    def of(cls, cells: CellTruth, *, mpp: float, region: int) -> KnownCells:
        """Take those of one region of the recipe."""
        chosen = cells.is_tumor & (cells.region == region) & (cells.intensity > Intensity.NONE)
        return cls(
            tally_of(cells, region),
            cells.x[chosen] * mpp,
            cells.y[chosen] * mpp,
            cells.intensity[chosen],
            extent_of(cells.pattern[chosen]),
        )

    @classmethod
    def joined(cls, parts: Sequence[KnownCells]) -> KnownCells:
        """Put parts together; of none there is no cell."""
        none = np.zeros(0), np.zeros(0), np.zeros(0, np.uint8), np.zeros(0, np.int8)
        columns = [none, *((p.x_um, p.y_um, p.intensity, p.extent) for p in parts)]
        return cls(
            sum((part.tally for part in parts), start=Tally.zero()),
            *(np.concatenate(column) for column in zip(*columns, strict=True)),
        )

    def clusters(self) -> Clusters:
        """Find the largest cohesive cluster of each intensity, as rules for biopsies ask."""
        return largest_clusters(self.x_um, self.y_um, intensity=self.intensity, extent=self.extent)


# The truth has no false stain: every cell that shows any counts.
_NO_BLANK_PCT = 1e-6


def score_of(
    tally: Tally, rule_set: str = DEFAULT_CRITERIA, *, clusters: Clusters | None = None
) -> Score:
    """Return the score that a rule set gives for known cells; rules of clusters need these."""
    rules = load_rule_set(rule_set)
    return rules.call(tally, blank_upper_pct=_NO_BLANK_PCT, clusters=clusters).score
