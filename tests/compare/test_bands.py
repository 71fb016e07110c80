import json
import time

import numpy as np
import pytest

from her2path.compare.bands import (
    DISTANCE,
    Band,
    Bands,
    default_bands,
    read_bands,
    write_bands,
)
from her2path.compare.measures import MEASURES
from her2path.compare.repeats import bands_of_table
from her2path.errors import ResultsError, TableError
from her2path.results.columns import SLIDE_COLUMNS, names
from her2path.statistics.intervals import Interval


def table(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_bands_come_back_as_they_were_written(tmp_path):
    band = Band(band=4.2, sw=1.5, unit="%", ci95=Interval(3, 6), n_subjects=9, df=9)
    bands = Bands(source="site", is_default=False, measures={"pct_stained": band}, remarks=("a",))
    write_bands(tmp_path / "bands.json", bands)
    assert read_bands(tmp_path / "bands.json") == bands


def test_the_shipped_bands_say_where_they_come_from():
    bands = default_bands()
    assert bands.is_default
    assert len(bands.source) > 40
    for name in ("pct_stained", "pct_complete", "h_score"):
        assert bands.measures[name].band > 0


def test_a_share_without_a_band_takes_the_widest_and_says_so():
    narrow, wide = Band(band=3, sw=1, unit="%"), Band(band=8, sw=3, unit="%")
    bands = Bands(
        source="x",
        is_default=False,
        measures={
            "pct_stained": narrow,
            "pct_complete": wide,
            "h_score": Band(band=20, sw=7, unit="0–300"),
        },
    )
    assert bands.of("pct_stained") == (narrow, "pct_stained")
    assert bands.of("pct_intense_complete") == (wide, "pct_complete")
    assert bands.of("membrane_od") is None


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"format": 9},
        {"format": 1, "source": "x", "is_default": False, "measures": {}},
        {
            "format": 1,
            "source": "x",
            "is_default": False,
            "measures": {"pct_stained": {"band": -1, "sw": 1, "unit": "%"}},
        },
        {"format": 1, "source": "x", "is_default": False, "measures": {"pct_stained": 7}},
    ],
)
def test_what_are_no_bands_is_refused(tmp_path, document):
    path = tmp_path / "bands.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ResultsError):
        read_bands(path)


def test_bands_are_measured_from_a_table_of_numbers(tmp_path):
    path = table(
        tmp_path / "repeats.csv",
        "subject;pct_stained;h_score\na;10,0;20\na;12,0;26\nb;50;100\nb;47;98\n",
    )
    bands = bands_of_table(path, name="rescans")
    # Sw² of pairs is the mean of half their squared differences: (4 + 9) / 4.
    assert bands.measures["pct_stained"].sw == pytest.approx((13 / 4) ** 0.5)
    assert bands.measures["pct_stained"].ci95.lower < bands.measures["pct_stained"].band
    assert set(bands.measures) == {"pct_stained", "h_score"}
    assert "rescans: 4 readings of 2 subjects" in bands.source
    assert any("Only 2 degrees of freedom" in remark for remark in bands.remarks)


def test_one_degree_of_freedom_is_said_in_the_singular(tmp_path):
    path = table(tmp_path / "repeats.csv", "subject,pct_stained\na,10\na,12\n")
    assert any("Only 1 degree of freedom:" in r for r in bands_of_table(path).remarks)


def test_shares_of_all_classes_give_a_band_of_the_distance(tmp_path):
    rows = ["subject,pct_none,pct_faint,pct_weak,pct_moderate,pct_intense"]
    rows += ["a,50,50,0,0,0", "a,40,60,0,0,0", "b,100,0,0,0,0", "b,90,0,10,0,0"]
    bands = bands_of_table(table(tmp_path / "r.csv", "\n".join(rows)))
    assert 0.1 < bands.measures[DISTANCE].band <= 0.2


def test_every_fault_of_a_table_is_listed_with_its_row(tmp_path):
    path = table(
        tmp_path / "repeats.csv",
        "subject,result,pct_stained\n,,5\na,nowhere/slide.json,\nb,,much\nc,,-3\nd,,\n",
    )
    with pytest.raises(TableError) as caught:
        bands_of_table(path)
    for words in (
        "row 2, subject: is empty",
        "row 3, result:",
        "row 4, pct_stained: 'much'",
        "row 5, pct_stained: '-3'",
        "row 6: holds no reading",
        "5 faults",
    ):
        assert words in str(caught.value)


def test_subjects_that_were_read_once_are_named(tmp_path):
    rows = "subject,pct_stained\na,10\na,12\nb,5\n"
    bands = bands_of_table(table(tmp_path / "r.csv", rows))
    assert any("read once: 1 of the subjects (b)" in remark for remark in bands.remarks)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("subject\n", "no row"),
        ("result\nx\n", "no column subject"),
        ("subject,other\na,1\n", "no measure"),
        ("subject,pct_stained\na,1\nb,2\n", "more than once"),
    ],
)
def test_tables_that_tell_nothing_are_refused(tmp_path, text, words):
    with pytest.raises(TableError, match=words):
        bands_of_table(table(tmp_path / "r.csv", text))


