import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2path.errors import AnnotationError
from her2path.evaluation.against_marks import (
    CellReading,
    WindowCounts,
    compare_window,
    estimate_measures,
    outlined_share,
)
from her2path.evaluation.marks import (
    Label,
    MarkedMembrane,
    MarkedWindow,
    Split,
    Staining,
    read_membranes,
    read_windows,
)
from her2path.geometry import Region

MARKS = Path(__file__).resolve().parents[1] / "marks"
BOX = Region(1000, 2000, 100, 100)
MPP = 0.5


def window(*marks, mpp=MPP):
    x, y, labels = zip(*marks, strict=True) if marks else ((), (), ())
    return MarkedWindow(
        picture="core",
        name="core-1",
        split=Split.CHOOSING,
        kind="tumor",
        region=BOX,
        mpp=mpp,
        x=np.array(x, float) + BOX.x,
        y=np.array(y, float) + BOX.y,
        labels=np.array(labels, np.str_),
    )


def finds(*points, lines=()):
    x, y, p_tumor = np.array(points, float).reshape(-1, 3).T
    line_x, line_y = np.array(lines, float).reshape(-1, 2).T
    return CellReading(x + BOX.x, y + BOX.y, p_tumor, line_x + BOX.x, line_y + BOX.y)


def counted(**changes):
    return WindowCounts(**dict.fromkeys(WindowCounts.__slots__, 0) | changes)


def membrane(*corners):
    x, y = np.array(corners, float).T
    return MarkedMembrane(
        picture="core",
        window="core-1",
        split=Split.CHOOSING,
        mpp=MPP,
        staining=Staining.CLEAR,
        x=x + BOX.x,
        y=y + BOX.y,
    )


def write_marks(folder, *, windows=None, points=None, membranes=None):
    rows = {
        "windows.csv": windows
        or [
            "picture,window,split,x,y,width,height,mpp,kind",
            "core,w1,final,10,20,40,40,0.5,tumor",
        ],
        "points.csv": points or ["picture,window,split,x,y,label", "core,w1,final,12,25,tumor"],
        "membranes.csv": membranes
        or [
            "picture,window,split,label,outline",
            'core,w1,final,clear,"LINESTRING (11 21, 15 30)"',
        ],
    }
    for name, lines in rows.items():
        (folder / name).write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def test_a_perfect_reader_is_counted_as_one():
    marked = window((30, 30, Label.TUMOR), (60, 70, Label.OTHER), (50, 20, Label.NOT_A_CELL))
    found = compare_window(marked, finds((30, 30, 0.9), (60, 70, 0.1)))
    assert found == counted(
        n_marked=2,
        n_met=2,
        n_found=2,
        n_right=2,
        n_tumor=1,
        n_tumor_right=1,
        n_other=1,
        n_other_right=1,
        n_traps=1,
    )


def test_a_reader_that_finds_nothing_is_all_misses():
    marked = window((30, 30, Label.TUMOR), (50, 20, Label.NOT_A_CELL))
    assert compare_window(marked, finds()) == counted(n_marked=1, n_traps=1)


def test_one_find_meets_one_nucleus_only():
    marked = window((30, 30, Label.TUMOR), (33, 30, Label.TUMOR))
    assert compare_window(marked, finds((31, 30, 1.0))).n_met == 1


def test_a_find_is_met_up_to_three_microns_whatever_the_pixel():
    for mpp, reach_px in ((0.5, 6.0), (0.25, 12.0)):
        marked = window((50, 50, Label.OTHER), mpp=mpp)
        assert compare_window(marked, finds((50 + reach_px - 0.1, 50, 0.0))).n_met == 1
        assert compare_window(marked, finds((50 + reach_px + 0.1, 50, 0.0))).n_met == 0


def test_what_is_unsure_counts_neither_way():
    marked = window((50, 50, Label.UNSURE))
    for reading in (finds(), finds((50, 50, 1.0)), finds((48, 50, 0.0), (52, 50, 1.0))):
        assert compare_window(marked, reading) == counted()


def test_a_find_that_is_an_unsure_nucleus_does_not_meet_its_sure_neighbor():
    marked = window((50, 50, Label.UNSURE), (54, 50, Label.TUMOR))
    found = compare_window(marked, finds((50, 50, 1.0)))
    assert (found.n_met, found.n_found) == (0, 0)


def test_a_find_where_no_cell_is_is_wrong_and_trapped():
    found = compare_window(window((50, 50, Label.NOT_A_CELL)), finds((51, 50, 1.0)))
    assert (found.n_found, found.n_right, found.n_trapped) == (1, 0, 1)


