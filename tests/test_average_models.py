"""scripts/average_models.py: a network between others."""

import sys

import pytest
import torch

from her2path.models.checkpoint import load_checkpoint
from her2path.models.shipped import list_models


@pytest.fixture
def script(load_script):
    return load_script("average_models")


@pytest.fixture
def shipped():
    return next(model.folder for model in list_models() if model.origin == "shipped")


def test_the_mean_of_a_network_and_itself_is_that_network(script, shipped, tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    out = tmp_path / "mean"
    arguments = ["average_models", str(out), f"{shipped}=0.25", f"{shipped}=0.75"]
    monkeypatch.setattr(sys, "argv", arguments)
    assert script.main() == 0
    before, after = load_checkpoint(shipped), load_checkpoint(out)
    for name, tensor in before.tensors.items():
        torch.testing.assert_close(after.tensors[name], tensor)
    assert after.has_onnx
    assert after.description.calibration == before.description.calibration


@pytest.mark.parametrize(("shares", "message"), [((0.5, 0.4), "add up"), ((1.5, -0.4), "add up")])
def test_shares_that_do_not_add_up_are_refused(script, shipped, shares, message):
    found = load_checkpoint(shipped)
    with pytest.raises(script.ModelError, match=message):
        script.averaged([(found, share) for share in shares])
