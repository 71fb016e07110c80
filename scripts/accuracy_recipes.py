"""Slides to measure accuracy on: every score, near its cuts and far from them, in varied tissue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from string import ascii_lowercase

import numpy as np

from her2path.synth import (
    Artefacts,
    Laboratory,
    MixEntry,
    RegionRecipe,
    SlideRecipe,
    TissueShape,
    laboratories,
    mix_of,
)

Rng = np.random.Generator
# As many as there are test laboratories.
N_FRESH = 7


@dataclass(frozen=True, slots=True)
class Design:
    """A mix of cells that means one score, and how far its deciding share is from the cut.

    `distance` is in percent points of the tumor cells to the nearest cut, None for score 0, which
    has no share to be near with.
    """

    name: str
    mix: tuple[MixEntry, ...]
    distance: float | None = None
    is_glandular: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """One slide to draw."""

    slide_id: str
    laboratory: Laboratory
    recipe: SlideRecipe
    design: Design
    seed: int


def null(rng: Rng) -> Design:
    """No cell stained."""
    del rng
    return Design("0", mix_of(none=1.0))


def ultralow(rng: Rng) -> Design:
    """Faint in 4–7 %."""
    share = percent(rng, 4, 7)
    return Design("0+", mix(faint_incomplete=share), min(share, 10 - share))


def ultralow_near_zero(rng: Rng) -> Design:
    """Faint in 2–3 %."""
    share = percent(rng, 2, 3)
    return Design("0+ near 0", mix(faint_incomplete=share), share)


def ultralow_near_ten(rng: Rng) -> Design:
    """Faint in 7–8.5 %."""
    share = percent(rng, 7, 8.5)
    return Design("0+ near 10 %", mix(faint_incomplete=share), 10 - share)


def one_plus_near_ten(rng: Rng) -> Design:
    """Faint in 11.5–14 %."""
    share = percent(rng, 11.5, 14)
    return Design("1+ near 10 %", mix(faint_incomplete=share), share - 10)


def one_plus(rng: Rng) -> Design:
    """Faint and weak, incomplete, in 25–50 %."""
    share = percent(rng, 25, 50)
    weak = percent(rng, 5, 15)
    return Design("1+", mix(faint_incomplete=share - weak, weak_incomplete=weak), share - 10)


def one_plus_wide(rng: Rng) -> Design:
    """Faint and weak, incomplete, in 60–85 %."""
    share, weak = percent(rng, 60, 85), percent(rng, 20, 40)
    return Design("1+ wide", mix(faint_incomplete=share - weak, weak_incomplete=weak), share - 10)


def one_plus_near_two(rng: Rng) -> Design:
    """Mostly incomplete, with weak and complete in 5–7 %."""
    share, complete = percent(rng, 40, 60), percent(rng, 5, 7)
    mixed = mix(faint_incomplete=share - 10, weak_incomplete=10, weak_complete=complete)
    return Design("1+ near 2+", mixed, 10 - complete)


def two_plus_near_one(rng: Rng) -> Design:
    """Weak to moderate, complete, in 13–16 % amid incomplete ones."""
    complete = percent(rng, 13, 16)
    mixed = mix(
        faint_incomplete=30,
        weak_incomplete=20,
        weak_complete=complete - 5,
        moderate_complete=5,
    )
    return Design("2+ near 1+", mixed, complete - 10)


def two_plus(rng: Rng) -> Design:
    """Weak to moderate, complete, in 35–60 %."""
    weak, moderate = percent(rng, 15, 25), percent(rng, 20, 35)
    mixed = mix(
        faint_incomplete=15, weak_incomplete=15, weak_complete=weak, moderate_complete=moderate
    )
    return Design("2+", mixed, weak + moderate - 10)


def two_plus_basolateral(rng: Rng) -> Design:
    """Moderate and U-shaped in 35–60 % of glands."""
    share = percent(rng, 35, 60)
    mixed = mix(weak_incomplete=20, moderate_basolateral=share)
    return Design("2+ basolateral", mixed, share - 10, is_glandular=True)


def two_plus_near_three(rng: Rng) -> Design:
    """Moderate and complete, with intense ones in 5–7 %."""
    intense = percent(rng, 5, 7)
    mixed = mix(weak_complete=20, moderate_complete=40, intense_complete=intense)
    return Design("2+ near 3+", mixed, 10 - intense)


def three_plus_near_two(rng: Rng) -> Design:
    """Intense and complete in 14–18 % amid moderate ones."""
    intense = percent(rng, 14, 18)
    mixed = mix(weak_complete=20, moderate_complete=40, intense_complete=intense)
    return Design("3+ near 2+", mixed, intense - 10)


def three_plus(rng: Rng) -> Design:
    """Intense and complete in 30–60 %."""
    intense = percent(rng, 30, 60)
    mixed = mix(weak_incomplete=10, moderate_complete=25, intense_complete=intense)
    return Design("3+", mixed, intense - 10)


def three_plus_wide(rng: Rng) -> Design:
    """Intense and complete in 70–90 %."""
    intense = percent(rng, 70, 90)
    return Design("3+ wide", mix(moderate_complete=8, intense_complete=intense), intense - 10)


# By score; slides take scores in turn, and of each score its designs in turn.
DESIGNS: tuple[tuple[Callable[[Rng], Design], ...], ...] = (
    (null,),
    (ultralow, ultralow_near_ten, ultralow_near_zero),
    (one_plus, one_plus_near_ten, one_plus_wide, one_plus_near_two),
    (two_plus, two_plus_near_one, two_plus_basolateral, two_plus_near_three),
    (three_plus, three_plus_near_two, three_plus_wide),
)


def percent(rng: Rng, low: float, high: float) -> float:
    """Draw a percentage in half points: mixes of those are met by 200 cells and their multiples."""
    return float(rng.integers(round(2 * low), round(2 * high), endpoint=True)) / 2


def mix(**percents: float) -> tuple[MixEntry, ...]:
    """Return a mix from percents; the rest is unstained."""
    shares = {word: value / 100 for word, value in percents.items()}
    return mix_of(none=1 - sum(shares.values()), **shares)


def fresh_laboratories(seed: int, n: int = N_FRESH) -> tuple[Laboratory, ...]:
    """Draw laboratories that nobody has seen, in the ranges of the test laboratories.

    Ranges are those that `her2path/synth/data/test.toml` states, the white point's three levels
    wider; the pixel size is that of scanners at 40× in five of seven, coarser in the others.
    """
    rng = np.random.default_rng([seed, 7919])

    def within(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def laboratory(k: int) -> Laboratory:
        glass = np.clip(within(228, 252) + rng.normal(0, 2.5, 3), 222, 254)
        white_r, white_g, white_b = (float(v) for v in glass)
        return Laboratory(
            name=f"fresh-{ascii_lowercase[k] if k < len(ascii_lowercase) else k + 1}",
            mpp=within(0.30, 0.46) if k % N_FRESH in (2, 5) else within(0.17, 0.28),
            hematoxylin=(within(0.66, 0.78), within(0.51, 0.60), within(0.33, 0.42)),
            dab=(within(0.20, 0.30), within(0.46, 0.55), within(0.77, 0.88)),
            counterstain=float(np.exp(rng.uniform(np.log(0.5), np.log(2.0)))),
            dab_strength=within(0.75, 1.2),
            dab_darkening=within(0.1, 0.4),
            haze_od=within(0.005, 0.03),
            white_point=(white_r, white_g, white_b),
            shading=within(0.005, 0.045),
            gamma=within(0.85, 1.18),
            blur_um=within(0.20, 0.36),
            sharpen=within(0.1, 1.2),
            sharpen_um=within(0.22, 0.48),
            noise=within(0.8, 3.0),
            read_noise=within(0.3, 1.3),
            saturation=within(0.86, 1.15),
            compression=str(rng.choice(["jpeg", "jpeg", "jpeg2000"])),
            quality=int(rng.integers(70, 93)),
        )

    return tuple(laboratory(k) for k in range(n))


def plan_slides(
    n_slides: int, *, seed: int, side_um: float, known: Sequence[Laboratory] | None = None
) -> list[Plan]:
    """Plan slides: scores and laboratories in turn, so that each meets each.

    Parameters
    ----------
    n_slides : int
        How many; 35 meet every score in every one of seven laboratories once.
    seed : int
        The same seed gives the same slides.
    side_um : float
        Side of the square that is drawn, µm.
    known : sequence of Laboratory, optional
        By default the test laboratories.
    """
    known = laboratories("test") if known is None else known
    first = np.random.default_rng(seed).permutation(len(known))
    plans = []
    for k in range(n_slides):
        # One generator a slide: slide k does not depend on how many are asked for.
        rng = np.random.default_rng([seed, k])
        designs = DESIGNS[k % len(DESIGNS)]
        design = designs[k // len(DESIGNS) % len(designs)](rng)
        laboratory = known[first[k % len(known)]]
        slide_id = f"s{k:03d}-{laboratory.name}"
        recipe = SlideRecipe(
            name=slide_id,
            width_um=side_um,
            height_um=side_um,
            tissue=TissueShape(str(rng.choice(["blob", "blob", "core", "fill"])), 50.0),
            regions=(region_of(design, rng),),
            artefacts=Artefacts(
                dust=int(rng.integers(0, 4)),
                vessels_per_mm2=float(rng.uniform(2, 8)),
                debris_per_mm2=float(rng.choice([0.0, 0.0, 20.0])),
                blurred_patches=int(rng.random() < 0.15),
                folds=int(rng.random() < 0.1),
            ),
        )
        plans.append(Plan(slide_id, laboratory, recipe, design, int(rng.integers(2**40))))
    return plans


def region_of(design: Design, rng: Rng) -> RegionRecipe:
    """Return tumor of this mix in tissue drawn at random."""
    kind = str(rng.choice(["nests", "nests", "glands", "cords"]))
    region = RegionRecipe(
        mix=design.mix,
        nest_um=float(rng.uniform(110, 240)),
        septum_um=float(rng.uniform(8, 28)),
        cell_um=float(rng.uniform(11.5, 15)),
        gland_share={"glands": 0.6, "cords": 0.05}.get(kind, 0.1),
        cribriform_share=0.05,
        cord_share=0.5 if kind == "cords" else 0.05,
        clustering=float(rng.uniform(0.1, 0.9)),
        lymphocytes=float(rng.uniform(0.5, 6)),
        cytoplasm_od=float(rng.choice([0.0, 0.0, 0.03, 0.06])),
        granular_od=float(rng.choice([0.0, 0.0, 0.0, 0.05])),
        stroma_haze_od=float(rng.uniform(0, 0.03)),
        pleomorphism=float(rng.uniform(0.2, 0.6)),
        vesicular_share=float(rng.uniform(0.1, 0.6)),
        benign_share=float(rng.choice([0.0, 0.05])),
        dcis_share=float(rng.choice([0.0, 0.05])),
        necrosis_share=float(rng.choice([0.0, 0.05])),
        fat_share=float(rng.uniform(0, 0.1)),
        oedema=float(rng.uniform(0.1, 0.5)),
        askew_um=float(rng.uniform(0.0, 1.2)),
    )
    if design.is_glandular:
        region = replace(region, gland_share=0.85, cord_share=0.0, nest_um=130.0)
    return region
