"""The network as ONNX: the same answers, faster on most processors."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from her2path.errors import ModelError
from her2path.models.checkpoint import add_files
from her2path.models.description import ONNX_FILE
from her2path.models.design import INPUT, OUTPUTS, SCALE, SHIFT
from her2path.models.network import Her2Network, without_batch_norm

__all__ = ["PixelReader", "export_onnx"]

OPSET = 17


class PixelReader(nn.Module):
    """A network between pixels and stored planes: 8 bits in, 8 bits out.

    Parameters
    ----------
    network : Her2Network
        In evaluation mode.
    """

    def __init__(self, network: Her2Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read pictures.

        Parameters
        ----------
        rgb : Tensor of shape (B, M, N, 3), uint8
            M and N multiples of 16.

        Returns
        -------
        planes : Tensor of shape (B, 20, M / 2, N / 2), uint8
            Four pixels of each of five planes (see `unfolded` in `her2path.models.design`):
            nucleus, centre, membrane; share of tumor in tumor and other; outside. 255 = 1.
        weight : Tensor of shape (B, 1, M / 16, N / 16), float32
        features : Tensor of shape (B, K, M / 16, N / 16), float32
        """
        network = self.network
        light = rgb.permute(0, 3, 1, 2).to(torch.float32) * (SCALE / 255.0) - SHIFT
        at2, position = network.trunk(light)
        logits = network.planes(at2).float()
        position = position.float()
        # Channels hold the four pixels of one plane side by side.
        tumor, other, outside = logits[:, 12:16], logits[:, 16:20], logits[:, 20:24]
        # Tumor against other is asked of tissue alone, outside against the likelier of the two.
        tissue = torch.maximum(tumor, other)
        asked = torch.cat([logits[:, :12], tumor - other, outside - tissue], dim=1)
        planes = (torch.sigmoid(asked) * 255.0 + 0.5).to(torch.uint8)
        return planes, network.weights_of(position), network.features_of(position)


def export_onnx(folder: Path, network: Her2Network) -> None:
    """Add `model.onnx` to the checkpoint in a folder.

    Parameters
    ----------
    folder : Path
        A checkpoint, of this network.
    network : Her2Network
        Its batch normalisation is folded into its convolutions (in place).

    Raises
    ------
    ModelError
        When the packages for writing ONNX are not installed.
    """
    try:
        import onnx  # noqa: F401 - torch asks for it without saying how to get it
    except ImportError as error:
        raise ModelError("writing ONNX needs the package onnx: install her2path[train]") from error
    reader = PixelReader(without_batch_norm(network)).eval()
    sides = {1: "rows", 2: "columns"}
    fine = {2: "half_rows", 3: "half_columns"}
    coarse = {2: "position_rows", 3: "position_columns"}
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        # The exporter that follows shapes by example writes the plainer graph; torch deprecates it.
        warnings.simplefilter("ignore")
        path = Path(place) / ONNX_FILE
        torch.onnx.export(
            reader,
            (torch.zeros((1, 64, 64, 3), dtype=torch.uint8),),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_axes={
                INPUT: {0: "pictures", **sides},
                "planes": {0: "pictures", **fine},
                "weight": {0: "pictures", **coarse},
                "features": {0: "pictures", **coarse},
            },
        )
        add_files(folder, {ONNX_FILE: path.read_bytes()})
