"""Training crops: picture and labels go together, whatever the turn, scale and colour."""

import dataclasses
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from her2path.errors import ModelError
from her2path.models.appearance import Appearance, random_appearance
from her2path.models.augment import (
    cell_grid,
    doubt_unseen,
    take_crop,
)
from her2path.models.batches import Batches, BatchPlan, score_rank
from her2path.models.colouring import coarsen_chromatin
from her2path.models.design import CELL_CLASSES, STRIDE_PX
from her2path.models.scenes import (
    FIELD_MPP,
    MAX_OD,
    TrainingField,
    decode_od,
    draw_training_field,
    draw_training_fields,
    encode_od,
    load_training_fields,
)
from her2path.synth import RegionRecipe, SlideRecipe
from her2path.synth.cell_kinds import CellKind
from her2path.synth.laboratory import Laboratory, laboratories
from her2path.synth.scene import Scene

PLAIN = Laboratory(noise=0.0, read_noise=0.0, compression="none", sharpen=0.0)


def crop_of(field: TrainingField, appearance: Appearance, *, turn: float = 0.0, seed: int = 0):
    rows, cols = field.stain.shape[:2]
    return take_crop(
        field,
        appearance,
        128,
        centre=(cols / 2, rows / 2),
        turn=turn,
        is_mirrored=seed % 2 == 1,
        rng=np.random.default_rng(seed),
    )


@given(od=st.floats(0, MAX_OD))
def test_stored_stain_comes_back_within_two_hundredths(od: float) -> None:
    back = float(decode_od(encode_od(np.array([od], np.float32)))[0])
    assert abs(back - od) < 0.004 + 0.008 * od


def test_a_field_is_the_same_for_the_same_seed(training_fields: list[TrainingField]) -> None:
    again = draw_training_field(80, 120.0)
    assert np.array_equal(again.stain, training_fields[0].stain)
    assert np.array_equal(again.truth, training_fields[0].truth)


def test_cells_without_a_nucleus_are_tumor_to_learn_from_and_no_nucleus(monkeypatch) -> None:
    passed = RegionRecipe(tumor_share=1.0, passed_share=0.5)
    scene = Scene(SlideRecipe(width_um=150.0, height_um=150.0, regions=(passed,)), seed=2)
    monkeypatch.setattr("her2path.models.scenes.choose_scene", lambda *_: scene)
    field = draw_training_field(1, 150.0)
    block = scene.block(0, 0)
    cells = np.flatnonzero((block.kind == CellKind.TUMOR) & block.is_kept)
    where = block.nuclei.select(cells)
    row, col = ((v / FIELD_MPP).astype(int) for v in (where.y, where.x))
    inside = (row >= 4) & (row < 596) & (col >= 4) & (col < 596)
    nucleus, _, tumor, _ = np.moveaxis(field.truth[row[inside], col[inside]], -1, 0)
    is_empty = ~block.has_nucleus[cells][inside]
    assert 10 < is_empty.sum() < len(is_empty) - 10
    assert (nucleus[~is_empty] > 0).mean() > 0.9
    assert (nucleus[is_empty] > 0).mean() < 0.1
    assert (tumor[is_empty] > 0).mean() > 0.9


