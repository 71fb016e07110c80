"""The network: shapes, reach, additivity, order of scores."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from her2path.criteria.score import Extent, Intensity
from her2path.models.design import (
    BACKBONES,
    CELL_CLASSES,
    STRIDE_PX,
    NetworkDesign,
    cell_class,
)
from her2path.models.network import (
    ENCODERS,
    Her2Network,
    grown,
    mean_features,
    without_batch_norm,
)


@pytest.fixture(scope="module")
def network() -> Her2Network:
    torch.manual_seed(3)
    made = Her2Network(NetworkDesign())
    made.train()
    # A few pictures give the normalisation something to go by.
    with torch.no_grad():
        for _ in range(3):
            made(torch.rand(2, 3, 64, 64))
    return made.eval()


def test_the_compact_network_stays_small(network: Her2Network) -> None:
    assert sum(p.numel() for p in network.parameters()) < 900_000


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_gives_the_same_shapes(backbone: str) -> None:
    made = Her2Network(NetworkDesign(backbone=backbone)).eval()
    with torch.inference_mode():
        out = made(torch.rand(2, 3, 64, 96))
    assert out.planes.shape == (2, 6, 64, 96)
    assert out.weight.shape == (2, 1, 4, 6)
    assert out.features.shape == (2, 32, 4, 6)
    assert float(out.weight.min()) >= 0
    assert float(out.features.min()) >= 0
    assert float(out.features.max()) <= 1


def test_every_backbone_that_can_be_named_can_be_built() -> None:
    assert tuple(ENCODERS) == BACKBONES


def test_a_design_with_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(ValueError, match="compact"):
        NetworkDesign(backbone="vgg")


@pytest.mark.parametrize("backbone", BACKBONES)
def test_nothing_further_away_than_the_reach_changes_an_answer(backbone: str) -> None:
    torch.manual_seed(0)
    made = Her2Network(NetworkDesign(backbone=backbone)).eval()
    side = 2 * (made.design.reach_px + STRIDE_PX) // STRIDE_PX * STRIDE_PX + STRIDE_PX
    rgb = torch.rand(1, 3, side, side, requires_grad=True)
    out = made(rgb)
    middle = side // 2
    cell = middle // STRIDE_PX
    total = out.planes[0, :, middle, middle].sum() + out.features[0, :, cell, cell].sum()
    total.backward()
    gradient = rgb.grad
    assert gradient is not None
    rows = torch.nonzero(gradient[0].abs().sum(dim=(0, 2)))[:, 0]
    assert int(rows.min()) >= cell * STRIDE_PX - made.design.reach_px
    assert int(rows.max()) < (cell + 1) * STRIDE_PX + made.design.reach_px


def test_folding_the_normalisation_changes_nothing(network: Her2Network) -> None:
    rgb = torch.rand(1, 3, 64, 64)
    folded = Her2Network(network.design)
    folded.load_state_dict(network.state_dict())
    folded = without_batch_norm(folded)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    with torch.inference_mode():
        a, b = network(rgb), folded(rgb)
    torch.testing.assert_close(a.planes, b.planes, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(a.features, b.features, atol=1e-5, rtol=1e-4)


@given(seed=st.integers(0, 1000))
def test_probabilities_of_scores_are_shares_and_cuts_keep_their_order(seed: int) -> None:
    torch.manual_seed(seed)
    made = Her2Network(NetworkDesign())
    with torch.no_grad():
        made.cut_steps.normal_(0, 4)
        cuts = made.cut_points()
        found = made.score_probabilities(torch.rand(5, 32))
    assert bool((cuts[1:] > cuts[:-1]).all())
    assert float(found.min()) >= 0
    torch.testing.assert_close(found.sum(dim=1), torch.ones(5))


def test_the_sums_of_two_halves_give_the_features_of_the_whole() -> None:
    weight, features = torch.rand(1, 1, 4, 8), torch.rand(1, 32, 4, 8)
    whole = mean_features(weight, features)
    halves = [(weight[..., k], features[..., k]) for k in (slice(0, 3), slice(3, 8))]
    total = sum(w.sum() for w, _ in halves)
    sums = sum((w * f).sum(dim=(2, 3)) for w, f in halves)
    torch.testing.assert_close(whole, sums / total)


def test_positions_without_tumor_cells_do_not_count() -> None:
    weight = torch.tensor([[[[1.0, 0.0]]]])
    features = torch.rand(1, 32, 1, 2)
    torch.testing.assert_close(mean_features(weight, features), features[:, :, 0, 0])


def test_each_kind_of_cell_has_its_own_class() -> None:
    found = {
        cell_class(intensity, extent)
        for intensity in Intensity
        for extent in Extent
        if intensity != Intensity.NONE
    }
    assert found == set(range(1, len(CELL_CLASSES)))
    assert CELL_CLASSES[cell_class(Intensity.MODERATE, Extent.COMPLETE)] == "moderate_complete"
    assert np.unique([cell_class(Intensity.NONE, extent) for extent in Extent]).tolist() == [0]


def test_a_deep_network_begins_with_the_answers_of_the_compact_one(network: Her2Network) -> None:
    deep = grown(network, NetworkDesign(backbone="deep")).eval()
    picture = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        for ours, theirs in zip(deep(picture), network(picture), strict=True):
            torch.testing.assert_close(ours, theirs)


def test_no_other_network_grows(network: Her2Network) -> None:
    for design in (NetworkDesign(backbone="resnet18"), NetworkDesign("deep", n_hidden=16)):
        with pytest.raises(ValueError, match="cannot grow"):
            grown(network, design)
