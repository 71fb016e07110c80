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
from her2path.models.network import Her2Network, without_batch_norm

__all__ = ["INPUT", "OUTPUTS", "PixelReader", "export_onnx"]

INPUT = "rgb"
OUTPUTS = ("planes", "weight", "features")
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
        planes : Tensor of shape (B, 5, M, N), uint8
            Nucleus, centre, membrane; share of tumor in tumor and other; outside. 255 = 1.
        weight : Tensor of shape (B, 1, M / 16, N / 16), float32
        features : Tensor of shape (B, K, M / 16, N / 16), float32
        """
        light = rgb.permute(0, 3, 1, 2).to(torch.float32) * (1.0 / 255.0)
        out = self.network(light)
        logits = out.planes.float()
        # Tumor against other is asked of tissue alone; outside is a question of its own.
        tumor = torch.sigmoid(logits[:, 3:4] - logits[:, 4:5])
        outside = torch.softmax(logits[:, 3:6], dim=1)[:, 2:3]
        planes = torch.cat([torch.sigmoid(logits[:, :3]), tumor, outside], dim=1)
        return (
            (planes * 255.0 + 0.5).to(torch.uint8),
            out.weight.float(),
            out.features.float(),
        )


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
    fine = {2: "rows", 3: "columns"}
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
