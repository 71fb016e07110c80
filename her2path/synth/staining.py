"""Stain of a block's cells: classes by nest and patch, painted in rounds until the shares fit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2path.criteria.score import Pattern
from her2path.synth.cell_kinds import CellKind
from her2path.synth.cells import CellGraph
from her2path.synth.growth import Epithelium
from her2path.synth.membranes import (
    LINE_OD,
    LINE_WIDTH_UM,
    MembraneTruth,
    derive_truth,
    surplus_cells,
)
from her2path.synth.noise import noise_tile, sampled, stream
from her2path.synth.nuclei import Moments
from her2path.synth.painting import Meant, Paint, paint_membranes
from her2path.synth.recipe import MixEntry, RegionRecipe, SlideRecipe, mix_of
from her2path.synth.stroma import region_values

__all__ = ["DrawnStain", "draw_stain", "stain_cells"]

# Rounds in which what is meant is mended after what came out; shares are within a few percent
# of those asked after three, the rest is met by taking cells out.
_ROUNDS = 5
# Largest share of the outline that an incomplete membrane is meant to cover.
_MOST_ARC = 0.6


@dataclass(frozen=True, slots=True)
class DrawnStain:
    """What is drawn at random of each cell's stain, once for all rounds.

    Attributes
    ----------
    own : ndarray of shape (n,), float64
        0–1: the cell's own part in its class; those with small values are taken out first.
    field : ndarray of shape (n,), float64
        The strongest classes lie where it is highest.
    base_x, base_y, free_x, free_y : ndarray of shape (n,), float64
        Middle of an arc that is basolateral, and of one that lies anywhere, µm.
    z, u : ndarray of shape (2, n), float64
        Standard normal and uniform, for the line's OD, width and reach.
    askew_um, least_arc : ndarray of shape (n,), float64
        By how much the line is broader, and the least share of the outline that an arc covers.
    n_pieces : ndarray of shape (n,), int64
        Pieces that an arc lies in.
    """

    own: NDArray[np.float64]
    field: NDArray[np.float64]
    base_x: NDArray[np.float64]
    base_y: NDArray[np.float64]
    free_x: NDArray[np.float64]
    free_y: NDArray[np.float64]
    z: NDArray[np.float64]
    u: NDArray[np.float64]
    askew_um: NDArray[np.float64]
    least_arc: NDArray[np.float64]
    n_pieces: NDArray[np.int64]


def draw_stain(
    recipe: SlideRecipe,
    tissue: Epithelium,
    region: NDArray[np.int32],
    moments: Moments,
    *,
    seed: int,
    block: tuple[int, int],
) -> DrawnStain:
    """Draw at random where the classes of a block's cells lie, and what their lines are like.

    Parameters
    ----------
    recipe : SlideRecipe
        What is drawn.
    tissue : Epithelium
        The cells, their nests and bases.
    region : ndarray of shape (n,), int32
        Region of the recipe.
    moments : Moments
        Of the cells' outlines.
    seed, block :
        Name the random streams.
    """
    n = len(region)
    x, y = moments.x, moments.y
    rng = stream(seed, 33, *block)
    own = rng.random(n)
    by_nest = rng.standard_normal(int(tissue.cell_nest.max(initial=0)) + 1)
    clustering = region_values(recipe.all_regions, "clustering")[region]
    # Classes follow the nest, patches of some ten cells, or the cell. Cells that are stained all
    # round need company: next to an unstained one their common line would stain both.
    patches = noise_tile(seed, 34, rolloff=1.5)
    scale = 1 / (14.0 + 26.0 * clustering)
    field = (
        1.2 * clustering * by_nest[tissue.cell_nest]
        + sampled(patches, x * scale, y * scale)
        + (0.05 + 0.9 * (1 - clustering) * ~_has_complete(recipe)[region]) * (own - 0.5)
    )
    scatter = region_values(recipe.all_regions, "scatter")[region]
    if scatter.any():
        field += scatter * stream(seed, 37, *block).standard_normal(n)
    angle = rng.uniform(0, 2 * math.pi, n)
    free_x, free_y = x + 50 * np.cos(angle), y + 50 * np.sin(angle)
    askew_um = region_values(recipe.all_regions, "askew_um")[region]
    most_pieces = region_values(recipe.all_regions, "arc_pieces")[region]
    return DrawnStain(
        own=own,
        field=field,
        base_x=np.where(np.isnan(tissue.base_x), free_x, tissue.base_x),
        base_y=np.where(np.isnan(tissue.base_y), free_y, tissue.base_y),
        free_x=free_x,
        free_y=free_y,
        z=rng.standard_normal((2, n)),
        u=rng.random((2, n)),
        askew_um=askew_um * stream(seed, 36, *block).uniform(0.3, 1.3, n),
        least_arc=region_values(recipe.all_regions, "least_arc")[region],
        # Every whole number up to it as often.
        n_pieces=(1 + stream(seed, 40, *block).random(n) * np.floor(most_pieces)).astype(np.int64),
    )


def stain_cells(
    graph: CellGraph,
    recipe: SlideRecipe,
    drawn: DrawnStain,
    kind: NDArray[np.uint8],
    region: NDArray[np.int32],
    is_countable: NDArray[np.bool_],
) -> tuple[Paint, MembraneTruth, NDArray[np.bool_]]:
    """Paint the cells in several rounds, and return that which takes the fewest of them out.

    Parameters
    ----------
    graph : CellGraph
        Cells and sides.
    recipe : SlideRecipe
        The shares asked for, of each region.
    drawn : DrawnStain
        What is drawn at random of each cell.
    kind : ndarray of shape (n,), uint8
        As `CellKind`.
    region : ndarray of shape (n,), int32
        Region of the recipe.
    is_countable : ndarray of shape (n,), bool
        Cells that show a nucleus on the slide.

    Returns
    -------
    paint : Paint
        Stain on the sides.
    truth : MembraneTruth
        What the outlines show.
    surplus : ndarray of shape (n,), bool
        Cells to take out, so that the shares of the others are those asked for.
    """
    counted = (kind == CellKind.TUMOR) & is_countable
    shares = [_shares(entry.mix) for entry in recipe.all_regions]
    classes = np.zeros(len(kind), np.uint8), np.zeros(len(kind), np.uint8)
    rounds: list[tuple[Paint, MembraneTruth, NDArray[np.bool_]]] = []
    for _ in range(_ROUNDS):
        for r, entry in enumerate(recipe.all_regions):
            for are_members, mix, share in _mixes(entry, kind, shares[r]):
                members = np.flatnonzero((region == r) & are_members)
                _mean(members, counted, mix, share, drawn.field, *classes)
        meant = _meant(*classes, drawn)
        paint = paint_membranes(graph, meant)
        truth = derive_truth(graph, paint, meant.pattern)
        surplus = np.zeros(len(kind), np.bool_)
        for r, entry in enumerate(recipe.all_regions):
            members = counted & (region == r)
            if not members.any():
                continue
            out, factor = surplus_cells(truth, entry.mix, is_counted=members, order=drawn.own)
            surplus |= out
            mended = shares[r] * np.clip(factor, 0.5, 2.0) ** 0.8
            shares[r] = mended / mended.sum()
        rounds.append((paint, truth, surplus))
    return min(rounds, key=lambda item: int(item[2].sum()))


def _shares(mix: tuple[MixEntry, ...]) -> NDArray[np.float64]:
    return np.array([entry.share for entry in mix])


def _mixes(
    entry: RegionRecipe, kind: NDArray[np.uint8], share: NDArray[np.float64]
) -> Iterator[tuple[NDArray[np.bool_], tuple[MixEntry, ...], NDArray[np.float64]]]:
    """Yield which cells are of each mix of a region, the mix, and its shares.

    Those of the invasive cells are `share`, as mended so far.
    """
    in_situ = kind == CellKind.IN_SITU
    alike = (kind == CellKind.TUMOR) | (kind == CellKind.CONTROL)
    # In-situ carcinoma is like the invasive part, unless the recipe says otherwise.
    if entry.dcis_mix is None:
        alike |= in_situ
    else:
        yield in_situ, entry.dcis_mix, _shares(entry.dcis_mix)
    yield alike, entry.mix, share
    benign = entry.benign_mix or mix_of(none=1.0)
    yield kind == CellKind.BENIGN, benign, _shares(benign)


def _meant(intensity: NDArray[np.uint8], pattern: NDArray[np.uint8], drawn: DrawnStain) -> Meant:
    """Return what cells of these classes are meant to show."""
    u = drawn.u
    od, width = _lines(intensity, drawn.z, u)
    is_basal = pattern == Pattern.BASOLATERAL
    arc = drawn.least_arc + (_MOST_ARC - drawn.least_arc) * u[1]
    return Meant(
        intensity=intensity,
        pattern=pattern,
        od=od,
        width_um=np.hypot(width, drawn.askew_um).astype(np.float32),
        base_x=np.where(is_basal, drawn.base_x, drawn.free_x),
        base_y=np.where(is_basal, drawn.base_y, drawn.free_y),
        reach=np.where(is_basal, 0.5 + 0.22 * u[1], arc),
        n_pieces=drawn.n_pieces,
    )


def _has_complete(recipe: SlideRecipe) -> NDArray[np.bool_]:
    """Return which regions hold both cells stained all round and unstained ones."""
    return np.array(
        [
            any(e.pattern == Pattern.COMPLETE and e.share > 0 for e in r.mix)
            and any(e.pattern == Pattern.ABSENT and e.share > 0 for e in r.mix)
            for r in recipe.all_regions
        ]
    )


def _mean(
    members: NDArray[np.intp],
    is_counted: NDArray[np.bool_],
    mix: tuple[MixEntry, ...],
    share: NDArray[np.float64],
    field: NDArray[np.float64],
    intensity: NDArray[np.uint8],
    pattern: NDArray[np.uint8],
) -> None:
    """Give the members the classes of a mix, the strongest where the field is highest.

    The shares are of the counted members; the others follow the same levels of the field.
    """
    strength = [
        (entry.pattern == Pattern.COMPLETE, int(entry.intensity), int(entry.pattern))
        for entry in mix
    ]
    order = sorted(range(len(mix)), key=lambda k: strength[k], reverse=True)
    counted = members[is_counted[members]]
    levels = np.sort(field[counted if len(counted) else members])[::-1]
    cuts = np.rint(np.cumsum(share[order]) * len(levels)).astype(np.int64)
    rank = np.searchsorted(-levels, -field[members], side="left")
    weakest = np.flatnonzero(share[order])[-1]
    position = np.minimum(np.searchsorted(cuts, rank, side="right"), weakest)
    intensity[members] = np.array([mix[k].intensity for k in order])[position]
    pattern[members] = np.array([mix[k].pattern for k in order])[position]


def _lines(
    intensity: NDArray[np.uint8], z: NDArray[np.float64], u: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    low = np.zeros(5)
    high = np.zeros(5)
    mean = np.full(5, 0.64)
    spread = np.zeros(5)
    for level in LINE_OD:
        low[level], high[level] = LINE_OD[level]
        mean[level], spread[level] = LINE_WIDTH_UM[level]
    od = low[intensity] + (high - low)[intensity] * u[0]
    width = mean[intensity] + spread[intensity] * np.clip(z[0], -2, 2)
    return od.astype(np.float32), width.astype(np.float32)
