"""Reading with a checkpoint: any tile size, any µm/px in range, by torch or ONNX."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from her2path.cells.polar import REACH_UM
from her2path.errors import ModelError
from her2path.models.checkpoint import add_files, load_checkpoint, recalibrate, save_checkpoint
from her2path.models.description import ModelCalibration, Normalisation
from her2path.models.design import STRIDE_PX
from her2path.models.devices import CardFullError
from her2path.models.export_onnx import export_onnx
from her2path.models.inference import (
    PIECE_PX,
    NetworkReader,
    box_factor,
    piece_size,
    shifted,
    stepped,
)
from her2path.models.score_head import ScoreHead
from her2path.models.torch_reading import network_of
from her2path.models.validation import probabilities_of

PLANES = ("nucleus", "centre", "membrane", "tumor", "outside")


@pytest.fixture(scope="module")
def reader(untrained: Path) -> NetworkReader:
    # In full precision on every processor: some multiply bfloat16, which is compared below.
    return NetworkReader(untrained, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    rng = np.random.default_rng(2)
    coarse = rng.integers(60, 255, (25, 30, 3), dtype=np.uint8)
    return np.repeat(np.repeat(coarse, 16, axis=0), 16, axis=1)


def test_planes_and_positions_cover_the_picture(reader: NetworkReader) -> None:
    rgb = np.full((101, 67, 3), 230, np.uint8)
    found = reader.read(rgb, 0.25)
    assert (found.downsample, found.mpp, found.stride) == (2.0, 0.5, 16)
    for name in PLANES:
        assert getattr(found, name).shape == (51, 34)
    assert found.weight.shape == (4, 3)
    assert found.features.shape == (4, 3, 32)


def test_the_reader_gives_what_the_network_gives(
    reader: NetworkReader, untrained: Path, picture: np.ndarray
) -> None:
    network = network_of(load_checkpoint(untrained))
    with torch.inference_mode():
        out = network(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255)
    wanted = probabilities_of(out.planes)[0].numpy().astype(int)
    found = reader.read(picture, 0.5)
    for name, plane in zip(("nucleus", "centre", "membrane"), wanted, strict=False):
        assert np.abs(getattr(found, name).astype(int) - plane).max() <= 1
    share = wanted[3] / np.maximum(1, wanted[3] + wanted[4])
    sure = wanted[3] + wanted[4] > 100
    assert np.abs(found.tumor / 255 - share)[sure].max() < 0.02
    np.testing.assert_allclose(found.weight, out.weight[0, 0], atol=1e-4)
    np.testing.assert_allclose(found.features, out.features[0].permute(1, 2, 0), atol=1e-4)


def test_the_head_grades_as_the_network_does(reader: NetworkReader, untrained: Path) -> None:
    network = network_of(load_checkpoint(untrained))
    features = np.random.default_rng(4).random((7, 32))
    with torch.inference_mode():
        wanted = network.above_logits(torch.from_numpy(features).float())
    np.testing.assert_allclose(reader.score_logits(features), wanted, atol=1e-4)


def test_weights_without_a_head_are_refused(untrained: Path, tmp_path: Path) -> None:
    found = load_checkpoint(untrained)
    kept = {name: part for name, part in found.tensors.items() if name != "grade.bias"}
    save_checkpoint(tmp_path / "headless", kept, found.description)
    with pytest.raises(ModelError, match=r"grade\.bias"):
        NetworkReader(tmp_path / "headless", device="cpu")


def test_the_shipped_network_reads_without_loading_torch() -> None:
    code = (
        "import sys, numpy as np\n"
        "from her2path.pipeline.network import SHIPPED_NETWORK, find_network, reader_of\n"
        "reader = reader_of(find_network(SHIPPED_NETWORK, device='cpu'))\n"
        "planes = reader.read(np.full((64, 64, 3), 240, np.uint8), 0.5)\n"
        "reader.score_probabilities(planes.features.reshape(-1, 32).astype(float))\n"
        "print(reader.runtime, 'torch' in sys.modules)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["onnx", "False"]


@given(top=st.integers(0, 4), left=st.integers(0, 5))
def test_a_part_reads_like_the_whole_beyond_its_halo(
    reader: NetworkReader, picture: np.ndarray, top: int, left: int
) -> None:
    whole = reader.read(picture, 0.5)
    r, c, halo = 32 * top, 32 * left, reader.halo_px
    part = reader.read(np.ascontiguousarray(picture[r : r + 272, c : c + 304]), 0.5)
    inner = np.s_[halo : 272 - halo, halo : 304 - halo]
    for name in PLANES:
        there = getattr(whole, name)[r : r + 272, c : c + 304]
        assert np.array_equal(getattr(part, name)[inner], there[inner]), name
    h = halo // 16
    np.testing.assert_allclose(
        part.weight[h:-h, h:-h],
        whole.weight[r // 16 + h : r // 16 + 17 - h, c // 16 + h :][:, : 19 - 2 * h],
        atol=1e-5,
    )


def test_pieces_do_not_show(untrained: Path, picture: np.ndarray) -> None:
    whole, pieces = NetworkReader(untrained), NetworkReader(untrained)
    pieces.piece_px = 128
    a, b = whole.read(picture, 0.5), pieces.read(picture, 0.5)
    for name in PLANES:
        assert np.abs(getattr(a, name).astype(int) - getattr(b, name)).max() <= 1
    np.testing.assert_allclose(a.features, b.features, atol=1e-5)


@given(rows=st.integers(1, 300), cols=st.integers(1, 300), most=st.integers(8, 90))
def test_pieces_are_even_of_bounded_size_and_read_no_more_than_squares(
    rows: int, cols: int, most: int
) -> None:
    rows, cols, most, halo = 16 * rows, 16 * cols, 16 * most, 144
    step_r, step_c = piece_size(rows, cols, most, halo)
    assert step_r % 16 == 0
    assert step_c % 16 == 0
    assert step_r * step_c <= most**2
    n_r, n_c = -(-rows // step_r), -(-cols // step_c)
    assert (n_r - 1) * step_r < rows <= n_r * step_r

    def n_read(n_r: int, n_c: int) -> int:
        return (rows + 2 * halo * (n_r - 1)) * (cols + 2 * halo * (n_c - 1))

    assert n_read(n_r, n_c) <= n_read(-(-rows // most), -(-cols // most))


def test_a_frame_is_cut_once_along_its_longer_side() -> None:
    assert piece_size(1936, 1936, 1408, 144) == (976, 1936)
    assert piece_size(1408, 1400 // 16 * 16, 1408, 144) == (1408, 1392)


def test_onnx_gives_the_same_answers(untrained: Path, picture: np.ndarray, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    folder = tmp_path / "model"
    shutil.copytree(untrained, folder)
    export_onnx(folder, network_of(load_checkpoint(folder)))
    by_onnx = NetworkReader(folder, device="cpu")
    by_torch = NetworkReader(folder, device="cpu", runtime="torch", precision="fp32")
    assert (by_onnx.runtime, by_torch.runtime) == ("onnx", "torch")
    a, b = by_onnx.read(picture, 0.5), by_torch.read(picture, 0.5)
    for name in PLANES:
        assert np.abs(getattr(a, name).astype(int) - getattr(b, name)).max() <= 1, name
    np.testing.assert_allclose(a.weight, b.weight, atol=1e-3)
    np.testing.assert_allclose(a.features, b.features, atol=1e-3)


@pytest.mark.parametrize("mpp", [0.05, 0.8, 2.0])
def test_a_picture_that_it_is_not_made_for_is_refused(reader: NetworkReader, mpp: float) -> None:
    with pytest.raises(ModelError, match="µm/px"):
        reader.read(np.zeros((32, 32, 3), np.uint8), mpp)


@pytest.mark.parametrize(
    ("mpp", "factor"), [(0.25, 2), (0.23, 2), (0.5, 1), (0.12, 4), (0.17, 3), (0.33, 0), (0.65, 0)]
)
def test_whole_boxes_are_averaged_where_they_fit(mpp: float, factor: int) -> None:
    assert box_factor(mpp, 0.5) == factor


def test_what_is_resampled_is_read_near_the_scale_of_the_network() -> None:
    between = [m for m in np.arange(0.1, 0.7, 0.0005) if not box_factor(m, 0.5)]
    assert between
    read_at = np.array([m * stepped(0.5 / m) for m in between])
    np.testing.assert_allclose(read_at, 0.5, rtol=0.045)


def test_a_tile_and_its_halo_are_one_piece_of_a_deep_network() -> None:
    frame_px = -(-round((768 + 2 * (2 * REACH_UM + 144 * 0.5)) / 0.5) // STRIDE_PX) * STRIDE_PX
    assert piece_size(frame_px, frame_px, PIECE_PX, 144) == (frame_px, frame_px)


@pytest.mark.parametrize("mpp", [0.33, 0.65])
def test_other_pictures_are_resampled_in_place(reader: NetworkReader, mpp: float) -> None:
    rgb = np.full((160, 160, 3), 255, np.uint8)
    rgb[80:] = 0
    small, downsample = reader.resampled(rgb, mpp)
    assert downsample == pytest.approx(0.5 / mpp, rel=0.03)
    edge = np.flatnonzero(np.diff(small[:, 40, 0].astype(int)) < -20)
    assert abs((edge.mean() + 1) * downsample - 80) < 1.0


@pytest.mark.parametrize("mpp", [0.3, 0.33, 0.4, 0.65])
def test_a_part_reads_like_the_whole_where_no_boxes_fit(reader: NetworkReader, mpp: float) -> None:
    rgb = np.random.default_rng(4).integers(0, 256, (600, 600, 3), dtype=np.uint8)
    whole, downsample = reader.resampled(rgb, mpp)
    corner = STRIDE_PX * downsample
    assert corner == int(corner)
    part, _ = reader.resampled(np.ascontiguousarray(rgb[int(corner) :, 3 * int(corner) :]), mpp)
    there = whole[STRIDE_PX:, 3 * STRIDE_PX :]
    # A rim as wide as the blur sees the border of the part.
    assert part.shape == there.shape
    assert np.array_equal(part[8:, 8:], there[8:, 8:])


def test_scores_of_areas_are_shares(reader: NetworkReader) -> None:
    found = reader.score_probabilities(np.random.default_rng(0).random((3, 32)))
    assert found.shape == (3, 5)
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_asking_for_onnx_without_the_file_is_an_error(untrained: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.onnx"):
        NetworkReader(untrained, device="cpu", runtime="onnx")


def test_a_stated_cut_becomes_one_half_and_order_is_kept() -> None:
    steps = np.arange(256, dtype=np.uint8)
    moved = shifted(steps, 0.75)
    assert moved[191] == pytest.approx(127.5, abs=1.5)
    assert (moved[0], moved[255]) == (0, 255)
    assert (np.diff(moved.astype(int)) >= 0).all()
    np.testing.assert_array_equal(shifted(steps, 0.5), steps)


def test_what_a_checkpoint_states_is_what_the_reader_gives(
    untrained: Path, picture: np.ndarray, tmp_path: Path
) -> None:
    folder = tmp_path / "calibrated"
    shutil.copytree(untrained, folder)
    stated = ModelCalibration(
        temperature=0.5, shifts=(2.0, 1.0, 0.0, -1.0), plane_cuts={"tumor": 0.75}
    )
    recalibrate(folder, stated, metrics={})
    plain, calibrated = NetworkReader(untrained), NetworkReader(folder)
    before, after = plain.read(picture, 0.5), calibrated.read(picture, 0.5)
    np.testing.assert_array_equal(after.tumor, shifted(before.tumor, 0.75))
    assert (after.tumor < before.tumor).any()
    np.testing.assert_array_equal(after.membrane, before.membrane)
    features = before.features[:1, 0]
    logits = plain.score_logits(features)[0]
    np.testing.assert_allclose(calibrated.score_logits(features)[0], logits)
    above = 1 / (1 + np.exp(-(logits + np.array(stated.shifts)) / stated.temperature))
    p = calibrated.score_probabilities(features)[0]
    np.testing.assert_allclose(1 - np.cumsum(p)[:-1], np.minimum.accumulate(above), atol=1e-6)


class LittleMemory:
    """Runs a reader's network, but not on pieces above a size, as a full graphics card would."""

    def __init__(self, reader: NetworkReader, most_px: int) -> None:
        self.run, self.most_px = reader._run, most_px
        self.n_refused = 0

    def __call__(self, rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if max(rgb.shape[1:3]) > self.most_px:
            self.n_refused += 1
            raise CardFullError
        return self.run(rgb)


def test_a_full_card_is_given_smaller_pieces(untrained: Path, picture: np.ndarray) -> None:
    whole, short = NetworkReader(untrained), NetworkReader(untrained)
    memory = LittleMemory(short, short.halo_px + 320)
    short._run = memory
    a, b = whole.read(picture, 0.5), short.read(picture, 0.5)
    for name in PLANES:
        assert np.abs(getattr(a, name).astype(int) - getattr(b, name)).max() <= 1
    n_refused = memory.n_refused
    assert n_refused > 0
    short.read(picture, 0.5)
    assert memory.n_refused == n_refused, "the size that fitted is remembered"


def test_a_card_without_room_for_the_network_is_said_so(
    untrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(torch.nn.Module, "to", full)
    with pytest.raises(ModelError, match=r"no room for the network.*--device cpu"):
        NetworkReader(untrained, device="cpu", runtime="torch")


def test_a_card_that_holds_nothing_is_said_so(untrained: Path, picture: np.ndarray) -> None:
    reader = NetworkReader(untrained)
    reader._run = LittleMemory(reader, 16)
    with pytest.raises(ModelError, match="--device cpu"):
        reader.read(picture, 0.5)


@pytest.mark.parametrize("given", [{"precision": "fp8"}, {"runtime": "jax"}])
def test_an_unknown_way_of_running_is_refused(untrained: Path, given: dict[str, str]) -> None:
    with pytest.raises(ModelError, match="use auto"):
        NetworkReader(untrained, **given)


def test_bfloat16_says_nearly_the_same(untrained: Path, picture: np.ndarray) -> None:
    full = NetworkReader(untrained, device="cpu", runtime="torch", precision="fp32")
    half = NetworkReader(untrained, device="cpu", runtime="torch", precision="bf16")
    a, b = full.read(picture, 0.5), half.read(picture, 0.5)
    for name in PLANES:
        off = np.abs(getattr(a, name).astype(int) - getattr(b, name))
        assert off.mean() < 1.5, name
    np.testing.assert_allclose(a.weight, b.weight, rtol=0.05, atol=0.02)


needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics card here")


@needs_card
@pytest.mark.parametrize(("precision", "most"), [("fp32", 0.2), ("bf16", 1.5)])
def test_a_graphics_card_says_nearly_the_same(
    untrained: Path, picture: np.ndarray, precision: str, most: float
) -> None:
    processor = NetworkReader(untrained, device="cpu", runtime="torch", precision="fp32")
    card = NetworkReader(untrained, device="cuda", precision=precision)
    a, b = processor.read(picture, 0.5), card.read(picture, 0.5)
    for name in PLANES:
        off = np.abs(getattr(a, name).astype(int) - getattr(b, name))
        assert off.mean() < most, name
    np.testing.assert_allclose(a.weight, b.weight, rtol=0.05, atol=0.02)


@needs_card
def test_a_card_short_of_memory_reads_all_the_same(untrained: Path) -> None:
    picture = np.random.default_rng(3).integers(0, 255, (2400, 2400, 3), np.uint8)
    card = NetworkReader(untrained, device="cuda")
    torch.cuda.empty_cache()
    least = torch.cuda.memory_reserved()
    torch.cuda.reset_peak_memory_stats()
    whole = card.read(picture, 0.5)
    most = torch.cuda.max_memory_reserved()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    try:
        torch.cuda.set_per_process_memory_fraction((least + most) / 2 / total)
        parts = card.read(picture, 0.5)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert card.piece_px < PIECE_PX
    for name in PLANES:
        assert np.abs(getattr(whole, name).astype(int) - getattr(parts, name)).max() <= 2, name


def copied(untrained: Path, folder: Path) -> Path:
    shutil.copytree(untrained, folder)
    return folder


def saved_anew(untrained: Path, folder: Path, **changes: object) -> Path:
    """Save the checkpoint again with another description or other weights."""
    checkpoint = load_checkpoint(untrained)
    tensors = changes.pop("tensors", dict(checkpoint.tensors))
    save_checkpoint(folder, tensors, checkpoint.description.model_copy(update=changes))
    return folder


def test_onnx_that_is_none_is_refused_by_its_name(untrained: Path, tmp_path: Path) -> None:
    folder = copied(untrained, tmp_path / "m")
    add_files(folder, {"model.onnx": b"no such thing"})
    with pytest.raises(ModelError, match="ONNX Runtime cannot use the model"):
        NetworkReader(folder, device="cpu")


def test_onnx_that_gives_something_else_is_refused(untrained: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    given, taken = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3])
        for name in ("rgb", "planes")
    )
    node = onnx.helper.make_node("Identity", ["rgb"], ["planes"])
    graph = onnx.helper.make_graph([node], "other", [given], [taken])
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    folder = copied(untrained, tmp_path / "m")
    add_files(folder, {"model.onnx": model.SerializeToString()})
    with pytest.raises(ModelError, match="which this version does not read"):
        NetworkReader(folder, device="cpu")


