import math
import re
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from her2path.criteria.score import Intensity, Pattern, Score
from her2path.geometry import Region
from her2path.synth import (
    Artefacts,
    Laboratory,
    MixEntry,
    RecipeError,
    RegionRecipe,
    SlideRecipe,
    TissueShape,
    draw_field,
    laboratories,
    load_laboratory,
    mix_of,
    recipe_from_toml,
)
from her2path.synth.blocks import build_block
from her2path.synth.cell_kinds import CellKind
from her2path.synth.cytoplasm import fade_to_borders
from her2path.synth.layout import control_disc
from her2path.synth.scene import Scene
from her2path.synth.truth import cells_within, score_of, tally_of

LAB = Laboratory()
SMALL = SlideRecipe(width_um=120, height_um=110)


def recipe_with(width_um: float = 700, height_um: float = 700, **mix: float) -> SlideRecipe:
    return SlideRecipe(
        width_um=width_um, height_um=height_um, regions=(RegionRecipe(mix=mix_of(**mix)),)
    )


def cells_of(recipe: SlideRecipe, seed: int, mpp: float = 0.25):
    scene = Scene(recipe, seed=seed)
    frame = Region(0, 0, round(recipe.width_um / mpp), round(recipe.height_um / mpp))
    return cells_within(scene, frame, mpp)[0]


CLASSES = ((Intensity.NONE, Pattern.ABSENT), (Intensity.FAINT, Pattern.INCOMPLETE))
MIXES = {
    "null": {"none": 1.0},
    "ultralow": {"none": 0.96, "faint_incomplete": 0.04},
    "exactly ten percent": {"none": 0.9, "faint_incomplete": 0.1},
    "low": {"none": 0.6, "faint_incomplete": 0.25, "weak_incomplete": 0.15},
    "two plus complete": {
        "none": 0.35,
        "weak_complete": 0.2,
        "moderate_complete": 0.25,
        "faint_incomplete": 0.2,
    },
    "two plus basolateral": {"none": 0.4, "moderate_basolateral": 0.4, "weak_incomplete": 0.2},
    "three plus": {"intense_complete": 0.75, "moderate_complete": 0.15, "moderate_incomplete": 0.1},
    "a cluster of three plus": {"none": 0.7, "intense_complete": 0.3},
}


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)
def test_shares_are_exactly_as_asked(mix: dict[str, float]) -> None:
    cells = cells_of(recipe_with(**mix), seed=5)
    tumor = cells.is_tumor
    n = int(tumor.sum())
    assert n > 1000
    found = {
        (int(i), int(p)): count
        for (i, p), count in zip(
            *np.unique(
                np.stack([cells.intensity[tumor], cells.pattern[tumor]], 1),
                axis=0,
                return_counts=True,
            ),
            strict=True,
        )
    }
    asked = {(int(e.intensity), int(e.pattern)): e.share for e in mix_of(**mix)}
    assert set(found) == set(asked)
    for key, share in asked.items():
        assert found[key] == round(share * n)
        assert abs(found[key] - share * n) < 1e-6


@settings(max_examples=8)
@given(
    shares=st.lists(st.integers(1, 20), min_size=2, max_size=4),
    words=st.permutations(
        ["none", "faint_incomplete", "weak_complete", "moderate_basolateral", "intense_complete"]
    ),
    clustering=st.floats(0, 1),
    seed=st.integers(0, 2**31),
)
def test_shares_of_any_mix_are_met_to_less_than_a_cell(shares, words, clustering, seed) -> None:
    total = sum(shares)
    mix = mix_of(**{word: share / total for word, share in zip(words, shares, strict=False)})
    recipe = SlideRecipe(
        width_um=500, height_um=500, regions=(RegionRecipe(mix=mix, clustering=clustering),)
    )
    cells = cells_of(recipe, seed)
    tumor = cells.is_tumor
    for entry in mix:
        of_kind = (cells.intensity == entry.intensity) & (cells.pattern == entry.pattern)
        assert abs(int((of_kind & tumor).sum()) - entry.share * tumor.sum()) < 1


def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    first, again = (draw_field(SMALL, LAB, seed=3).rgb.tobytes() for _ in range(2))
    assert first == again
    assert first != draw_field(SMALL, LAB, seed=4).rgb.tobytes()