def test_equal_repeats_make_no_band_of_zero(tmp_path):
    rows = "subject,pct_stained,pct_complete\na,40,0\na,42,0\nb,10,0\nb,11,0\n"
    bands = bands_of_table(table(tmp_path / "t.csv", rows))
    assert "pct_complete" not in bands.measures
    assert any("No band is told for pct_complete" in remark for remark in bands.remarks)
    alike = table(tmp_path / "same.csv", "subject,h_score\na,40\na,40\n")
    with pytest.raises(TableError, match="no band can be told"):
        bands_of_table(alike)


def test_fractions_in_place_of_percent_are_remarked(tmp_path):
    rows = "subject,pct_stained,h_score\na,0.50,60\na,0.55,61\n"
    bands = bands_of_table(table(tmp_path / "t.csv", rows))
    assert any("pct_stained" in r and "give percent" in r for r in bands.remarks)


def test_columns_of_repeats_are_known_in_any_case(tmp_path):
    path = table(tmp_path / "r.csv", "Subject, H_Score,PCT_stained\na,20,5\na,26,7\n")
    assert set(bands_of_table(path).measures) == {"h_score", "pct_stained"}
    twice = table(tmp_path / "t.csv", "subject,h_score,H_score\na,20,5\na,26,7\n")
    with pytest.raises(TableError, match="columns 'h_score' and 'H_score' both mean h_score"):
        bands_of_table(twice)


def test_a_measure_that_is_nearly_named_is_warned_of(tmp_path, caplog):
    bands_of_table(table(tmp_path / "r.csv", "subject,pct_stained,hscore\na,20,5\na,26,7\n"))
    assert caplog.messages == ["r.csv: column hscore is not read; did you mean h_score?"]


def test_columns_of_slides_csv_are_no_near_misses(tmp_path, caplog):
    header = ["subject", *names(SLIDE_COLUMNS)]
    rows = [",".join("a" if n == "subject" else v * (n in MEASURES) for n in header) for v in "12"]
    assert bands_of_table(table(tmp_path / "r.csv", "\n".join([",".join(header), *rows])))
    assert caplog.messages == []


def test_rows_of_too_many_values_are_listed_beside_faults_of_cells(tmp_path):
    path = table(tmp_path / "r.csv", "subject,pct_stained\na,1,5\na,much\nb,7\n")
    with pytest.raises(TableError, match=r"2 faults[\s\S]*row 2: 3 values[\s\S]*row 3, pct"):
        bands_of_table(path)


def test_a_distance_of_nothing_is_no_band(tmp_path):
    # Only the optical density differs: a band of 0 classes would take any difference for a change.
    rows = ["subject,pct_none,pct_faint,pct_weak,pct_moderate,pct_intense,membrane_od"]
    rows += ["a,50,20,10,10,10,0.30", "a,50,20,10,10,10,0.35"]
    bands = bands_of_table(table(tmp_path / "r.csv", "\n".join(rows)))
    assert set(bands.measures) == {"membrane_od"}


def test_equal_densities_make_no_band_of_their_last_bits(tmp_path):
    # The mean of three times 0.1 is not 0.1 to the last bit.
    rows = ["subject,membrane_od,h_score", *(f"a,0.1,{10 + k}" for k in range(3))]
    bands = bands_of_table(table(tmp_path / "r.csv", "\n".join(rows)))
    assert set(bands.measures) == {"h_score"}


def test_thousands_of_repeats_of_one_thing_take_seconds(tmp_path):
    header = "subject,pct_none,pct_faint,pct_weak,pct_moderate,pct_intense\n"
    rows = "".join(f"a,{50 - k % 7},{20 + k % 7},10,10,10\n" for k in range(3000))
    started = time.process_time()
    bands = bands_of_table(table(tmp_path / "r.csv", header + rows))
    assert bands.measures[DISTANCE].band == pytest.approx(0.05)
    assert time.process_time() - started < 10


def test_subjects_that_look_alike_are_named_where_one_is_left_out(tmp_path):
    rows = "subject,pct_stained\nA1,10\na1,12\nA1,11\n"
    bands = bands_of_table(table(tmp_path / "r.csv", rows))
    assert "Look alike but count as others: A1 and a1." in bands.remarks


def test_one_thing_that_was_read_often_does_not_outvote_the_others(tmp_path):
    header = "subject,pct_none,pct_faint,pct_weak,pct_moderate,pct_intense\n"
    twice = "".join(f"p{k},60,40,0,0,0\np{k},90,10,0,0,0\n" for k in range(20))
    often = "".join(f"q,{50 + k % 3 / 10},{50 - k % 3 / 10},0,0,0\n" for k in range(30))
    bands = bands_of_table(table(tmp_path / "r.csv", header + twice + often))
    assert bands.measures[DISTANCE].band == pytest.approx(0.3)


def test_the_band_of_the_distance_is_the_usual_quantile_where_all_were_read_alike(tmp_path):
    header = "subject,pct_none,pct_faint,pct_weak,pct_moderate,pct_intense\n"
    rows = "".join(f"s{k},50,50,0,0,0\ns{k},{50 - k},{50 + k},0,0,0\n" for k in range(1, 15))
    bands = bands_of_table(table(tmp_path / "r.csv", header + rows))
    expected = np.quantile(np.arange(1, 15) / 100, 0.95)
    assert bands.measures[DISTANCE].band == pytest.approx(expected)
