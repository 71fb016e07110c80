"""Slides get names that are safe as folders, unique, and the same in any order."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2path.errors import ResultsError
from her2path.results.folder import ResultsFolder, name_slides, safe_name


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/slide 1.svs", "slide 1"),
        ("a/scan.ome.tiff", "scan"),
        ("a/Fall №7 – 한글.ndpi", "Fall №7 – 한글"),
        ("a/S-12.3 HER2.mrxs", "S-12.3 HER2"),
        ("a/patient.biopsy", "patient.biopsy"),
        ("a/1+.svs", "1+"),
        ("a/<script>.svs", "_script_"),
        ("a/two\nlines.svs", "two_lines"),
        ("a/=cmd.svs", "_cmd"),
        ("a/-rf.svs", "_rf"),
        ("a/CON.svs", "_CON"),
        ("a/nul.2.svs", "_nul.2"),
        ("a/trailing. .svs", "trailing"),
        ("a/.svs", "svs"),
        ("a/right\u202eleft.svs", "right_left"),
        ("a/half\udc80.svs", "half_"),
    ],
)
def test_names_follow_the_file(path, expected):
    assert name_slides([Path(path)]) == (expected,)


@pytest.mark.parametrize(
    "name", ["..", "../x", "a/b", "a\\b", "", ".", "C:", "x" * 300, "한" * 300]
)
def test_hostile_names_become_one_plain_folder(tmp_path, name):
    safe = safe_name(name)

    folder = ResultsFolder(tmp_path).slide(safe).create()

    assert folder.path.parent == tmp_path
    assert folder.path.is_dir()
    assert len(safe.encode()) <= 120


@given(st.text(max_size=200))
def test_a_safe_name_is_safe(name):
    safe = safe_name(name)

    assert safe
    assert safe == safe_name(safe)
    assert len(safe.encode()) <= 120
    assert not set(safe) & set('/\\:*?"<>|\n\0')
    assert safe[0] not in "=-+@."


def test_long_names_that_begin_alike_stay_apart():
    first, second = name_slides([Path("x" * 200 + "1.svs"), Path("x" * 200 + "2.svs")])

    assert first != second


def test_slides_of_one_name_are_told_by_their_folder():
    paths = [Path("before/P1.svs"), Path("after/p1.svs"), Path("after/P2.svs")]

    assert name_slides(paths) == ("P1__before", "p1__after", "P2")


def test_slides_of_one_name_in_folders_of_one_name_are_told_by_a_hash():
    found = name_slides([Path("x/a/P1.svs"), Path("y/a/P1.svs"), Path("z/P1__a.svs")])

    assert len(set(found)) == 3
    assert all(name.startswith("P1__a-") for name in found)


def test_a_slide_cannot_take_the_name_of_a_file_of_the_run(tmp_path):
    (found,) = name_slides([Path("x/run.json.svs")])

    assert found == "run.json__x"
    with pytest.raises(ResultsError, match="cannot name a folder"):
        ResultsFolder(tmp_path).slide("Slides.CSV")


@given(
    st.lists(
        st.tuples(st.sampled_from("abA"), st.sampled_from(["P", "p", "P__a", "Q"])),
        unique=True,
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
def test_names_are_unique_and_do_not_depend_on_the_order(parts, rng: random.Random):
    paths = [Path(folder) / f"{name}.svs" for folder, name in parts]
    shuffled = list(paths)
    rng.shuffle(shuffled)

    found = dict(zip(paths, name_slides(paths), strict=True))

    assert found == dict(zip(shuffled, name_slides(shuffled), strict=True))
    assert len({name.casefold() for name in found.values()}) == len(paths)


def test_a_slide_listed_twice_is_refused():
    with pytest.raises(ResultsError, match="more than once"):
        name_slides([Path("a.svs"), Path("x/../a.svs")])


@pytest.mark.parametrize("slide_id", ["..", "a/b", "", "../../x", "a\0b"])
def test_no_id_leads_out_of_the_folder(tmp_path, slide_id):
    with pytest.raises(ResultsError, match="cannot name a folder"):
        ResultsFolder(tmp_path).slide(slide_id)


def test_the_paths_are_those_of_the_contract(tmp_path):
    folder = ResultsFolder(tmp_path)
    slide = folder.slide("s")

    assert [
        path.relative_to(tmp_path).as_posix() for path in (folder.slides_csv, folder.run_json)
    ] == [
        "slides.csv",
        "run.json",
    ]
    assert folder.report_html.name == "report.html"
    assert folder.journal.parent == tmp_path
    assert sorted(
        path.relative_to(tmp_path).as_posix()
        for path in (
            slide.slide_json,
            slide.regions_parquet,
            slide.cells_parquet,
            slide.regions_geojson,
            slide.overview_png,
            slide.cells_geojson,
        )
    ) == [
        "s/cells.geojson",
        "s/cells.parquet",
        "s/overview.png",
        "s/regions.geojson",
        "s/regions.parquet",
        "s/slide.json",
    ]


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "out").write_text("")

    with pytest.raises(ResultsError, match="--out"):
        ResultsFolder(tmp_path / "out").create()


def test_asking_for_paths_does_not_load_the_table_library():
    code = "import sys, her2path.results; sys.exit('pyarrow' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