@pytest.mark.parametrize("lab", [LAB, load_laboratory("test-b")], ids=["reference", "test-b"])
def test_pixels_do_not_depend_on_the_tiling_or_its_order(lab: Laboratory) -> None:
    recipe = recipe_with(130, 130, none=0.5, intense_complete=0.3, moderate_incomplete=0.2)
    whole = Scene(recipe, seed=9).render(Region(0, 0, 400, 300), lab)
    scene = Scene(recipe, seed=9)
    pieces = [Region(x, y, 150, 110) for x in (0, 150, 300) for y in (0, 110, 220)]
    for piece in reversed(pieces):
        cut = piece.intersection(Region(0, 0, 400, 300))
        rows, cols = cut.slices_within(Region(0, 0, 400, 300))
        assert np.array_equal(scene.render(cut, lab), whole[rows, cols])


def test_cells_do_not_depend_on_which_block_is_made_first() -> None:
    recipe = recipe_with(2100, 1100, none=0.5, weak_complete=0.5)
    forward = build_block(recipe, 0, 0, seed=2), build_block(recipe, 1, 0, seed=2)
    backward = build_block(recipe, 1, 0, seed=2), build_block(recipe, 0, 0, seed=2)
    assert np.array_equal(forward[0].nuclei.x, backward[1].nuclei.x)
    assert np.array_equal(forward[1].paint.od, backward[0].paint.od)


def test_each_block_of_a_large_slide_has_the_asked_shares() -> None:
    recipe = recipe_with(2100, 1100, none=0.8, faint_incomplete=0.2)
    for column in range(2):
        block = build_block(recipe, column, 0, seed=7)
        counted = (
            block.is_kept
            & (block.kind == CellKind.TUMOR)
            & (block.nuclei.x >= 0)
            & (block.nuclei.x < 2100)
            & (block.nuclei.y >= 0)
            & (block.nuclei.y < 1100)
        )
        stained = counted & (block.truth.intensity > 0)
        assert counted.sum() == 5 * stained.sum()


def ten_percent_rules(cells) -> Score:
    """ASCO/CAP 2018 spelled out once more, in whole cells."""
    tumor = cells.is_tumor
    n = int(tumor.sum())
    i, complete = cells.intensity[tumor], cells.pattern[tumor] == Pattern.COMPLETE
    intense = (i == Intensity.INTENSE) & complete
    if 10 * intense.sum() > n:
        return Score.THREE_PLUS
    if (
        10 * ((i >= Intensity.WEAK) & complete).sum() > n
        or 10 * (i >= Intensity.MODERATE).sum() > n
        or intense.any()
    ):
        return Score.TWO_PLUS
    # What the guideline leaves open the published matrix fills.
    if (
        10 * (i > 0).sum() > n
        or ((i >= Intensity.WEAK) & complete).any()
        or (i >= Intensity.MODERATE).any()
    ):
        return Score.ONE_PLUS
    return Score.ULTRALOW if (i > 0).any() else Score.ZERO


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)
def test_the_score_follows_from_the_cells_by_the_criteria(mix: dict[str, float]) -> None:
    cells = cells_of(recipe_with(**mix), seed=6)
    assert score_of(tally_of(cells)) == ten_percent_rules(cells)


STAINED_CLASSES = [
    (intensity, pattern)
    for intensity in Intensity
    if intensity
    for pattern in (Pattern.INCOMPLETE, Pattern.BASOLATERAL, Pattern.COMPLETE)
]


@settings(max_examples=300)
@given(
    n_none=st.integers(1, 200),
    counts=st.dictionaries(st.sampled_from(STAINED_CLASSES), st.integers(1, 30), max_size=4),
    others=st.lists(st.sampled_from(STAINED_CLASSES), max_size=20),
)
def test_the_score_of_any_cells_follows_from_the_criteria(n_none, counts, others) -> None:
    classes = [CLASSES[0]] * n_none
    classes += [kind for kind, n in counts.items() for _ in range(n)]
    codes = np.array([*classes, *others], np.uint8)
    cells = SimpleNamespace(
        intensity=codes[:, 0],
        pattern=codes[:, 1],
        # Of the others, which do not count, any may be stained.
        is_tumor=np.arange(len(codes)) < len(classes),
        region=np.zeros(len(codes), np.int32),
    )
    assert score_of(tally_of(cells)) == score_of(tally_of(cells, 0)) == ten_percent_rules(cells)


