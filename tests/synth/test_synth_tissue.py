import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt
from skimage.measure import label, regionprops

from her2path.geometry import Region
from her2path.synth import (
    Artefacts,
    Laboratory,
    RecipeError,
    RegionRecipe,
    SlideRecipe,
    TissueShape,
    mix_of,
    recipe_from_toml,
)
from her2path.synth.blocks import build_block
from her2path.synth.cell_kinds import CellKind
from her2path.synth.inclusions import nests_beside
from her2path.synth.layout import Nest, NestKind
from her2path.synth.matter import FAR_UM, nest_distance, quantile
from her2path.synth.nuclei import polygon_moments
from her2path.synth.recipe import ADDED
from her2path.synth.records import describe_recipe
from her2path.synth.scene import Scene
from her2path.synth.strata import border_of, stratified_cells
from her2path.synth.stroma_cells import clear_of_nests
from her2path.synth.truth import cells_within

LAB = Laboratory()
HALF = mix_of(none=0.5, moderate_complete=0.5)
ALL = RegionRecipe(
    mix=HALF,
    gland_share=0.4,
    benign_share=0.2,
    nest_um=90.0,
    nest_stretch=1.8,
    cell_stretch=1.6,
    stratified_share=1.0,
    smooth_share=1.0,
    scattered_share=0.4,
    squamous_share=0.5,
    benign_mix=mix_of(weak_incomplete=1.0),
    vacuole_share=0.4,
    secretion_share=0.8,
    nucleus_od=0.1,
    cytoplasm_h_od=0.04,
    nucleus_fill=0.6,
    nucleus_brown=0.1,
    cytoplasm_od=0.1,
    muscle_share=0.4,
    cleft_share=0.2,
    retraction_um=4.0,
    stroma_od=1.4,
    fibre_scale=0.7,
    fibre_contrast=2.0,
    edge_granules_od=0.4,
    mottle=0.4,
    wobble=1.8,
    patchiness=2.0,
    veil=2.0,
    askew_um=0.8,
    scatter=0.5,
    stroma_cells=2.0,
    stroma_bodies_od=0.12,
    nerves_per_mm2=40.0,
    walls_per_mm2=40.0,
    infiltrates_per_mm2=40.0,
    histiocytes_per_mm2=40.0,
    infiltrate_brown_od=0.2,
    activated_share=0.8,
    fibre_brown_od=0.1,
    branched_share=0.4,
    grazed_share=0.3,
    mesh_share=0.5,
    defocus_share=0.4,
    fray=0.6,
    gap_um=1.5,
    border_od=0.05,
    fringe_od=0.06,
    blotch_od=0.1,
    blotch_um=1.5,
    stroma_mottle=0.6,
    least_arc=0.12,
    arc_pieces=3.0,
    brown_inset_um=2.0,
    passed_share=0.2,
    granule_um=1.0,
    streak_od=0.3,
    foam_share=0.2,
    foam_um=0.6,
    dot_share=0.3,
    dot_od=0.4,
)


def recipe_of(region: RegionRecipe, side_um: float = 400.0) -> SlideRecipe:
    return SlideRecipe(width_um=side_um, height_um=side_um, regions=(region,))


def only(**knobs: float) -> RegionRecipe:
    """Return a region of tumor nests of one kind."""
    plain = dict.fromkeys(("gland_share", "cribriform_share", "cord_share"), 0.0)
    more = {"benign_share": 0.0, "dcis_share": 0.0, "necrosis_share": 0.0, "fat_share": 0.0}
    return RegionRecipe(**{"tumor_share": 1.0, **plain, **more, **knobs})


def maps_of(region: RegionRecipe, side_um: float = 200.0, seed: int = 4):
    scene = Scene(
        replace(recipe_of(region, side_um), artefacts=Artefacts(vessels_per_mm2=0)), seed=seed
    )
    return scene.stain_maps(0, 0, 400, 400, side_um / 400)


