from dataclasses import replace

import numpy as np
import pytest

from her2path.geometry import Region
from her2path.synth import Artefacts, RegionRecipe, SlideRecipe, TissueShape, mix_of
from her2path.synth.blocks import build_block
from her2path.synth.cell_kinds import CellKind
from her2path.synth.inclusions import InclusionKind, inclusion_at, nests_beside, place_inclusions
from her2path.synth.layout import NestKind, nests_of_block, tissue_depth
from her2path.synth.nuclei import polygon_moments
from her2path.synth.scene import Scene
from her2path.synth.truth import CellTruth, cells_within
from her2path.synth.variety import random_recipe

PLAIN = RegionRecipe(
    mix=mix_of(none=0.5, weak_basolateral=0.5),
    tumor_share=1.0,
    nest_um=90.0,
    septum_um=20.0,
    cord_share=0.0,
    cribriform_share=0.0,
    benign_share=0.0,
    dcis_share=0.0,
    fat_share=0.0,
    smooth_share=1.0,
    stratified_share=1.0,
)
KINDS = {
    "nerves_per_mm2": (InclusionKind.NERVE, CellKind.NERVE),
    "walls_per_mm2": (InclusionKind.WALL, CellKind.STROMA),
    "infiltrates_per_mm2": (InclusionKind.INFILTRATE, CellKind.LYMPHOCYTE),
    "histiocytes_per_mm2": (InclusionKind.HISTIOCYTES, CellKind.HISTIOCYTE),
}
GLANDS = replace(PLAIN, gland_share=1.0, nest_um=200.0)


def recipe_of(region: RegionRecipe, side_um: float = 400.0, **more) -> SlideRecipe:
    quiet = Artefacts(vessels_per_mm2=0)
    return SlideRecipe(
        width_um=side_um, height_um=side_um, regions=(region,), artefacts=quiet, **more
    )


def maps_of(region: RegionRecipe, seed: int = 4):
    return Scene(recipe_of(region), seed=seed).stain_maps(0, 0, 800, 800, 0.5)


def cells_of(region: RegionRecipe, seed: int = 4) -> CellTruth:
    return cells_within(Scene(recipe_of(region), seed=seed), Region(0, 0, 800, 800), 0.5)[0]


def held_by(region: RegionRecipe, x, y, seed: int = 4):
    inclusions = place_inclusions(recipe_of(region), seed=seed)
    return inclusion_at(x, y, inclusions, np.arange(len(inclusions.kind)))


@pytest.mark.parametrize("name", KINDS)
def test_no_cell_of_epithelium_lies_in_an_inclusion(name: str) -> None:
    region = replace(PLAIN, **{name: 30.0})
    cells = cells_of(region)
    epithelial = np.isin(cells.kind, (CellKind.TUMOR, CellKind.BENIGN, CellKind.IN_SITU))
    assert epithelial.sum() > 40
    assert (held_by(region, cells.x / 2, cells.y / 2)[epithelial] < 0).mean() > 0.99
    assert not cells.is_tumor[~epithelial].any()


@pytest.mark.parametrize("name", KINDS)
def test_an_inclusion_holds_cells_of_its_kind(name: str) -> None:
    region = replace(PLAIN, **{name: 30.0})
    cells = cells_of(region)
    inside = held_by(region, cells.x / 2, cells.y / 2) >= 0
    assert inside.sum() > 20
    assert (cells.kind[inside] == KINDS[name][1]).mean() > 0.2


def test_inclusions_are_as_many_as_asked_and_lie_in_tissue() -> None:
    tissue = TissueShape("blob", 200.0)
    recipe = recipe_of(replace(PLAIN, nerves_per_mm2=20.0), 4000.0, tissue=tissue)
    placed = place_inclusions(recipe, seed=2)
    x, y = placed.shape[:, 0], placed.shape[:, 1]
    assert (placed.kind == InclusionKind.NERVE).all()
    assert (tissue_depth(x, y, recipe, seed=2) > 0).all()
    assert 60 < len(x) < 20 * 16


def test_no_inclusion_reaches_beyond_the_tissue() -> None:
    knobs = dict.fromkeys(KINDS, 150.0)
    core = recipe_of(replace(PLAIN, tumor_share=0.2, **knobs), 500.0, tissue=TissueShape("core"))
    scene = Scene(core, seed=3)
    nuclei = scene.stroma(0, 0).nuclei
    assert (tissue_depth(nuclei.x, nuclei.y, core, seed=3) > 3).all()
    maps = scene.stain_maps(0, 0, 1000, 1000, 0.5)
    assert len(place_inclusions(core, seed=3).kind) > 2
    # A nucleus at the edge may stand out by a pixel.
    assert (maps.h[~maps.tissue] != 0).mean() < 1e-3


def test_only_nests_near_an_inclusion_give_way() -> None:
    recipe = recipe_of(replace(PLAIN, nerves_per_mm2=8.0), 1000.0)
    place = place_inclusions(recipe, seed=4).shape
    before = nests_of_block(recipe, 0, 0, seed=4)
    after = {(n.column, n.row): n for n in nests_beside(recipe, 0, 0, seed=4)}
    far = [
        nest
        for nest in before
        if (np.hypot(nest.x - place[:, 0], nest.y - place[:, 1]) > 1.2 * place[:, 2] + 120).all()
    ]
    assert 0 < len(far) < len(before)
    assert all(np.array_equal(after[n.column, n.row].radii, n.radii) for n in far)
    assert len(after) < len(before)


