import csv
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from her2path.criteria.score import IshResult
from her2path.errors import CriteriaError, Her2pathError, ResultsError
from her2path.pipeline import executors
from her2path.pipeline.batch import run_batch, words_of
from her2path.pipeline.executors import BrokenProcessPool
from her2path.pipeline.manifest import KNOWN_COLUMNS, TAKEN
from her2path.pipeline.network import NetworkUse
from her2path.pipeline.progress import SlideDone, SlideFailed, SlideSurveyed, TilesMeasured
from her2path.pipeline.settings import ScoreSettings, find_rule_set
from her2path.results.atomic import atomic_path
from her2path.results.cells import read_cells
from her2path.results.folder import ResultsFolder, SlideFolder
from her2path.results.journal import Journal
from her2path.results.record import SlideRecord, read_record
from her2path.results.run_record import settings_hash
from her2path.results.tables import write_slides

pytestmark = pytest.mark.slow


def rows_of(out: ResultsFolder) -> dict[str, dict[str, str]]:
    with out.slides_csv.open(encoding="utf-8", newline="") as file:
        return {row["slide_id"]: row for row in csv.DictReader(file)}


def die_once(folder: SlideFolder, record: SlideRecord) -> None:
    """Kill this worker, but only the first time."""
    mark = folder.path.parent.parent / "died"
    if record.slide_id == "core" and not mark.exists():
        mark.touch()
        os._exit(1)


def die_always(folder: SlideFolder, record: SlideRecord) -> None:  # noqa: ARG001
    if record.slide_id == "core":
        os._exit(1)


def leave_a_note(folder: SlideFolder, record: SlideRecord) -> None:
    (folder.path / "note.txt").write_text(record.score.value, encoding="utf-8")


def test_one_bad_slide_never_stops_the_rest(
    drawn, glass, damaged, job_on, settings, tmp_path: Path
):
    out = ResultsFolder(tmp_path / "out")
    jobs = [job_on(damaged), job_on(tmp_path / "gone.png"), job_on(glass), job_on(drawn)]
    result = run_batch(jobs, settings, out)
    assert (result.n_slides, result.n_done, set(result.failed)) == (4, 2, {"damaged", "gone"})
    rows = rows_of(out)
    assert list(rows) == ["damaged", "gone", "glass", "core"]
    assert rows["damaged"]["state"] == "failed"
    # A first slide that failed does not change the order of the columns.
    assert list(rows["damaged"])[-3:] == ["calibration", "model", "patient_id"]
    assert "no reader understands it" in rows["damaged"]["error"]
    assert "does not exist" in rows["gone"]["error"] or "No such file" in rows["gone"]["error"]
    assert rows["glass"]["score"] == rows["glass"]["status"] == "not_assessable"
    assert rows["glass"]["n_tumor_cells"] == "0"
    # Of no cell there is no share: 0 % would be taken for negative.
    assert {rows["glass"][name] for name in ("pct_none", "pct_stained", "h_score", "p_0")} == {""}
    shares = [float(rows["core"][f"pct_{w}"]) for w in ("none", "faint", "weak", "moderate")]
    assert sum(shares) + float(rows["core"]["pct_intense"]) == pytest.approx(100)


def test_a_slide_leaves_all_files_of_the_contract_and_no_others(
    drawn, job_on, settings, tmp_path: Path
):
    out = ResultsFolder(tmp_path)
    run_batch([job_on(drawn)], settings, out, after_slide=leave_a_note)
    names = {path.name for path in (tmp_path / "core").iterdir()}
    tables = {"regions.parquet", "regions.csv", "cells.parquet"}
    wanted = {"slide.json", "regions.geojson", "note.txt"} | tables
    assert names == wanted
    assert {"slides.csv", "run.json"} <= {path.name for path in tmp_path.iterdir()}
    record = read_record(out.slide("core").slide_json)
    cells = read_cells(out.slide("core").cells_parquet)
    assert len(cells) == record.selection.n_cells
    assert cells["is_tumor"].sum() == record.reading.n_tumor_cells > 0
    assert set(record.timings) == {"survey", "measure", "conclude", "illustrate"}


