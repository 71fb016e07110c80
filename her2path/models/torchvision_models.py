"""torchvision's models, beside any build of torch."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["untrained_resnet18"]


def untrained_resnet18() -> Any:  # noqa: ANN401 - torchvision carries no types here
    """Return torchvision's ResNet-18 with random weights.

    torchvision registers kernels for operators that only its own compiled part declares; where
    that part does not fit the torch that is installed (a CPU build beside the package index's
    torchvision), the import stops at their absence. Declaring them is enough for models.
    """
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for schema in (
        "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    ):
        name = schema.partition("(")[0]
        if not hasattr(torch.ops.torchvision, name):
            library.define(schema)  # type: ignore[no-untyped-call]
    from torchvision.models import resnet18

    return resnet18(weights=None)
