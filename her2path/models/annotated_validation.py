"""How well a network reads annotated pictures that it was not trained on."""

from __future__ import annotations

import logging

import numpy as np
import torch

from her2path.criteria.score import EXPRESSION_SCORES
from her2path.models.annotated import score_of_piece
from her2path.models.description import ModelDescription
from her2path.models.network import Her2Network, mean_features
from her2path.models.scenes import NETWORK_MPP
from her2path.models.sources.crops import Crops
from her2path.models.sources.pictures import MASK_VALUES
from her2path.models.sources.sample import Sample
from her2path.models.validation import score_of
from her2path.statistics.agreement import weighted_kappa

__all__ = ["measure_annotated", "warn_of_seen"]

logger = logging.getLogger(__name__)

CROPS_PER_PICTURE = 4


@torch.inference_mode()
def measure_annotated(
    network: Her2Network, samples: tuple[Sample, ...], crop_px: int, device: torch.device
) -> dict[str, float]:
    """Read a few crops of each picture at the network's µm/px, the same each time.

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
        source = Crops([sample], side_px=crop_px)
        # As they are: recoloured ones are to learn from.
        _, pictures = source.draw(
            np.random.default_rng([k, 23]), n=CROPS_PER_PICTURE, mpp=NETWORK_MPP
        )
        source.close()
        rgb = torch.from_numpy(np.stack([picture.rgb for picture in pictures])).to(device)
        out = network(rgb.permute(0, 3, 1, 2).float() / 255.0)
        says_tumor = (out.planes[:, 3] > out.planes[:, 4]).cpu().numpy()
        for picture, says in zip(pictures, says_tumor, strict=True):
            for is_tumor, name in ((False, "other"), (True, "tumor")):
                chosen = picture.tissue == MASK_VALUES[name]
                right[int(is_tumor)] += (says[chosen] == is_tumor).sum()
                pixels[int(is_tumor)] += chosen.sum()
        score = score_of_piece(sample)
        if score is not None and score.is_exact:
            features = mean_features(out.weight, out.features)
            mean = (features * out.weight.sum(dim=(1, 2, 3))[:, None]).sum(dim=0, keepdim=True)
            mean = mean / out.weight.sum().clamp_min(1e-6)
            stated = network.score_probabilities(mean)[0].float().cpu().numpy()
            table[score.low.rank, score_of(stated).rank] += 1
    figures = {}
    if pixels.all():
        figures["data_tumor_accuracy"] = float((right / pixels).mean())
    if table.any():
        kappa = float(weighted_kappa(table, weights="quadratic"))
        # One score for everything has no kappa: it agrees no better than chance.
        figures["data_score_kappa"] = kappa if np.isfinite(kappa) else 0.0
    return figures


def warn_of_seen(start: ModelDescription | None, samples: tuple[Sample, ...]) -> None:
    """Tell that a network may have learned from what it is validated on.

    Parameters
    ----------
    start : ModelDescription or None
        Of the network that a run begins with.
    samples : tuple of Sample
        Pictures kept for validation.
    """
    if start is not None and start.data.n_annotated and samples:
        logger.warning(
            "%s has learned from %s annotated pictures (%s): where some of them are kept for "
            "validation now, their figures are too good; give each the split that it had",
            start.name,
            f"{start.data.n_annotated:,}",
            # Free text of a file that somebody else may have made.
            ", ".join(f"{name!r:.100}" for name in start.data.sources) or "sources not named",
        )
