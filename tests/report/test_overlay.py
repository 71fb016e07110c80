"""Outlines show which part of a membrane is stained, in the color of its class."""

import re
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from her2path.cells.table import N_SECTORS
from her2path.criteria.score import Intensity
from her2path.geometry import Region
from her2path.report.charts import hex_of
from her2path.report.fields import FieldCell, FieldPicture
from her2path.report.interest import FieldKind
from her2path.report.overlay import UNSTAINED_COLOR, outline_paths, overlay
from her2path.results.colors import INTENSITY_COLORS

ALL = 2**N_SECTORS - 1


def cell(bits=ALL, intensity=Intensity.INTENSE, *, is_counted=True, is_marked=False):
    return FieldCell(
        x=100.0,
        y=80.0,
        radii=(60,) * N_SECTORS,
        stained_sectors=bits,
        intensity=intensity,
        is_counted=is_counted,
        is_marked=is_marked,
    )


def field(*cells):
    return FieldPicture(
        file="01.jpg",
        number=1,
        kind=FieldKind.DECIDING,
        box=Region(0, 0, 200, 160),
        width=200,
        height=160,
        mpp=0.25,
        region_id="r1",
        by_intensity={},
        n_complete=0,
        n_marked=0,
        n_not_counted=0,
        doubts={},
        cells=cells,
    )


def test_a_complete_membrane_is_one_closed_line():
    stained, rest = outline_paths(cell(), mpp=0.25)
    assert stained.count("M") == 1
    assert stained.endswith("Z")
    assert rest == ""


def test_an_unstained_cell_has_a_quiet_outline_only():
    stained, rest = outline_paths(cell(0, Intensity.NONE), mpp=0.25)
    assert stained == ""
    assert rest.endswith("Z")


@given(st.integers(1, ALL - 1))
@settings(deadline=None, max_examples=100)
def test_stained_and_unstained_parts_share_out_the_outline(bits):
    is_stained = [bool(bits >> k & 1) for k in range(N_SECTORS)]
    runs = sum(is_stained[k] and not is_stained[k - 1] for k in range(N_SECTORS))
    stained, rest = outline_paths(cell(bits), mpp=0.25)
    assert stained.count("M") == rest.count("M") == runs
    # One corner for the sector and one for its end, beside the start of each run.
    assert stained.count("L") == 2 * sum(is_stained)
    assert rest.count("L") == 2 * (N_SECTORS - sum(is_stained))


def test_radii_are_drawn_at_the_scale_of_the_picture():
    stained, _ = outline_paths(cell(), mpp=0.25)
    first = re.match(r"M([\d.]+) ([\d.]+)", stained)
    assert float(first.group(1)) == 100 + 6.0 / 0.25
    assert float(first.group(2)) == 80


def test_colors_tell_class_and_unstained_parts():
    drawn = str(overlay(field(cell(0b1111, Intensity.WEAK))))
    assert hex_of(INTENSITY_COLORS[Intensity.WEAK]) in drawn
    assert hex_of(UNSTAINED_COLOR) in drawn


def test_a_cell_that_is_not_counted_is_a_dot():
    root = ElementTree.fromstring(f"<g>{overlay(field(cell(is_counted=False)))}</g>")
    assert len(list(root.iter("circle"))) == 1
    assert not list(root.iter("path"))


def test_a_cell_without_outline_is_not_drawn():
    broken = FieldCell(1.0, 1.0, (), 0, Intensity.NONE, is_counted=True, is_marked=False)
    assert "path" not in str(overlay(field(broken)))
