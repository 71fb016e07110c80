"""scripts/calibrate_model.py: what is promised of other fields is met by other fields."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from her2path.statistics.conformal import conformal_sets
from her2path.statistics.temperature import ordinal_probabilities

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("calibrate_model")


def fields(n, seed):
    """Ranks, and logits of a reader who is twice as sure as he should be."""
    rng = np.random.default_rng(seed)
    logits = 4 * (rng.uniform(-1, 5, (n, 1)) - np.arange(4) - 0.5)
    p = ordinal_probabilities(logits)
    ranks = (rng.random((n, 1)) > np.cumsum(p, axis=1)[:, :-1]).sum(axis=1)
    return ranks, 2 * logits


def test_overconfidence_is_found_and_new_fields_are_covered(script):
    ranks, logits = fields(400, seed=1)
    temperature, quantile = script.fitted(ranks, logits, np.arange(400) % 2 == 0, 0.9)
    assert temperature == pytest.approx(2, rel=0.25)
    other_ranks, other = fields(2000, seed=2)
    sets = conformal_sets(ordinal_probabilities(other, temperature), quantile)
    assert sets[np.arange(2000), other_ranks].mean() > 0.86
    assert sets.sum(axis=1).mean() < 3


def test_the_expected_coverage_is_that_of_fields_kept_aside(script, monkeypatch):
    monkeypatch.setattr(script, "N_DEALS", 40)
    ranks, logits = fields(150, seed=3)
    coverage, size = script.expected(ranks, logits, 0.9, seed=0)
    assert coverage == pytest.approx(0.92, abs=0.05)
    assert 1 <= size <= 3
