"""How well a network reads pictures of laboratories and fields that it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from her2path.cells.network_maps import nucleus_peaks
from her2path.criteria.score import EXPRESSION_SCORES, Score
from her2path.models.appearance import appearance_of
from her2path.models.augment import Crop, take_crop
from her2path.models.batches import score_rank
from her2path.models.design import STRIDE_PX
from her2path.models.network import Her2Network, mean_features
from her2path.models.scenes import TrainingField
from her2path.statistics.agreement import weighted_kappa
from her2path.statistics.matching import match_points
from her2path.statistics.readers import median_score
from her2path.synth.laboratory import Laboratory

__all__ = ["FieldReading", "measure_readings", "read_crops", "score_of", "validation_crops"]

# A found centre belongs to a nucleus within this distance.
MATCH_UM = 3.0
# A line may lie this far off its truth.
LINE_TOLERANCE_PX = 1


@dataclass(frozen=True, slots=True)
class FieldReading:
    """What the network says of a crop, beside the crop.

    Attributes
    ----------
    crop : Crop
    mpp : float
        µm/px of the crop.
    planes : ndarray of shape (6, S, S), uint8
        Probabilities of `design.PLANES`, 255 = 1.
    features : ndarray of shape (K,), float32
        Mean features of the crop.
    n_tumor_cells : float
        Sum of the weights.
    probabilities : ndarray of shape (5,), float32
        Of the scores.
    """

    crop: Crop
    mpp: float
    planes: NDArray[np.uint8]
    features: NDArray[np.float32]
    n_tumor_cells: float
    probabilities: NDArray[np.float32]


def validation_crops(
    fields: list[TrainingField], laboratories: tuple[Laboratory, ...], *, seed: int
) -> list[tuple[Crop, float]]:
    """Return the middle of each field, as one laboratory after the other shows it, with µm/px."""
    crops = []
    for k, field in enumerate(fields):
        appearance = appearance_of(laboratories[k % len(laboratories)])
        rows, cols = field.stain.shape[:2]
        side = min(rows, cols) * 0.25 / appearance.scale_mpp
        size = int(side) // STRIDE_PX * STRIDE_PX
        crop = take_crop(
            field,
            appearance,
            size,
            centre=(cols / 2, rows / 2),
            turn=0.0,
            is_mirrored=False,
            rng=np.random.default_rng([seed, k, 17]),
        )
        crops.append((crop, appearance.scale_mpp))
    return crops


@torch.inference_mode()
def read_crops(
    network: Her2Network, crops: list[tuple[Crop, float]], device: torch.device
) -> list[FieldReading]:
    """Read crops one by one with a network in evaluation mode."""
    network.eval()
    readings = []
    for crop, mpp in crops:
        rgb = torch.from_numpy(crop.rgb).to(device).permute(2, 0, 1)[None].float() / 255.0
        out = network(rgb)
        features = mean_features(out.weight, out.features)
        readings.append(
            FieldReading(
                crop=crop,
                mpp=mpp,
                planes=probabilities_of(out.planes)[0].cpu().numpy(),
                features=features[0].cpu().numpy(),
                n_tumor_cells=float(out.weight.sum()),
                probabilities=network.score_probabilities(features)[0].cpu().numpy(),
            )
        )
    return readings


def probabilities_of(planes: Tensor) -> Tensor:
    """Return the planes' logits, (B, 6, M, N), as probabilities in 8 bits."""
    found = torch.cat([torch.sigmoid(planes[:, :3]), torch.softmax(planes[:, 3:], dim=1)], dim=1)
    return (found * 255.0).round().to(torch.uint8)


