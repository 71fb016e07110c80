"""How well a network reads annotated pictures that it was not trained on."""

from __future__ import annotations

import numpy as np
import torch

from her2path.criteria.score import EXPRESSION_SCORES
from her2path.models.annotated import AnnotatedCrop, annotated_crop
from her2path.models.network import Her2Network, mean_features
from her2path.models.sources.sample import Sample
from her2path.statistics.agreement import weighted_kappa

__all__ = ["measure_annotated"]

CROPS_PER_PICTURE = 4


@torch.inference_mode()
def measure_annotated(
    network: Her2Network, samples: tuple[Sample, ...], crop_px: int, device: torch.device
) -> dict[str, float]:
    """Read a few crops of each picture, the same each time.

    Parameters
    ----------
    network : Her2Network
        In evaluation mode.
    samples : tuple of Sample
        Pictures kept for validation.
    crop_px : int
        Side of the crops.
    device : torch.device
        Where the network is.

    Returns
    -------
    dict
        ``data_tumor_accuracy`` (balanced, over pixels) and ``data_score_kappa`` (quadratic, of
        scores that are one score), each only where something is known; empty without samples.
    """
    right, pixels = np.zeros(2), np.zeros(2)
    table = np.zeros((len(EXPRESSION_SCORES),) * 2)
    for k, sample in enumerate(samples):
        rng = np.random.default_rng([k, 23])
        crops = [annotated_crop(sample, crop_px, rng) for _ in range(CROPS_PER_PICTURE)]
        rgb = torch.from_numpy(np.stack([part.crop.rgb for part in crops])).to(device)
        out = network(rgb.permute(0, 3, 1, 2).float() / 255.0)
        says_tumor = (out.planes[:, 3] > out.planes[:, 4]).cpu().numpy()
        for part, says in zip(crops, says_tumor, strict=True):
            for is_tumor, plane in ((False, 4), (True, 3)):
                chosen = part.crop.planes[plane] > 0
                right[int(is_tumor)] += (says[chosen] == is_tumor).sum()
                pixels[int(is_tumor)] += chosen.sum()
        rank = known_rank(crops[0])
        if rank >= 0:
            features = mean_features(out.weight, out.features)
            mean = (features * out.weight.sum(dim=(1, 2, 3))[:, None]).sum(dim=0, keepdim=True)
            mean = mean / out.weight.sum().clamp_min(1e-6)
            table[rank, int(network.score_probabilities(mean).argmax())] += 1
    figures = {}
    if pixels.all():
        figures["data_tumor_accuracy"] = float((right / pixels).mean())
    kappa = float(weighted_kappa(table, weights="quadratic")) if table.any() else float("nan")
    if np.isfinite(kappa):
        figures["data_score_kappa"] = kappa
    return figures


def known_rank(part: AnnotatedCrop) -> int:
    """Return the rank of the picture's score, −1 where it is not known to be one score."""
    return part.score.low.rank if part.score is not None and part.score.is_exact else -1
