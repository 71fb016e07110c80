"""What all tests share."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# Some scripts ask for one thread when they are loaded, and numba stops where that changes later.
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

settings.register_profile("offline", deadline=None, derandomize=True)
settings.load_profile("offline")

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

# Red, green and blue of sRGB as seen under D50, by the standard IEC 61966-2-1.
COLORANTS = {
    b"rXYZ": (0.43607, 0.22249, 0.01392),
    b"gXYZ": (0.38515, 0.71687, 0.09708),
    b"bXYZ": (0.14307, 0.06061, 0.71410),
    b"wtpt": (0.96420, 1.0, 0.82491),
}


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real pictures beside the repository; the test skips where it is absent."""
    if not REAL_DATA.is_dir():
        pytest.skip("the folder of real pictures is not here")
    return REAL_DATA


def profile_of_gamma(gamma: float, space: bytes = b"RGB ") -> bytes:
    """Return a profile of the primaries of sRGB whose values are `gamma`-th roots of light."""
    fixed = {name: [round(v * 65536) for v in xyz] for name, xyz in COLORANTS.items()}
    tags = {name: b"XYZ \0\0\0\0" + struct.pack(">3i", *xyz) for name, xyz in fixed.items()}
    curve = b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(gamma * 256), 0)
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    tags[b"desc"] = b"desc\0\0\0\0" + struct.pack(">I", 2) + b"x\0" + bytes(78) + bytes(2)
    tags[b"cprt"] = b"text\0\0\0\0none\0\0\0\0"
    table, data, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", at + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    head = struct.pack(">I", at + len(data)) + b"lcms\x02\x10\0\0scnr" + space + b"XYZ "
    head += bytes(12) + b"acsp" + bytes(24) + struct.pack(">I", 0)
    head += struct.pack(">3i", *fixed[b"wtpt"])
    return head + bytes(128 - len(head)) + table + data


@pytest.fixture(scope="session")
def gamma_profile() -> Callable[..., bytes]:
    """Make a color profile (ICC); see `profile_of_gamma`."""
    return profile_of_gamma