def measure_readings(readings: list[FieldReading]) -> dict[str, float]:
    """Return the figures that training is watched by.

    Returns
    -------
    dict
        ``nucleus_f1`` (3 µm), ``tumor_accuracy`` (balanced, at the true nuclei),
        ``membrane_f1`` (1 px), ``score_kappa`` (quadratic), ``score_exact``, ``score_nearness``
        (1 = every expected rank is the true one, 0 = four ranks off), ``n_scored``,
        ``count_error`` (relative, of the number of tumor cells).
    """
    hits, n_found, n_true = 0, 0, 0
    line_hits = np.zeros(2)
    line_all = np.zeros(2)
    right = np.zeros(2)
    cells = np.zeros(2)
    table = np.zeros((len(EXPRESSION_SCORES),) * 2)
    ranks = np.arange(len(EXPRESSION_SCORES))
    ranks_off: list[float] = []
    counted, expected = 0.0, 0
    for reading in readings:
        crop, planes = reading.crop, reading.planes
        # Places of a crop count from its corner, not from the middle of its first pixel.
        x, y = (part + 0.5 for part in nucleus_peaks(planes[1], planes[0], mpp=reading.mpp)[:2])
        known = crop.planes[6] > 127
        x, y = (part[at(known, x, y)] for part in (x, y))
        seen = at(known, crop.x, crop.y)
        true = np.column_stack([crop.x[seen], crop.y[seen]])
        _, pairs = match_points(true, np.column_stack([x, y]), reach=MATCH_UM / reading.mpp)
        hits, n_found, n_true = hits + len(pairs), n_found + len(x), n_true + int(seen.sum())
        sure = seen & at(crop.planes[8] > 127, crop.x, crop.y)
        says_tumor = at(planes[3] > np.maximum(planes[4], planes[5]), crop.x, crop.y)
        for k in (0, 1):
            chosen = sure & (crop.is_tumor == bool(k))
            right[k] += (says_tumor[chosen] == bool(k)).sum()
            cells[k] += chosen.sum()
        line_known = crop.planes[7] > 127
        line, truth = (planes[2] > 127) & line_known, (crop.planes[2] > 90) & line_known
        line_hits += [(line & widened(truth)).sum(), (truth & widened(line)).sum()]
        line_all += [line.sum(), truth.sum()]
        rank = score_rank(crop.kind_tally)
        if rank >= 0:
            table[rank, score_of(reading.probabilities).rank] += 1
            ranks_off.append(abs(float(reading.probabilities @ ranks) - rank))
        counted += abs(reading.n_tumor_cells - crop.is_tumor.sum())
        expected += int(crop.is_tumor.sum())
    precision, recall = line_hits / np.maximum(line_all, 1)
    kappa = float(weighted_kappa(table, weights="quadratic"))
    # A kind without a single cell was not read wrongly.
    shares = right[cells > 0] / cells[cells > 0]
    return {
        "nucleus_f1": 2 * hits / max(1, n_found + n_true),
        "tumor_accuracy": float(shares.mean()) if len(shares) else 0.0,
        "membrane_f1": float(2 * precision * recall / max(1e-9, precision + recall)),
        "score_kappa": kappa if np.isfinite(kappa) else 0.0,
        "score_exact": float(np.trace(table) / max(1.0, table.sum())),
        "score_nearness": float(1 - np.mean(ranks_off) / ranks[-1]) if ranks_off else 0.0,
        "n_scored": float(table.sum()),
        "count_error": float(counted / max(1, expected)),
    }


def score_of(probabilities: NDArray[np.float32]) -> Score:
    """Return the score that a network states, given its probability of each."""
    return median_score(dict(zip(EXPRESSION_SCORES, probabilities.tolist(), strict=True)))


def at(
    mask: NDArray[np.bool_], x: NDArray[np.floating], y: NDArray[np.floating]
) -> NDArray[np.bool_]:
    rows, cols = mask.shape
    row = np.clip(np.asarray(y).astype(np.intp), 0, rows - 1)
    col = np.clip(np.asarray(x).astype(np.intp), 0, cols - 1)
    found: NDArray[np.bool_] = mask[row, col]
    return found


def widened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    side = 2 * LINE_TOLERANCE_PX + 1
    return cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
