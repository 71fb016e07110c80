"""The report is one file that needs nothing else, says every number, and trusts no text."""

import base64
import gc
import hashlib
import html
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from report_page import Page, spaced
from report_slides import make_slide, refused

from her2path.criteria.clusters import Clusters
from her2path.criteria.rule_set import load_rule_set
from her2path.criteria.score import EXPRESSION_SCORES, Intensity, Organ, Pattern, Score
from her2path.criteria.tally import Tally
from her2path.flags.evidence import Flag, ReviewFlag
from her2path.report import illustrate_slide, write, write_report
from her2path.report.fields import FIELDS_FOLDER
from her2path.report.phrases import FLAG_ADVICE, FLAG_TITLES
from her2path.report.regions import MAX_REGIONS
from her2path.report.wording import DASH, count, decimal, interval, od, percent, quantity
from her2path.results.folder import ResultsFolder
from her2path.results.record import RESEARCH_USE, RegionKind, SlideRecord, Stability, Trial
from her2path.statistics.heterogeneity import RegionSpread

pytestmark = pytest.mark.slow

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>'


def report_of(made, *records, **rest):
    report = write_report(made.results, records or [made.record], **rest)
    return report.path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def illustrated(tmp_path_factory):
    made = make_slide(tmp_path_factory.mktemp("run"))
    illustrate_slide(made.folder, made.record)
    return made


@pytest.fixture
def shown(illustrated, tmp_path):
    """The made-up slide with its pictures, in a folder of its own."""
    shutil.copytree(illustrated.results.path, tmp_path / "copy")
    return replace(illustrated, results=ResultsFolder(tmp_path / "copy"))


