"""What training minimises; each term is masked where its label is not known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from her2path.models.network import Her2Network, Outputs, mean_features

__all__ = ["MIN_SCORED_CELLS", "LossWeights", "Targets", "losses_of", "ordinal_loss"]

# An area with fewer tumor cells has no score worth learning.
MIN_SCORED_CELLS = 25


@dataclass(frozen=True, slots=True)
class Targets:
    """Labels of B pictures of M × N px.

    Attributes
    ----------
    nucleus, centre, membrane : Tensor of shape (B, M, N), float
        0–1.
    tissue : Tensor of shape (B, 3, M, N), float
        Shares of tumor, other and outside, 0–1.
    nucleus_known, membrane_known, tissue_known : Tensor of shape (B, M, N), float
        Weights of the pixels, 0 = not known.
    cells : Tensor of shape (B, len(CELL_CLASSES), M / 16, N / 16), float
        Tumor cells of each kind at each position.
    cells_known : Tensor of shape (B,), float
        1 where kinds of cells are known.
    count_known : Tensor of shape (B,), float
        1 where numbers of tumor cells are known.
    score : Tensor of shape (B, 2), int64
        Lowest and highest rank that the score may have, −1 = not known.
    group : Tensor of shape (B,), int64
        Pictures of one slide in this batch share a number.
    group_score : Tensor of shape (n_groups, 2), int64
        The same of all pictures of a group together.
    """

    nucleus: Tensor
    centre: Tensor
    membrane: Tensor
    tissue: Tensor
    nucleus_known: Tensor
    membrane_known: Tensor
    tissue_known: Tensor
    cells: Tensor
    cells_known: Tensor
    count_known: Tensor
    score: Tensor
    group: Tensor
    group_score: Tensor


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Weight of each term in the sum."""

    nucleus: float = 1.0
    centre: float = 2.0
    membrane: float = 2.0
    tissue: float = 1.0
    count: float = 0.3
    cells: float = 0.3
    score: float = 0.4


def ordinal_loss(above_logits: Tensor, score: Tensor) -> Tensor:
    """Return the mean cross entropy of the four questions 'above this cut?'.

    Parameters
    ----------
    above_logits : Tensor of shape (B, 4)
        From `Her2Network.above_logits`.
    score : Tensor of shape (B, 2), int64
        Lowest and highest rank, 0–4; a cut between them is not asked for. Negative = not known.
    """
    cuts = torch.arange(above_logits.shape[1], device=score.device)
    low, high = score[:, :1], score[:, 1:]
    known = ((low > cuts) | (high <= cuts)) & (low >= 0)
    return masked_mean(
        binary(above_logits, (low > cuts).to(above_logits.dtype)), known.to(above_logits.dtype)
    )


def losses_of(network: Her2Network, outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
    """Return each term of the loss; a term without any label is 0."""
    planes = outputs.planes.float()
    nucleus_known = targets.nucleus_known
    # A line covers few pixels; missing it costs more than widening it.
    line_weight = targets.membrane_known * (1.0 + 2.0 * targets.membrane)
    log_tissue = functional.log_softmax(planes[:, 3:6], dim=1)
    tissue = -(targets.tissue * log_tissue).sum(dim=1)
    weight = outputs.weight.float()
    n_cells = targets.cells.sum(dim=1, keepdim=True)
    count = weight - n_cells * torch.log(weight + 1e-4)
    log_cells = functional.log_softmax(outputs.cell_logits.float(), dim=1)
    kinds = -(targets.cells * log_cells).sum(dim=1)
    cells_known = targets.cells_known[:, None, None]
    return {
        "nucleus": masked_mean(binary(planes[:, 0], targets.nucleus), nucleus_known),
        # Centres cover one pixel in twenty.
        "centre": masked_mean(
            binary(planes[:, 1], targets.centre), nucleus_known * (1.0 + 4.0 * targets.centre)
        ),
        "membrane": masked_mean(binary(planes[:, 2], targets.membrane), line_weight),
        "tissue": masked_mean(tissue, targets.tissue_known),
        "count": masked_mean(
            count[:, 0], targets.count_known[:, None, None].expand_as(count[:, 0])
        ),
        "cells": (kinds * cells_known).sum()
        / (targets.cells * cells_known[:, None]).sum().clamp_min(1.0),
        "score": score_loss(network, outputs, targets),
    }


def score_loss(network: Her2Network, outputs: Outputs, targets: Targets) -> Tensor:
    """Return the ordinal loss of single pictures and of groups of pictures."""
    weight, features = outputs.weight.float(), outputs.features.float()
    single = mean_features(weight, features)
    n_groups = len(targets.group_score)
    total = single.new_zeros(n_groups).index_add(0, targets.group, weight.sum(dim=(1, 2, 3)))
    sums = single.new_zeros((n_groups, single.shape[1])).index_add(
        0, targets.group, (weight * features).sum(dim=(2, 3))
    )
    grouped = sums / total.clamp_min(1e-6)[:, None]
    return ordinal_loss(
        network.above_logits(torch.cat([single, grouped])),
        torch.cat([targets.score, targets.group_score]),
    )


def binary(logits: Tensor, target: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, target, reduction="none")


def masked_mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp_min(1.0)