def test_two_workers_give_what_one_gives(
    drawn, glass, damaged, job_on, settings, result_of, tmp_path: Path
):
    jobs = [job_on(drawn), job_on(damaged), job_on(glass), job_on(drawn, slide_id="again")]
    outs = [ResultsFolder(tmp_path / name) for name in ("one", "two")]
    for n_workers, out in enumerate(outs, start=1):
        run_batch(jobs, settings, out, n_workers=n_workers)
    for slide_id in ("core", "glass", "again"):
        one, two = (out.slide(slide_id) for out in outs)
        assert result_of(one.path) == result_of(two.path)
        for name in ("cells.parquet", "regions.parquet", "regions.geojson"):
            assert (one.path / name).read_bytes() == (two.path / name).read_bytes()
    assert set(rows_of(outs[0])) == set(rows_of(outs[1]))


def test_resume_does_only_what_is_left(drawn, glass, job_on, settings, tmp_path: Path):
    out = ResultsFolder(tmp_path)
    run_batch([job_on(glass)], settings, out)
    stamp = out.slide("glass").slide_json.stat().st_mtime_ns
    events = []
    result = run_batch(
        [job_on(glass), job_on(drawn)], settings, out, resume=True, listener=events.append
    )
    assert result.n_done == 2
    assert out.slide("glass").slide_json.stat().st_mtime_ns == stamp
    assert [e.slide_id for e in events if isinstance(e, SlideDone)] == ["core"]
    assert list(rows_of(out)) == ["glass", "core"]


def test_resume_with_other_slides_keeps_those_that_are_done(
    drawn, glass, damaged, job_on, settings, tmp_path: Path
):
    out = ResultsFolder(tmp_path)
    run_batch([job_on(glass), job_on(damaged)], settings, out)
    before = rows_of(out)
    result = run_batch([job_on(drawn)], settings, out, resume=True)
    assert (result.n_slides, result.n_done) == (1, 1)
    after = rows_of(out)
    assert list(after) == [*before, "core"]
    assert after["glass"] == before["glass"]


def test_what_a_row_says_itself_no_manifest_may_say(drawn, job_on, settings, tmp_path: Path):
    out = ResultsFolder(tmp_path)
    run_batch([job_on(drawn)], settings, out)
    assert set(rows_of(out)["core"]) <= TAKEN | set(KNOWN_COLUMNS)


def test_what_a_manifest_says_beside_the_score_is_written_without_scoring_again(
    drawn, job_on, settings, tmp_path: Path, caplog
):
    out = ResultsFolder(tmp_path)
    run_batch([job_on(drawn, extras={"block": "7"})], settings, out)
    first = read_record(out.slide("core").slide_json)
    events = []
    labelled = job_on(drawn, patient_id="P1", extras={"site": "München", "batch": ""})
    run_batch([labelled], settings, out, resume=True, listener=events.append)
    assert not [e for e in events if isinstance(e, SlideDone)]
    second = read_record(out.slide("core").slide_json)
    assert second == replace(first, patient_id="P1", extras={"site": "München", "batch": ""})
    (row,) = rows_of(out).values()
    assert (row["patient_id"], row["site"], row["batch"]) == ("P1", "München", "")
    assert "block" not in row
    # Named without a manifest, the slide keeps what one said of it.
    run_batch([job_on(drawn)], settings, out, resume=True)
    assert read_record(out.slide("core").slide_json) == second
    assert not caplog.records


def test_what_a_manifest_takes_back_does_not_stay(drawn, job_on, settings, tmp_path: Path):
    out = ResultsFolder(tmp_path / "out")
    run_batch([job_on(drawn, patient_id="P1")], settings, out)
    run_batch([job_on(drawn)], settings, out, resume=True)
    assert rows_of(out)["core"]["patient_id"] == "P1"
    run_batch([job_on(drawn, patient_id="")], settings, out, resume=True)
    assert rows_of(out)["core"]["patient_id"] == ""
    assert read_record(out.slide("core").slide_json).patient_id == ""


