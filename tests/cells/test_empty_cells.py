"""Cells in which no nucleus can be seen, and pieces of nuclei."""

import numpy as np
import pytest

from her2path.cells.empty_cells import LEAST_AREA, LEAST_CELLS, has_no_nucleus, is_fragment

N = 200
# Of a usual nucleus: OD of hematoxylin in it and round it, its texture, brown in it and round it.
SEEN = {
    "nucleus_h_od": 0.30,
    "cytoplasm_h_od": 0.10,
    "nucleus_texture_od": 0.08,
    "nucleus_dab_od": 0.02,
    "shared_cytoplasm_od": 0.02,
}
EMPTY = SEEN | {"nucleus_h_od": 0.10, "nucleus_texture_od": 0.02}


def found_empty(make_cells, other, *, n_usual=N, is_hidden=False):
    """Return whether a cell is empty beside usual ones, and how many of those are."""
    rng = np.random.default_rng(5)
    columns = {
        name: np.append(value * rng.normal(1, 0.15, n_usual), other[name]).astype(np.float32)
        for name, value in SEEN.items()
    }
    hidden = np.append(np.zeros(n_usual, np.bool_), is_hidden)
    cells = make_cells(n_usual + 1, is_hidden=hidden, **columns)
    found = has_no_nucleus(cells, np.arange(n_usual + 1) < n_usual)
    return bool(found[-1]), int(found[:-1].sum())


def test_even_cytoplasm_is_no_nucleus_and_usual_nuclei_are_seen(make_cells) -> None:
    assert found_empty(make_cells, EMPTY) == (True, 0)


@pytest.mark.parametrize(
    "sign",
    [
        {"nucleus_h_od": 0.20},
        {"nucleus_texture_od": 0.08},
        # White in brown: as many nuclei of 3+ are.
        {"nucleus_dab_od": 0.20, "shared_cytoplasm_od": 0.40},
        # Paler than the cytoplasm round it.
        {"cytoplasm_h_od": 0.25},
    ],
)
def test_one_sign_of_a_nucleus_is_enough(make_cells, sign) -> None:
    assert found_empty(make_cells, EMPTY | sign) == (False, 0)


def test_brown_between_two_membranes_is_no_hollow(make_cells) -> None:
    browner = {"nucleus_dab_od": 0.40, "shared_cytoplasm_od": 0.20}
    assert found_empty(make_cells, EMPTY | browner)[0]


def test_a_nucleus_found_as_hidden_counts(make_cells) -> None:
    assert not found_empty(make_cells, EMPTY, is_hidden=True)[0]


def test_what_is_usual_follows_the_slide(make_cells) -> None:
    pale = {name: 0.3 * value for name, value in SEEN.items()}
    assert found_empty(make_cells, pale)[0] is False


def test_of_few_cells_nothing_is_usual(make_cells) -> None:
    assert found_empty(make_cells, EMPTY, n_usual=LEAST_CELLS - 1) == (False, 0)
    assert found_empty(make_cells, EMPTY, n_usual=LEAST_CELLS)[0]


@pytest.mark.parametrize("usual", [30.0, 120.0])
def test_a_piece_of_a_nucleus_is_far_smaller_than_usual_ones(make_cells, usual: float) -> None:
    share = np.array([*np.linspace(0.5, 1.5, N), 0.9 * LEAST_AREA, 1.1 * LEAST_AREA])
    cells = make_cells(N + 2, nucleus_area_um2=(usual * share).astype(np.float32))
    found = is_fragment(cells, np.arange(N + 2) < N)
    assert found.tolist() == [False] * N + [True, False]


def test_of_few_cells_none_is_a_piece(make_cells) -> None:
    areas = np.array([*np.full(LEAST_CELLS - 1, 60.0), 1.0], np.float32)
    cells = make_cells(LEAST_CELLS, nucleus_area_um2=areas)
    assert not is_fragment(cells, areas > 1).any()