def test_sizes_of_a_design_that_are_no_whole_numbers_are_refused(
    untrained: Path, tmp_path: Path
) -> None:
    given = load_checkpoint(untrained).description.architecture
    sizes = given.parameters | {"n_features": 32.0}
    folder = saved_anew(
        untrained, tmp_path / "m", architecture=given.model_copy(update={"parameters": sizes})
    )
    with pytest.raises(ModelError, match="give whole numbers"):
        NetworkReader(folder, device="cpu")


def test_a_network_of_other_planes_or_pictures_is_refused(untrained: Path, tmp_path: Path) -> None:
    planes = load_checkpoint(untrained).description.planes
    folder = saved_anew(untrained, tmp_path / "p", planes=planes[::-1])
    with pytest.raises(ModelError, match="other planes than this version reads"):
        NetworkReader(folder, device="cpu")
    known = load_checkpoint(untrained).description
    flat = {"planes": (*known.planes, *known.tissue_classes), "tissue_classes": ()}
    folder = saved_anew(untrained, tmp_path / "f", **flat)
    with pytest.raises(ModelError, match="other planes than this version reads"):
        NetworkReader(folder, device="cpu")
    other = Normalisation(mean=(0.1,) * 3, std=(0.9,) * 3)
    folder = saved_anew(untrained, tmp_path / "n", normalisation=other)
    with pytest.raises(ModelError, match="other normalisation"):
        NetworkReader(folder, device="cpu")


def test_weights_that_are_no_numbers_are_refused(untrained: Path, tmp_path: Path) -> None:
    tensors = {name: part.clone() for name, part in load_checkpoint(untrained).tensors.items()}
    next(part for part in tensors.values() if part.is_floating_point()).flatten()[0] = torch.nan
    folder = saved_anew(untrained, tmp_path / "m", tensors=tensors)
    with pytest.raises(ModelError, match=r"numbers that are none|are no numbers"):
        NetworkReader(folder, device="cpu", runtime="torch")


def test_a_head_of_no_numbers_is_refused_whatever_runs_the_network(
    untrained: Path, tmp_path: Path
) -> None:
    tensors = {name: part.clone() for name, part in load_checkpoint(untrained).tensors.items()}
    tensors["hidden.weight"][0, 0] = torch.inf
    folder = saved_anew(untrained, tmp_path / "m", tensors=tensors)
    with pytest.raises(ModelError, match=r"are no numbers \(hidden\.weight\); fetch or train"):
        ScoreHead.of(load_checkpoint(folder))
