"""Losses: masked where nothing is known, least at the truth."""

from dataclasses import replace

import pytest
import torch

from her2path.models.design import CELL_CLASSES, NetworkDesign
from her2path.models.losses import Targets, losses_of, ordinal_loss
from her2path.models.network import Her2Network, Outputs

SIDE, N = 32, 2


def outputs(seed: int = 0) -> Outputs:
    torch.manual_seed(seed)
    return Outputs(
        planes=torch.randn(2, 6, SIDE, SIDE),
        weight=torch.rand(2, 1, N, N),
        features=torch.rand(2, 32, N, N),
        cell_logits=torch.randn(2, len(CELL_CLASSES), N, N),
    )


def targets() -> Targets:
    torch.manual_seed(1)
    dense = torch.rand(2, SIDE, SIDE)
    return Targets(
        nucleus=dense,
        centre=dense,
        membrane=dense,
        tissue=torch.softmax(torch.randn(2, 3, SIDE, SIDE), dim=1),
        nucleus_known=torch.ones(2, SIDE, SIDE),
        membrane_known=torch.ones(2, SIDE, SIDE),
        tissue_known=torch.ones(2, SIDE, SIDE),
        cells=torch.rand(2, len(CELL_CLASSES), N, N),
        cells_known=torch.ones(2),
        count_known=torch.ones(2),
        score=torch.tensor([[2, 2], [4, 4]]),
        group=torch.tensor([0, 1]),
        group_score=torch.tensor([[2, 2], [4, 4]]),
    )


@pytest.fixture(scope="module")
def network() -> Her2Network:
    torch.manual_seed(0)
    return Her2Network(NetworkDesign())


def test_a_range_of_scores_asks_only_for_the_cuts_outside_it() -> None:
    logits = torch.tensor([[9.0, -9.0, 9.0, -9.0]])
    # 0+ to 2+: surely above the first cut, surely not above the last, the others are not asked for.
    within = torch.tensor([[1, 3]])
    torch.testing.assert_close(
        ordinal_loss(logits, within), ordinal_loss(logits[:, [0, 3]], torch.tensor([[1, 1]]))
    )
    assert float(ordinal_loss(-logits, within)) > 5
    assert float(ordinal_loss(logits, torch.tensor([[0, 4]]))) == 0


def test_without_any_label_every_term_is_nothing(network: Her2Network) -> None:
    nothing = replace(
        targets(),
        nucleus_known=torch.zeros(2, SIDE, SIDE),
        membrane_known=torch.zeros(2, SIDE, SIDE),
        tissue_known=torch.zeros(2, SIDE, SIDE),
        cells_known=torch.zeros(2),
        count_known=torch.zeros(2),
        score=torch.full((2, 2), -1),
        group_score=torch.full((2, 2), -1),
    )
    terms = losses_of(network, outputs(), nothing)
    assert all(float(term.detach()) == 0 for term in terms.values())


@pytest.mark.parametrize(
    ("name", "mask"),
    [("nucleus", "nucleus_known"), ("membrane", "membrane_known"), ("tissue", "tissue_known")],
)
def test_what_is_not_known_cannot_change_a_loss(network: Her2Network, name: str, mask: str) -> None:
    known = torch.ones(2, SIDE, SIDE)
    known[:, :, SIDE // 2 :] = 0
    wanted = replace(targets(), **{mask: known})
    first = outputs()
    planes = first.planes.clone()
    planes[..., SIDE // 2 :] += 5
    before = losses_of(network, first, wanted)[name]
    after = losses_of(network, first._replace(planes=planes), wanted)[name]
    torch.testing.assert_close(before, after)


def test_each_term_has_a_gradient(network: Her2Network) -> None:
    given = outputs()
    leaves = Outputs(*(part.requires_grad_() for part in given))
    total = torch.stack(list(losses_of(network, leaves, targets()).values())).sum()
    total.backward()
    for part in leaves:
        assert part.grad is not None
        assert bool(part.grad.abs().sum() > 0)


@pytest.mark.parametrize("rank", range(5))
def test_the_ordinal_loss_is_least_at_the_true_score(rank: int) -> None:
    cuts = torch.arange(4.0)
    grades = torch.arange(-0.5, 4.0)
    label = torch.tensor([[rank, rank]])
    found = [float(ordinal_loss(10 * (grade - cuts)[None], label)) for grade in grades]
    assert found.index(min(found)) == rank


def test_a_score_of_two_neighbours_is_not_asked_for_the_cut_between_them() -> None:
    label = torch.tensor([[0, 1]])
    low = torch.tensor([[-9.0, -9.0, -9.0, -9.0]])
    high = torch.tensor([[9.0, -9.0, -9.0, -9.0]])
    assert float(ordinal_loss(low, label)) == pytest.approx(float(ordinal_loss(high, label)))


def test_a_further_miss_costs_more() -> None:
    cuts = torch.arange(4.0)
    label = torch.tensor([[0, 0]])
    found = [float(ordinal_loss(4 * (g + 0.5 - cuts)[None], label)) for g in (-1, 0, 1, 2, 3)]
    assert found == sorted(found)
