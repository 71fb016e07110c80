"""Separate pieces of tissue, and whether one of them looks like on-slide control tissue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from her2path.stain.matrix import StainMatrix
from her2path.tissue.mask import TissueMask, label_mask

__all__ = ["ControlCandidate", "Piece", "Pieces", "find_control_pieces", "find_pieces"]

# Fragments of one biopsy lie closer together than this; a control is mounted farther away.
PIECE_GAP_UM = 1000.0
# A slide holds a few pieces; a crumbled one hundreds of crumbs, which no one mounts as control.
MAX_CANDIDATES = 12


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of tissue.

    Parameters
    ----------
    label : int
        Its value in `Pieces.labels`, 1 for the largest.
    area_mm2 : float
    x_um, y_um : float
        Center of gravity from the overview's top-left corner.
    hematoxylin_od, dab_od : float
        Mean OD of the stains (reference vectors).
    texture_od : float
        Standard deviation of the mean OD of the channels.
    """

    label: int
    area_mm2: float
    x_um: float
    y_um: float
    hematoxylin_od: float
    dab_od: float
    texture_od: float


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """All pieces of a slide, largest first.

    Parameters
    ----------
    labels : ndarray of shape (M, N), int32
        0 is no tissue.
    mpp : float
        µm per pixel of `labels`.
    pieces : tuple of Piece
    """

    labels: NDArray[np.int32]
    mpp: float
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class ControlCandidate:
    """Why a piece might be control tissue. Whether to leave it out is decided by the caller.

    Parameters
    ----------
    label : int
    gap_mm : float
        Distance of its row (`row_of`) to the nearest other tissue.
    end_frac : float
        Distance of its center from the nearer end of the slide over the slide's length, 0–0.5.
    stain_difference : float
        Difference to the other tissue in OD of DAB, hematoxylin or texture, the largest of the
        three, each over its own scale; 1 is clearly different.
    """

    label: int
    gap_mm: float
    end_frac: float
    stain_difference: float


def find_pieces(
    tissue: TissueMask, od: NDArray[np.float32], *, gap_um: float = PIECE_GAP_UM
) -> Pieces:
    """Group tissue into pieces and measure each.

    Parameters
    ----------
    tissue : TissueMask
    od : ndarray of shape (M, N, 3), float32
        From `overview_od`.
    gap_um : float
        Parts closer than this belong to one piece.

    Returns
    -------
    Pieces

    Raises
    ------
    ValueError
        `od` and the mask differ in size.
    """
    mask = tissue.mask
    if od.shape[:2] != mask.shape:
        raise ValueError(f"od has shape {od.shape[:2]}, the mask {mask.shape}")
    if not mask.any():
        return Pieces(np.zeros(mask.shape, np.int32), tissue.mpp, ())
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    groups, _ = label_mask(distance * tissue.mpp <= gap_um / 2)
    rows, cols = np.nonzero(mask)
    member = groups[mask]
    n_px = np.bincount(member)
    order = np.argsort(-n_px, kind="stable")
    order = order[n_px[order] > 0]
    rank = np.zeros(n_px.size, np.int32)
    rank[order] = np.arange(1, order.size + 1)
    labels = np.zeros(mask.shape, np.int32)
    labels[mask] = rank[member]

    stains = od[mask] @ StainMatrix().unmixing[:, :2].astype(np.float32)
    density = od[mask].mean(axis=1)
    values = {
        "x": cols,
        "y": rows,
        "hematoxylin": stains[:, 0],
        "dab": stains[:, 1],
        "density": density,
        "density2": density.astype(np.float64) ** 2,
    }
    means = {
        name: np.bincount(member, weights=value)[order] / n_px[order]
        for name, value in values.items()
    }
    variance = np.maximum(means["density2"] - means["density"] ** 2, 0.0)
    pieces = tuple(
        Piece(
            label=k + 1,
            area_mm2=float(n_px[order[k]]) * tissue.mpp**2 * 1e-6,
            x_um=float(means["x"][k] + 0.5) * tissue.mpp,
            y_um=float(means["y"][k] + 0.5) * tissue.mpp,
            hematoxylin_od=float(means["hematoxylin"][k]),
            dab_od=float(means["dab"][k]),
            texture_od=float(np.sqrt(variance[k])),
        )
        for k in range(order.size)
    )
    return Pieces(labels, tissue.mpp, pieces)


# Control tissue is mounted apart, at one end of the slide.
MIN_CONTROL_GAP_MM = 2.0
MAX_END_FRAC = 0.25
# One step of staining: less is found between fragments of one tumor.
DAB_STEP_OD = 0.08
HEMATOXYLIN_STEP_OD = 0.08
TEXTURE_STEP_OD = 0.08