def test_a_line_between_two_cells_counts_for_both() -> None:
    block = build_block(recipe_with(none=0.5, weak_incomplete=0.5), 0, 0, seed=1)
    graph, stain = block.graph, block.paint.intensity
    side_stained = np.array(
        [
            stain[a:b].any()
            for a, b in zip(graph.segment_start, graph.segment_start[1:], strict=False)
        ]
    )
    shared = side_stained & (graph.side_b >= 0)
    assert shared.any()
    for cells in (graph.side_a[shared], graph.side_b[shared]):
        assert (block.truth.completeness[cells] > 0).all()


def test_a_drawn_membrane_is_dark_where_the_truth_says_so() -> None:
    recipe = recipe_with(150, 150, intense_complete=1.0)
    field = draw_field(recipe, replace(LAB, noise=0.0, read_noise=0.0, sharpen=0.0), seed=2)
    blue = field.rgb[..., 2].astype(float)
    on_line = blue[field.truth.membrane == Intensity.INTENSE].mean()
    off_line = blue[(field.truth.membrane == 0) & field.truth.tissue].mean()
    assert on_line < 0.45 * off_line


def test_null_tissue_holds_no_stained_membrane() -> None:
    field = draw_field(SMALL, LAB, seed=1)
    assert not field.truth.membrane.any()
    assert field.truth.score == Score.ZERO


def test_blank_glass_is_bright_and_not_assessable() -> None:
    field = draw_field(replace(SMALL, tissue=TissueShape("none")), LAB, seed=1)
    assert field.rgb.min() > 200
    assert field.truth.score == Score.NOT_ASSESSABLE
    assert len(field.truth.cells) == 0


def test_labels_point_to_the_cells_they_hold() -> None:
    field = draw_field(SMALL, LAB, seed=8)
    cells, label = field.truth.cells, field.truth.label
    rows = np.flatnonzero(cells.is_tumor & (np.diff(cells.outline_start) > 0))
    inside = 0
    for i in rows:
        inside += label[min(int(cells.y[i]), 439), min(int(cells.x[i]), 479)] == i + 1
    assert inside > 0.97 * len(rows)


@pytest.mark.parametrize("x_um", [1200, 1300])
def test_labels_of_a_part_of_a_wide_slide_point_to_its_cells(x_um: int) -> None:
    # At 1300 µm the halo reaches a block of cells that the picture itself does not.
    lab = replace(LAB, mpp=0.5)
    wide = SlideRecipe(width_um=3072, height_um=1024)
    field = draw_field(wide, lab, seed=3, region=Region(2 * x_um, 800, 300, 300))
    cells, label = field.truth.cells, field.truth.label
    rows = np.flatnonzero(np.diff(cells.outline_start) > 0)
    held = [label[min(int(cells.y[i]), 299), min(int(cells.x[i]), 299)] == i + 1 for i in rows]
    assert len(rows) > 40
    assert np.mean(held) > 0.97


def test_pixels_do_not_depend_on_the_tiling_where_a_laboratory_is_softest() -> None:
    soft = replace(LAB, mpp=0.5, blur_um=2.7, sharpen=3.0, sharpen_um=2.0, noise=0.2)
    tumor = RegionRecipe(
        mix=mix_of(none=0.3, intense_complete=0.7), cytoplasm_od=0.6, brown_inset_um=6.0
    )
    recipe = replace(SMALL, regions=(tumor,), artefacts=Artefacts(blurred_patches=3))
    recipe = replace(recipe, width_um=160, height_um=130)
    frame = Region(0, 0, 320, 260)
    whole, scene = Scene(recipe, seed=18).render(frame, soft), Scene(recipe, seed=18)
    for y in range(0, 260, 65):
        for x in range(0, 320, 40):
            piece = Region(x, y, 40, 65)
            shown = scene.render(piece, soft)
            assert np.array_equal(shown, whole[piece.slices_within(frame)])