def test_a_nucleus_beside_a_trap_is_no_false_alarm():
    marked = window((50, 50, Label.NOT_A_CELL), (54, 50, Label.TUMOR))
    assert compare_window(marked, finds((53, 50, 1.0))).n_trapped == 0


def test_finds_near_the_edge_can_meet_but_not_be_wrong():
    # The nucleus may have its center outside the window, where nothing is marked.
    edge = finds((2, 50, 1.0), (-2, 20, 1.0))
    assert compare_window(window(), edge) == counted()
    found = compare_window(window((1, 20, Label.TUMOR)), edge)
    assert (found.n_met, found.n_found) == (1, 0)


def test_measures_have_known_values():
    found = estimate_measures(
        [
            counted(n_marked=10, n_met=8, n_found=8, n_right=8, n_tumor=6, n_tumor_right=3),
            counted(n_found=8, n_right=4, n_other=2, n_other_right=2, n_traps=4, n_trapped=1),
        ],
        rng=np.random.default_rng(0),
    )
    assert found["nucleus_recall"].value == pytest.approx(0.8)
    assert found["nucleus_precision"].value == pytest.approx(0.75)
    assert found["nucleus_f1"].value == pytest.approx(2 * 0.8 * 0.75 / 1.55)
    assert found["balanced_accuracy"].value == pytest.approx(0.75)
    assert found["trapped"].value == pytest.approx(0.25)


def test_finding_nothing_where_something_is_has_an_f1_of_zero():
    found = estimate_measures([counted(n_marked=5)], rng=np.random.default_rng(0))
    assert found["nucleus_f1"].value == 0
    assert np.isnan(found["nucleus_precision"].value)
    assert np.isnan(found["balanced_accuracy"].value)


def test_one_window_gives_no_interval_and_none_gives_nothing():
    rng = np.random.default_rng(0)
    one = estimate_measures([counted(n_marked=2, n_met=1)], rng=rng)["nucleus_recall"]
    assert (one.value, one.interval) == (0.5, None)
    assert np.isnan(estimate_measures([], rng=rng)["nucleus_f1"].value)


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20)).map(sorted),
        min_size=2,
        max_size=12,
    )
)
def test_intervals_hold_their_estimate_and_stay_within_bounds(rows):
    counts = [
        counted(n_marked=c, n_met=b, n_found=c, n_right=a, n_traps=b, n_trapped=a)
        for a, b, c in rows
    ]
    found = estimate_measures(counts, rng=np.random.default_rng(0), n_resamples=200)
    for estimate in found.values():
        if estimate.interval is not None:
            assert 0 <= estimate.interval.lower <= estimate.interval.upper <= 1
            assert -1e-9 <= estimate.value <= 1 + 1e-9
    swapped = estimate_measures(counts[::-1], rng=np.random.default_rng(0), n_resamples=200)
    assert found["nucleus_f1"].value == pytest.approx(swapped["nucleus_f1"].value, nan_ok=True)


@given(st.lists(st.tuples(st.integers(5, 95), st.integers(5, 95)), max_size=12, unique=True))
def test_marks_as_finds_meet_all_marks(places):
    marked = window(*((x, y, Label.TUMOR) for x, y in places))
    found = compare_window(marked, finds(*((x, y, 1.0) for x, y in places)))
    assert found.n_met == found.n_marked == found.n_tumor_right == len(places)
    assert found.n_found == found.n_right


def test_a_line_on_half_a_membrane_covers_half_of_it():
    marked = membrane((10, 50), (90, 50))
    half = [(x, 50) for x in np.arange(10, 50.1, 0.2)]
    assert outlined_share(marked, finds(lines=half), within_um=0.1) == pytest.approx(0.5, abs=0.02)
    assert outlined_share(marked, finds(lines=[(x, 51) for x, _ in half])) >= 0.5
    assert outlined_share(marked, finds(lines=[(x, 60) for x, _ in half])) == 0
    assert outlined_share(marked, finds()) == 0