def test_a_slide_labelled_later_is_as_one_labelled_at_once(
    drawn, job_on, settings, result_of, tmp_path: Path
):
    labels = {"patient_id": "P1", "extras": {"site": "Köln"}}
    late, at_once = ResultsFolder(tmp_path / "late"), ResultsFolder(tmp_path / "once")
    run_batch([job_on(drawn)], settings, late)
    run_batch([job_on(drawn, **labels)], settings, late, resume=True)
    run_batch([job_on(drawn, **labels)], settings, at_once)
    assert result_of(late.slide("core").path) == result_of(at_once.slide("core").path)
    hashes = {read_record(o.slide("core").slide_json).settings_hash for o in (late, at_once)}
    assert len(hashes) == 1


def test_a_manifest_that_has_no_column_of_something_takes_nothing_back(
    glass, job_on, settings, tmp_path: Path
):
    out = ResultsFolder(tmp_path / "out")
    run_batch([job_on(glass, patient_id="P1", extras={"site": "Köln"})], settings, out)
    for said in ({"extras": {"note": "x"}}, {"patient_id": "P2"}):
        run_batch([job_on(glass, **said)], settings, out, resume=True)
    record = read_record(out.slide(glass.stem).slide_json)
    assert (record.patient_id, record.extras) == ("P2", {"note": "x"})
    with out.slides_csv.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["patient_id"], row["note"]) == ("P2", "x")


def test_a_slide_that_changes_while_it_is_read_fails(drawn, job_on, settings, tmp_path: Path):
    out = ResultsFolder(tmp_path / "out")
    path, other = tmp_path / "a.png", tmp_path / "other.png"
    shutil.copy(drawn, path)
    Image.open(drawn).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(other)

    def replace_it(event: object) -> None:
        if isinstance(event, SlideSurveyed):
            os.replace(other, path)

    result = run_batch([job_on(path)], settings, out, listener=replace_it)
    assert "changed while it was read" in result.failed["a"]
    assert not out.slide("a").slide_json.exists()
    # Now that it is left alone it is scored.
    assert not run_batch([job_on(path)], settings, out, resume=True).failed


def test_a_slide_that_is_gone_once_it_was_read_keeps_its_score(
    drawn, job_on, settings, tmp_path: Path
):
    out = ResultsFolder(tmp_path / "out")
    path = tmp_path / "a.png"
    shutil.copy(drawn, path)

    def remove_it(event: object) -> None:
        if isinstance(event, TilesMeasured):
            path.unlink()

    assert not run_batch([job_on(path)], settings, out, listener=remove_it).failed


def test_resume_tries_failed_slides_again(glass, job_on, settings, tmp_path: Path):
    out = ResultsFolder(tmp_path / "out")
    path = tmp_path / "late.png"
    path.write_bytes(b"no picture yet")
    assert run_batch([job_on(path)], settings, out).failed
    path.write_bytes(glass.read_bytes())
    assert not run_batch([job_on(path)], settings, out, resume=True).failed


def test_a_slide_replaced_by_one_of_its_size_and_time_is_scored_again(
    glass, job_on, settings, tmp_path: Path
):
    out = ResultsFolder(tmp_path / "out")
    path = tmp_path / "slide.tif"
    rgb = np.asarray(Image.open(glass))
    tifffile.imwrite(path, rgb)
    job = job_on(path, mpp=0.25)
    before = path.stat()
    run_batch([job], settings, out)
    first = read_record(out.slide("slide").slide_json).scan
    tifffile.imwrite(path, rgb - 3)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    run_batch([job], settings, out, resume=True)
    second = read_record(out.slide("slide").slide_json).scan
    assert second.sha256_ends != first.sha256_ends


def test_resume_with_other_settings_is_refused(glass, job_on, settings, tmp_path: Path):
    run_batch([job_on(glass)], settings, ResultsFolder(tmp_path))
    with pytest.raises(ResultsError, match="other settings"):
        run_batch([job_on(glass)], ScoreSettings(seed=9), ResultsFolder(tmp_path), resume=True)


def test_another_calibration_for_a_slide_scores_it_again(glass, job_on, settings, tmp_path: Path):
    out = ResultsFolder(tmp_path)
    job = job_on(glass)
    run_batch([job], settings, out)
    shifted = job.calibration.model_copy(update={"complete_frac": 0.7})
    events = []
    run_batch(
        [job_on(glass, calibration=shifted)],
        settings,
        out,
        resume=True,
        listener=events.append,
    )
    assert any(isinstance(event, SlideDone) for event in events)


