"""Recipes of training fields: every knob of the generator turned over its whole range."""

from __future__ import annotations

import math

import numpy as np

from her2path.synth.recipe import (
    Artefacts,
    MixEntry,
    RegionRecipe,
    SlideRecipe,
    TissueShape,
    mix_of,
)

__all__ = ["varied_mix", "varied_recipe"]

# Each line: what the score rests on, from the least to the most share of the cells, and what the
# other cells are. Shares on both sides of the criteria's 10 % are drawn.
_MIXES: tuple[tuple[tuple[str, ...], tuple[float, float], tuple[str, ...]], ...] = (
    (("none",), (1.0, 1.0), ("none",)),
    (("none",), (0.9, 1.0), ("faint_incomplete",)),
    (("faint_incomplete",), (0.02, 0.95), ("none",)),
    (("faint_incomplete", "weak_incomplete"), (0.1, 0.9), ("none", "faint_complete")),
    (("faint_complete", "faint_basolateral"), (0.05, 0.9), ("none", "faint_incomplete")),
    (("weak_complete", "weak_basolateral"), (0.05, 0.9), ("none", "faint_incomplete")),
    (("weak_complete", "moderate_complete"), (0.05, 0.95), ("weak_incomplete", "none")),
    (
        ("moderate_complete", "moderate_basolateral"),
        (0.1, 1.0),
        ("faint_incomplete", "weak_complete"),
    ),
    (("moderate_incomplete", "moderate_basolateral"), (0.1, 0.9), ("weak_incomplete", "none")),
    (("intense_complete",), (0.03, 1.0), ("moderate_complete", "weak_complete")),
    (("intense_complete", "intense_basolateral"), (0.1, 1.0), ("none", "moderate_incomplete")),
    (("intense_complete",), (0.5, 1.0), ("intense_basolateral", "moderate_complete")),
)


def varied_mix(rng: np.random.Generator) -> tuple[MixEntry, ...]:
    """Return a mix of cells, each score about as often as another."""
    chief, (low, high), rest = _MIXES[rng.integers(len(_MIXES))]
    share = float(rng.uniform(low, high))
    shares: dict[str, float] = {}
    for words, part in ((chief, share), (rest, 1.0 - share)):
        for word, w in zip(words, rng.dirichlet(np.ones(len(words))), strict=True):
            # Whole per cent: the generator makes shares exact in whole cells.
            shares[word] = shares.get(word, 0.0) + round(100 * part * float(w)) / 100
    largest = max(shares, key=lambda word: shares[word])
    shares[largest] = round(1.0 - math.fsum(v for k, v in shares.items() if k != largest), 2)
    return mix_of(**{word: value for word, value in shares.items() if value > 0})


def varied_region(rng: np.random.Generator, name: str) -> RegionRecipe:
    """Return one region with every knob drawn."""

    def often(low: float, high: float, share: float = 0.5) -> float:
        """Return a number from a range, or nothing."""
        return float(rng.uniform(low, high)) if rng.random() < share else 0.0

    shape = rng.dirichlet([2.0, 1.0, 0.4, 0.8]) * rng.uniform(0.3, 1.0)
    return RegionRecipe(
        name=name,
        mix=varied_mix(rng),
        tumor_share=float(rng.choice([0.0, 0.6, 0.9, 1.0], p=[0.04, 0.16, 0.3, 0.5])),
        nest_um=float(np.exp(rng.uniform(np.log(50), np.log(220)))),
        septum_um=float(np.exp(rng.uniform(np.log(5), np.log(35)))),
        cell_um=float(rng.uniform(10, 18)),
        gland_share=float(shape[1]),
        cribriform_share=float(shape[2]),
        cord_share=float(shape[3]),
        clustering=float(rng.uniform(0, 1)),
        lymphocytes=float(rng.choice([0.5, 2.0, 6.0, 14.0])),
        cytoplasm_od=often(0.01, 0.22, 0.55),
        granular_od=often(0.05, 0.4, 0.25),
        stroma_haze_od=float(rng.choice([0.0, 0.01, 0.03, 0.08])),
        pleomorphism=float(rng.uniform(0.1, 0.9)),
        vesicular_share=float(rng.uniform(0, 1)),
        benign_share=often(0.05, 0.4, 0.35),
        dcis_share=often(0.05, 0.25, 0.15),
        dcis_mix=varied_mix(rng) if rng.random() < 0.5 else None,
        necrosis_share=often(0.05, 0.4, 0.25),
        fat_share=often(0.05, 0.5, 0.3),
        oedema=float(rng.uniform(0, 1)),
    )


def varied_recipe(rng: np.random.Generator, side_um: float) -> SlideRecipe:
    """Return a recipe of a square field.

    Parameters
    ----------
    rng : numpy.random.Generator
        Chooses everything.
    side_um : float
        Side of the field.
    """
    regions = [varied_region(rng, "first")]
    if rng.random() < 0.35:
        disc = (float(rng.uniform(0, 1)), float(rng.uniform(0, 1)), float(rng.uniform(0.25, 0.5)))
        second = varied_region(rng, "second")
        values = {name: getattr(second, name) for name in RegionRecipe.__slots__}
        regions.append(RegionRecipe(**{**values, "disc": disc}))
    kind = str(rng.choice(["fill", "blob", "core", "biopsy"], p=[0.82, 0.07, 0.05, 0.06]))
    some = rng.random(8) < 0.12
    return SlideRecipe(
        name="training",
        width_um=side_um,
        height_um=side_um,
        tissue=TissueShape(kind=kind, margin_um=float(rng.uniform(0, 30))),
        regions=tuple(regions),
        artefacts=Artefacts(
            folds=int(some[0] and rng.random() < 0.5),
            pen_marks=int(some[1] and rng.random() < 0.3),
            bubbles=int(some[2] and rng.random() < 0.3),
            dust=int(some[3]) * 2,
            blurred_patches=int(some[4] and rng.random() < 0.5),
            pigment_per_mm2=60.0 * float(some[5]),
            debris_per_mm2=float(rng.choice([0.0, 30.0, 150.0])),
            vessels_per_mm2=float(rng.choice([0.0, 10.0, 40.0])),
            edge_stain_od=0.25 * float(some[6]),
            tears=int(some[7] and rng.random() < 0.5),
        ),
    )
