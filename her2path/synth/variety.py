"""Recipes and laboratories drawn at random: one source of variety for training and measuring."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from her2path.synth.laboratory import Laboratory
from her2path.synth.recipe import (
    Artefacts,
    MixEntry,
    RegionRecipe,
    SlideRecipe,
    TissueShape,
    mix_of,
)

__all__ = ["random_laboratory", "random_mix", "random_recipe"]

Rng = np.random.Generator

# Shares are drawn in half percents: mixes of those are met exactly by 200 cells.
_STEP = 200
# Which classes go together in one tumor, from null to 3+; weights are drawn afresh.
_FAMILIES: tuple[tuple[str, ...], ...] = (
    ("none",),
    ("none", "faint_incomplete"),
    ("none", "faint_incomplete", "weak_incomplete", "faint_basolateral"),
    ("none", "faint_incomplete", "weak_incomplete", "weak_basolateral", "faint_complete"),
    ("none", "weak_incomplete", "weak_complete", "moderate_complete", "moderate_incomplete"),
    ("none", "weak_basolateral", "moderate_basolateral", "moderate_incomplete"),
    ("none", "moderate_complete", "intense_complete", "moderate_incomplete", "weak_complete"),
    ("none", "moderate_basolateral", "intense_basolateral", "intense_incomplete"),
    ("moderate_complete", "intense_complete", "intense_incomplete", "intense_basolateral"),
)
# How often little shows beside nuclei and membranes.
_BARE = 0.3
# How often cells are brown inside whatever their membranes are.
_BROWN = 0.3
# How often tumor cells are unlike the usual ones in size, shape or growth.
_UNUSUAL = 0.3
# So that each score is drawn about as often as another, faint ones somewhat more often.
_OFTEN = (0.13, 0.20, 0.09, 0.07, 0.07, 0.07, 0.12, 0.08, 0.17)


def random_mix(rng: Rng) -> tuple[MixEntry, ...]:
    """Draw shares of classes that go together, from null to 3+, or of all classes at once."""
    if rng.random() < 0.1:
        words = tuple(sorted({word for family in _FAMILIES for word in family}))
    else:
        words = _FAMILIES[int(rng.choice(len(_FAMILIES), p=_OFTEN))]
    stained = [word for word in words if word != "none"]
    if not stained:
        return mix_of(none=1.0)
    # Every third lies round the criteria's 10 %, with few stained cells.
    most = float(rng.uniform(0.02, 1.0) if rng.random() < 0.65 else rng.uniform(0.01, 0.14))
    if "none" not in words:
        most = 1.0
    # One class often prevails: a low concentration draws some shares near 0.
    share = most * rng.dirichlet(np.full(len(stained), float(rng.choice([0.35, 0.8, 2.0]))))
    steps = dict(zip(stained, np.floor(share * _STEP).astype(int).tolist(), strict=True))
    rest = "none" if "none" in words else stained[int(np.argmax(share))]
    steps[rest] = steps.get(rest, 0) + _STEP - sum(steps.values())
    return mix_of(**{word: n / _STEP for word, n in steps.items() if n > 0})


def random_recipe(
    rng: Rng, *, width_um: float = 256.0, height_um: float = 256.0, name: str = "random"
) -> SlideRecipe:
    """Draw a recipe at random: every score, sane combinations of all knobs of a field.

    What is left as it is: `scatter`, control tissue and what the scanner leaves out.

    Parameters
    ----------
    rng : Generator
        Source of all that is random.
    width_um, height_um : float
        Size of what is drawn, µm.
    name : str
        Name of the recipe.

    Returns
    -------
    SlideRecipe
        One region, or two of which the second lies in a disc.
    """
    regions = [random_region(rng, name="tumor")]
    if rng.random() < 0.2:
        x, y = (float(v) for v in rng.uniform(0.1, 0.9, 2))
        other = random_region(rng, name="other", disc=(x, y, float(rng.uniform(0.15, 0.45))))
        regions.append(other)
    kind = str(rng.choice(["fill", "blob", "core", "biopsy"], p=[0.8, 0.1, 0.05, 0.05]))
    tissue = TissueShape(kind, float(rng.uniform(0.02, 0.08)) * min(width_um, height_um))
    artefacts = random_artefacts(rng, width_um * height_um / 1e6)
    return SlideRecipe(
        name=name,
        width_um=width_um,
        height_um=height_um,
        tissue=tissue,
        regions=tuple(replace(region, **_beside_tumor(rng)) for region in regions),
        artefacts=artefacts,
    )


def random_region(
    rng: Rng, *, name: str, disc: tuple[float, float, float] | None = None
) -> RegionRecipe:
    """Draw one region at random."""
    mix = random_mix(rng)
    # Cytoplasm takes up brown as membranes do: strongly stained slides are brown all over.
    level = max((int(entry.intensity) for entry in mix), default=0) / 4
    # Poorly differentiated tumors have cells of twice the usual size, with pale nuclei.
    is_large = rng.random() < 0.2
    plain = RegionRecipe(
        name=name,
        mix=mix,
        disc=disc,
        septum_um=_log_uniform(rng, 3.5, 30),
        cell_um=float(rng.uniform(18, 27) if is_large else rng.uniform(10, 18)),
        clustering=float(rng.uniform(0, 1)),
        lymphocytes=_log_uniform(rng, 0.2, 14),
        cytoplasm_od=_rare(rng, 0.6, 0.12 + 0.7 * level**2),
        granular_od=_rare(rng, 0.2, 0.15),
        stroma_haze_od=_rare(rng, 0.6, 0.03) + _rare(rng, 0.2, 0.1),
        pleomorphism=float(rng.uniform(0.1, 0.8)),
        vesicular_share=float(rng.uniform(0.5 if is_large else 0.0, 1)),
        benign_mix=random_mix(rng) if rng.random() < 0.15 else None,
        dcis_mix=random_mix(rng) if rng.random() < 0.4 else None,
        necrosis_share=_rare(rng, 0.3, 0.4),
        fat_share=_rare(rng, 0.25, 0.3),
        oedema=float(rng.uniform(0, 0.8)),
        smooth_share=float(rng.choice([0.2, 0.8, 1.0])),
        vacuole_share=_rare(rng, 0.3, 0.7),
        secretion_share=_rare(rng, 0.6, 0.9),
        nucleus_od=_log_uniform(rng, 0.08, 0.26),
        cytoplasm_h_od=_log_uniform(rng, 0.02, 0.13),
        nucleus_fill=float(rng.uniform(0.2, 0.5) if is_large else rng.uniform(0.25, 0.68)),
        nucleus_brown=float(rng.uniform(0.0, 0.75)),
        muscle_share=float(rng.uniform(0, 1)) if rng.random() < 0.35 else 0.0,
        cleft_share=_rare(rng, 0.35, 0.35),
        retraction_um=_rare(rng, 0.4, 6.0),
        stroma_od=_log_uniform(rng, 0.45, 1.7),
        fibre_scale=_log_uniform(rng, 0.55, 2.0),
        edge_granules_od=_rare(rng, 0.15, 0.7),
        mottle=float(rng.uniform(0.15, 1.2)),
        wobble=float(rng.uniform(0.6, 2.3)),
        patchiness=float(rng.uniform(0.6, 2.8)),
        veil=float(rng.uniform(0.3, 3.0)),
        askew_um=float(rng.uniform(0.0, 2.0)) if rng.random() < 0.75 else 0.0,
        fibre_contrast=float(rng.uniform(0.6, 2.6)),
        stroma_bodies_od=_rare(rng, 0.6, 0.16),
        stroma_cells=_log_uniform(rng, 0.5, 4.0),
        cell_stretch=float(rng.uniform(1.0, 2.5)),
        gap_um=_rare(rng, 0.2, 3.0),
        border_od=_rare(rng, 0.3, 0.12),
        fringe_od=float(rng.uniform(-0.1, 0.1)) if rng.random() < 0.25 else 0.0,
        blotch_od=_rare(rng, 0.15, 0.2),
        blotch_um=_log_uniform(rng, 0.7, 5.0),
        least_arc=float(rng.uniform(0.1, 0.3)),
        arc_pieces=float(rng.integers(1, 5)),
        # A cell of 12 µm with a nucleus of 7 shows it in 11 of 16 sections of 4 µm that meet it.
        passed_share=_rare(rng, 0.4, 0.4),
    )
    region = replace(plain, **_growth(rng))
    if rng.random() < _UNUSUAL:
        region = replace(region, **_unusual(rng))
    if rng.random() < _BARE:
        region = replace(region, **_bare(rng))
    return replace(region, **_brown(rng)) if rng.random() < _BROWN else region


def _bare(rng: Rng) -> dict[str, Any]:
    """Draw a look with little beside nuclei and membranes: smooth, pale, cells often apart.

    Readers that lean on the grain of cytoplasm or on fibers find nothing to lean on here.
    """
    return {
        "cytoplasm_h_od": _log_uniform(rng, 0.002, 0.06),
        "nucleus_od": _log_uniform(rng, 0.07, 0.35),
        "nucleus_fill": _log_uniform(rng, 0.1, 0.5),
        "stroma_od": _log_uniform(rng, 0.03, 0.8),
        "fibre_contrast": float(rng.uniform(0.3, 2.2)),
        "stroma_bodies_od": 0.0,
        "mottle": float(rng.uniform(0.0, 0.5)),
        "stroma_mottle": float(rng.uniform(0.0, 0.8)),
        "wobble": float(rng.uniform(0.0, 1.0)),
        "patchiness": float(rng.uniform(0.0, 1.0)),
        "veil": float(rng.uniform(0.0, 0.5)),
        "pleomorphism": float(rng.uniform(0.05, 0.5)),
        "vesicular_share": float(rng.uniform(0.0, 0.5)),
        "gap_um": float(rng.uniform(1.0, 7.0)) if rng.random() < 0.6 else 0.0,
        "tumor_share": float(rng.uniform(0.7, 1.0)),
        "nest_um": _log_uniform(rng, 110, 400),
        "gland_share": _rare(rng, 0.3, 0.5),
        "oedema": float(rng.uniform(0.0, 0.4)),
    }


def _unusual(rng: Rng) -> dict[str, Any]:
    """Draw tumor cells that are easily taken for others: lobular, spindle, signet-ring, giant.

    Lymphocytes and stroma are as small and as dark as the first three, so only what lies round a
    cell tells them apart: even spacing, borders, rows.
    """
    kind = str(rng.choice(["small", "files", "spindle", "signet", "giant"]))
    look: dict[str, Any] = {
        "tumor_share": float(rng.uniform(0.6, 1.0)),
        "gland_share": 0.05,
        "benign_share": _rare(rng, 0.2, 0.15),
        "dcis_share": 0.0,
        "pleomorphism": float(rng.uniform(0.05, 0.35)),
        "vesicular_share": float(rng.uniform(0.0, 0.6)),
    }
    if kind == "small":
        look |= {
            "cell_um": float(rng.uniform(7.5, 10.5)),
            "nucleus_fill": float(rng.uniform(0.3, 0.65)),
            "nest_um": _log_uniform(rng, 60, 320),
            "cord_share": _rare(rng, 0.4, 0.8),
            "scattered_share": _rare(rng, 0.4, 0.7),
        }
    elif kind == "files":
        look |= {
            "cell_um": float(rng.uniform(8.0, 13.0)),
            "nucleus_fill": float(rng.uniform(0.3, 0.65)),
            "tumor_share": float(rng.uniform(0.85, 1.0)),
            "nest_um": _log_uniform(rng, 45, 90),
            # Rows lie close together.
            "septum_um": float(rng.uniform(3.5, 9.0)),
            "cord_share": float(rng.uniform(0.4, 1.0)),
            "scattered_share": float(rng.uniform(0.0, 0.8)),
        }
    elif kind == "spindle":
        look |= {
            "cell_um": float(rng.uniform(8.5, 13.0)),
            "nucleus_fill": float(rng.uniform(0.25, 0.55)),
            "cell_stretch": float(rng.uniform(1.8, 2.5)),
            "smooth_share": 1.0,
            "nest_um": _log_uniform(rng, 120, 350),
            "cord_share": 0.0,
        }
    elif kind == "signet":
        look |= {
            "cell_um": float(rng.uniform(10.0, 17.0)),
            "nucleus_fill": float(rng.uniform(0.15, 0.35)),
            "vacuole_share": float(rng.uniform(0.4, 1.0)),
            "scattered_share": _rare(rng, 0.6, 0.8),
        }
    else:
        look |= {
            "cell_um": float(rng.uniform(21.0, 30.0)),
            "pleomorphism": float(rng.uniform(0.5, 1.0)),
            "nucleus_fill": float(rng.uniform(0.2, 0.6)),
            "scattered_share": _rare(rng, 0.4, 0.6),
        }
    return look


def _brown(rng: Rng) -> dict[str, Any]:
    """Draw brown cytoplasm and granules, up to the border of the cell or only round the nucleus."""
    return {
        # Little brown is common, and it is there that faint membranes have to be told from it.
        "cytoplasm_od": _log_uniform(rng, 0.03, 0.3),
        "granular_od": _rare(rng, 0.45, 0.45),
        "granule_um": _log_uniform(rng, 0.25, 1.3),
        "streak_od": _rare(rng, 0.35, 0.8),
        "foam_share": _rare(rng, 0.3, 0.5),
        "foam_um": _log_uniform(rng, 0.35, 1.8),
        "dot_share": _rare(rng, 0.35, 0.7),
        "dot_od": float(rng.uniform(0.1, 1.2)),
        "blotch_od": _rare(rng, 0.6, 0.5),
        "gap_um": _rare(rng, 0.4, 4.0),
        "brown_inset_um": float(rng.uniform(0.5, 4.0)) if rng.random() < 0.6 else 0.0,
        "nucleus_brown": float(rng.uniform(0.0, 0.75)),
    }


def _growth(rng: Rng) -> dict[str, Any]:
    """Draw what grows: mostly one way, sometimes all at once."""
    kinds = ["solid", "glands", "cords", "single cells", "mixed", "stroma", "benign", "in situ"]
    kind = str(rng.choice(kinds, p=[0.2, 0.27, 0.07, 0.06, 0.12, 0.1, 0.12, 0.06]))
    share = {
        "tumor_share": float(rng.uniform(0.7, 1.0)),
        "nest_um": _log_uniform(rng, 80, 320),
        "nest_stretch": _log_uniform(rng, 1.0, 3.0),
        "gland_share": 0.1,
        "stratified_share": float(rng.uniform(0.6, 1.0)),
        "cribriform_share": 0.05,
        "cord_share": 0.05,
        "scattered_share": 0.05,
        "benign_share": _rare(rng, 0.3, 0.2),
        "squamous_share": _rare(rng, 0.5, 0.6),
        "dcis_share": _rare(rng, 0.25, 0.2),
    }
    if kind == "glands":
        share |= {
            "gland_share": float(rng.uniform(0.5, 1.0)),
            "nest_um": _log_uniform(rng, 75, 230),
        }
    elif kind == "cords":
        share |= {"cord_share": float(rng.uniform(0.4, 1.0)), "nest_um": _log_uniform(rng, 45, 110)}
    elif kind == "single cells":
        share["scattered_share"] = float(rng.uniform(0.5, 1.0))
    elif kind == "mixed":
        gland, cribriform, cord = (float(v) for v in rng.uniform(0.0, 0.33, 3))
        share |= {"gland_share": gland, "cribriform_share": cribriform, "cord_share": cord}
    elif kind == "stroma":
        share["tumor_share"] = float(rng.uniform(0.0, 0.5))
        share["gland_share"] = float(rng.uniform(0.0, 1.0))
    elif kind == "benign":
        share |= {"benign_share": float(rng.uniform(0.3, 1)), "nest_um": _log_uniform(rng, 70, 200)}
    elif kind == "in situ":
        share |= {"dcis_share": float(rng.uniform(0.3, 0.8)), "cribriform_share": 0.2}
    return share


def _beside_tumor(rng: Rng) -> dict[str, Any]:
    """Draw what is easily taken for tumor: inclusions, plump stroma, brown fibres; and branches."""
    return {
        "nerves_per_mm2": _rare(rng, 0.25, 25),
        "walls_per_mm2": _rare(rng, 0.25, 25),
        "infiltrates_per_mm2": _rare(rng, 0.35, 35),
        "histiocytes_per_mm2": _rare(rng, 0.2, 25),
        "infiltrate_brown_od": _rare(rng, 0.4, 0.25),
        "activated_share": _rare(rng, 0.5, 1.0),
        "fibre_brown_od": _rare(rng, 0.35, 0.15) + _rare(rng, 0.1, 0.25),
        "branched_share": _rare(rng, 0.6, 0.8),
        "grazed_share": _rare(rng, 0.5, 0.5),
        "mesh_share": _rare(rng, 0.5, 1.0),
        "defocus_share": _rare(rng, 0.7, 0.6),
        "fray": _rare(rng, 0.4, 1.0),
    }


def random_artefacts(rng: Rng, area_mm2: float) -> Artefacts:
    """Draw faults at random; a tenth of a square millimetre has few of each kind."""

    def some(chance: float) -> int:
        return int(rng.poisson(chance * min(1.0, area_mm2 / 0.1)))

    return Artefacts(
        folds=some(0.08),
        pen_marks=some(0.02),
        bubbles=some(0.03),
        dust=some(0.3),
        blurred_patches=some(0.12),
        pigment_per_mm2=_rare(rng, 0.2, 300),
        debris_per_mm2=_rare(rng, 0.35, 300),
        vessels_per_mm2=float(rng.uniform(0, 16)),
        edge_stain_od=_rare(rng, 0.25, 0.3),
        tears=some(0.05),
        crushed_patches=some(0.1),
    )


def random_laboratory(rng: Rng, *, mpp: float | None = None, name: str = "random") -> Laboratory:
    """Draw a laboratory and scanner at random, round the training laboratories and beyond.

    Parameters
    ----------
    rng : Generator
        Source of all that is random.
    mpp : float or None
        µm/px; None draws one in 0.17–0.55.
    name : str
        Name of the laboratory.
    """
    # Wide enough for the published pairs: violet hematoxylin (0.65, 0.70, 0.29) and reddish DAB
    # (0.36, 0.62, 0.70) lie inside.
    hematoxylin = (
        float(rng.uniform(0.56, 0.79)),
        float(rng.uniform(0.53, 0.76)),
        float(rng.uniform(0.26, 0.48)),
    )
    dab = (
        float(rng.uniform(0.22, 0.40)),
        float(rng.uniform(0.48, 0.64)),
        float(rng.uniform(0.69, 0.87)),
    )
    # Glass is nearly white, with a tint of a few counts.
    white = float(rng.uniform(226, 251)) + rng.normal(0, 2.5, 3)
    chosen = _log_uniform(rng, 0.17, 0.55) if mpp is None else mpp
    return Laboratory(
        name=name,
        mpp=chosen,
        hematoxylin=hematoxylin,
        dab=dab,
        counterstain=_log_uniform(rng, 0.45, 2.2),
        dab_strength=_log_uniform(rng, 0.5, 1.5),
        dab_darkening=float(rng.uniform(0.0, 0.5)),
        haze_od=_rare(rng, 0.6, 0.02) + _rare(rng, 0.15, 0.06),
        white_point=(
            float(np.clip(white[0], 215, 254)),
            float(np.clip(white[1], 215, 254)),
            float(np.clip(white[2], 215, 254)),
        ),
        shading=float(rng.uniform(0, 0.04)),
        gamma=float(rng.uniform(0.82, 1.2)),
        blur_um=float(rng.uniform(0.15, 0.4) if rng.random() < 0.72 else rng.uniform(0.4, 0.8)),
        sharpen=float(rng.uniform(0, 1.6)),
        sharpen_um=float(rng.uniform(0.22, 0.55)),
        noise=_log_uniform(rng, 0.5, 3.5),
        read_noise=float(rng.uniform(0.2, 1.3)),
        saturation=float(rng.uniform(0.8, 1.25)),
        compression=str(rng.choice(["jpeg", "jpeg2000", "none"], p=[0.75, 0.15, 0.1])),
        quality=int(rng.integers(45, 97)),
    )


def _log_uniform(rng: Rng, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _rare(rng: Rng, chance: float, most: float) -> float:
    """Draw 0, or with some chance an amount up to `most`."""
    return float(rng.uniform(0, most)) if rng.random() < chance else 0.0