def test_marks_are_read_back(tmp_path):
    (read,) = read_windows(write_marks(tmp_path))
    assert (read.picture, read.name, read.split, read.kind) == ("core", "w1", Split.FINAL, "tumor")
    assert (read.region, read.mpp) == (Region(10, 20, 40, 40), 0.5)
    assert (read.x.tolist(), read.y.tolist(), read.labels.tolist()) == ([12], [25], ["tumor"])
    (line,) = read_membranes(tmp_path, [read])
    assert (line.staining, line.x.tolist(), line.y.tolist()) == (Staining.CLEAR, [11, 15], [21, 30])


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("core,w1,final,12,25,tumour", "tumour"),
        ("core,w1,final,5,25,tumor", "outside"),
        ("core,w2,final,12,25,tumor", "w2"),
        ("core,w1,choosing,12,25,tumor", "split"),
        ("core,w1,final,here,25,tumor", "here"),
        ("core,w1,final,nan,25,tumor", "outside"),
        ("core,w1", "split|x"),
    ],
)
def test_faulty_points_are_named_with_their_rows(tmp_path, row, words):
    write_marks(tmp_path, points=["picture,window,split,x,y,label", row, row])
    with pytest.raises(AnnotationError, match=words) as caught:
        read_windows(tmp_path)
    assert "points.csv, row 2" in str(caught.value)
    assert "points.csv, row 3" in str(caught.value)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("core,w1,final,10,20,0,40,0.5,tumor", "window"),
        ("core,w1,final,-5,20,40,40,0.5,tumor", "window"),
        ("core,w1,final,10,20,40,40,0,tumor", "mpp"),
        ("core,w1,later,10,20,40,40,0.5,tumor", "later"),
    ],
)
def test_faulty_windows_are_named(tmp_path, row, words):
    write_marks(tmp_path, windows=["picture,window,split,x,y,width,height,mpp,kind", row])
    with pytest.raises(AnnotationError, match=words):
        read_windows(tmp_path)


@pytest.mark.parametrize("outline", ["POINT (1 2)", "LINESTRING (1 1, 1 1)", "somewhere"])
def test_what_is_no_line_is_no_membrane(tmp_path, outline):
    head = "picture,window,split,label,outline"
    folder = write_marks(tmp_path, membranes=[head, f'core,w1,final,clear,"{outline}"'])
    with pytest.raises(AnnotationError, match=r"membranes\.csv, row 2"):
        read_membranes(folder, read_windows(folder))


def test_a_missing_or_endless_table_is_refused(tmp_path, monkeypatch):
    with pytest.raises(AnnotationError, match="folder of marks"):
        read_windows(tmp_path)
    write_marks(tmp_path)
    monkeypatch.setattr("her2path.evaluation.marks.MAX_BYTES", 10)
    with pytest.raises(AnnotationError, match="bytes"):
        read_windows(tmp_path)


def test_the_marks_of_the_repository_are_whole():
    windows = read_windows(MARKS)
    membranes = read_membranes(MARKS, windows)
    labels = np.concatenate([w.labels for w in windows])
    assert (labels != Label.UNSURE).sum() >= 600
    assert {label: (labels == label).sum() >= 100 for label in Label} == dict.fromkeys(Label, True)
    assert len(membranes) >= 36
    assert {m.staining for m in membranes} == set(Staining)
    pictures = {w.picture for w in windows}
    assert len(pictures) == 8
    for picture in pictures:
        halves = [w.split for w in windows if w.picture == picture]
        assert halves.count(Split.FINAL) == halves.count(Split.CHOOSING)
    for one in windows:
        assert one.region.width * one.mpp == pytest.approx(40, abs=0.1)


def test_no_window_overlaps_another():
    windows = read_windows(MARKS)
    for k, one in enumerate(windows):
        for two in windows[:k]:
            if one.picture == two.picture:
                assert one.region.intersection(two.region).is_empty


def test_points_made_again_lie_in_windows_marked_before():
    again = read_windows(MARKS, points="points_again.csv")
    assert sum(len(w.x) > 0 for w in again) >= 6


@pytest.mark.real
def test_every_marked_picture_is_there(real_data):
    with (MARKS / "windows.csv").open(encoding="utf-8") as table:
        pictures = {row["picture"] for row in csv.DictReader(table)}
    missing = [p for p in pictures if not (real_data / "tma" / f"{p}.jpg").is_file()]
    assert missing == ["skimage_immunohistochemistry"]


def test_marks_of_a_spreadsheet_are_read_and_an_endless_cell_is_refused(tmp_path: Path):
    head = "picture,window,split,kind,x,y,width,height,mpp\n"
    (tmp_path / "windows.csv").write_text(f"\ufeff{head}p,w,final,stroma,0,0,9,9,0.25\n", "utf-8")
    points = tmp_path / "points.csv"
    points.write_text("\ufeffpicture,window,split,x,y,label\np,w,final,1,1,tumor\n", "utf-8")
    assert read_windows(tmp_path)[0].labels.tolist() == ["tumor"]
    points.write_text(f"picture,window\np,{'w' * 200_000}\n", "utf-8")
    with pytest.raises(AnnotationError, match=r"points\.csv cannot be read"):
        read_windows(tmp_path)