def test_widths_and_od_lie_in_the_ranges_of_their_class() -> None:
    cells = cells_of(recipe_with(none=0.4, faint_incomplete=0.3, intense_complete=0.3), seed=4)
    faint = cells.is_tumor & (cells.intensity == Intensity.FAINT)
    intense = cells.is_tumor & (cells.intensity == Intensity.INTENSE)
    assert 0.55 < cells.membrane_width_um[faint].mean() < 0.75
    assert 1.9 < cells.membrane_width_um[intense].mean() < 2.4
    assert cells.membrane_od[faint].max() < 0.2 < 0.6 < cells.membrane_od[intense].min()


def test_a_class_with_no_share_is_as_one_that_is_not_named() -> None:
    none, faint = (MixEntry(*e, share) for e, share in zip(CLASSES, (1.0, 0.0), strict=True))
    complete = MixEntry(Intensity.INTENSE, Pattern.COMPLETE, 0.0)
    plain, named = (
        build_block(replace(SMALL, regions=(RegionRecipe(mix=mix),)), 0, 0, seed=1)
        for mix in ((none,), (complete, faint, none))
    )
    assert np.array_equal(plain.is_kept, named.is_kept)
    assert np.array_equal(plain.paint.od, named.paint.od)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("size_um", [(500, 500), (1000, 800)])
def test_control_tissue_holds_cells_however_small_it_is(
    size_um: tuple[int, int], seed: int
) -> None:
    width, height = size_um
    tissue = TissueShape("blob", 30.0)
    recipe = SlideRecipe(width_um=width, height_um=height, tissue=tissue, control=True)
    cells, _ = cells_within(Scene(recipe, seed=seed), Region(0, 0, width, height), 1.0)
    is_control = cells.kind == CellKind.CONTROL
    assert is_control.sum() >= 5
    cx, cy, radius = control_disc(recipe)
    away = np.hypot(cells.x[is_control] - cx, cells.y[is_control] - cy)
    assert away.max() <= radius + 5


def test_control_tissue_is_never_counted() -> None:
    recipe = SlideRecipe(width_um=1500, height_um=700, tissue=TissueShape("core"), control=True)
    cells = cells_of(recipe, seed=3)
    control = cells.kind == CellKind.CONTROL
    assert control.sum() > 50
    assert not cells.is_tumor[control].any()
    assert score_of(tally_of(cells)) == Score.ZERO
    assert (cells.intensity[control] == Intensity.INTENSE).mean() > 0.5


def test_training_and_test_laboratories_differ() -> None:
    training, test = laboratories("training"), laboratories("test")
    assert len(training) >= 8
    assert len(test) >= 6
    assert not {lab.name for lab in training} & {lab.name for lab in test}
    assert all(0.17 <= lab.mpp <= 0.5 for lab in training + test)
    # Drawn from other ranges: each measure reaches where no laboratory for training does.
    for name in ("hematoxylin", "dab", "counterstain", "dab_darkening", "haze_od", "white_point"):
        assert outside(name, test, training), name
    for name in ("shading", "gamma", "blur_um", "sharpen", "noise", "saturation", "quality"):
        assert outside(name, test, training), name


def outside(name: str, these: Sequence[Laboratory], others: Sequence[Laboratory]) -> bool:
    """Whether some of these laboratories lie outside the range of the others."""
    mine, range_of = (np.array([getattr(lab, name) for lab in labs]) for labs in (these, others))
    return bool(((mine < range_of.min(axis=0)) | (mine > range_of.max(axis=0))).any())


@pytest.mark.parametrize("use", ["training", "test"])
def test_laboratories_lie_in_the_ranges_that_their_file_names(use: str) -> None:
    head = (resources.files("her2path.synth") / "data" / f"{use}.toml").read_text("utf-8")
    words = " ".join(line[1:] for line in head.splitlines() if line.startswith("#"))
    names = {"counterstain": "counterstain", "white point": "white_point", "gamma": "gamma"}
    names |= {"blur": "blur_um", "sharpening": "sharpen", "JPEG quality": "quality"}
    for word, name in names.items():
        low, high = re.search(rf"{word}\s+([\d.]+)–([\d.]*\d)", words).groups()
        values = np.array([getattr(lab, name) for lab in laboratories(use)])
        assert float(low) <= values.min(), word
        assert values.max() <= float(high), word


