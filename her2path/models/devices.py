"""Which device a network runs on, without loading torch where no graphics card can be."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

from her2path.errors import ModelError

__all__ = ["CardFullError", "choose_device", "multiplies_bfloat16"]

# What torch itself loads to reach a card of NVIDIA, and the device that AMD's driver makes.
NVIDIA_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
AMD_DEVICE = Path("/dev/kfd")


class CardFullError(Exception):
    """The memory of a graphics card does not hold what it was given."""


def choose_device(name: str) -> str:
    """Return ``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    ModelError
        When a graphics card is asked for and there is none.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ModelError(f"device {name!r}: use auto, cpu or cuda")
    if name == "cpu":
        return name
    if has_card():
        return "cuda"
    if name == "cuda":
        raise ModelError(
            "--device cuda: torch sees no graphics card here; use --device cpu, or install a "
            "torch built for CUDA"
        )
    return "cpu"


def multiplies_bfloat16(device: str) -> bool:
    """Return whether ``cpu`` or ``cuda`` multiplies bfloat16 in hardware.

    Cards of NVIDIA do since compute capability 8.0; what came before emulates it, slowly.
    """
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    known: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def has_card() -> bool:
    """Return whether torch sees a graphics card; it takes seconds to load, so not in vain."""
    if "torch" not in sys.modules and not has_driver():
        return False
    import torch

    return torch.cuda.is_available()


def has_driver() -> bool:
    """Return whether a driver of a graphics card is installed."""
    if AMD_DEVICE.exists():
        return True
    try:
        ctypes.CDLL(NVIDIA_DRIVER)
    except OSError:
        return False
    return True
