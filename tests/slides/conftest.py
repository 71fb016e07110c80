"""Small slides written by tests: pyramids of JPEG tiles, OME-TIFF, plain fields."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

APERIO = "Aperio Image Library v12.0.0\r\n{w}x{h} (256x256) JPEG/RGB Q=80"


def tissue_like(height: int, width: int, *, seed: int = 3) -> NDArray[np.uint8]:
    """Smooth coloured blobs: compress well, and every place looks different."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 250, (height // 24 + 2, width // 24 + 2, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def halved(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mean of 2 × 2 px; an odd last row or column is dropped, as scanners do."""
    rows, columns = rgb.shape[0] // 2 * 2, rgb.shape[1] // 2 * 2
    return cv2.resize(rgb[:rows, :columns], (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)


@pytest.fixture
def tissue() -> Callable[[int, int], NDArray[np.uint8]]:
    """Make a picture of (rows, cols)."""
    return tissue_like


@pytest.fixture
def write_svs(tmp_path: Path) -> Callable[..., Path]:
    """Write an Aperio-like pyramid of JPEG tiles."""

    def write(
        name: str = "slide.svs",
        *,
        size: tuple[int, int] = (700, 900),
        n_levels: int = 2,
        mpp: str | None = "0.25",
        power: str | None = "40",
        photometric: str = "ycbcr",
        compression: str = "jpeg",
        rgb: NDArray[np.uint8] | None = None,
        icc: bytes | None = None,
    ) -> Path:
        path = tmp_path / name
        levels = [tissue_like(*size) if rgb is None else rgb]
        for _ in range(n_levels - 1):
            levels.append(halved(levels[-1]))
        description = APERIO.format(w=levels[0].shape[1], h=levels[0].shape[0])
        description += f"|AppMag = {power}" if power else ""
        description += f"|MPP = {mpp}" if mpp else ""
        options: dict[str, Any] = {"tile": (256, 256), "metadata": None, "software": ""}
        if compression == "jpeg":
            options |= {
                "compression": "jpeg",
                "compressionargs": {"level": 80, "outcolorspace": photometric},
                "subsampling": (2, 2) if photometric == "ycbcr" else (1, 1),
            }
        else:
            options["compression"] = compression
        thumbnail = cv2.resize(levels[0], (90, 70), interpolation=cv2.INTER_AREA)
        with tifffile.TiffWriter(path) as tif:
            for k, level in enumerate(levels):
                if k == 1:  # Aperio's second page
                    tif.write(thumbnail, photometric="rgb", metadata=None, software="")
                tif.write(
                    level,
                    photometric=photometric if compression == "jpeg" else "rgb",
                    description=description,
                    iccprofile=icc,
                    **options,
                )
        return path

    return write


@pytest.fixture
def write_ome(tmp_path: Path) -> Callable[..., Path]:
    """Write an OME-TIFF pyramid whose lower levels hang below the first page."""

    def write(
        name: str = "slide.ome.tif",
        *,
        size: tuple[int, int] = (600, 800),
        compression: str | None = "jpeg",
        mpp: tuple[float, float] | None = (0.25, 0.25),
        planar: bool = False,
        icc: bytes | None = None,
    ) -> Path:
        path = tmp_path / name
        rgb = tissue_like(*size)
        metadata: dict[str, Any] = {"axes": "YXS"}
        if mpp:
            metadata |= {
                "PhysicalSizeX": mpp[0],
                "PhysicalSizeXUnit": "µm",
                "PhysicalSizeY": mpp[1],
                "PhysicalSizeYUnit": "µm",
            }
        options: dict[str, Any] = {
            "tile": (128, 128),
            "compression": compression,
            "photometric": "rgb",
        }
        if planar:
            options["planarconfig"] = "separate"
            metadata["axes"] = "SYX"
        with tifffile.TiffWriter(path, ome=True) as tif:
            for k, level in enumerate([rgb, halved(rgb), halved(halved(rgb))]):
                pixels = np.moveaxis(level, -1, 0) if planar else level
                if k == 0:
                    tif.write(pixels, subifds=2, metadata=metadata, iccprofile=icc, **options)
                else:
                    tif.write(pixels, subfiletype=1, **options)
        return path

    return write