def test_parts_of_a_run_that_stopped_are_not_measured_again(
    drawn, job_on, result_of, tmp_path: Path
):
    whole = ResultsFolder(tmp_path / "whole")
    small_tiles = ScoreSettings(n_resamples=100, tile_um=160.0)
    run_batch([job_on(drawn)], small_tiles, whole)

    class Stopped(Exception):
        pass

    def stop_after_two(event: object) -> None:
        seen.append(event)
        if sum(isinstance(e, TilesMeasured) for e in seen) == 2:
            raise Stopped

    seen: list[object] = []
    out = ResultsFolder(tmp_path / "out")
    with pytest.raises(Stopped):
        run_batch([job_on(drawn)], small_tiles, out, listener=stop_after_two)
    events: list[object] = []
    run_batch([job_on(drawn)], small_tiles, out, resume=True, listener=events.append)
    (surveyed,) = (e for e in events if isinstance(e, SlideSurveyed))
    assert surveyed.n_known >= 2
    assert result_of(out.slide("core").path) == result_of(whole.slide("core").path)


def test_a_worker_that_dies_once_costs_nothing(drawn, glass, job_on, settings, tmp_path: Path):
    out = ResultsFolder(tmp_path / "out")
    result = run_batch(
        [job_on(drawn), job_on(glass)], settings, out, n_workers=2, after_slide=die_once
    )
    assert (result.n_done, result.failed) == (2, {})
    assert not (out.slide("core").path / ".parts").exists()


def test_a_slide_that_kills_its_worker_fails_by_itself(
    drawn, glass, job_on, settings, tmp_path: Path
):
    out = ResultsFolder(tmp_path / "out")
    events: list[object] = []
    result = run_batch(
        [job_on(drawn), job_on(glass)],
        settings,
        out,
        n_workers=2,
        after_slide=die_always,
        listener=events.append,
    )
    assert set(result.failed) == {"core"}
    assert "worker process died" in result.failed["core"]
    assert result.n_done == 1
    assert [e.slide_id for e in events if isinstance(e, SlideFailed)] == ["core"]
    # It died over its pictures: by then there is a slide.json, which no journal stands for.
    assert not out.slide("core").slide_json.exists()


def test_a_score_outlives_its_pictures(glass, job_on, settings, tmp_path: Path, caplog):
    def fall_over(folder: SlideFolder, record: SlideRecord) -> None:  # noqa: ARG001
        raise KeyError("lost")

    out = ResultsFolder(tmp_path)
    result = run_batch([job_on(glass)], settings, out, after_slide=fall_over)
    assert result.n_done == 1
    (remark,) = read_record(out.slide("glass").slide_json).remarks
    assert "pictures could not be drawn" in remark
    # A line amid the progress, no traceback.
    (said,) = [record for record in caplog.records if record.levelname != "DEBUG"]
    assert "pictures could not be drawn" in said.getMessage()
    assert said.exc_info is None


