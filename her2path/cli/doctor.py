"""`her2path doctor`: whether this installation works here."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.table import Column, Table
from rich.text import Text

from her2path.cli.console import OUTPUT
from her2path.results.atomic import write_bytes
from her2path.results.run_record import package_versions, software_version

__all__ = ["examine"]

logger = logging.getLogger(__name__)

LEAST_FREE_GIB = 2.0
FIELD_PX = 96


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    is_well: bool
    words: str


def examine(*, as_json: bool) -> bool:
    """Look at everything, print what was found, and return whether all is well."""
    checks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("her2path", software_version),
        ("Python", platform.python_version),
        ("system", platform.platform),
        ("packages", lambda: ", ".join(f"{n} {v}" for n, v in package_versions().items())),
        ("processors", lambda: str(os.cpu_count() or 1)),
        ("OpenSlide", openslide_words),
        ("DICOM reader", lambda: extra_words("wsidicom", "some DICOM slides")),
        ("DICOM export", lambda: extra_words("highdicom", "her2path export")),
        ("reading a TIFF", read_tiff),
        ("reading a PNG", read_png),
        ("measuring cells", measure_field),
        ("network", network_words),
        ("review page", review_words),
        ("temporary folder", write_temporary),
    )
    findings = [look(what, check) for what, check in checks]
    if as_json:
        OUTPUT.print(json.dumps([asdict(f) for f in findings], ensure_ascii=False))
    else:
        columns = Column(no_wrap=True), Column(no_wrap=True), Column(overflow="fold")
        table = Table(*columns, show_header=False, box=None, pad_edge=False)
        for finding in findings:
            mark = Text("ok", "green") if finding.is_well else Text("fault", "bold red")
            table.add_row(mark, finding.what, finding.words)
        OUTPUT.print(table)
    return all(finding.is_well for finding in findings)


def look(what: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, check())
    except Exception as error:
        # Whatever is wrong here is what is asked for.
        logger.debug("%s", what, exc_info=True)
        return Finding(what, False, f"{type(error).__name__}: {error}")


def openslide_words() -> str:
    library = importlib.import_module("openslide")
    return f"library {library.__library_version__}"


def extra_words(library: str, need: str) -> str:
    if importlib.util.find_spec(library) is None:
        return f'not installed (only for {need}: pip install "her2path[dicom]")'
    return "installed"


def review_words() -> str:
    """Read what the review page is made of, as its server does."""
    from her2path.review.server import STATIC, static_bytes

    n_bytes = sum(len(static_bytes(package, path)) for package, path, _ in STATIC.values())
    return f"{len(STATIC)} files, {n_bytes:,} bytes"


def field() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return a picture of tissue-like colours."""
    rng = np.random.default_rng(0)
    shades = rng.integers(120, 240, (FIELD_PX, FIELD_PX, 3))
    return shades.astype(np.uint8)


def read_back(name: str, write: Callable[[Path], object]) -> str:
    from her2path.geometry import Location
    from her2path.slides.opening import open_slide

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path)
        with open_slide(path, mpp=0.25) as slide:
            rgb = slide.read_region(Location(0, 0), 0, slide.dimensions)
            if not np.array_equal(rgb, field()):
                raise ValueError("pixels came back changed")
            return f"by {slide.backend}"


def read_png() -> str:
    from PIL import Image

    return read_back("field.png", lambda path: Image.fromarray(field()).save(path))


def read_tiff() -> str:
    from PIL import Image

    return read_back("field.tif", lambda path: Image.fromarray(field()).save(path))


def measure_field() -> str:
    from her2path.cells.measure import MeasureSettings, measure_cells
    from her2path.stain.matrix import StainMatrix

    settings = MeasureSettings(white_point=(240.0, 240.0, 240.0), matrix=StainMatrix())
    measure_cells(field(), settings, mpp=0.25)
    return "works"


def network_words() -> str:
    """Read a picture with the network that ships; its files are checked against their hashes."""
    from her2path.pipeline.network import SHIPPED_NETWORK, find_network, reader_of

    use = find_network(SHIPPED_NETWORK)
    assert use is not None
    reader = reader_of(use)
    reader.read(field(), 0.25)
    return f"{use.name} works, by {reader.runs}"


def write_temporary() -> str:
    with tempfile.TemporaryDirectory() as folder:
        write_bytes(Path(folder) / "probe", b"her2path")
        free = shutil.disk_usage(folder).free / 2**30
    if free < LEAST_FREE_GIB:
        raise OSError(
            f"only {free:.1f} GiB free in {tempfile.gettempdir()}; make room, or name another "
            "folder with TMPDIR"
        )
    return f"{tempfile.gettempdir()}, {free:.0f} GiB free"