def test_pixels_do_not_depend_on_the_tiling_with_everything_on() -> None:
    recipe = recipe_of(ALL, 140.0)
    frame = Region(0, 0, 420, 330)
    whole = Scene(recipe, seed=6).render(frame, LAB)
    scene = Scene(recipe, seed=6)
    for piece in (Region(x, y, 170, 120) for x in (340, 0, 170) for y in (240, 0, 120)):
        cut = piece.intersection(frame)
        rows, cols = cut.slices_within(frame)
        assert np.array_equal(scene.render(cut, LAB), whole[rows, cols])


def test_frayed_membranes_leave_streaks_of_brown_that_are_no_membrane() -> None:
    clean = maps_of(only(mix=mix_of(moderate_complete=1.0)))
    frayed = maps_of(only(mix=mix_of(moderate_complete=1.0), fray=1.0))
    assert np.array_equal(clean.membrane, frayed.membrane)
    assert np.array_equal(clean.label, frayed.label)
    beside = clean.membrane == 0
    more = frayed.d - clean.d
    assert more.min() > -1e-6
    assert 0.01 < (more[beside] > 0.1).mean() < 0.2
    unstained = only(mix=mix_of(none=1.0), fray=1.0)
    assert np.array_equal(maps_of(unstained).d, maps_of(replace(unstained, fray=0.0)).d)


def test_cells_that_come_apart_keep_their_truth_and_an_outline_each() -> None:
    together = only(mix=HALF, gap_um=0.0)
    apart = replace(together, gap_um=2.0)
    closed, open_ = (
        build_block(recipe_of(region, 200.0), 0, 0, seed=4) for region in (together, apart)
    )
    assert np.array_equal(closed.truth.completeness, open_.truth.completeness)
    assert np.array_equal(closed.is_kept, open_.is_kept)
    assert not (open_.graph.side_b >= 0).any()
    area = [polygon_moments(*block.graph.outlines()).area for block in (closed, open_)]
    assert (area[1] < area[0]).all()
    assert (area[1] > 0.3 * area[0]).all()
    # Between cells of one nest there is something to see now.
    n_inside = [(maps_of(region).label >= 0).sum() for region in (together, apart)]
    assert n_inside[1] < 0.92 * n_inside[0]


def test_what_is_stained_of_an_outline_stays_where_cells_come_apart() -> None:
    region = only(mix=mix_of(none=0.5, moderate_incomplete=0.5), gap_um=3.0)
    block = build_block(recipe_of(region, 200.0), 0, 0, seed=4)
    truth, graph = block.truth, block.graph
    n_segments = np.diff(graph.segment_start)
    owner = np.repeat(graph.side_a, n_segments)
    around = np.bincount(owner, graph.length, graph.n_cells)
    stained = np.bincount(owner, graph.length * (block.paint.intensity > 0), graph.n_cells)
    kept = block.is_kept
    assert np.allclose(stained[kept] / around[kept], truth.completeness[kept], atol=1e-5)
    assert not stained[~kept].any()