def test_nothing_is_loaded_from_elsewhere(shown):
    source = report_of(shown)
    # The one address is the name of the SVG language, which nobody fetches.
    without_names = source.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|url\(|@import", without_names.split("<body>")[1])
    for tag, attributes in Page(source).tags:
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            link = attributes.get(name, "#")
            assert link.startswith(("data:image/jpeg;base64,", "#")), (tag, link[:60])


def test_the_policy_lets_only_the_own_style_and_script_run(shown):
    source = report_of(shown)
    policy = next(m["content"] for m in Page(source).named("meta") if "http-equiv" in m)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        inside = re.findall(f"<{tag}>(.*?)</{tag}>", source, re.DOTALL)
        assert len(inside) == 1
        digest = base64.b64encode(hashlib.sha256(inside[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not any("style" in attributes for _, attributes in Page(source).tags)
    assert not any(name.startswith("on") for _, tag in Page(source).tags for name in tag)


def test_text_from_a_slide_is_never_markup(shown):
    record = shown.record
    hostile = replace(
        record,
        path=HOSTILE,
        status_comment=HOSTILE,
        patient_id=HOSTILE,
        remarks=(HOSTILE,),
        extras={HOSTILE: HOSTILE},
        scan=replace(record.scan, scanner=HOSTILE, vendor=HOSTILE, problems=(HOSTILE,)),
        flags=(Flag(ReviewFlag.NO_CONTROL, 0, 1, HOSTILE, HOSTILE),),
        regions=tuple(replace(region, name=HOSTILE) for region in record.regions),
        tissue=replace(record.tissue, staining_reason=HOSTILE, remarks=(HOSTILE,)),
    )
    source = report_of(shown, hostile)
    page = Page(source)
    assert len(page.named("script")) == 1
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert html.escape(HOSTILE, quote=False).replace('"', "&#34;") in source


def test_a_hostile_name_and_error_of_a_failed_slide_are_text(made):
    page = Page(report_of(made, failed={"<b>bad</b>": HOSTILE}, unscored=["<i>later</i>"]))
    assert not page.named("i")
    assert "<i>later</i>" in page.text
    assert not page.named("b")
    assert "<b>bad</b>" in page.text
    assert HOSTILE in page.text


def test_every_number_of_the_record_is_there(shown):
    record = shown.record
    text = Page(report_of(shown)).text
    reading = record.reading
    expected = [
        count(reading.n_tumor_cells),
        count(reading.n_blocks),
        *(percent(value) for name, value in reading.shares.items() if name.startswith("pct")),
        *(interval(found.lower, found.upper) for found in reading.intervals.values()),
        decimal(reading.shares["h_score"], 1),
        *(percent(100 * reading.probabilities[score]) for score in EXPRESSION_SCORES),
        *(count(n) for row in reading.tally.counts for n in row),
        *(quantity(flag.number, flag.unit) for flag in record.flags),
        *(quantity(flag.cut, flag.unit) for flag in record.flags),
        *(flag.sentence for flag in record.flags),
        *(FLAG_TITLES[flag.flag] for flag in record.flags),
        *(percent(trial.pct_stained) for trial in record.stability.trials),
        *(percent(trial.pct_complete) for trial in record.stability.trials),
        percent(record.stability.changed_pct),
        *(region.name or region.region_id for region in record.regions),
        *(quantity(region.area_mm2, "mm²") for region in record.regions),
        count(record.heterogeneity.cluster.n_cells),
        percent(record.heterogeneity.cluster.local_pct),
        percent(record.heterogeneity.cluster.share_of_tumor_pct),
        percent(record.selection.uncertain_pct),
        percent(record.selection.cytoplasmic_pct),
        percent(record.selection.hidden_nuclei_pct),
        *(count(n) for n in record.selection.excluded.values()),
        decimal(reading.measures["membrane_od"].value),
        quantity(record.tissue.area_mm2, "mm²"),
        percent(100 * record.tissue.tissue_frac),
        *(percent(100 * share) for share in record.tissue.artefact_frac.values()),
        decimal(record.tissue.focus.median_blur_um),
        *(quantity(control.area_mm2, "mm²") for control in record.tissue.controls),
        *(decimal(value, 1) for value in record.stain.white_point),
        *(decimal(value, 3) for value in (*record.stain.hematoxylin, *record.stain.dab)),
        *(decimal(value, 1) for value in record.stain.angle_to_reference_deg),
        decimal(record.blank.min_line_contrast_od, 3),
        percent(record.blank.upper_pct),
        percent(record.blank.stained_pct),
        count(record.blank.n_reference),
        decimal(record.scan.mpp_x, 4),
        count(record.scan.width),
        record.scan.scanner,
        record.calibration.name,
        record.calibration.source,
        record.software_version,
        record.rule_set,
        record.edition,
        record.settings_hash[:16],
        record.patient_id,
        record.path,
        record.remarks[0],
        "group 4",
        *(record.extras.values()),
    ]
    for near in (record.call.deciding_lower, record.call.deciding_upper):
        if near is not None:
            expected += [quantity(near.value, near.unit), quantity(near.cut, near.unit)]
    missing = [words for words in expected if spaced(words) not in text]
    assert missing == []


def test_a_flag_close_to_its_cut_shows_on_which_side_it_lies(shown):
    close = Flag(ReviewFlag.FEW_BLOCKS, 3.97, 4.0, "blocks", "The cells lie in few blocks.")
    share = Flag(ReviewFlag.ARTEFACTS, 25.02, 25.0, "%", "25.02 % of the tissue.")
    text = spaced(Page(report_of(shown, replace(shown.record, flags=(close, share)))).text)
    for words in ("3.97 blocks", "4.00 blocks", "25.02 %", "25.00 %"):
        assert words in text


def test_the_counterstain_is_of_all_nuclei_not_of_tumour_alone(shown):
    text = spaced(Page(report_of(shown)).text)
    found = od(shown.record.stain.nuclear_hematoxylin_od)
    assert spaced(f"nuclei seen by their blue, tumour or not, {found}") in text


def test_the_row_that_fired_is_named_with_its_share(shown):
    record = shown.record
    fired = record.call.fired
    text = spaced(Page(report_of(shown)).text)
    assert f"row “{record.call.criterion_id}”" in text
    assert spaced(f": {quantity(fired.value, fired.unit)}, cut {fired.comparison}") in text


def test_a_column_that_may_tell_the_score_is_kept_from_the_reader(shown):
    extras = {"expected_score": "surely", "what": "beside a 3+", "block": "A3", "note": " "}
    source = report_of(shown, replace(shown.record, extras=extras))
    folded = spaced(Page(source.split("<details>")[1].split("</details>")[0]).text)
    assert folded == (
        "From the manifest From the manifest block A3 2 columns that may name a score are not "
        "shown, so that nobody reads by them; slides.csv has them."
    )
    assert not re.search("surely|beside a 3", source)


def test_specimen_and_assay_stand_where_paper_shows_them(shown):
    extras = {"specimen_id": "SP-1", "Clone": "4B5", "kit": "reads 3+", "block": "A3"}
    source = report_of(shown, replace(shown.record, extras=extras))
    open_part, folded = source.split("<details>")
    assert "Clone 4B5" in spaced(Page(open_part).text)
    assert "specimen_id SP-1" in spaced(Page(open_part).text)
    assert "A3" in folded
    assert not re.search("4B5|SP-1|reads 3", folded)
    assert "reads 3" not in source
    assert "Assay not stated in a manifest" in spaced(Page(report_of(shown)).text)


def test_a_region_of_few_cells_has_a_dash_and_is_counted_apart(shown):
    record = shown.record
    few = record.regions[0].reading
    few = replace(few, n_blocks=1, tally=Tally.from_array(np.diag([5, 0, 0, 0, 0])[:, :3]))
    regions = (replace(record.regions[0], reading=few), *record.regions[1:])
    text = Page(report_of(shown, replace(record, regions=regions))).text
    assert f"r1 grid {DASH} too few cells 5 " in text
    assert "too few cells (under 100): 1 region" in text


def test_where_all_regions_agree_it_says_all(shown):
    alike = RegionSpread(Score.ZERO, Score.ZERO, 6, {})
    spread = replace(shown.record.heterogeneity, regions=alike)
    text = spaced(Page(report_of(shown, replace(shown.record, heterogeneity=spread))).text)
    assert "6 regions with at least 100 tumour cells: all 0." in text
    alone = replace(spread, regions=RegionSpread(Score.ZERO, Score.ZERO, 1, {}))
    text = spaced(Page(report_of(shown, replace(shown.record, heterogeneity=alone))).text)
    assert "1 region with at least 100 tumour cells: 0." in text


def test_one_of_a_kind_is_told_in_the_singular(shown):
    record = shown.record
    few = replace(record.heterogeneity, clusters=Clusters(3, 2, 1, 1))
    regions = tuple(replace(record.regions[0], region_id=f"g{k}") for k in range(MAX_REGIONS + 1))
    text = spaced(Page(report_of(shown, replace(record, heterogeneity=few, regions=regions))).text)
    assert "moderate or stronger 1, intense 1 cell." in text
    assert "1 more region is in regions.parquet" in text


def test_the_share_of_the_tumor_is_said_of_the_area_around_a_cluster(shown):
    text = spaced(Page(report_of(shown)).text)
    assert "that area holds 8.2 % of the tumour cells of the slide" in text


def test_shifts_have_a_unit_and_what_is_shifted_is_explained(shown):
    trials = (
        Trial("complete from", "-0.07", Score.TWO_PLUS, 36.0, 11.0),
        Trial("tumor from", "+0.1", Score.TWO_PLUS, 36.0, 11.0),
    )
    text = Page(report_of(shown, replace(shown.record, stability=Stability(trials, 0.0)))).text
    assert "Complete from −0.07 of outline" in text
    assert "Tumour from +0.1 in probability" in text
    assert "Least stained arc: the shortest" in text
    assert not re.search(r"\btumors?\b", text.replace("Tumor nest", ""))


def test_a_flag_that_is_yes_or_no_has_no_number_and_no_cut(shown):
    flags = (
        Flag(ReviewFlag.NO_CONTROL, 0, 1, "controls", "None was measured."),
        Flag(ReviewFlag.MPP_BY_HAND, 0.25, 0.25, "µm/px", "Given by hand."),
    )
    text = Page(report_of(shown, replace(shown.record, flags=flags))).text
    advice = {flag: FLAG_ADVICE[flag.flag] for flag in flags}
    assert f"None was measured. {advice[flags[0]]} Number: {DASH} Cut: {DASH}" in text
    assert f"Given by hand. {advice[flags[1]]} Number: 0.250 µm/px Cut: {DASH}" in spaced(text)


def test_a_row_that_holds_the_score_longer_than_the_named_one_says_so(shown):
    record = shown.record
    assert record.call.deciding_lower.criterion.id == record.call.criterion_id
    assert "even without" not in Page(report_of(shown)).text
    other = replace(record.call, criterion_id="2+ intense")
    text = Page(report_of(shown, replace(record, call=other))).text
    assert "Holds the score up, even without row “2+ intense”" in text


def test_a_control_without_a_name_and_the_edge_are_told_in_words(shown):
    tissue = shown.record.tissue
    tissue = replace(
        tissue,
        controls=tuple(replace(found, name="", source="drawn") for found in tissue.controls),
        artefact_frac={"pen": 0.0, "edge": 0.201},
    )
    text = spaced(Page(report_of(shown, replace(shown.record, tissue=tissue))).text)
    assert "Control tissue drawn, 0.03 mm², left out" in text
    assert "Artefacts, of the tissue band along the edge (counted all the same) 20.1 %" in text


def test_tables_have_captions_and_pictures_answer_to_keys(shown):
    page = Page(report_of(shown))
    assert len(page.named("caption")) == len(page.named("table"))
    figures = [a for a in page.named("svg") if "outlined" in a.get("class", "")]
    assert figures
    for figure in figures:
        assert (figure["role"], figure["tabindex"]) == ("button", "0")
        assert figure["aria-pressed"] == "true"
    switches = [a for a in page.named("button") if a.get("class") == "outlines-switch"]
    assert [a["aria-pressed"] for a in switches] == ["true"]


@pytest.mark.parametrize("name", ["gastric-biopsy", "gastric-resection"])
def test_criteria_without_a_0plus_do_not_offer_it(shown, name):
    page = Page(report_of(shown, replace(shown.record, rule_set=name, organ=Organ.STOMACH)))
    box = page.text.split("override it with:")[1].split("not assessable")[0]
    assert box.split() == ["0", "1+", "2+", "3+"]
    chart = page.text.split("Probability of each score 0")[1].split("1+: ")[0]
    assert "0+" not in chart


def test_percent_in_tables_have_one_decimal(shown):
    cells = re.findall(
        r'<td class="number"[^>]*>(?:<span.*?</span>)?([^<]*)%</td>', report_of(shown)
    )
    assert len(cells) > 15
    assert all(re.fullmatch(r"\d+\.\d", cell.strip()) for cell in cells)


def test_research_use_is_on_every_sheet_and_on_paper(shown):
    source = report_of(shown, shown.record, replace(shown.record, patient_id="P-18"))
    n_sheets = len([a for a in Page(source).named("section") if "sheet" in a["class"]])
    assert n_sheets == 3
    assert Page(source).text.count(RESEARCH_USE) == n_sheets
    assert RESEARCH_USE in source.split("@page")[1].split("}")[0]


def test_outlines_and_plain_pictures_use_one_copy_of_the_data(shown):
    source = report_of(shown)
    pictures = [a["href"] for a in Page(source).named("image")]
    n_fields = len(list((shown.folder.path / FIELDS_FOLDER).glob("0*.jpg")))
    assert len(pictures) == len(set(pictures)) == n_fields
    uses = [a["href"] for a in Page(source).named("use")]
    assert len(uses) == 2 * n_fields
    ids = [a["id"] for _, a in Page(source).tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {use[1:] for use in uses} <= set(ids)


def test_charts_and_pictures_have_words(shown):
    page = Page(report_of(shown))
    assert all(a.get("alt") for a in page.named("img"))
    for a in page.named("svg"):
        assert a.get("aria-hidden") or a.get("aria-label") or a.get("aria-labelledby")


def test_the_same_records_give_the_same_bytes(shown):
    assert report_of(shown) == report_of(shown)


def test_a_one_slide_report_has_no_list_and_is_small(shown):
    source = report_of(shown)
    # The slide's own name is the heading.
    assert len(Page(source).named("h1")) == 1
    assert "HER2 immunohistochemistry" not in Page(source).text
    assert len(source) < 4_000_000


def test_a_refused_slide_says_why_and_shows_what_was_seen(made):
    made.folder.cells_parquet.unlink()
    record = refused(made.record)
    illustrate_slide(made.folder, record)
    page = Page(report_of(made, record))
    assert "No tissue was found: the slide or core is empty." in page.text
    assert "Not assessable" in page.text
    assert [a["alt"] for a in page.named("img")] == ["Overview of slide slide A as scanned"]
    assert "What decides" not in page.text
    assert "confirm the score “not assessable”" in page.text


def test_a_slide_without_tumor_cells_says_so(shown):
    rules = load_rule_set("asco-cap-2018")
    zero = Tally.zero()
    record = replace(
        refused(shown.record),
        call=rules.call(zero, blank_upper_pct=1.0),
        status_comment="",
        tissue=shown.record.tissue,
    )
    assert "No tumour cell was counted." in Page(report_of(shown, record)).text


@pytest.mark.parametrize("score", [Score.ZERO, Score.THREE_PLUS])
def test_a_score_at_either_end_has_one_deciding_number(shown, score):
    rules = load_rule_set("asco-cap-2018")
    level = Intensity.NONE if score is Score.ZERO else Intensity.INTENSE
    kind = Pattern.ABSENT if score is Score.ZERO else Pattern.COMPLETE
    tally = Tally.of([level] * 300, [kind.extent] * 300)
    call = rules.call(tally, blank_upper_pct=1.0)
    assert call.score is score
    page = Page(report_of(shown, replace(shown.record, call=call, score=score)))
    assert page.text.count("; cut for ") == 1


def test_a_slide_without_flags_or_review_says_so(shown):
    page = Page(report_of(shown, replace(shown.record, flags=(), review=False)))
    assert "No reason for a second read was found." in page.text
    assert "None raised." in page.text


def test_missing_and_damaged_pictures_are_named_and_the_numbers_stay(made):
    assert "No pictures were taken" in Page(report_of(made)).text
    illustrate_slide(made.folder, made.record)
    made.folder.overview_png.write_bytes(b"no picture")
    text = Page(report_of(made)).text
    assert "is no picture" in text
    assert spaced(percent(made.record.reading.shares["pct_stained"])) in text


def test_the_list_counts_scores_reviews_and_failures(shown):
    refusal = replace(refused(shown.record), slide_id="slide A")
    calm = replace(shown.record, review=False)
    page = Page(
        report_of(
            shown,
            shown.record,
            calm,
            refusal,
            failed={"broken": "the file is truncated"},
            unscored=["one", "two"],
        )
    )
    assert "HER2 immunohistochemistry: 6 slides" in page.text
    assert "came to 2 slides; the same command with --resume goes on: one" in page.text
    assert "Second read needed 2 of 3" in page.text
    assert "Failed 1" in page.text
    assert "the file is truncated" in page.text
    assert {a["href"] for a in page.named("a")} == {"#slide-1", "#slide-2", "#slide-3"}


def test_results_that_cannot_be_read_are_not_told_as_an_interruption(shown):
    alone = Page(report_of(shown, unread=["<i>lost</i>"]))
    words = "its result cannot be read; delete its folder and give the command again with --resume"
    assert "HER2 immunohistochemistry: 2 slides" in alone.text
    assert f"A slide was scored, and {words}: <i>lost</i> ." in alone.text
    assert "interrupted" not in alone.text
    many = Page(report_of(shown, unscored=["later"], unread=[f"n{k}" for k in range(22)]))
    assert "HER2 immunohistochemistry: 24 slides" in many.text
    assert "came to 1 slide; the same command with --resume goes on: later ." in many.text
    assert "22 slides were scored, and their results cannot be read" in many.text
    assert "n19 and 2 more." in many.text


def test_the_list_names_calibrations_and_networks_once(shown):
    other = replace(
        shown.record,
        slide_id="slide B",
        calibration=shown.record.calibration.model_copy(update={"name": "<i>site B</i>"}),
        model="her2-broad",
    )
    page = Page(report_of(shown, shown.record, shown.record))
    assert f"({shown.record.edition}); calibration generic; no network." in page.text
    page = Page(report_of(shown, shown.record, other, other))
    names = "calibrations generic and <i>site B</i>; networks none and her2-broad."
    assert names in page.text


def test_the_cut_in_outlines_is_told_only_where_a_person_has_drawn_tumor(shown):
    grid, drawn = shown.record.regions
    core = replace(drawn, is_core=True)
    assert (grid.kind, drawn.kind) == (RegionKind.GRID, RegionKind.ROI)
    for regions, is_told in (((grid,), False), ((grid, core), False), ((grid, core, drawn), True)):
        page = Page(report_of(shown, replace(shown.record, regions=regions)))
        assert "probability ≥ 0.50" in page.text
        assert ("(0.35 in outlines of tumour)" in page.text) == is_told
        assert ("0.35 in" in page.text) == is_told


def test_the_list_begins_with_doubt_where_it_is_sorted_by_second_reads(shown):
    held = shown.record.probabilities[shown.record.score]
    doubtful = replace(shown.record, review=True)
    calm = replace(shown.record, review=False)
    refusal = replace(refused(shown.record), slide_id="slide A")
    page = Page(report_of(shown, doubtful, calm, refusal))
    keys = [cell["data-sort"] for cell in page.named("td") if cell.get("class") == "small why"]
    assert 0 < held <= 1
    assert keys == [str(held), str(1 + held), "0"]
    assert spaced(percent(100 * held)) in page.text


def test_a_run_with_only_failures_still_has_a_report(made):
    report = write_report(made.results, [], failed={"broken": "truncated"})
    page = Page(report.path.read_text(encoding="utf-8"))
    assert "HER2 immunohistochemistry: 1 slide" in page.text
    assert "truncated" in page.text


def test_many_slides_get_a_page_each_behind_a_list(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "MAX_SLIDES_IN_PAGE", 1)
    made = [make_slide(tmp_path, name) for name in ("slide A", "ß & <i>".replace("<i>", "i"))]
    for one in made:
        illustrate_slide(one.folder, one.record)
    source = report_of(made[0], *(one.record for one in made))
    page = Page(source)
    links = [a["href"] for a in page.named("a")]
    assert links == ["slide%20A/report.html", "%C3%9F%20%26%20i/report.html"]
    assert len(page.named("img")) == 2
    assert len(source) < 100_000
    for one in made:
        own = Page((one.folder.path / "report.html").read_text(encoding="utf-8"))
        assert own.named("a")[0]["href"] == "../report.html"
        assert len(own.named("image")) == 8
    # With fewer slides they stand in one page, and the others would only grow old.
    monkeypatch.setattr(write, "MAX_SLIDES_IN_PAGE", 2)
    together = Page(report_of(made[0], *(one.record for one in made)))
    assert [a["href"] for a in together.named("a")][:2] == ["#slide-1", "#slide-2"]
    assert not any((one.folder.path / "report.html").exists() for one in made)


def test_of_many_slides_no_more_than_a_page_holds_are_kept_with_their_regions(made, monkeypatch):
    monkeypatch.setattr(write, "MAX_SLIDES_IN_PAGE", 1)
    assert made.record.regions
    held = []

    def read_one_by_one():
        for number in range(8):
            name = f"many {number}"
            made.results.slide(name).path.mkdir(parents=True)
            yield replace(made.record, slide_id=name)
            gc.collect()
            # To ask others for their class wakes what was left to be loaded when it is used.
            found = (one for one in gc.get_objects() if type(one) is SlideRecord)
            mine = (one for one in found if one.slide_id.startswith("many "))
            held.append(sum(one.regions != () for one in mine))

    report = write_report(made.results, read_one_by_one())
    assert [slide.slide_id for slide in report.slides] == [f"many {n}" for n in range(8)]
    # Those that were read to see how many there are, and the one that is being written.
    assert max(held) <= 3


def test_a_counterstain_that_nobody_measured_is_not_stated(shown):
    assert "typical nuclei" in Page(report_of(shown)).text
    text = Page(report_of(shown, refused(shown.record))).text
    assert "Counterstain not measured" in text
    assert "typical nuclei" not in text


def test_unknown_numbers_are_dashes(shown):
    record = shown.record
    reading = replace(record.reading, intervals={})
    text = Page(report_of(shown, replace(record, reading=reading))).text
    assert "(no interval)" in text
    assert DASH in text
