"""Reading by torch: on a graphics card, and where a checkpoint holds no ONNX."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from her2path.errors import ModelError
from her2path.models.checkpoint import Checkpoint
from her2path.models.design import Runner
from her2path.models.devices import CardFullError
from her2path.models.export_onnx import PixelReader
from her2path.models.network import Her2Network, without_batch_norm

__all__ = ["network_of", "torch_runner"]


def network_of(checkpoint: Checkpoint) -> Her2Network:
    """Build the network of a checkpoint, in evaluation mode.

    Raises
    ------
    ModelError
        When the weights do not fit the design that the description names, or are no numbers.
    """
    network, tensors = Her2Network(checkpoint.design), checkpoint.tensors
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(
            f"the weights in {checkpoint.folder} do not fit {checkpoint.design.backbone} "
            f"({error}); fetch or train the model again"
        ) from error
    if not all(torch.isfinite(part).all() for part in tensors.values()):
        raise ModelError(
            f"the weights in {checkpoint.folder} hold numbers that are none; fetch or train the "
            "model again"
        )
    return network.eval()


def torch_runner(network: Her2Network, device: torch.device, *, use_half: bool) -> Runner:
    """Return what reads pictures by torch, convolutions in bfloat16 where asked for.

    It raises CardFullError where the graphics card's memory does not hold a picture.

    Raises
    ------
    ModelError
        It does not even hold the network.
    """
    try:
        reader = PixelReader(without_batch_norm(network)).to(device)
        reader = reader.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    except torch.OutOfMemoryError as error:
        raise ModelError(
            "the graphics card has no room for the network, other programs fill it: end them, or "
            "use --device cpu"
        ) from error

    @torch.inference_mode()
    def run(
        rgb: NDArray[np.uint8],
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
        try:
            given = torch.from_numpy(rgb).to(device)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=use_half):
                planes, weight, features = reader(given)
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise CardFullError from error
        return planes.cpu().numpy(), weight.cpu().numpy(), features.cpu().numpy()

    return run
