import numpy as np
import pytest
from drawn_slides import DAB, HEMATOXYLIN, disc_mask

from her2path.tissue.mask import TissueMask
from her2path.tissue.pieces import find_control_pieces, find_pieces

MPP = 8.0
SHAPE = (1500, 700)  # 12 mm × 5.6 mm


def slide(*discs):
    """Discs of (row, col, radius, hematoxylin, dab)."""
    mask = np.zeros(SHAPE, bool)
    od = np.zeros((*SHAPE, 3), np.float32)
    for row, col, radius, hematoxylin, dab in discs:
        disc = disc_mask(SHAPE, row, col, radius)
        mask |= disc
        od[disc] = hematoxylin * HEMATOXYLIN + dab * DAB
    return find_pieces(TissueMask(mask, MPP), od)


MAIN = (400, 350, 200, 0.1, 0.02)


def test_pieces_are_measured_and_sorted_by_area():
    pieces = slide((1300, 300, 60, 0.1, 0.3), MAIN)
    first, second = pieces.pieces
    assert first.area_mm2 == pytest.approx(np.pi * 1.6**2, rel=0.01)
    assert (first.x_um, first.y_um) == pytest.approx((350.5 * MPP, 400.5 * MPP), abs=MPP)
    assert second.dab_od > first.dab_od + 0.2
    assert set(np.unique(pieces.labels)) == {0, 1, 2}
    assert pieces.labels[400, 350] == 1


def test_fragments_close_together_are_one_piece():
    pieces = slide((400, 200, 60, 0.1, 0.0), (400, 340, 60, 0.1, 0.0))
    assert len(pieces.pieces) == 1


def test_a_piece_apart_at_the_end_and_stained_differently_may_be_control_tissue():
    (candidate,) = find_control_pieces(slide(MAIN, (1350, 350, 60, 0.1, 0.4)))
    assert candidate.label == 2
    assert candidate.gap_mm == pytest.approx((950 - 260) * MPP * 1e-3, abs=0.15)
    assert candidate.end_frac == pytest.approx(0.1, abs=0.01)
    assert candidate.stain_difference > 3


@pytest.mark.parametrize(
    "second",
    [
        (1350, 350, 60, 0.1, 0.02),  # stained alike: a second section
        (780, 350, 60, 0.1, 0.4),  # too close
        (900, 350, 60, 0.1, 0.4),  # in the middle of the slide
    ],
)
def test_anything_less_is_not_called_control(second):
    assert find_control_pieces(slide(MAIN, second)) == ()


BROWN_ROW = [(1350, col, 40, 0.1, dab) for col, dab in ((130, 0.2), (350, 0.3), (570, 0.4))]


def test_controls_side_by_side_are_found_together():
    found = find_control_pieces(slide(MAIN, *BROWN_ROW))
    assert len(found) == 3
    assert {candidate.gap_mm for candidate in found} == {found[0].gap_mm}
    assert found[0].gap_mm == pytest.approx((950 - 240) * MPP * 1e-3, abs=0.15)


def test_a_control_of_0_beside_another_hides_it_not():
    found = find_control_pieces(slide(MAIN, *BROWN_ROW[1:], (1350, 130, 40, 0.1, 0.02)))
    assert len(found) == 2


def test_a_piece_that_is_drawn_as_tumor_is_no_control():
    pieces = slide(MAIN, (1350, 130, 40, 0.1, 0.3), (1350, 570, 60, 0.1, 0.4))
    assert len(find_control_pieces(pieces)) == 2
    drawn = np.zeros(SHAPE, bool)
    drawn[1345:1355, 560:580] = True
    (other,) = find_control_pieces(pieces, sample=drawn)
    assert other.gap_mm == pytest.approx((440 - 100) * MPP * 1e-3, abs=0.15)
    # Less than a control lies apart from the sample.
    close = slide(MAIN, *BROWN_ROW)
    drawn[1345:1355, 340:360] = True
    assert find_control_pieces(close, sample=drawn) == ()


def test_a_row_that_begins_at_the_sample_is_no_control():
    sample = (850, 350, 200, 0.1, 0.02)
    fragment = (1230, 350, 40, 0.1, 0.02)
    assert find_control_pieces(slide(sample, fragment, (1450, 350, 40, 0.1, 0.4))) == ()


def test_an_empty_slide_and_a_single_piece_have_no_control():
    assert slide().pieces == ()
    assert find_control_pieces(slide()) == ()
    assert find_control_pieces(slide(MAIN)) == ()


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match="od has shape"):
        find_pieces(TissueMask(np.zeros((3, 3), bool), MPP), np.zeros((4, 4, 3), np.float32))