def test_cells_passed_beside_their_nucleus_have_a_membrane_and_are_not_known() -> None:
    region = only(mix=HALF, clustering=0.8)
    passed = replace(region, passed_share=0.4)
    before, after = (build_block(recipe_of(r), 0, 0, seed=4) for r in (region, passed))
    assert before.has_nucleus.all()
    share = 1 - after.has_nucleus.mean()
    assert share == pytest.approx(0.4, abs=0.05)
    is_stained = (after.truth.intensity > 0)[~after.has_nucleus]
    assert 0.3 < is_stained.mean() < 0.7
    recipe = replace(recipe_of(passed), artefacts=Artefacts(vessels_per_mm2=0))
    scene = Scene(recipe, seed=4)
    cells, _ = cells_within(scene, Region(0, 0, 800, 800), 0.5)
    places = {(float(x), float(y)) for x, y in zip(cells.x, cells.y, strict=True)}
    block = scene.block(0, 0)
    hidden = block.nuclei.select(np.flatnonzero(~block.has_nucleus))
    assert not places & {(x, y) for x, y in zip(hidden.x / 0.5, hidden.y / 0.5, strict=True)}
    # The shares are those of the others, exactly.
    stained = cells.intensity[cells.is_tumor] > 0
    assert abs(2 * stained.sum() - len(stained)) <= 1
    # There is less blue where their nuclei were, and nothing else of them is missing.
    maps = scene.stain_maps(0, 0, 800, 800, 0.5)
    inner = (hidden.x > 5) & (hidden.x < 395) & (hidden.y > 5) & (hidden.y < 395)
    row, col = ((v[inner] / 0.5).astype(int) for v in (hidden.y, hidden.x))
    seen = block.nuclei.select(np.flatnonzero(block.is_seen))
    inner = (seen.x > 5) & (seen.x < 395) & (seen.y > 5) & (seen.y < 395)
    there = maps.h[(seen.y[inner] / 0.5).astype(int), (seen.x[inner] / 0.5).astype(int)]
    assert np.median(maps.h[row, col]) < 0.6 * np.median(there)
    assert (maps.label[row, col] >= 0).mean() > 0.95


def test_borders_that_show_without_dab_are_no_membrane() -> None:
    plain = only(mix=mix_of(none=1.0))
    bordered = replace(plain, border_od=0.2)
    before, after = maps_of(plain), maps_of(bordered)
    assert np.array_equal(before.d, after.d)
    assert not after.membrane.any()
    more = (after.h - before.h) + (after.neutral - before.neutral)
    assert more.min() > -1e-6
    # About a line of a micron round cells of 13 µm, each shared by two.
    assert 0.08 < (more > 0.05).mean() < 0.35


@pytest.mark.parametrize("fringe_od", [0.1, -0.1])
def test_light_bent_at_borders_is_moved_and_not_lost(fringe_od: float) -> None:
    plain = only(mix=mix_of(none=1.0), patchiness=0.0, veil=0.0)
    before, after = maps_of(plain), maps_of(replace(plain, fringe_od=fringe_od))
    assert np.array_equal(before.d, after.d)
    assert np.array_equal(before.h, after.h)
    assert not after.membrane.any()
    more = np.sign(fringe_od) * (after.neutral - before.neutral)
    # The seam is narrower than its fringes, and they are fainter than it.
    assert 0.01 < (more < -0.02).mean() < (more > 0.005).mean()
    assert -more.min() > 1.5 * more.max()
    assert abs(more.mean()) < 0.25 * np.abs(more).mean()


def test_blotches_are_brown_inside_cells_and_no_membrane() -> None:
    plain = only(mix=mix_of(none=0.5, moderate_incomplete=0.5))
    before = maps_of(plain)
    fine, coarse = (maps_of(replace(plain, blotch_od=0.3, blotch_um=size)) for size in (0.8, 4.0))
    in_cell = before.label >= 0
    for blotched in (fine, coarse):
        assert np.array_equal(before.membrane, blotched.membrane)
        more = blotched.d - before.d
        assert more.min() > -1e-6
        assert 0.05 < more[in_cell].mean() < 0.3
        assert not more[~in_cell].any()
    # Neighbouring pixels differ the less, the larger the blotches are.
    steps = [np.abs(np.diff(m.d - before.d, axis=1))[in_cell[:, 1:]].mean() for m in (fine, coarse)]
    assert steps[1] < 0.6 * steps[0]


def test_streaks_are_brown_inside_cells_longer_than_wide_and_no_membrane() -> None:
    plain = only(mix=mix_of(none=0.5, moderate_incomplete=0.5))
    before, streaked = maps_of(plain), maps_of(replace(plain, streak_od=0.5))
    more = streaked.d - before.d
    assert np.array_equal(before.membrane, streaked.membrane)
    assert np.array_equal(before.h, streaked.h)
    assert more.min() > -1e-6
    assert not more[before.label < 0].any()
    streaks = [
        part
        for part in regionprops(label(more > 0.1))
        if part.area >= 8 and part.axis_minor_length > 0
    ]
    assert len(streaks) > 100
    # Those that cross a border or each other are rounder than one alone.
    assert np.median([s.axis_major_length / s.axis_minor_length for s in streaks]) > 2