def test_a_table_that_takes_long_to_write_does_not_hold_the_slides_up(
    glass, job_on, settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out, writes = ResultsFolder(tmp_path / "out"), []

    def slow(path: Path, rows: list[dict]) -> None:
        writes.append(len(rows))
        time.sleep(0.2)
        write_slides(path, rows)

    monkeypatch.setattr("her2path.pipeline.batch.write_slides", slow)
    monkeypatch.setattr("her2path.pipeline.batch.WRITE_EVERY_S", 0.0)
    jobs = [job_on(glass, slide_id=f"s{k}") for k in range(12)]
    assert run_batch(jobs, settings, out).n_done == 12
    # The first one, the last one, and one in ten times as long as they take.
    assert len(writes) < 9
    assert (writes[0], writes[-1], len(rows_of(out))) == (1, 12, 12)


def test_a_worker_that_died_is_no_error_to_report():
    assert "fewer --workers" in words_of(BrokenProcessPool())
    assert "report" not in words_of(BrokenProcessPool())


def test_an_error_without_a_remedy_asks_to_be_reported():
    assert words_of(KeyError("lost")) == "unexpected KeyError: 'lost'; please report it"
    assert "fewer --workers" in words_of(MemoryError())


def test_an_interrupt_leaves_a_journal_to_go_on_from(
    drawn, glass, job_on, settings, tmp_path: Path
):
    def interrupt(event: object) -> None:
        if isinstance(event, SlideDone):
            raise KeyboardInterrupt

    out = ResultsFolder(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_batch([job_on(glass), job_on(drawn)], settings, out, listener=interrupt)
    assert list(rows_of(out)) == ["glass"]
    result = run_batch([job_on(glass), job_on(drawn)], settings, out, resume=True)
    assert result.n_done == 2


SCRIPT = """
import sys
from pathlib import Path
from her2path.pipeline.batch import run_batch
from her2path.pipeline.settings import ScoreSettings, SlideJob, find_calibration, find_rule_set
from her2path.results.folder import ResultsFolder

if __name__ == "__main__":
    rules, calibration = find_rule_set("asco-cap-2018"), find_calibration(None)
    jobs = [
        SlideJob(slide_id=f"s{k}", path=Path(sys.argv[1]), rule_set=rules, calibration=calibration,
                 mpp=0.25)
        for k in range(3)
    ]
    settings = ScoreSettings(n_resamples=100, tile_um=160.0)
    run_batch(jobs, settings, ResultsFolder(Path(sys.argv[2])), n_workers=2, resume=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="sends a signal that only POSIX has")
def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(
    drawn, job_on, result_of, tmp_path: Path
):
    script = tmp_path / "run.py"
    script.write_text(SCRIPT, encoding="utf-8")
    out = ResultsFolder(tmp_path / "out")
    command = [sys.executable, str(script), str(drawn), str(out.path)]
    with subprocess.Popen(command, start_new_session=True) as process:
        deadline = time.monotonic() + 120
        while not list(out.path.glob("*/.parts/*.npz")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    # Workers end by themselves when their parent is gone: nobody holds the journal.
    subprocess.run(command, check=True, timeout=240)
    settings = ScoreSettings(n_resamples=100, tile_um=160.0)
    whole = ResultsFolder(tmp_path / "whole")
    run_batch([job_on(drawn, slide_id="s0")], settings, whole)
    wanted = result_of(whole.slide("s0").path)
    for slide_id in ("s0", "s1", "s2"):
        assert result_of(out.slide(slide_id).path) == wanted | {"slide_id": slide_id}
        assert not (out.slide(slide_id).path / ".parts").exists()
    with Journal(out.journal, settings_hash=settings_hash(settings), resume=True) as journal:
        assert {entry.state for entry in journal.entries()} == {"done"}


def test_resume_keeps_results_whose_file_cannot_be_reached(
    glass, drawn, job_on, settings, tmp_path: Path
):
    out = ResultsFolder(tmp_path / "out")
    path = tmp_path / "away.png"
    shutil.copy(glass, path)
    jobs = [job_on(path), job_on(drawn)]
    run_batch(jobs, settings, out)
    before = rows_of(out)
    path.rename(tmp_path / "unmounted.png")
    result = run_batch(jobs, settings, out, resume=True)
    assert (result.n_done, result.failed) == (2, {})
    assert rows_of(out) == before
    # Without a result there is nothing to keep.
    out.slide("away").slide_json.unlink()
    result = run_batch(jobs, settings, out, resume=True)
    assert "away" in result.failed


def test_a_slide_whose_results_were_deleted_is_scored_again(
    glass, job_on, settings, tmp_path: Path
):
    out = ResultsFolder(tmp_path / "out")
    run_batch([job_on(glass)], settings, out)
    shutil.rmtree(out.slide("glass").path)
    run_batch([job_on(glass)], settings, out, resume=True)
    assert out.slide("glass").slide_json.exists()


def test_nothing_of_an_earlier_run_stays_beside_a_slide_that_fails(
    drawn, job_on, settings, tmp_path: Path
):
    out = ResultsFolder(tmp_path / "out")
    path = tmp_path / "a.png"
    shutil.copy(drawn, path)
    run_batch([job_on(path)], settings, out)
    folder = out.slide("a")
    folder.cells_geojson.write_text("{}")
    (folder.path / "report.html").write_text("2+")
    folder.fields.mkdir()
    (folder.fields / "field-1.jpg").write_bytes(b"")
    assert folder.slide_json.exists()
    path.write_bytes(path.read_bytes()[:500])
    assert set(run_batch([job_on(path)], settings, out, overwrite=True).failed) == {"a"}
    assert not folder.slide_json.exists()
    assert not folder.cells_geojson.exists()
    assert not folder.cells_parquet.exists()
    assert not (folder.path / "report.html").exists()
    assert not folder.fields.exists()


def test_results_that_an_overwriting_run_leaves_behind_are_told(
    glass, job_on, settings, tmp_path: Path, caplog
):
    out = ResultsFolder(tmp_path / "out")
    other = tmp_path / "other.png"
    shutil.copy(glass, other)
    run_batch([job_on(glass), job_on(other)], settings, out)
    result = run_batch([job_on(glass)], settings, out, overwrite=True)
    assert result.done == ("glass",)
    assert out.slide("other").slide_json.exists()
    assert "results of 1 slides of the run that was overwritten stay" in caplog.text


def test_results_of_a_slide_that_an_overwriting_run_cannot_find_are_told(
    glass, job_on, settings, tmp_path: Path, caplog
):
    out = ResultsFolder(tmp_path / "out")
    path = tmp_path / "a.png"
    shutil.copy(glass, path)
    run_batch([job_on(path)], settings, out)
    path.unlink()
    assert run_batch([job_on(path)], settings, out, overwrite=True).failed
    assert out.slide("a").slide_json.exists()
    assert "results of 1 slides of the run that was overwritten stay" in caplog.text


def test_a_run_goes_on_wherever_the_network_lies_and_runs(settings):
    def with_network(folder: str, device: str, fingerprint: str = "f" * 64) -> ScoreSettings:
        return replace(settings, network=NetworkUse("n", Path(folder), fingerprint, device))

    here, there = with_network("/a", "auto"), with_network("/b", "cpu")
    assert settings_hash(here.identity) == settings_hash(there.identity)
    assert settings_hash(here.identity) != settings_hash(with_network("/a", "auto", "e").identity)
    assert settings.identity is settings


def test_files_that_no_run_wrote_are_never_replaced(glass, job_on, settings, tmp_path: Path):
    (tmp_path / "slides.csv").write_text("path\nmine.svs\n")
    with pytest.raises(ResultsError, match="no journal of a run that wrote it"):
        run_batch([job_on(glass)], settings, ResultsFolder(tmp_path))
    assert (tmp_path / "slides.csv").read_text() == "path\nmine.svs\n"


def test_a_run_that_is_refused_leaves_what_another_is_writing(
    glass, job_on, settings, tmp_path: Path
):
    out = ResultsFolder(tmp_path)
    run_batch([job_on(glass)], settings, out)
    with atomic_path(out.slides_csv) as half:
        half.write_text("half")
        with pytest.raises(ResultsError, match="resume"):
            run_batch([job_on(glass)], settings, out)
        assert half.exists()


def test_a_table_that_is_open_elsewhere_does_not_stop_the_slides(
    glass, drawn, job_on, settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out = ResultsFolder(tmp_path / "out")
    writes = []

    def locked_at_first(path: Path, rows: object) -> None:
        writes.append(path)
        if len(writes) == 1:
            raise ResultsError("slides.csv cannot be written (it is open)")
        write_slides(path, rows)

    monkeypatch.setattr("her2path.pipeline.batch.write_slides", locked_at_first)
    result = run_batch([job_on(glass), job_on(drawn)], settings, out)
    assert (result.n_done, len(rows_of(out))) == (2, 2)


def test_a_result_of_ish_that_the_criteria_do_not_know_is_refused_at_once(glass, job_on):
    with pytest.raises(CriteriaError, match="defined for breast"):
        job_on(glass, rule_set=find_rule_set("gastric-resection"), ish=IshResult.GROUP_1)


def test_a_system_that_starts_no_process_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch):
    def refused(*_: object, **__: object) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(executors, "ProcessPoolExecutor", refused)
    with pytest.raises(Her2pathError, match=r"cannot be started \(Broken pipe\); --workers 1"):
        executors.executor_for(2)
