"""Batches: which crops of which fields, coloured how; the same for the same seed and step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from her2path.criteria.label import ScoreLabel
from her2path.criteria.rule_set import DEFAULT_CRITERIA, load_rule_set
from her2path.criteria.score import Extent, Intensity
from her2path.criteria.tally import Tally
from her2path.models.annotated import annotated_crops
from her2path.models.appearance import random_appearance
from her2path.models.augment import Crop, take_crop
from her2path.models.design import CELL_CLASSES
from her2path.models.losses import MIN_SCORED_CELLS, Targets
from her2path.models.scenes import TrainingField
from her2path.models.sources.crops import Crops
from her2path.models.sources.sample import Sample
from her2path.synth.laboratory import Laboratory

__all__ = ["BatchPlan", "Batches", "collate", "light_of", "score_rank", "targets_of"]

# No false stain in the truth: every cell that shows any counts.
_NO_BLANK_PCT = 1e-6


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """Shape of a batch.

    Attributes
    ----------
    n_groups : int
        Fields in a batch, each in a laboratory of its own.
    per_group : int
        Crops of each field: the score is learned of one crop and of all of a field together.
    crop_px : int
        Side of a crop.
    annotated_share : float
        Share of the groups that come from annotated pictures, where there are any.
    """

    n_groups: int = 8
    per_group: int = 2
    crop_px: int = 256
    annotated_share: float = 0.3


def score_rank(kind_tally: NDArray[np.int64], least: int = MIN_SCORED_CELLS) -> int:
    """Return the rank of the score of tumor cells counted by kind, −1 with too few cells."""
    if kind_tally.sum() < least:
        return -1
    kinds = [(Intensity.NONE, Extent.INCOMPLETE)] + [
        (intensity, extent)
        for intensity in Intensity
        if intensity != Intensity.NONE
        for extent in Extent
    ]
    counts = kind_tally.astype(np.int64)
    intensity = np.repeat([k[0] for k in kinds], counts).astype(np.uint8)
    extents = np.repeat([k[1] for k in kinds], counts).astype(np.int64)
    tally = Tally.of(intensity, extents)
    return load_rule_set(DEFAULT_CRITERIA).call(tally, blank_upper_pct=_NO_BLANK_PCT).score.rank


class Batches(Dataset[dict[str, Tensor]]):
    """Batch number n, made from its number alone: resuming and several processes need no state.

    Parameters
    ----------
    fields : list of TrainingField
        What to cut from.
    laboratories : tuple of Laboratory
        What to colour like, and around.
    plan : BatchPlan
        Shape of a batch.
    seed : int
        Seed of everything.
    n_steps : int
        Number of batches.
    samples : tuple of Sample
        Annotated pictures to cut from as well.
    """

    def __init__(
        self,
        fields: list[TrainingField],
        laboratories: tuple[Laboratory, ...],
        plan: BatchPlan,
        *,
        seed: int,
        n_steps: int,
        samples: tuple[Sample, ...] = (),
    ) -> None:
        self.fields = fields
        self.annotated = Crops(samples, side_px=plan.crop_px) if samples else None
        self.laboratories = laboratories
        self.plan = plan
        self.seed = seed
        self.n_steps = n_steps

    def __len__(self) -> int:
        return self.n_steps

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, step, 5])
        crops: list[Crop] = []
        groups: list[int] = []
        given: dict[int, ScoreLabel] = {}
        for group in range(self.plan.n_groups):
            if self.annotated is not None and rng.random() < self.plan.annotated_share:
                found, score = annotated_crops(self.annotated, self.plan.per_group, rng)
                crops += found
                if score is not None:
                    given[group] = score
            else:
                crops += self.drawn_group(rng)
            groups += [group] * self.plan.per_group
        return collate(crops, groups, given)

    @staticmethod
    def keep_to_one_thread(_: int) -> None:
        """Keep a process that makes batches to one thread: there are as many as were asked for."""
        cv2.setNumThreads(1)

    def drawn_group(self, rng: np.random.Generator) -> list[Crop]:
        """Return crops of one drawn field, all of one appearance."""
        field = self.fields[rng.integers(len(self.fields))]
        appearance = random_appearance(rng, self.laboratories)
        return [
            take_crop(
                field,
                appearance,
                self.plan.crop_px,
                centre=crop_centre(field, rng),
                turn=float(rng.uniform(0, 2 * math.pi)),
                is_mirrored=bool(rng.random() < 0.5),
                rng=rng,
            )
            for _ in range(self.plan.per_group)
        ]


def crop_centre(field: TrainingField, rng: np.random.Generator) -> tuple[float, float]:
    """Return where to cut: mostly at a tumor cell."""
    rows, cols = field.stain.shape[:2]
    tumor = np.flatnonzero(field.kind >= 0)
    if len(tumor) and rng.random() < 0.75:
        k = tumor[rng.integers(len(tumor))]
        return float(field.x[k]), float(field.y[k])
    return float(rng.uniform(0.2, 0.8) * cols), float(rng.uniform(0.2, 0.8) * rows)


def collate(
    crops: list[Crop], groups: list[int], given: dict[int, ScoreLabel]
) -> dict[str, Tensor]:
    """Stack crops; planes stay 8 bits until they are where they are used.

    `given` holds the scores that people gave, by group.
    """
    group_tally = np.zeros((max(groups) + 1, len(CELL_CLASSES)), np.int64)
    all_known = np.ones(max(groups) + 1, bool)
    for crop, group in zip(crops, groups, strict=True):
        group_tally[group] += crop.kind_tally
        all_known[group] &= crop.kinds_known
    singles = [score_rank(crop.kind_tally) if crop.kinds_known else -1 for crop in crops]
    grouped = [
        score_rank(tally, 2 * MIN_SCORED_CELLS) if known else -1
        for tally, known in zip(group_tally, all_known, strict=True)
    ]
    bounds = [[(rank, rank) for rank in ranks] for ranks in (singles, grouped)]
    for group, label in given.items():
        bounds[1][group] = (label.low.rank, label.high.rank)
    return {
        "rgb": torch.from_numpy(np.stack([crop.rgb for crop in crops])),
        "planes": torch.from_numpy(np.stack([crop.planes for crop in crops])),
        "cells": torch.from_numpy(np.stack([crop.cells for crop in crops])),
        "kinds_known": torch.tensor([float(crop.kinds_known) for crop in crops]),
        "count_known": torch.tensor([float(crop.count_known) for crop in crops]),
        "score": torch.tensor(bounds[0]),
        "group": torch.tensor(groups),
        "group_score": torch.tensor(bounds[1]),
    }


def light_of(batch: dict[str, Tensor]) -> Tensor:
    """Return the pictures as the network takes them, (B, 3, M, N) in 0–1."""
    rgb = batch["rgb"].permute(0, 3, 1, 2).float() / 255.0
    return rgb.contiguous(memory_format=torch.channels_last)


def targets_of(batch: dict[str, Tensor]) -> Targets:
    """Return the labels as the losses take them."""
    planes = batch["planes"].float() / 255.0
    return Targets(
        nucleus=planes[:, 0],
        centre=planes[:, 1],
        # A line is thinner than a pixel: half of one is a line.
        membrane=(1.6 * planes[:, 2]).clamp_max(1.0),
        tissue=planes[:, 3:6],
        nucleus_known=planes[:, 6],
        membrane_known=planes[:, 7],
        tissue_known=planes[:, 8],
        cells=batch["cells"],
        cells_known=batch["kinds_known"],
        count_known=batch["count_known"],
        score=batch["score"],
        group=batch["group"],
        group_score=batch["group_score"],
    )