def test_coarser_granules_change_less_from_pixel_to_pixel() -> None:
    plain = only(mix=mix_of(none=1.0))
    before = maps_of(plain)
    sizes = [maps_of(replace(plain, granular_od=0.5, granule_um=um)) for um in (0.4, 1.6)]
    steps = [np.abs(np.diff(m.d - before.d, axis=1)).mean() for m in sizes]
    assert steps[1] < 0.6 * steps[0]
    assert np.array_equal(
        maps_of(replace(plain, granular_od=0.5)).d,
        maps_of(replace(plain, granular_od=0.5, granule_um=0.55)).d,
    )


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_foam_clears_its_share_of_the_cytoplasm_and_no_membrane(share: float) -> None:
    brown = only(mix=mix_of(none=0.5, moderate_incomplete=0.5), cytoplasm_od=0.3, mottle=0.0)
    before, foamy = maps_of(brown), maps_of(replace(brown, foam_share=share))
    assert np.array_equal(before.membrane, foamy.membrane)
    at = (before.label >= 0) & ~before.membrane.astype(bool) & (before.d > 0.05)
    kept = foamy.d[at] / before.d[at]
    assert kept.max() < 1 + 1e-5
    # Bubbles have soft walls: what is cleared by a tenth or more is as much as was asked.
    assert (kept < 0.9).mean() == pytest.approx(share, abs=0.1)


def test_dots_lie_beside_the_nuclei_of_their_share_of_the_cells() -> None:
    plain = only(mix=mix_of(none=0.5, moderate_incomplete=0.5))
    region = replace(plain, dot_share=0.3, dot_od=0.6)
    before, dotted = maps_of(plain), maps_of(region)
    assert np.array_equal(before.membrane, dotted.membrane)
    more = dotted.d - before.d
    assert more.min() > -1e-6
    assert not more[before.label < 0].any()
    assert 0.002 < (more > 0.1).mean() < 0.05
    block = Scene(recipe_of(region, 200.0), seed=4).block(0, 0)
    dots, nuclei = block.dots, block.nuclei
    n = len(np.unique(dots.cell))
    assert n / block.graph.n_cells == pytest.approx(0.3, abs=0.1)
    far = np.hypot(dots.x - nuclei.x[dots.cell], dots.y - nuclei.y[dots.cell])
    assert (far >= nuclei.b_um[dots.cell] - 1e-6).all()
    assert (far <= nuclei.a_um[dots.cell] + 1.2 + 1e-6).all()
    assert not len(Scene(recipe_of(replace(region, dot_od=0.0), 200.0), seed=4).block(0, 0).dots)


@pytest.mark.slow
def test_brown_that_keeps_off_the_borders_leaves_a_rim_and_the_rest_alone() -> None:
    brown = only(mix=mix_of(none=0.5, moderate_incomplete=0.5), cytoplasm_od=0.3, mottle=0.0)
    inset_um, mpp = 2.0, 0.5
    before, after = maps_of(brown), maps_of(replace(brown, brown_inset_um=inset_um))
    assert np.array_equal(before.h, after.h)
    assert np.array_equal(before.membrane, after.membrane)
    less = before.d - after.d
    assert less.min() >= 0
    # Cells of 13 µm: the rim holds about half of their area, and none of the deepest part.
    inside = before.label >= 0
    depth_um = mpp * distance_to_other_labels(before.label)
    assert less[inside & (depth_um > inset_um + mpp)].max() == 0
    rim = inside & (depth_um < 0.5 * inset_um) & ~before.membrane.astype(bool)
    assert less[rim].mean() > 0.5 * before.d[rim].mean()
    assert not less[~inside].any()