def find_control_pieces(
    pieces: Pieces, *, sample: NDArray[np.bool_] | None = None
) -> tuple[ControlCandidate, ...]:
    """Find pieces that look like control tissue: apart, at one end, and stained differently.

    Conservative: the largest piece is never one, and all three conditions must hold. Sections of
    the same block on one slide are stained alike and stay. Several controls are mounted side by
    side: together they must lie apart, each by itself be stained differently.

    Parameters
    ----------
    pieces : Pieces
    sample : ndarray of shape (M, N), bool, optional
        What is surely no control, on the grid of `pieces.labels`: pieces that hold some are none.

    Returns
    -------
    tuple of ControlCandidate
        Most different first; often empty.
    """
    if len(pieces.pieces) < 2:
        return ()
    held = {1} if sample is None else {1, *np.unique(pieces.labels[sample]).tolist()}
    of_sample = [piece for piece in pieces.pieces if piece.label in held]
    found = []
    for piece in pieces.pieces[:MAX_CANDIDATES]:
        if piece in of_sample:
            continue
        candidate = measure_candidate(piece, pieces, of_sample)
        if (
            candidate.gap_mm >= MIN_CONTROL_GAP_MM
            and candidate.end_frac <= MAX_END_FRAC
            and candidate.stain_difference >= 1.0
        ):
            found.append(candidate)
    return tuple(sorted(found, key=lambda candidate: -candidate.stain_difference))


def measure_candidate(piece: Piece, pieces: Pieces, of_sample: Sequence[Piece]) -> ControlCandidate:
    """Measure how far apart, how near an end and how different a piece is.

    `of_sample` are the pieces that are no control, largest first.
    """
    main = of_sample[0]
    # Millimetres matter here, not microns: a pixel every 50 µm will do.
    step = max(1, int(50.0 / pieces.mpp))
    labels = pieces.labels[::step, ::step]
    row = row_of(piece, pieces, of_sample, labels, mpp=pieces.mpp * step)
    own = np.isin(labels, row)
    others = (labels > 0) & ~own
    gap_um = 0.0
    if others.any() and own.any():
        distance = cv2.distanceTransform((~others).astype(np.uint8), cv2.DIST_L2, 5)
        gap_um = float(distance[own].min()) * step * pieces.mpp
    difference = max(
        abs(piece.dab_od - main.dab_od) / DAB_STEP_OD,
        abs(piece.hematoxylin_od - main.hematoxylin_od) / HEMATOXYLIN_STEP_OD,
        abs(piece.texture_od - main.texture_od) / TEXTURE_STEP_OD,
    )
    _, end_frac = place_along(piece, pieces)
    return ControlCandidate(piece.label, gap_um * 1e-3, end_frac, difference)


def row_of(
    piece: Piece,
    pieces: Pieces,
    of_sample: Sequence[Piece],
    labels: NDArray[np.int32],
    *,
    mpp: float,
) -> NDArray[np.int32]:
    """Return the labels of a piece and of those at its end of the slide that lead on from it.

    From each to the next it is less than a control lies apart; those of the sample are never of
    them.

    Parameters
    ----------
    piece : Piece
    pieces : Pieces
    of_sample : sequence of Piece
    labels : ndarray of shape (M, N), int32
        `pieces.labels`, coarse.
    mpp : float
        µm per pixel of `labels`.
    """
    end, _ = place_along(piece, pieces)
    others = (other for other in pieces.pieces if other not in of_sample)
    places = {other.label: place_along(other, pieces) for other in others}
    at_end = [label for label, place in places.items() if place[0] == end]
    beside = [label for label in at_end if places[label][1] <= MAX_END_FRAC]
    is_beside = np.isin(labels, [piece.label, *beside])
    distance = cv2.distanceTransform((~is_beside).astype(np.uint8), cv2.DIST_L2, 5)
    rows, _ = label_mask(distance * mpp < MIN_CONTROL_GAP_MM * 1e3 / 2)
    own = rows[labels == piece.label]
    return np.unique(labels[is_beside & np.isin(rows, own)])


def place_along(piece: Piece, pieces: Pieces) -> tuple[int, float]:
    """Return which end of the slide's length a piece is nearer to, 0 or 1, and how near (0–0.5)."""
    rows, cols = pieces.labels.shape
    length, position = (rows, piece.y_um) if rows >= cols else (cols, piece.x_um)
    along = position / (length * pieces.mpp)
    return int(along >= 0.5), float(min(along, 1 - along))
