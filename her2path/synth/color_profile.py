"""Color profiles (ICC) as scanners write them into their files."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

__all__ = ["profile_undoing", "rgb_profile"]

# Red, green and blue of sRGB, and the white, as seen under D50 (IEC 61966-2-1, ICC.1:2001-04).
COLORANTS = {
    b"rXYZ": (0.43607, 0.22249, 0.01392),
    b"gXYZ": (0.38515, 0.71687, 0.09708),
    b"bXYZ": (0.14307, 0.06061, 0.71410),
    b"wtpt": (0.96420, 1.0, 0.82491),
}
N_CURVE = 1024


def profile_undoing(gamma: float) -> bytes:
    """Return a profile by which pictures of a laboratory become those of one without gamma.

    Parameters
    ----------
    gamma : float
        See `Laboratory.gamma`.
    """
    value = np.linspace(0.0, 1.0, N_CURVE) ** (1 / gamma)
    # What becomes sRGB is light; a laboratory without gamma has the values of sRGB itself.
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return rgb_profile(light)


def rgb_profile(light: NDArray[np.float64]) -> bytes:
    """Return a profile of the primaries of sRGB whose values stand for so much light.

    Parameters
    ----------
    light : ndarray of shape (n,)
        Light, 0–1, of values that rise evenly from 0 to 1.

    References
    ----------
    ICC.1:2001-04, a monitor profile of three components (matrix and curves).
    """
    samples = np.rint(np.clip(light, 0, 1) * 65535).astype(">u2").tobytes()
    curve = b"curv\0\0\0\0" + struct.pack(">I", len(light)) + samples
    tags = {
        name: b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in xyz))
        for name, xyz in COLORANTS.items()
    }
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    name = b"synthetic scanner\0"
    # The name in ASCII; none in Unicode, none for a Macintosh.
    tags[b"desc"] = b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(8 + 3 + 67)
    tags[b"cprt"] = b"text\0\0\0\0none\0"
    table, data, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    placed: dict[bytes, int] = {}
    for tag, content in tags.items():
        if content not in placed:
            placed[content] = start + len(data)
            data += content + bytes(-len(content) % 4)
        table += tag + struct.pack(">II", placed[content], len(content))
    head = struct.pack(">I", start + len(data)) + bytes(4) + b"\x02\x10\0\0mntrRGB XYZ "
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + data
