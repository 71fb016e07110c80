"""scripts/calibrate_model.py: what is promised of other fields is met by other fields."""

from concurrent.futures import Future
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from her2path.criteria import EXPRESSION_SCORES
from her2path.models.checkpoint import load_checkpoint, save_checkpoint
from her2path.models.description import (
    Architecture,
    CodeVersion,
    ModelCalibration,
    ModelDescription,
    Normalisation,
    TrainingData,
)
from her2path.statistics.conformal import conformal_sets
from her2path.statistics.temperature import ordinal_probabilities


@pytest.fixture
def script(load_script):
    return load_script("calibrate_model")


def fields(n, seed):
    """Ranks, and logits of a reader who is twice as sure as he should be."""
    rng = np.random.default_rng(seed)
    logits = 4 * (rng.uniform(-1, 5, (n, 1)) - np.arange(4) - 0.5)
    p = ordinal_probabilities(logits)
    ranks = (rng.random((n, 1)) > np.cumsum(p, axis=1)[:, :-1]).sum(axis=1)
    return ranks, 2 * logits


def test_overconfidence_is_found_and_new_fields_are_covered(script):
    ranks, logits = fields(400, seed=1)
    found = script.fitted(ranks, logits, np.arange(400) % 2 == 0, 0.9)
    assert found.temperature == pytest.approx(2, rel=0.25)
    other_ranks, other = fields(2000, seed=2)
    sets = conformal_sets(found.probabilities(other), found.quantile)
    assert sets[np.arange(2000), other_ranks].mean() > 0.86
    assert sets.sum(axis=1).mean() < 3


def test_the_expected_coverage_is_that_of_fields_kept_aside(script, monkeypatch):
    monkeypatch.setattr(script, "N_DEALS", 40)
    ranks, logits = fields(150, seed=3)
    coverage, size = script.expected(ranks, logits, 0.9, seed=0)
    assert coverage == pytest.approx(0.92, abs=0.05)
    assert 1 <= size <= 3


def test_a_network_that_counts_no_tumor_cell_gives_no_fields(script, monkeypatch, tmp_path):
    class Pool:
        """Reads in this process, with a network that has no opinion of any field."""

        def __init__(self, *_, **__): ...

        def __enter__(self):
            return self

        def __exit__(self, *_): ...

        def submit(self, *_):
            future = Future()
            future.set_result([2.0, 0.0, *[0.0] * 4])
            return future

    monkeypatch.setattr(script, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(script, "read_description", lambda _: SimpleNamespace(mpp_range=(0.1, 0.7)))
    ranks, logits = script.read_fields([None] * 3, tmp_path, n_jobs=1)
    assert ranks.shape == (0,)
    assert logits.shape == (0, 4)


def test_the_numbers_are_written_into_the_checkpoint(script, monkeypatch, tmp_path, capsys):
    folder = tmp_path / "model"
    description = ModelDescription(
        name="tiny",
        scores=EXPRESSION_SCORES,
        mpp=0.5,
        mpp_range=(0.1, 0.7),
        normalisation=Normalisation(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        architecture=Architecture(name="compact"),
        calibration=ModelCalibration(plane_cuts={"nucleus": 0.4}),
        data=TrainingData(summary="Drawn fields."),
        code=CodeVersion(version="0"),
    )
    save_checkpoint(folder, {"a": torch.ones(1)}, description)
    monkeypatch.setattr(script, "N_DEALS", 5)
    monkeypatch.setattr(script, "read_fields", lambda *_, **__: fields(200, seed=4))
    monkeypatch.setattr("sys.argv", ["calibrate_model.py", str(folder)])
    assert script.main() == 0
    found = load_checkpoint(folder).description
    assert found.calibration.temperature == pytest.approx(2, rel=0.3)
    assert found.calibration.coverage == 0.9
    assert found.calibration.n_calibration == 200
    assert found.calibration.plane_cuts == {"nucleus": 0.4}
    assert 0.8 < found.metrics["conformal_coverage"] <= 1
    assert found.fingerprint[:12] in capsys.readouterr().out


def test_features_are_those_that_slides_are_scored_by(script):
    rng = np.random.default_rng(0)
    # The last row of positions lies half beyond the field, and one position hardly counts.
    weight = rng.uniform(0.5, 2, (3, 2)).astype(np.float32)
    weight[0, 0] = 0.01
    planes = SimpleNamespace(
        weight=weight,
        features=rng.random((3, 2, 5)).astype(np.float32),
        stride=16,
        downsample=2.0,
    )
    field = SimpleNamespace(rgb=np.zeros((70, 64, 3), np.uint8), mpp=0.25)
    counted = weight.astype(float)
    counted[0, 0] = 0
    counted[2] = 0
    expected = np.tensordot(counted, planes.features.astype(np.float64)) / counted.sum()
    np.testing.assert_allclose(script.mean_features(planes, field), expected, atol=1e-3)
    planes.weight = np.full((3, 2), 0.015, np.float32)
    assert script.mean_features(planes, field) is None