def test_stain_matrix_has_unit_rows() -> None:
    for lab in laboratories("test"):
        assert np.allclose(np.linalg.norm(lab.stain_matrix, axis=1), 1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("width_um = ", "no valid TOML"),
        ("width_um = " + 9000 * "[", "no valid TOML"),
        ("width_um = " + 5000 * "9", "too many digits"),
        ("[[regions]]\nmix = {none = 0,9, weak_complete = 0,1}", r"decimals with a point"),
        ("width_um = 0x" + 5000 * "F", "more than 64 bits"),
        ("[[regions]]\nmix = {none = 0x" + 300 * "F" + "}", "more than 64 bits"),
        ("[tissue]\nkind" + 2000 * ".a" + " = 1", "tables in tables"),
        ("widht_um = 3", "unknown keys"),
        ("width_um = 1e9", "µm"),
        ("[[regions]]\nmix = {none = 0.5}", "sum to 1"),
        ("[[regions]]\nmix = {nothing = 1.0}", "unknown kind of cell"),
        ("[tissue]\nkind = 'cake'", "use fill"),
        ("control = true", "glass"),
        ("regions = []", "regions"),
        ("width_um = 'wide'", "width_um"),
        ("regions = 3", "regions"),
        ("[artefacts]\nfolds = 2.5", "whole numbers"),
        (
            "width_um = 70_000\nheight_um = 70_000\n[artefacts]\npigment_per_mm2 = 10_000",
            "pigment_per_mm2 = 10000 makes 49,000,000 on a slide of 4,900 mm²: give fewer",
        ),
        (
            "width_um = 70_000\nheight_um = 70_000\n[[regions]]\nname = 'a'\nwalls_per_mm2 = 200",
            "region 'a': walls_per_mm2 = 200 makes 980,000",
        ),
        ("[artefacts]\nfolds = 2.0", "without a point"),
        ("[[regions]]\nmix = {none = 1.0}\ndisc = [0.5, 0.5, 0]", "radius above 0"),
        ("[[regions]]\nmix = {none = 1.0}\ndisc = [0.5, 0.5, 0.1]", "lies everywhere"),
        ("[[regions]]\n[[regions]]\nname = 'b'", "'b' is not the first: give it a disc"),
        ("[[regions]]\nname = 5", "name of a region = 5"),
        ("control = 'false'", "give true or false"),
        ('name = "a\\u0001b"', "plain name"),
        (f"name = '{300 * 'n'}'", "at most 120 letters"),
        ("[[regions]]\nmix = {none = 1.0, weak_complete = nan}", "between 0 and 1"),
        (
            "[[regions]]\nmix = {none = 1.0, weak_complete = -0.5, weak_incomplete = 0.5}",
            "weak_complete = -0.5",
        ),
        ("width_um = 300\n[tissue]\nkind = 'core'\nmargin_um = 150", "less than 150 µm"),
        ("width_um = 300\n[tissue]\nkind = 'biopsy'\nmargin_um = 80", "less than 75 µm"),
        (
            "control = true\nwidth_um = 300\n[tissue]\nkind = 'blob'\nmargin_um = 120",
            "less than 117 µm",
        ),
    ],
)
def test_a_faulty_recipe_is_refused_with_its_fault(text: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        recipe_from_toml(text)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dab": (math.nan, 0.5, 0.5)}, "three numbers"),
        ({"dab": (0.0, 0.0, 0.0)}, "not all 0"),
        ({"dab": (1e-200, 0.0, 0.0)}, "not all 0"),
        ({"dab": ("a", "b", "c")}, "three numbers"),
        ({"dab": (True, 0.5, 0.2)}, "three numbers"),
        ({"dab": 3}, "three numbers"),
        ({"white_point": (300.0, 300.0, 300.0)}, "three numbers from 0 to"),
        ({"dab": (0.68, 0.64, 0.36), "hematoxylin": (0.68, 0.64, 0.36)}, "two colors"),
    ],
)
def test_a_laboratory_that_cannot_be_drawn_is_refused(changes, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        replace(LAB, **changes)


def test_a_faulty_part_brings_no_faults_that_are_not_there() -> None:
    text = (
        "width_um = 100\nheight_um = 100\n[tissue]\nkind = 'cake'\nmargin_um = 0\n"
        "[[regions]]\nname = 'a'\n[[regions]]\nname = 'b'\ndisc = [0.5, 0.5, 0.1]\n"
        "mix = {none = 0.5}\n"
    )
    with pytest.raises(RecipeError) as caught:
        recipe_from_toml(text)
    assert str(caught.value).splitlines()[1:] == [
        "  - tissue kind 'cake': use fill, blob, core, biopsy or none",
        "  - [[regions]] 2: mix: shares of a mix sum to 0.5: make them sum to 1",
    ]


def test_a_recipe_reads_from_toml() -> None:
    recipe = recipe_from_toml(
        "name = 'x'\nwidth_um = 500\n[tissue]\nkind = 'core'\n"
        "[[regions]]\nname = 'a'\nmix = {none = 0.8, faint_incomplete = 0.2}\n"
        "[[regions]]\nname = 'b'\nmix = {none = 1.0}\ndisc = [0.5, 0.5, 0.2]\n"
        "[artefacts]\nfolds = 2\n"
    )
    assert [region.name for region in recipe.regions] == ["a", "b"]
    assert recipe.regions[1].disc == (0.5, 0.5, 0.2)
    assert recipe.artefacts.folds == 2


def test_a_mix_that_names_a_kind_of_cell_twice_is_refused() -> None:
    none, weak = mix_of(none=0.5, weak_incomplete=0.5)
    twice = (none, replace(weak, share=0.25), replace(weak, share=0.25))
    for name in ("mix", "dcis_mix", "benign_mix"):
        with pytest.raises(RecipeError, match="names a cell twice"):
            RegionRecipe(**{name: twice})


def test_a_picture_too_large_for_memory_is_refused() -> None:
    with pytest.raises(RecipeError, match="write a slide"):
        draw_field(replace(SMALL, width_um=30_000, height_um=30_000), LAB, seed=1)


def test_every_cell_of_every_kind_has_a_known_pattern() -> None:
    region = RegionRecipe(dcis_share=0.5, benign_share=0.2, nest_um=120.0)
    cells = cells_of(SlideRecipe(width_um=600, height_um=600, regions=(region,)), seed=2)
    assert {CellKind.TUMOR, CellKind.IN_SITU, CellKind.BENIGN, CellKind.STROMA} <= set(cells.kind)
    assert set(cells.pattern) <= {int(pattern) for pattern in Pattern}
    assert (cells.completeness[cells.intensity == 0] == 0).all()


@pytest.mark.parametrize("seed", [-1, 2**62])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="seed"):
        Scene(SMALL, seed=seed)