def distance_to_other_labels(label: np.ndarray) -> np.ndarray:
    """Distance of each pixel to the nearest one of another cell, px."""
    own = [label == value for value in np.unique(label)]
    return np.sum([part * distance_transform_edt(part) for part in own], axis=0)


def test_arcs_are_shorter_where_asked() -> None:
    mix = mix_of(none=0.8, faint_incomplete=0.2)

    def median_arc(least_arc: float) -> float:
        region = only(mix=mix, scatter=2.0, least_arc=least_arc)
        block = build_block(recipe_of(region, 300.0), 0, 0, seed=4)
        # Those taken out are mostly cells that only a neighbor's line touches.
        reach = block.truth.completeness[block.is_kept]
        return float(np.median(reach[reach > 0]))

    assert median_arc(0.1) < 0.9 * median_arc(0.35)


def test_an_incomplete_membrane_lies_in_pieces_where_asked() -> None:
    mix = mix_of(none=0.6, faint_incomplete=0.4)

    def mean_runs(arc_pieces: float) -> float:
        region = only(mix=mix, scatter=2.0, least_arc=0.3, arc_pieces=arc_pieces)
        block = build_block(recipe_of(region, 300.0), 0, 0, seed=4)
        graph, stained = block.graph, block.paint.intensity > 0
        runs = []
        for cell in np.flatnonzero(block.is_kept & (block.truth.completeness > 0)):
            along = []
            for k in range(graph.cell_start[cell], graph.cell_start[cell + 1]):
                side = graph.cell_side[k]
                part = stained[graph.segment_start[side] : graph.segment_start[side + 1]]
                along.append(part if graph.cell_forward[k] else part[::-1])
            outline = np.concatenate(along)
            runs.append(int((outline & ~np.roll(outline, 1)).sum()))
        return float(np.mean(runs))

    # Lines of neighbors that have arcs of their own make more pieces than were meant.
    assert mean_runs(4) > 1.2 * mean_runs(1)


@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    stratified=st.floats(0, 1),
    smooth=st.floats(0, 1),
    scattered=st.floats(0, 1),
    stretch=st.floats(1, 3),
)
def test_shares_are_met_whatever_grows(seed, stratified, smooth, scattered, stretch) -> None:
    mix = mix_of(none=0.4, faint_incomplete=0.3, weak_complete=0.3)
    region = replace(
        ALL,
        mix=mix,
        stratified_share=stratified,
        smooth_share=smooth,
        scattered_share=scattered,
        nest_stretch=stretch,
    )
    recipe = recipe_of(region)
    cells, _ = cells_within(Scene(recipe, seed=seed), Region(0, 0, 1600, 1600), 0.25)
    tumor = cells.is_tumor
    assert tumor.any()
    for entry in mix:
        found = (cells.intensity == entry.intensity) & (cells.pattern == entry.pattern) & tumor
        assert abs(int(found.sum()) - entry.share * tumor.sum()) < 1


def test_benign_cells_are_stained_as_asked_and_never_counted() -> None:
    recipe = recipe_of(replace(only(benign_share=0.6), mix=HALF, benign_mix=ALL.benign_mix))
    cells, _ = cells_within(Scene(recipe, seed=3), Region(0, 0, 1600, 1600), 0.25)
    benign = cells.kind == CellKind.BENIGN
    assert benign.sum() > 50
    assert not cells.is_tumor[benign].any()
    assert (cells.intensity[benign] > 0).mean() > 0.7


def test_cells_of_stratified_glands_are_longer_than_wide_and_have_a_base() -> None:
    block = build_block(
        recipe_of(only(gland_share=1.0, stratified_share=1.0, nest_um=120.0)), 0, 0, seed=1
    )
    shape = polygon_moments(*block.graph.outlines())
    assert np.median(shape.long_um / shape.short_um) > 1.5
    assert len(block.lumen_start) > 3


