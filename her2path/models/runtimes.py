"""Whether a checkpoint can be run: its weights fit its design, and its ONNX says what they say.

Hashes only tell that files are those that were saved. A description that names another design, or
the ONNX of another network, would be read with the wrong halo or score by a foreign head.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from her2path.errors import ModelError
from her2path.models.checkpoint import load_checkpoint
from her2path.models.design import OUTPUTS
from her2path.models.inference import onnx_runner
from her2path.models.torch_reading import network_of, torch_runner

__all__ = ["MOST_OFF", "check_runtimes"]

# How far torch and ONNX Runtime may lie apart in fp32: planes in steps of 8 bits, before a stated
# cut spreads them; weight and features in their own unit.
MOST_OFF = dict(zip(OUTPUTS, (1.0, 1e-3, 1e-3), strict=True))
SIDE_PX = 128


def check_runtimes(folder: Path) -> None:
    """Read a picture of random colors by torch and by ONNX Runtime, where there is one, in fp32.

    Raises
    ------
    ModelError
        When the weights do not fit the design, or the two differ by more than `MOST_OFF`.
    """
    checkpoint = load_checkpoint(folder)
    by_torch = torch_runner(network_of(checkpoint), torch.device("cpu"), use_half=False)
    if not checkpoint.has_onnx:
        return
    by_onnx = onnx_runner(checkpoint.read_onnx(), 1, n_features=checkpoint.design.n_features)
    colors = np.random.default_rng(0).integers(60, 256, (SIDE_PX // 8, SIDE_PX // 8, 3), np.uint8)
    rgb = np.repeat(np.repeat(colors, 8, axis=0), 8, axis=1)[None]
    for name, a, b in zip(OUTPUTS, by_torch(rgb), by_onnx(rgb), strict=True):
        off = float(np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)).max())
        # Not a number is no agreement either.
        if not off <= MOST_OFF[name]:
            raise ModelError(
                f"{folder}: the ONNX file gives other {name} than the weights (off by {off:.3g}, "
                f"{MOST_OFF[name]:g} allowed), so they are of two networks; train the model again"
            )