@pytest.mark.parametrize(
    "knobs",
    [
        {"fibre_brown_od": 0.2},
        {"infiltrates_per_mm2": 40.0, "infiltrate_brown_od": 0.3},
        {"histiocytes_per_mm2": 40.0, "infiltrate_brown_od": 0.3},
    ],
)
def test_brown_of_the_stroma_is_no_membrane(knobs: dict[str, float]) -> None:
    unstained = replace(PLAIN, mix=mix_of(none=1.0))
    maps = maps_of(replace(unstained, **knobs))
    assert (maps.d[maps.label == -1] > 0.05).mean() > 0.005
    assert not maps.membrane.any()
    assert np.median(maps.d[maps.label >= 0]) < 0.01


def test_plump_fibroblasts_lie_along_nests() -> None:
    region = replace(PLAIN, tumor_share=0.3, nest_um=150.0)
    before, after = cells_of(region), cells_of(replace(region, activated_share=1.0))
    stroma, more = before.kind == CellKind.STROMA, after.kind == CellKind.STROMA
    added = ~np.isin(after.x[more], before.x[stroma])
    assert added.sum() > 50
    epithelium = after.kind == CellKind.TUMOR
    far = np.hypot(
        after.x[more][added][:, None] - after.x[epithelium],
        after.y[more][added][:, None] - after.y[epithelium],
    ).min(axis=1)
    assert np.median(far / 2) < 40


def outline_ratio(region: RegionRecipe, seed: int = 1) -> float:
    """Return the median of length² over area of the nests: 4π for a disc."""
    ratios = []
    for nest in nests_of_block(recipe_of(region, 800.0), 0, 0, seed=seed):
        angle = np.arange(64) * (2 * np.pi / 64)
        x, y = nest.radii * np.cos(angle), nest.radii * np.sin(angle)
        length = np.hypot(x - np.roll(x, 1), y - np.roll(y, 1)).sum()
        area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
        ratios.append(length**2 / area)
    return float(np.median(ratios))


def test_branched_glands_have_a_longer_border_for_their_area() -> None:
    assert outline_ratio(replace(GLANDS, branched_share=1.0)) > 1.3 * outline_ratio(GLANDS)


def test_branched_and_grazed_glands_are_tumor_as_glands_are() -> None:
    region = replace(GLANDS, branched_share=0.5, grazed_share=0.5)
    cells = cells_of(region)
    assert cells.is_tumor.sum() > 100
    stained = (cells.intensity > 0)[cells.is_tumor].mean()
    assert stained == pytest.approx(0.5, abs=0.02)


def test_a_gland_cut_along_its_wall_is_a_mosaic_of_narrow_cells() -> None:
    columns = build_block(recipe_of(GLANDS), 0, 0, seed=3)
    mosaic = build_block(recipe_of(replace(GLANDS, grazed_share=1.0)), 0, 0, seed=3)
    long_over_wide = [
        float(np.median(m.long_um / m.short_um))
        for m in (polygon_moments(*b.graph.outlines()) for b in (columns, mosaic))
    ]
    assert long_over_wide[1] < 0.8 * long_over_wide[0]
    assert (mosaic.kind == CellKind.TUMOR).all()


def test_only_glands_with_crowded_cells_branch() -> None:
    region = replace(PLAIN, gland_share=0.5, branched_share=1.0)
    nests = nests_of_block(recipe_of(region, 800.0), 0, 0, seed=1)
    assert {nest.kind for nest in nests if nest.is_branched} == {NestKind.STRATIFIED}


def test_random_recipes_draw_every_inclusion_and_mostly_few() -> None:
    regions = [random_recipe(np.random.default_rng(seed)).regions[0] for seed in range(80)]
    shares = ("activated_share", "branched_share", "grazed_share", "mesh_share", "defocus_share")
    for name in (*KINDS, *shares, "fibre_brown_od"):
        drawn = np.array([getattr(region, name) for region in regions])
        assert 0.05 < (drawn > 0).mean() < 0.85, name


def test_a_mesh_has_no_direction_and_collagen_has() -> None:
    stroma = replace(PLAIN, tumor_share=0.0, lymphocytes=0.0, oedema=0.0)
    coherence = []
    for share in (0.0, 1.0):
        nuclei = Scene(recipe_of(replace(stroma, mesh_share=share)), seed=4).stroma(0, 0).nuclei
        # Where collagen lies in one direction nuclei do: the mean over small places.
        place = (nuclei.x // 60).astype(int) * 100 + (nuclei.y // 60).astype(int)
        axes = np.exp(2j * nuclei.angle)
        coherence.append(np.mean([abs(axes[place == p].mean()) for p in np.unique(place)]))
    assert coherence[1] < 0.6 * coherence[0]


def test_nuclei_out_of_focus_have_soft_borders_and_stay_where_they_were() -> None:
    sharp, soft = (
        build_block(recipe_of(replace(PLAIN, defocus_share=share)), 0, 0, seed=2).nuclei
        for share in (0.0, 0.5)
    )
    assert np.array_equal(sharp.x, soft.x)
    changed = soft.edge_um > sharp.edge_um
    assert 0.4 < changed.mean() < 0.6
    assert (soft.h_od[changed] <= sharp.h_od[changed]).all()