def test_a_smooth_nest_is_filled_to_its_border() -> None:
    filled = (maps_of(only(smooth_share=1.0)).label >= 0).mean()
    assert filled > (maps_of(only(smooth_share=0.0)).label >= 0).mean() + 0.03


def test_single_cells_rarely_touch() -> None:
    block = build_block(recipe_of(only(scattered_share=1.0)), 0, 0, seed=2)
    apart = block.graph.side_b < 0
    assert block.graph.n_cells > 30
    assert apart.mean() > 0.8


def test_white_nuclei_cover_the_brown_of_the_cytoplasm() -> None:
    knobs = {"cytoplasm_od": 0.4, "vesicular_share": 0.0}
    white = maps_of(only(**knobs, nucleus_brown=0.0))
    brown = maps_of(only(**knobs, nucleus_brown=1.0))
    assert (white.d[white.label >= 0] < 0.01).mean() > 0.2
    assert (brown.d[brown.label >= 0] < 0.01).mean() < 0.1


def test_clefts_are_glass_and_take_about_their_share() -> None:
    stroma = {"tumor_share": 0.0, "oedema": 0.0}
    shares = [
        1 - maps_of(only(**stroma, cleft_share=0.3), side_um=800, seed=seed).tissue.mean()
        for seed in range(4)
    ]
    assert 0.12 < np.mean(shares) < 0.5


def test_no_cell_of_the_stroma_lies_in_a_nest_that_reaches_over_a_block() -> None:
    # Such nests are wider than the blocks in which cells are made.
    region = only(nest_um=2000.0, mix=mix_of(none=1.0))
    recipe = replace(recipe_of(region), width_um=4096.0, height_um=4096.0)
    scene = Scene(recipe, seed=1)
    blocks = [(column, row) for column in range(4) for row in range(4)]
    nests = [nest for key in blocks for nest in nests_beside(recipe, *key, seed=1)]
    for key in blocks:
        nuclei = scene.stroma(*key).nuclei
        assert clear_of_nests(nuclei.x, nuclei.y, nests, np.zeros(len(nuclei))).all()


def test_muscle_is_denser_than_loose_stroma() -> None:
    stroma = {"tumor_share": 0.0, "oedema": 0.5, "stroma_cells": 0.1, "lymphocytes": 0.0}
    muscle = np.median(maps_of(only(**stroma, muscle_share=1.0)).h)
    assert muscle > 1.5 * np.median(maps_of(only(**stroma)).h)


def test_retraction_leaves_glass_round_nests_and_only_there() -> None:
    region = only(smooth_share=1.0, nest_um=150.0, septum_um=40.0, mix=HALF)
    with_gap, without = maps_of(replace(region, retraction_um=6.0)), maps_of(region)
    inside = with_gap.label >= 0
    assert np.array_equal(inside, without.label >= 0)
    assert (with_gap.h == 0)[~inside].mean() > (without.h == 0)[~inside].mean() + 0.05


def test_granules_lie_along_nests_and_are_no_membrane() -> None:
    plain, granular = maps_of(only()), maps_of(only(edge_granules_od=1.0))
    changed = np.abs(granular.d - plain.d) > 0.02
    assert 0.001 < changed.mean() < 0.2
    assert np.array_equal(plain.membrane, granular.membrane)


def test_secretion_fills_lumens_alone() -> None:
    glands = {"gland_share": 1.0, "stratified_share": 1.0, "nest_um": 130.0}
    empty, full = maps_of(only(**glands)), maps_of(only(**glands, secretion_share=1.0))
    lumen = empty.label == -2
    assert lumen.any()
    assert full.h[lumen].mean() > 3 * empty.h[lumen].mean()
    assert np.array_equal(full.h[~lumen], empty.h[~lumen])


