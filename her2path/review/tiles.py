"""Squares of a slide for the browser: a pyramid of tiles, read as they are asked for."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import cv2
import numpy as np
from numpy.typing import NDArray

from her2path.errors import ResultsError, SlideError
from her2path.geometry import Mpp, Region, Size
from her2path.report.pictures import as_jpeg
from her2path.results.record import ScanFacts, SlideRecord
from her2path.results.scored_slide import is_scored_file, open_scored, scored_mpp
from her2path.slides.reading import read_at_mpp, read_overview
from her2path.slides.resampling import area_mean
from her2path.slides.slide import Slide

__all__ = ["TILE_PX", "Pyramid", "SlidePool", "finder", "pyramid_of"]

# As large as a screen takes in one piece; few requests, and each decodes in some ten ms.
TILE_PX = 512
# A reader looks at one slide; the one before it is often looked at again.
MAX_OPEN = 3
# Of 12 million px at most, 36 MB; what is coarser is taken from it.
OVERVIEW_PX = 4096
# By what an open slide is known: its name, when it was scored, and what was understood of its file.
Opened = tuple[str, str, ScanFacts]


@dataclass(frozen=True, slots=True)
class Pyramid:
    """How a slide is cut into tiles.

    At zoom `max_zoom` a px of a tile is one of level 0, at each zoom below twice as many; zoom 0
    shows the whole slide in one tile.
    """

    size: Size
    mpp: Mpp
    max_zoom: int

    def region(self, zoom: int, column: int, row: int) -> Region:
        """Return what a tile shows, level-0 px, cut at the edge of the slide.

        Raises
        ------
        ResultsError
            If there is no such tile.
        """
        if not 0 <= zoom <= self.max_zoom:
            raise ResultsError(f"there is no zoom {zoom}; it ends with {self.max_zoom}")
        side = TILE_PX * self.downsample(zoom)
        whole = Region(0, 0, self.size.width, self.size.height)
        found = Region(column * side, row * side, side, side).intersection(whole)
        if column < 0 or row < 0 or found.is_empty:
            raise ResultsError(f"there is no tile {column}, {row} at zoom {zoom}")
        return found

    def downsample(self, zoom: int) -> int:
        """Return level-0 px per px of a tile."""
        return 1 << (self.max_zoom - zoom)

    def size_of(self, region: Region, zoom: int) -> Size:
        """Return how many px of a tile show a region."""
        step = self.downsample(zoom)
        return Size(-(-region.width // step), -(-region.height // step))


def pyramid_of(record: SlideRecord) -> Pyramid:
    """Return the pyramid of a scored slide."""
    size = Size(record.scan.width, record.scan.height)
    longest = max(size.width, size.height)
    max_zoom = (max(1, longest - 1) // TILE_PX).bit_length()
    return Pyramid(size, scored_mpp(record), max_zoom)


@dataclass(frozen=True, slots=True)
class OpenSlide:
    """A slide, and the whole of it small: `downsample` level-0 px per px of `overview`."""

    slide: Slide
    overview: NDArray[np.uint8]
    downsample: float


class SlidePool:
    """The few slides that are open; one thread reads at a time, since no slide allows more.

    Parameters
    ----------
    find : callable
        Where the file of a record lies now.
    """

    def __init__(self, find: Callable[[SlideRecord], Path]) -> None:
        self.find = find
        self.lock = threading.Lock()
        self.slides: OrderedDict[Opened, OpenSlide] = OrderedDict()

    def tile(self, record: SlideRecord, zoom: int, column: int, row: int) -> bytes:
        """Return a tile as JPEG.

        Raises
        ------
        SlideError
            If the slide cannot be opened or read, or is another one than was scored.
        ResultsError
            If there is no such tile.
        """
        pyramid = pyramid_of(record)
        region = pyramid.region(zoom, column, row)
        return as_jpeg(as_tile(self.read(record, region, pyramid, zoom), region, pyramid, zoom))

    def read(
        self, record: SlideRecord, region: Region, pyramid: Pyramid, zoom: int
    ) -> NDArray[np.uint8]:
        """Return what a tile shows, of shape (M, N, 3), at about the size that it has there."""
        with self.lock:
            found = self.opened(record)
            step = pyramid.downsample(zoom) / found.downsample
            if step < 1:
                return read_at_mpp(found.slide, region, pyramid.mpp.mean * pyramid.downsample(zoom))
        # Of a slide without small levels a low zoom would decode all of it for each tile.
        start_x, start_y = region.x / found.downsample, region.y / found.downsample
        left, top = math.floor(start_x), math.floor(start_y)
        size = pyramid.size_of(region, zoom)
        right, bottom = (
            left + math.ceil(size.width * step) + 2,
            top + math.ceil(size.height * step) + 2,
        )
        return area_mean(
            found.overview[top:bottom, left:right],
            size,
            step=(step, step),
            start=(start_x - left, start_y - top),
        )

    def opened(self, record: SlideRecord) -> OpenSlide:
        """Return a slide that is open now; the one looked at longest ago is closed for it."""
        # Scored again, a slide may be another file, or be read in other colors.
        key = (record.slide_id, record.created, record.scan)
        if key in self.slides:
            self.slides.move_to_end(key)
            return self.slides[key]
        path = self.find(record)
        at_zero = scored_mpp(record)
        slide = open_scored(record, path)
        try:
            size = slide.dimensions
            if size != Size(record.scan.width, record.scan.height):
                raise SlideError(
                    f"{path} is {size.width} × {size.height} px, the slide that was scored is "
                    f"{record.scan.width} × {record.scan.height} px; name the folder of the right "
                    "one with --slide-folder"
                )
            finest = max(size.width, size.height) * at_zero.mean / OVERVIEW_PX
            overview, downsample = read_overview(slide, mpp=finest)
        except BaseException:
            slide.close()
            raise
        while len(self.slides) >= MAX_OPEN:
            self.slides.popitem(last=False)[1].slide.close()
        self.slides[key] = OpenSlide(slide, overview, downsample)
        return self.slides[key]

    def close(self) -> None:
        """Close all slides."""
        with self.lock:
            while self.slides:
                self.slides.popitem()[1].slide.close()


def as_tile(
    rgb: NDArray[np.uint8], region: Region, pyramid: Pyramid, zoom: int
) -> NDArray[np.uint8]:
    """Return a picture as a whole tile: white beyond the slide, each px one of level 0 by place.

    Pixels that are not square were read square; here they are shown as they lie in the file, since
    outlines and positions are in its px.
    """
    size = pyramid.size_of(region, zoom)
    if rgb.shape[:2] != size.shape:
        rgb = cv2.resize(rgb, (size.width, size.height), interpolation=cv2.INTER_LINEAR)
    tile = np.full((TILE_PX, TILE_PX, 3), 255, np.uint8)
    tile[: size.height, : size.width] = rgb
    return tile


def finder(slide_folder: Path | None) -> Callable[[SlideRecord], Path]:
    """Return the function that says where the file of a slide lies now.

    Where it was scored, or in `slide_folder`, which comes first when given: below it as before, or
    by its name alone. Of several files of that name the one that was scored is taken.
    """

    def find(record: SlideRecord) -> Path:
        was = Path(record.path)
        # It may have been scored under another system.
        known = PureWindowsPath(record.path) if "\\" in record.path else was
        places = [was]
        if slide_folder is not None:
            parts = [part for part in known.parts if part != known.anchor]
            tails = [parts[k:] for k in range(len(parts))]
            places = [*(slide_folder.joinpath(*tail) for tail in tails), was]
        there: list[Path] = []
        unread: list[str] = []
        for place in places:
            try:
                if not place.exists():
                    continue
                if is_scored_file(record, place):
                    return place
                there.append(place)
            except ResultsError as error:
                unread.append(str(error))
            except PermissionError as error:
                # Of a folder that may not be looked into.
                unread.append(f"{place} cannot be read ({error.strerror}); check its rights")
            except OSError:
                # A name longer than any here: below another folder places are longer than before.
                continue
        elsewhere = "name the folder that holds it now with --slide-folder"
        if slide_folder is not None:
            elsewhere = f"nor is it in {slide_folder}, below it as before or by its name"
        if unread:
            raise SlideError(f"{unread[0]}; {elsewhere}")
        if there:
            raise SlideError(f"{there[0]} is not the file that was scored; {elsewhere}")
        raise SlideError(f"{known.name} is not where it was scored, {known.parent}; {elsewhere}")

    return find
