"""Draw the map of a slide: grey tissue, regions in the color of their score, what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from her2path.criteria.score import Score
from her2path.report.pictures import bar_length_um
from her2path.results.colors import OUTLINE_COLORS, SCORE_COLORS, Rgb

__all__ = [
    "MapRegion",
    "MapShapes",
    "NumberedBox",
    "draw_map",
    "draw_scale_bar",
    "number_box",
    "with_scale_bar",
]

Polygon = NDArray[np.float64]
Mask = NDArray[np.bool_]

# The picture under the colors is paler than them.
PALE_SHARE = 0.55
FILL_SHARE = 0.55
HATCH_PX = 9
LINE_COLOR: Rgb = (40, 48, 58)
GLASS_GREY = 232


@dataclass(frozen=True, slots=True)
class MapRegion:
    """A region with its score, None where it stays pale.

    Rings are in px of the picture, holes by the even-odd rule. One that a person has drawn is
    shown by its line alone where squares of the grid lie in it.
    """

    rings: tuple[Polygon, ...]
    score: Score | None
    is_drawn: bool = False


@dataclass(frozen=True, slots=True)
class MapShapes:
    """Everything that is drawn over the picture; rings in its px."""

    regions: tuple[MapRegion, ...] = ()
    tissue: tuple[Polygon, ...] = ()
    control: tuple[Polygon, ...] = ()
    ignored: tuple[Polygon, ...] = ()


@dataclass(frozen=True, slots=True)
class NumberedBox:
    """Where a field lies: (x, y, width, height) in px of the picture."""

    number: int
    box: tuple[float, float, float, float]


def draw_map(
    rgb: NDArray[np.uint8],
    shapes: MapShapes,
    *,
    mpp: float,
    fields: Sequence[NumberedBox] = (),
) -> NDArray[np.uint8]:
    """Return the map of a slide, with a scale bar.

    Parameters
    ----------
    rgb : ndarray of shape (M, N, 3), uint8
        The slide, small.
    shapes : MapShapes
    mpp : float
        µm per px of `rgb`.
    fields : sequence of NumberedBox
        Drawn as numbered frames.

    Returns
    -------
    ndarray of shape (M, N, 3), uint8
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    pale = 255 - PALE_SHARE * (255 - grey)
    pale = np.repeat(pale[:, :, None], 3, axis=2)
    drawn = pale.copy()
    shape = rgb.shape[:2]
    tissue = filled(shapes.tissue, shape)
    # Each pixel takes one color, that of the smaller region: two would mix to one of no legend.
    for region in sorted(shapes.regions, key=lambda region: not region.is_drawn):
        if region.score is None:
            continue
        inside = filled(region.rings, shape)
        # Where no outline of tissue is known, what is darker than glass stands for it.
        inside &= tissue if shapes.tissue else grey < GLASS_GREY
        # Multiplied, so that structure still shows in dark colors.
        color = np.array(SCORE_COLORS[region.score], np.float32)
        below = pale[inside]
        drawn[inside] = (1 - FILL_SHARE) * below + FILL_SHARE * color * (below / 255)
    for rings, kind in ((shapes.ignored, "Ignore*"), (shapes.control, "Control")):
        hatch(drawn, filled(rings, shape), OUTLINE_COLORS[kind])
    canvas = np.clip(drawn + 0.5, 0, 255).astype(np.uint8)
    for region in shapes.regions:
        outline(canvas, region.rings, (255, 255, 255), 1)
    for region in shapes.regions:
        if region.is_drawn and region.score is not None:
            outline(canvas, region.rings, SCORE_COLORS[region.score], 2)
    outline(canvas, shapes.tissue, LINE_COLOR, 1)
    outline(canvas, shapes.ignored, OUTLINE_COLORS["Ignore*"], 2)
    outline(canvas, shapes.control, OUTLINE_COLORS["Control"], 2)
    picture = Image.fromarray(canvas)
    for numbered in fields:
        number_box(picture, numbered)
    draw_scale_bar(picture, mpp=mpp)
    return np.asarray(picture)


