"""A picture of a tissue microarray with its cores and their names, to check before scoring."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from her2path.report.overview import with_scale_bar
from her2path.results.colors import Rgb
from her2path.tissue.cores import CoreGrid

__all__ = ["draw_cores"]

FOUND: Rgb = (0, 110, 180)
MISSING: Rgb = (200, 60, 40)


def draw_cores(rgb: NDArray[np.uint8], grid: CoreGrid, *, mpp: float) -> NDArray[np.uint8]:
    """Return a picture with a circle round each core and its name; missing ones in red, crossed.

    Parameters
    ----------
    rgb : ndarray of shape (M, N, 3), uint8
        The slide, small.
    grid : CoreGrid
    mpp : float
        µm per px of `rgb`.
    """
    picture = Image.fromarray(with_scale_bar(rgb, mpp=mpp))
    draw = ImageDraw.Draw(picture)
    radius = grid.radius_um / mpp
    width = max(2, round(radius / 16))
    font = ImageFont.load_default(max(9.0, radius * 0.45))
    for core in grid.cores:
        x, y = core.x_um / mpp, core.y_um / mpp
        color = MISSING if core.is_missing else FOUND
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=color, width=width)
        if core.is_missing:
            arm = 0.3 * radius
            draw.line((x - arm, y - arm, x + arm, y + arm), fill=color, width=width)
            draw.line((x - arm, y + arm, x + arm, y - arm), fill=color, width=width)
        box = draw.textbbox((0, 0), core.name, font=font)
        wide, high = box[2] - box[0] + 4, box[3] - box[1] + 2
        # Above its core, and inside the picture where that ends first.
        left = min(max(x - wide / 2, 0), picture.width - wide)
        top = min(max(y - radius - high - 1, 0), picture.height - high)
        draw.rectangle((left, top, left + wide, top + high), fill="white")
        draw.text((left + 2 - box[0], top + 1 - box[1]), core.name, fill=color, font=font)
    return np.asarray(picture)
