"""Scripts refuse what they cannot work with in one line, before anything is drawn or written."""

import pytest

WRONG = [
    ("accuracy", ["--model", "nosuch"], "no model 'nosuch'"),
    ("benchmark", ["--rounds", "0"], "--rounds must be at least 1"),
    ("benchmark", ["--cell-blocks", "0"], "--cell-blocks must be at least 1"),
    ("benchmark", ["--mm2", "nan"], "--mm2 must be above 0"),
    ("benchmark", ["--model", "nosuch"], "no model 'nosuch'"),
    ("calibrate_model", ["her2-broad", "--seed", "-1"], "--seed -1: give 0 or more"),
    ("focus_limit", ["--slides", "0"], "--slides and --workers must be at least 1"),
    ("foreign_slides", ["--out", "new", "--model", "nosuch"], "no model 'nosuch'"),
    ("foreign_slides", ["--out", "new", "--jobs", "0"], "--jobs at least 1"),
    ("line_evidence", ["--model", "nosuch"], "no model 'nosuch'"),
    ("make_sample_slides", ["--check", "--out", "new"], "no manifest.csv"),
    ("marks", ["--real", "there", "--model", "nosuch"], "no model 'nosuch'"),
    ("marks", ["--real", "there", "--jobs", "0"], "--jobs must be at least 1"),
    ("pair_study", ["--seed", "-1"], "--seed must be at least 0"),
    ("pair_study", ["--level", "pictures", "--model", "nosuch"], "no model 'nosuch'"),
    ("real_pairs", ["--real", "there", "--model", "nosuch"], "no model 'nosuch'"),
    ("realism", ["--seed", "-1"], "--seed must be at least 0"),
]


@pytest.mark.parametrize(("name", "given", "words"), WRONG, ids=lambda part: str(part)[:40])
def test_what_cannot_be_meant_is_refused_before_anything_is_made(
    load_script, monkeypatch, capsys, tmp_path, name, given, words
):
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        # The benchmark sets them as it is loaded; only here.
        monkeypatch.setenv(variable, "1")
    script = load_script(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    for core in getattr(script, "CORES", ()):
        (tmp_path / "there" / f"{core}.jpg").touch()
    monkeypatch.setattr(script, "ROOT", tmp_path, raising=False)
    monkeypatch.setattr("sys.argv", [f"{name}.py", *given])
    with pytest.raises(SystemExit) as end:
        script.main()
    assert words in capsys.readouterr().err + str(end.value)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