@pytest.mark.parametrize("words", [{"none": 1.0}, {"intense_complete": 1.0}])
def test_in_situ_carcinoma_is_stained_as_asked_and_never_counted(words) -> None:
    region = RegionRecipe(dcis_share=0.6, benign_share=0.0, dcis_mix=mix_of(**words))
    cells = cells_of(SlideRecipe(width_um=500, height_um=500, regions=(region,)), seed=2)
    in_situ = cells.kind == CellKind.IN_SITU
    assert in_situ.sum() > 100
    assert not cells.is_tumor[in_situ].any()
    stained = (cells.intensity[in_situ] == Intensity.INTENSE).mean()
    assert stained == (0.0 if "none" in words else 1.0)
    assert score_of(tally_of(cells)) == Score.ZERO


def test_brown_fades_by_exact_distances_whatever_lies_where_in_memory() -> None:
    rng = np.random.default_rng(0)
    label = np.kron(rng.integers(0, 30, (12, 12)), np.ones((25, 25))).astype(np.int32)
    brown, inset_um, mpp = np.ones(label.shape, np.float32), 1.7, 0.25
    fade_to_borders(brown, label, np.full(30, inset_um), mpp)
    across, down = np.diff(label, axis=1) != 0, np.diff(label, axis=0) != 0
    inside = np.ones(label.shape, np.bool_)
    inside[:, 1:] &= ~across
    inside[:, :-1] &= ~across
    inside[1:] &= ~down
    inside[:-1] &= ~down
    square = np.rint(distance_transform_edt(inside) ** 2).astype(np.float32)
    exact = np.minimum(np.sqrt(square) / np.float32(inset_um / mpp), np.float32(1))
    assert (brown == exact).all()