@pytest.mark.slow
def test_processes_draw_the_same_fields_and_only_those_missing(
    fields_folder: Path, tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    draw_training_fields(tmp_path, range(80, 81), 120.0)
    draw_training_fields(
        tmp_path, range(80, 83), 120.0, workers=2, progress=lambda *now: seen.append(now)
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    again = load_training_fields(tmp_path, range(80, 82))
    assert len(again) == 2
    for ours, theirs in zip(again, load_training_fields(fields_folder, range(80, 82)), strict=True):
        assert np.array_equal(ours.stain, theirs.stain)
        assert np.array_equal(ours.kind, theirs.kind)


def test_a_folder_of_other_fields_is_not_mixed_with_new_ones(fields_folder) -> None:
    with pytest.raises(ModelError, match="another size"):
        draw_training_fields(fields_folder, range(80, 81), 100.0)


def test_centres_lie_in_nuclei(training_fields: list[TrainingField]) -> None:
    for field in training_fields:
        row, col = field.y.astype(int), field.x.astype(int)
        assert (field.truth[row, col, 0] == 255).all()


@pytest.mark.parametrize("is_coarse", [False, True])
@pytest.mark.parametrize("turn", [0.0, 0.7, math.pi / 2])
def test_labels_turn_with_the_picture(
    training_fields: list[TrainingField], turn: float, is_coarse: bool
) -> None:
    appearance = Appearance(PLAIN, is_coarse=is_coarse)
    dense = max(training_fields, key=lambda field: len(field.x))
    for seed in (0, 1):
        crop = crop_of(dense, appearance, turn=turn, seed=seed)
        assert crop.rgb.shape == (128, 128, 3)
        inner = (crop.x > 3) & (crop.y > 3) & (crop.x < 125) & (crop.y < 125)
        row, col = crop.y[inner].astype(int), crop.x[inner].astype(int)
        assert inner.any()
        assert (crop.planes[1][row, col] > 200).all()
        assert (crop.planes[0][row, col] > 127).mean() > 0.9
        # Nuclei are darker in red than what lies between them.
        nuclei = crop.planes[0] > 200
        assert crop.rgb[..., 0][nuclei].mean() < crop.rgb[..., 0][crop.planes[0] == 0].mean()


def test_tumor_other_and_outside_share_each_pixel(training_fields: list[TrainingField]) -> None:
    for field in training_fields:
        crop = crop_of(field, Appearance(PLAIN))
        assert (crop.planes[3:6].astype(int).sum(axis=0) == 255).all()


@given(seed=st.integers(0, 10_000), n=st.integers(0, 40))
def test_sharing_cells_out_over_positions_keeps_their_number(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = (rng.uniform(0, 128, n).astype(np.float32) for _ in range(2))
    kind = rng.integers(0, len(CELL_CLASSES), n).astype(np.int8)
    grid = cell_grid(x, y, kind, 128)
    assert grid.shape == (len(CELL_CLASSES), 128 // STRIDE_PX, 128 // STRIDE_PX)
    np.testing.assert_allclose(
        grid.sum(axis=(1, 2)), np.bincount(kind, minlength=len(CELL_CLASSES)), atol=1e-3
    )


@given(seed=st.integers(0, 10_000))
def test_random_appearances_are_laboratories_that_can_be_drawn(seed: int) -> None:
    appearance = random_appearance(np.random.default_rng(seed), laboratories("training"))
    # A laboratory checks its own ranges when it is made.
    assert dataclasses.replace(appearance.laboratory) == appearance.laboratory
    assert 0.39 < appearance.scale_mpp < 0.63


def test_a_crop_that_is_no_whole_number_of_positions_is_refused(
    training_fields: list[TrainingField],
) -> None:
    with pytest.raises(ValueError, match="multiple"):
        take_crop(
            training_fields[0],
            Appearance(PLAIN),
            100,
            centre=(100, 100),
            turn=0,
            is_mirrored=False,
            rng=np.random.default_rng(0),
        )


def test_a_batch_depends_on_its_number_alone(training_fields: list[TrainingField]) -> None:
    plan = BatchPlan(n_groups=2, per_group=2, crop_px=64)
    first, second = (
        Batches(training_fields, laboratories("training"), plan, seed=4, n_steps=9)
        for _ in range(2)
    )
    second[0]
    for name, part in first[5].items():
        assert torch.equal(part, second[5][name]), name
    assert not torch.equal(first[5]["rgb"], first[6]["rgb"])


@pytest.mark.parametrize(
    ("kinds", "rank"),
    [
        ({"none": 100}, 0),
        ({"none": 95, "faint_incomplete": 5}, 1),
        ({"none": 80, "faint_incomplete": 20}, 2),
        ({"none": 80, "moderate_complete": 20}, 3),
        ({"none": 80, "intense_complete": 20}, 4),
        ({"none": 10}, -1),
    ],
)
def test_the_score_of_counted_cells_follows_the_criteria(kinds: dict[str, int], rank: int) -> None:
    tally = np.array([kinds.get(name, 0) for name in CELL_CLASSES])
    assert score_rank(tally) == rank


def patch_of_nuclei(*, clumps_od: float) -> tuple[np.ndarray, np.ndarray]:
    """Hematoxylin with one nucleus, as dark as its surroundings on average."""
    rows, cols = np.mgrid[:64, :64]
    nucleus = ((rows - 32) ** 2 + (cols - 32) ** 2 <= 20**2).astype(np.uint8) * np.uint8(255)
    od = np.zeros((64, 64, 4), np.float32)
    od[..., 0] = 0.2 + clumps_od * np.where((rows // 4 + cols // 4) % 2, 1, -1) * (nucleus > 0)
    return od, nucleus


def test_coarser_chromatin_stands_out_more_and_keeps_its_mean() -> None:
    od, nucleus = patch_of_nuclei(clumps_od=0.05)
    grown = od.copy()
    coarsen_chromatin(grown, nucleus, 3.0, 8.0)
    inside = nucleus > 0
    assert grown[inside][:, 0].std() == pytest.approx(3 * od[inside][:, 0].std(), rel=0.1)
    assert grown[inside][:, 0].mean() == pytest.approx(od[inside][:, 0].mean(), abs=0.01)
    assert np.array_equal(grown[~inside], od[~inside])
    assert np.array_equal(grown[..., 1:], od[..., 1:])


@pytest.mark.parametrize(("clumps_od", "known"), [(0.0, 255 // 6), (0.08, 255)])
def test_a_nucleus_of_its_surroundings_colour_is_seen_by_its_chromatin(
    clumps_od: float, known: int
) -> None:
    od, nucleus = patch_of_nuclei(clumps_od=clumps_od)
    grey = (255 * 10 ** -od[..., 0]).astype(np.uint8)
    planes = np.full((9, 64, 64), 255, np.uint8)
    planes[0] = nucleus
    doubt_unseen(planes, np.dstack([grey] * 3), 36)
    assert planes[6, 32, 32] == known


@pytest.mark.parametrize("turn", [0.0, 0.7])
def test_nuclei_of_a_mirrored_edge_are_labelled_too(
    training_fields: list[TrainingField], turn: float
) -> None:
    dense = max(training_fields, key=lambda field: len(field.x))
    rows, cols = dense.stain.shape[:2]
    n_whole = 0
    for centre in ((0, rows / 2), (cols, rows), (cols / 2, 0)):
        crop = take_crop(
            dense,
            Appearance(PLAIN),
            128,
            centre=centre,
            turn=turn,
            is_mirrored=False,
            rng=np.random.default_rng(0),
        )
        # Each nucleus that can be seen whole has its centre.
        _, _, boxes, _ = cv2.connectedComponentsWithStats((crop.planes[0] > 127).astype(np.uint8))
        whole = [
            box
            for box in boxes[1:]
            if box[:2].min() > 0 and (box[:2] + box[2:4]).max() < 128 and box[4] > 60
        ]
        n_whole += len(whole)
        for x, y, width, height, _ in whole:
            assert crop.planes[1, y : y + height, x : x + width].max() > 200
        assert crop.cells.sum() == pytest.approx(crop.is_tumor.sum(), abs=1e-2)
    assert n_whole > 20


def test_a_folder_of_fields_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="choose another folder for fields"):
        draw_training_fields(tmp_path / "file", range(1), 120.0)