def test_bodies_of_stroma_cells_lie_outside_the_epithelium() -> None:
    region = only(nest_um=120.0, lymphocytes=10.0)
    plain, bodies = maps_of(region), maps_of(replace(region, stroma_bodies_od=0.2))
    changed = plain.h != bodies.h
    assert changed.any()
    assert not changed[plain.label >= 0].any()


def test_crushed_tissue_is_marked_as_spoilt_and_streaked() -> None:
    recipe = replace(recipe_of(only(), 300.0), artefacts=Artefacts(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3))
    maps = Scene(recipe, seed=2).stain_maps(0, 0, 600, 600, 0.5)
    assert 0.02 < maps.artefacts.mean() < 1
    assert maps.h[maps.artefacts].std() > 0.03


def test_vacuoles_keep_to_their_cells() -> None:
    block = build_block(recipe_of(only(vacuole_share=1.0)), 0, 0, seed=4)
    assert len(block.vacuoles) > 0.9 * block.graph.n_cells
    assert block.vacuoles[:, 3].max() < block.graph.n_cells


def round_nest(kind: NestKind = NestKind.STRATIFIED, radius: float = 60.0) -> Nest:
    return Nest(100.0, 80.0, np.full(64, radius), kind, 0, 0, 0, True)


def test_the_border_of_a_round_nest_is_a_circle() -> None:
    border = border_of(round_nest())
    assert np.allclose(np.hypot(border[:, 0] - 100, border[:, 1] - 80), 60, atol=1e-6)


def test_a_gland_is_a_closed_ring_of_cells_round_its_lumen() -> None:
    strata = stratified_cells(round_nest(), 12.0, np.random.default_rng(5))
    assert strata is not None
    area = sum(polygon_area(p) for p in strata.polygons) + polygon_area(strata.lumen)
    assert area == pytest.approx(np.pi * 60**2, rel=0.02)
    n = len(strata.polygons)
    for cell, others in enumerate(strata.neighbours):
        for other in others[others >= 0]:
            assert other < n
            assert cell in strata.neighbours[other]


def polygon_area(points) -> float:
    x, y = points.T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def test_a_nest_too_narrow_for_columns_gets_none() -> None:
    assert stratified_cells(round_nest(radius=9.0), 12.0, np.random.default_rng(1)) is None


def test_distance_to_a_round_nest_is_that_to_a_circle() -> None:
    x, y = np.linspace(20, 190, 60), np.linspace(10, 170, 50)
    found = nest_distance([round_nest()], x, y)
    truth = np.minimum(np.hypot(x[None] - 100, y[:, None] - 80) - 60, FAR_UM)
    assert np.allclose(found, truth, atol=1e-4)
    assert (nest_distance([round_nest(NestKind.CORD)], x, y) == FAR_UM).all()


@pytest.mark.parametrize(("share", "cut"), [(0.5, 0.0), (0.1587, 1.0), (0.9772, -2.0)])
def test_the_cut_for_a_share_is_that_of_a_normal(share: float, cut: float) -> None:
    assert quantile(share) == pytest.approx(cut, abs=0.01)


def test_tables_of_a_recipe_leave_out_only_what_does_nothing() -> None:
    plain = describe_recipe(recipe_of(RegionRecipe()))
    assert not set(plain["regions"][0]) & set(ADDED)
    full = replace(
        recipe_of(ALL),
        artefacts=Artefacts(crushed_patches=1),
        tissue=TissueShape("core", scan_margin_um=100.0),
    )
    assert json.dumps(describe_recipe(full)) == json.dumps(asdict(full))


def test_new_knobs_read_from_toml_and_are_checked() -> None:
    text = "[[regions]]\nmuscle_share = {}\nbenign_mix = {{none = 0.5, weak_incomplete = 0.5}}\n"
    region = recipe_from_toml(text.format(0.5)).regions[0]
    assert region.muscle_share == 0.5
    assert region.benign_mix == mix_of(none=0.5, weak_incomplete=0.5)
    with pytest.raises(RecipeError, match="muscle_share"):
        recipe_from_toml(text.format(2))
