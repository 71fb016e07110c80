"""Regions of a slide: squares of a grid, outlines drawn by a person, control tissue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from her2path.annotations.raster import contains
from her2path.annotations.roi import Roi, RoiKind
from her2path.criteria.rule_set import RuleSet
from her2path.geometry import Mpp, Region, Size
from her2path.pipeline.scoring import CountedCells, clusters_of, read_counted
from her2path.pipeline.selection import Selection
from her2path.pipeline.settings import ScoreSettings
from her2path.pipeline.survey import Survey
from her2path.results.record import RegionKind, RegionRecord
from her2path.tissue.mask import box_of

__all__ = ["Grid", "read_regions_of"]

# Regions are many and their probabilities are looked at, not computed with.
N_RESAMPLES = 200
FOUND_CONTROL = "control"
DECIMALS = 2


@dataclass(frozen=True, slots=True)
class Grid:
    """Squares of equal size from the slide's corner; their edges lie at whole level-0 px."""

    side_x_px: float
    side_y_px: float
    dimensions: Size

    @classmethod
    def of(cls, dimensions: Size, mpp: Mpp, *, side_um: float) -> Grid:
        """Return the grid of squares with sides of about `side_um`."""
        return cls(side_um / mpp.x, side_um / mpp.y, dimensions)

    def cell_of(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (row, column) of the square that holds each point; right edges are excluded."""
        rows = np.searchsorted(self.edges(self.side_y_px, self.dimensions.height), y, "right") - 1
        cols = np.searchsorted(self.edges(self.side_x_px, self.dimensions.width), x, "right") - 1
        return rows.astype(np.int64), cols.astype(np.int64)

    def box(self, row: int, col: int) -> Region:
        """Return one square, cut at the edge of the slide."""
        x, y = round(col * self.side_x_px), round(row * self.side_y_px)
        right = min(round((col + 1) * self.side_x_px), self.dimensions.width)
        bottom = min(round((row + 1) * self.side_y_px), self.dimensions.height)
        return Region(x, y, right - x, bottom - y)

    def edges(self, side_px: float, length: int) -> NDArray[np.float64]:
        """Return the left edges of all columns, or the top edges of all rows."""
        n = max(1, int(np.ceil(length / side_px)))
        return np.array([round(k * side_px) for k in range(n)], np.float64)

    @staticmethod
    def name(row: int, col: int) -> str:
        """Return the id of a square."""
        return f"r{row:03d}c{col:03d}"

    def names(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.str_]:
        """Return the id of the square that holds each point."""
        rows, cols = self.cell_of(x, y)
        places, index = np.unique(np.stack([rows, cols], axis=1), axis=0, return_inverse=True)
        known = [self.name(int(row), int(col)) for row, col in places]
        return np.array(known, dtype=np.str_)[index.ravel()]


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """A region before it is read: which cells lie in it, which of those count."""

    region_id: str
    kind: RegionKind
    name: str
    box: Region
    area_mm2: float
    n_cells: int
    counted: NDArray[np.intp]
    outline: tuple[tuple[tuple[tuple[float, float], ...], ...], ...] = ()
    is_core: bool = False


def read_regions_of(
    everything: CountedCells,
    place_px: tuple[NDArray[np.float64], NDArray[np.float64]],
    selection: Selection,
    survey: Survey,
    *,
    blank_upper_pct: float,
    rule_set: RuleSet,
    settings: ScoreSettings,
) -> tuple[RegionRecord, ...]:
    """Read every region that holds a cell, and every outline of tumor or control.

    Parameters
    ----------
    everything : CountedCells of n cells
        All cells of the slide; `selection` says which count.
    place_px : (x, y), each ndarray of shape (n,)
        Level-0 px.
    """
    grid = Grid.of(survey.dimensions, survey.mpp, side_um=settings.region_um)
    found = [
        *squares(grid, place_px, selection, survey),
        *outlines(place_px, selection, survey),
        *found_control(selection, survey),
    ]

    def read(index: int, region: Members) -> RegionRecord:
        counted = everything.select(region.counted)
        clusters = clusters_of(counted, rule_set)
        call = rule_set.call(counted.tally, blank_upper_pct=blank_upper_pct, clusters=clusters)
        reading = read_counted(
            counted,
            rule_set,
            blank_upper_pct=blank_upper_pct,
            rng=np.random.default_rng([settings.seed, index]),
            n_resamples=N_RESAMPLES,
            clusters=clusters,
        )
        return RegionRecord(
            region_id=region.region_id,
            kind=region.kind,
            name=region.name,
            box=region.box,
            area_mm2=region.area_mm2,
            n_cells=region.n_cells,
            score=call.score,
            reading=reading,
            outline=region.outline,
            is_core=region.is_core,
        )

    # Numbered from 1: 0 is the slide's own stream of random numbers.
    return tuple(read(index, region) for index, region in enumerate(found, start=1))


def squares(
    grid: Grid,
    place_px: tuple[NDArray[np.float64], NDArray[np.float64]],
    selection: Selection,
    survey: Survey,
) -> Iterator[Members]:
    rows, cols = grid.cell_of(*place_px)
    if rows.size == 0:
        return
    key = (rows << 32) + cols
    order = np.argsort(key, kind="stable")
    places, starts = np.unique(key[order], return_index=True)
    for place, members in zip(places.tolist(), np.split(order, starts[1:]), strict=True):
        row, col = place >> 32, place & 0xFFFFFFFF
        box = grid.box(row, col)
        yield Members(
            region_id=grid.name(row, col),
            kind=RegionKind.GRID,
            name="",
            box=box,
            area_mm2=tissue_mm2(box, survey),
            n_cells=len(members),
            counted=members[selection.is_counted[members]],
        )


def outlines(
    place_px: tuple[NDArray[np.float64], NDArray[np.float64]],
    selection: Selection,
    survey: Survey,
) -> Iterator[Members]:
    for kind, region_kind in (
        (RoiKind.TUMOR, RegionKind.ROI),
        (RoiKind.CONTROL, RegionKind.CONTROL),
    ):
        for roi in survey.rois_of(kind):
            members = np.flatnonzero(contains([roi], *place_px))
            yield Members(
                region_id=roi.roi_id,
                kind=region_kind,
                name=roi.name or roi.classification,
                box=roi.bounds,
                area_mm2=roi.area_mm2(survey.mpp),
                n_cells=len(members),
                counted=members[chosen_of(region_kind, selection)[members]],
                outline=rings_of(roi),
                is_core=roi.is_core,
            )


def found_control(selection: Selection, survey: Survey) -> Iterator[Members]:
    """Yield control tissue that was found as separate pieces and left out."""
    # Cells of drawn and of found control tissue are not told apart: the drawing is enough.
    if survey.rois_of(RoiKind.CONTROL) or not survey.control.any():
        return
    box = box_of(survey.control, survey.mask_downsample)
    members = np.flatnonzero(selection.is_control)
    yield Members(
        region_id=FOUND_CONTROL,
        kind=RegionKind.CONTROL,
        name="separate piece that looks like control tissue",
        box=box,
        area_mm2=float(survey.control.sum()) * px_mm2(survey),
        n_cells=len(members),
        counted=members[chosen_of(RegionKind.CONTROL, selection)[members]],
    )


def chosen_of(kind: RegionKind, selection: Selection) -> NDArray[np.bool_]:
    """Return which cells a region of this kind counts: in control tissue, its tumor cells."""
    if kind is RegionKind.CONTROL:
        return selection.is_control & (selection.probability >= selection.cut)
    return selection.is_counted


def tissue_mm2(box: Region, survey: Survey) -> float:
    """Return the area of tissue in a box."""
    step = survey.mask_downsample
    rows = slice(round(box.y / step), max(round(box.bottom / step), round(box.y / step) + 1))
    cols = slice(round(box.x / step), max(round(box.right / step), round(box.x / step) + 1))
    return float(survey.tissue[rows, cols].sum()) * px_mm2(survey)


def px_mm2(survey: Survey) -> float:
    """Return the area of one px of the masks."""
    return survey.mask_downsample**2 * survey.mpp.x * survey.mpp.y * 1e-6


def rings_of(roi: Roi) -> tuple[tuple[tuple[tuple[float, float], ...], ...], ...]:
    """Return polygons of rings of (x, y); a hundredth of a pixel is finer than any outline."""
    return tuple(
        tuple(
            tuple((float(x), float(y)) for x, y in shapely.get_coordinates(ring).round(DECIMALS))
            for ring in (part.exterior, *part.interiors)
        )
        for part in shapely.get_parts(roi.polygon)
    )
