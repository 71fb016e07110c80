"""Pictures of a pair: both sides at one magnification, and fields that belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from her2path.compare.sides import PairSlide, Side
from her2path.criteria.score import Intensity
from her2path.errors import Her2pathError
from her2path.geometry import Region, Size
from her2path.report.fields import FieldPicture
from her2path.report.illustrate import FIELD_MPP, FIELD_UM, describe_field
from her2path.report.interest import FieldKind, Interest, class_codes
from her2path.report.matching import Window, matched_windows, typical_window, windows_of
from her2path.report.overlay import overlay
from her2path.report.overview import NumberedBox, draw_scale_bar, number_box
from her2path.report.pictures import as_data_uri, as_jpeg, bar_length_um
from her2path.report.wording import length
from her2path.results.cells import read_cells
from her2path.results.columns import Exclusion
from her2path.results.folder import SlideFolder
from her2path.results.scored_slide import open_scored, scored_mpp
from her2path.slides.reading import read_at_mpp, read_overview

__all__ = ["FieldRow", "PairFieldView", "PairPictures", "SlideOverview", "take_pictures"]

# Both sides stand beside each other: half a page each.
OVERVIEW_PX = 520
# A side of many slides shows the first ones; all have their own report.
MAX_OVERVIEWS = 3
N_MATCHED = 2
COLUMNS = (
    "x",
    "y",
    "excluded",
    "intensity",
    "pattern",
    "region_id",
    "outline_um",
    "stained_sectors",
)


@dataclass(frozen=True, slots=True)
class SlideOverview:
    """A slide, small, at the µm/px of all slides of the pair."""

    slide_id: str
    picture: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class PairFieldView:
    """A field with its outlines; `mix` are its shares by intensity, percent."""

    key: str
    number: int
    slide_id: str
    shown: FieldPicture
    picture: str
    outlines: Markup
    bar_px: float
    bar_label: str
    mix: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class FieldRow:
    """A field of each side, and why they stand beside each other."""

    title: str
    before: PairFieldView | None
    after: PairFieldView | None


@dataclass(frozen=True, slots=True)
class PairPictures:
    """All pictures of a pair; `problems` say which could not be taken."""

    before: tuple[SlideOverview, ...]
    after: tuple[SlideOverview, ...]
    rows: tuple[FieldRow, ...]
    problems: tuple[str, ...]

    @property
    def frame_px(self) -> int:
        """Width of the frame of every overview: in frames of one width all shrink alike."""
        # As large as the largest side of all, so that a tall slide is not drawn out.
        sizes = [max(one.width, one.height) for one in (*self.before, *self.after)]
        return max(sizes, default=OVERVIEW_PX)


Cells = dict[str, NDArray[np.generic]]


def take_pictures(before: Side, after: Side) -> PairPictures:
    """Read overviews and fields of both sides; what cannot be read is named and left out."""
    problems: list[str] = []
    sides = (before, after)
    cells = [[cells_of(slide, problems) for slide in side.slides] for side in sides]
    rows = [(title, *pair) for title, pair in chosen_rows(sides, cells)]
    numbered: list[dict[int, list[NumberedWindow]]] = [{}, {}]
    for number, (_, *pair) in enumerate(rows, start=1):
        for side, window in enumerate(pair):
            if window is not None:
                numbered[side].setdefault(window.slide, []).append((number, window))
    mpp = overview_mpp(sides)
    overviews = [
        tuple(
            overview
            for position, slide in enumerate(side.slides[:MAX_OVERVIEWS])
            if (overview := overview_of(slide, mpp, numbered[index].get(position, ()), problems))
        )
        for index, side in enumerate(sides)
    ]
    shown = tuple(
        FieldRow(
            title,
            *(
                None
                if window is None
                else field_of(sides[index], cells[index], window, number, problems)
                for index, window in enumerate(pair)
            ),
        )
        for number, (title, *pair) in enumerate(rows, start=1)
    )
    return PairPictures(overviews[0], overviews[1], shown, tuple(dict.fromkeys(problems)))


NumberedWindow = tuple[int, Window]


def cells_of(slide: PairSlide, problems: list[str]) -> Cells | None:
    """Return the table of cells of a slide, None where there is none."""
    if slide.folder is None:
        return None
    path = SlideFolder(slide.folder).cells_parquet
    if not path.is_file():
        return None
    try:
        return dict(read_cells(path, columns=COLUMNS).columns)
    except Her2pathError as error:
        problems.append(f"{slide.record.slide_id}: {error}")
        return None


def chosen_rows(
    sides: Sequence[Side], cells: Sequence[Sequence[Cells | None]]
) -> list[tuple[str, tuple[Window | None, Window | None]]]:
    """Choose the fields: one typical of each side, then pairs of like cells."""
    windows = [
        [
            window
            for position, (slide, table) in enumerate(zip(side.slides, tables, strict=True))
            if table is not None
            for window in windows_on(slide, position, table)
        ]
        for side, tables in zip(sides, cells, strict=True)
    ]
    mixes = [mix_of(side) for side in sides]
    typical = (typical_window(windows[0], mixes[0]), typical_window(windows[1], mixes[1]))
    rows: list[tuple[str, tuple[Window | None, Window | None]]] = []
    if any(window is not None for window in typical):
        rows.append(("Typical of each side: nearest to its own mix of classes", typical))
    left = [
        [w for w in side if known is None or not w.overlaps(known)]
        for side, known in zip(windows, typical, strict=True)
    ]
    rows += [
        ("Matched: nearest to each other in their mix of classes", pair)
        for pair in matched_windows(left[0], left[1], n_pairs=N_MATCHED)
    ]
    return rows


def windows_on(slide: PairSlide, position: int, table: Cells) -> list[Window]:
    scan = slide.record.scan
    is_counted = table["excluded"] == Exclusion.COUNTED.value
    return windows_of(
        position,
        {
            "x": table["x"][is_counted],
            "y": table["y"][is_counted],
            "intensity": class_codes(table["intensity"])[is_counted],
        },
        size=Size(round(FIELD_UM[0] / scan.mpp_x), round(FIELD_UM[1] / scan.mpp_y)),
        within=Region(0, 0, scan.width, scan.height),
    )


def mix_of(side: Side) -> NDArray[np.float64]:
    n = np.bincount(side.counted.intensity, minlength=len(Intensity)).astype(np.float64)
    mix: NDArray[np.float64] = n / max(float(n.sum()), 1.0)
    return mix


def overview_mpp(sides: Sequence[Side]) -> float:
    """Return the µm/px at which the largest slide of the pair is half a page wide."""
    return max(
        max(scan.width * scan.mpp_x, scan.height * scan.mpp_y) / OVERVIEW_PX
        for side in sides
        for scan in (slide.record.scan for slide in side.slides[:MAX_OVERVIEWS])
    )


def overview_of(
    slide: PairSlide, mpp: float, fields: Sequence[NumberedWindow], problems: list[str]
) -> SlideOverview | None:
    """Read a slide small, with its fields numbered and a scale bar."""
    record = slide.record
    at_zero = scored_mpp(record)
    try:
        with open_scored(record) as opened:
            rgb, downsample = read_overview(opened, mpp=mpp)
    except Her2pathError as error:
        problems.append(f"{record.slide_id}: no picture ({' '.join(str(error).split())})")
        return None
    drawn = Image.fromarray(rgb)
    for number, window in fields:
        box = window.box
        corners = (box.x, box.y, box.width, box.height)
        x, y, width, height = (part / downsample for part in corners)
        number_box(drawn, NumberedBox(number, (x, y, width, height)))
    draw_scale_bar(drawn, mpp=at_zero.mean * downsample)
    # A slide whose level 0 is coarser than asked stands smaller, not blurred.
    scale = at_zero.mean * downsample / mpp
    return SlideOverview(
        record.slide_id,
        as_data_uri(as_jpeg(np.asarray(drawn))),
        round(drawn.width * scale),
        round(drawn.height * scale),
    )


def field_of(
    side: Side, cells: Sequence[Cells | None], window: Window, number: int, problems: list[str]
) -> PairFieldView | None:
    """Read a field and outline its cells."""
    slide, table = side.slides[window.slide], cells[window.slide]
    record = slide.record
    at_zero = scored_mpp(record)
    if table is None:
        return None
    try:
        with open_scored(record) as opened:
            rgb = read_at_mpp(opened, window.box, FIELD_MPP)
    except Her2pathError as error:
        problems.append(f"{record.slide_id}: no picture ({' '.join(str(error).split())})")
        return None
    intensity = class_codes(table["intensity"])
    shown = describe_field(
        table,
        Interest(
            weights={FieldKind.TYPICAL: np.zeros(len(intensity))},
            doubts={},
            is_counted=np.asarray(table["excluded"] == Exclusion.COUNTED.value, np.bool_),
            intensity=intensity,
            typical=Intensity.NONE,
        ),
        kind=FieldKind.TYPICAL,
        box=window.box,
        at_zero=at_zero,
        number=number,
        size=Size(rgb.shape[1], rgb.shape[0]),
    )
    bar_um = bar_length_um(shown.width * shown.mpp)
    return PairFieldView(
        key=f"{side.name}-{number}",
        number=number,
        slide_id=record.slide_id,
        shown=shown,
        picture=as_data_uri(as_jpeg(rgb)),
        outlines=overlay(shown),
        bar_px=bar_um / shown.mpp,
        bar_label=length(bar_um),
        mix=tuple(100 * part for part in window.mix.tolist()),
    )