def filled(rings: Sequence[Polygon], shape: tuple[int, ...]) -> Mask:
    """Return where rings cover a picture; rings inside rings are holes."""
    mask = np.zeros(shape[:2], np.uint8)
    if rings:
        cv2.fillPoly(mask, [rounded(ring) for ring in rings], 1)
    return mask.astype(np.bool_)


def rounded(ring: Polygon) -> NDArray[np.int32]:
    # Bounded: coordinates of a file could be anything, and cv2 shifts them left by 16 bits.
    return np.clip(np.round(ring), -16_000, 32_000).astype(np.int32)


def outline(canvas: NDArray[np.uint8], rings: Sequence[Polygon], color: Rgb, width: int) -> None:
    if rings:
        closed = [rounded(ring) for ring in rings]
        cv2.polylines(canvas, closed, True, color, width, cv2.LINE_AA)


def hatch(drawn: NDArray[np.float32], mask: Mask, color: Rgb) -> None:
    """Draw diagonal lines, which do not look like any score, where `mask` is set."""
    rows, cols = np.nonzero(mask)
    is_line = (rows + cols) % HATCH_PX < 2
    drawn[rows[is_line], cols[is_line]] = color


def number_box(picture: Image.Image, numbered: NumberedBox) -> None:
    """Frame a field, with its number at a corner."""
    draw = ImageDraw.Draw(picture)
    x, y, width, height = numbered.box
    # A field of 160 µm is a few px on a large slide: the frame is never smaller than this.
    grow_x, grow_y = max(0.0, 10 - width) / 2, max(0.0, 8 - height) / 2
    frame = (x - grow_x, y - grow_y, x + width + grow_x, y + height + grow_y)
    draw.rectangle((frame[0] - 1, frame[1] - 1, frame[2] + 1, frame[3] + 1), outline="white")
    draw.rectangle(frame, outline="black", width=2)
    font = ImageFont.load_default(max(11.0, max(picture.size) / 26))
    label = str(numbered.number)
    box = draw.textbbox((0, 0), label, font=font)
    wide, high = box[2] - box[0] + 6, box[3] - box[1] + 6
    left = min(max(frame[2] + 1, 0), picture.width - wide)
    top = min(max(frame[1] - high + 2, 0), picture.height - high)
    draw.rectangle((left, top, left + wide, top + high), fill="black")
    draw.text((left + 3 - box[0], top + 3 - box[1]), label, fill="white", font=font)


def with_scale_bar(rgb: NDArray[np.uint8], *, mpp: float) -> NDArray[np.uint8]:
    """Return a copy of a picture of shape (M, N, 3), uint8, with a scale bar at the lower left."""
    picture = Image.fromarray(rgb)
    draw_scale_bar(picture, mpp=mpp)
    return np.asarray(picture)


def draw_scale_bar(picture: Image.Image, *, mpp: float) -> None:
    """Draw a scale bar of a round length at the lower left."""
    bar_um = bar_length_um(picture.width * mpp)
    bar = bar_um / mpp
    draw = ImageDraw.Draw(picture)
    size = max(12.0, max(picture.size) / 24)
    font = ImageFont.load_default(size)
    # The font that comes with Pillow has no "µ".
    label = f"{bar_um / 1000:g} mm"
    box = draw.textbbox((0, 0), label, font=font)
    left, bottom = 10.0, picture.height - 10.0
    wide, high = max(bar, box[2] - box[0]) + 16, box[3] - box[1] + 24
    draw.rectangle((left - 4, bottom - high, left + wide, bottom + 4), fill="white")
    draw.rectangle((left + 4, bottom - 8, left + 4 + bar, bottom - 3), fill="black")
    draw.text((left + 4 - box[0], bottom - high + 4 - box[1]), label, fill="black", font=font)
