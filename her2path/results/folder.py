"""Where everything lies in a results folder, and how slides are named in it."""

from __future__ import annotations

import hashlib
import os
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from her2path.errors import ResultsError, list_faults
from her2path.results.atomic import remove_leftovers

__all__ = [
    "DEVICES",
    "FIELDS_FOLDER",
    "MAX_NAME_BYTES",
    "OVERVIEW_PNG",
    "PARTS",
    "SLIDE_JSON",
    "ResultsFolder",
    "SlideFolder",
    "name_slides",
    "stem_of",
]

# File systems stop at 255 bytes; a suffix and a longer path must still fit.
MAX_NAME_BYTES = 120
FORBIDDEN = frozenset('<>:"/\\|?*')
# Device names of Windows, which cannot name a folder there, whatever follows a dot.
DEVICES = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}
)
COMPOUND_SUFFIXES = (".ome.tif", ".ome.tiff")
# The longest file suffix that a slide has; what is longer is part of the name.
MAX_SUFFIX = 6

SLIDES_CSV = "slides.csv"
RUN_JSON = "run.json"
REPORT_HTML = "report.html"
SLIDE_JSON = "slide.json"
OVERVIEW_PNG = "overview.png"
# Pictures of a slide, in a folder of their own.
FIELDS_FOLDER = "fields"
# What was measured of a slide that is not done.
PARTS = ".parts"
JOURNAL = "journal.sqlite"
# Second readings: the log that counts, and a table made from it.
REVIEW_LOG = "review.sqlite"
REVIEWS_CSV = "reviews.csv"
BESIDE_A_DATABASE = ("", "-wal", "-shm")
TAKEN = frozenset(
    {SLIDES_CSV, RUN_JSON, REPORT_HTML, REVIEWS_CSV}
    | {name + end for name in (JOURNAL, REVIEW_LOG) for end in BESIDE_A_DATABASE}
)


@dataclass(frozen=True, slots=True)
class SlideFolder:
    """The paths of one slide's results."""

    path: Path

    @property
    def slide_json(self) -> Path:
        """Everything about the slide, with provenance."""
        return self.path / SLIDE_JSON

    @property
    def regions_parquet(self) -> Path:
        """One row per region."""
        return self.path / "regions.parquet"

    @property
    def regions_csv(self) -> Path:
        """The same, for spreadsheets."""
        return self.path / "regions.csv"

    @property
    def cells_parquet(self) -> Path:
        """One row per cell."""
        return self.path / "cells.parquet"

    @property
    def regions_geojson(self) -> Path:
        """Regions and outlines for QuPath."""
        return self.path / "regions.geojson"

    @property
    def cells_geojson(self) -> Path:
        """Chosen cells for QuPath; only on request."""
        return self.path / "cells.geojson"

    @property
    def overview_png(self) -> Path:
        """Picture of the slide with its regions."""
        return self.path / OVERVIEW_PNG

    @property
    def fields(self) -> Path:
        """Pictures of fields, and which they are."""
        return self.path / FIELDS_FOLDER

    @property
    def report_html(self) -> Path:
        """The page of this slide, where there are too many for one."""
        return self.path / REPORT_HTML

    def forget(self) -> None:
        """Delete the results of an earlier run, slide.json first: without it they count for none.

        Raises
        ------
        ResultsError
            If they cannot be deleted.
        """
        with guarded(self.path):
            for path in (
                self.slide_json,
                self.cells_parquet,
                self.regions_parquet,
                self.regions_csv,
                self.regions_geojson,
                self.cells_geojson,
                self.overview_png,
                self.report_html,
            ):
                path.unlink(missing_ok=True)
            if self.fields.is_dir():
                shutil.rmtree(self.fields)

    def create(self) -> SlideFolder:
        """Make the folder, sweep what a killed run left half-written, and return self."""
        make_folder(self.path)
        return self


@dataclass(frozen=True, slots=True)
class ResultsFolder:
    """The paths of a run's results."""

    path: Path

    @property
    def slides_csv(self) -> Path:
        """One row per slide."""
        return self.path / SLIDES_CSV

    @property
    def run_json(self) -> Path:
        """What ran, with which settings, on which files."""
        return self.path / RUN_JSON

    @property
    def report_html(self) -> Path:
        """The report of the run."""
        return self.path / REPORT_HTML

    @property
    def journal(self) -> Path:
        """What is done, the only place that says so."""
        return self.path / JOURNAL

    @property
    def review_log(self) -> Path:
        """Second readings, each entry for good."""
        return self.path / REVIEW_LOG

    @property
    def reviews_csv(self) -> Path:
        """One row per slide and reader, written from the log."""
        return self.path / REVIEWS_CSV

    def slide(self, slide_id: str) -> SlideFolder:
        """Return the paths of one slide.

        Raises
        ------
        ResultsError
            If `slide_id` would lead out of the folder or onto a file of the run.
        """
        if slide_id != safe_name(slide_id) or slide_id.casefold() in TAKEN:
            raise ResultsError(
                f"{slide_id!r:.80} cannot name a folder; take slide ids from name_slides"
            )
        return SlideFolder(self.path / slide_id)

    def make(self) -> ResultsFolder:
        """Make the folder, leave what is in it, and return self: another run may be writing there.

        Raises
        ------
        ResultsError
            If it cannot be made.
        """
        with guarded(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        return self

    def refuse_foreign(self) -> None:
        """Raise ResultsError where files of a run lie that no journal knows: they are not ours."""
        files = (self.slides_csv, self.run_json, self.report_html)
        found = [path.name for path in files if path.exists()]
        if found and not self.journal.exists():
            raise ResultsError(
                f"{self.path} holds {', '.join(found)}, but no journal of a run that wrote it; "
                "choose another folder with --out, or move them away"
            )

    def create(self) -> ResultsFolder:
        """Make the folder, sweep what a killed run left half-written, and return self.

        Raises
        ------
        ResultsError
            If it cannot be made.
        """
        make_folder(self.path)
        return self


def make_folder(path: Path) -> None:
    with guarded(path):
        path.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Say of an error of the system what it means for the folder."""
    try:
        yield
    except OSError as error:
        raise ResultsError(
            f"the results folder {path} cannot be made ({error.strerror or error}); "
            "choose another with --out"
        ) from error


def name_slides(paths: Sequence[Path]) -> tuple[str, ...]:
    """Return one id per slide: its file name, safe as the name of a folder on every system.

    Slides of one name get that of their parent folder as well, and a hash of the path where that
    is not enough; which ones depends on the set of paths, never on their order.

    Raises
    ------
    ResultsError
        If a slide is listed twice.
    """
    resolved = [Path(os.path.abspath(path)) for path in paths]
    twice = [str(path) for path, n in Counter(resolved).items() if n > 1]
    if twice:
        raise ResultsError(
            list_faults("slides are listed more than once", [f"{path}" for path in twice])
        )
    found = [safe_name(stem_of(path)) for path in resolved]
    clashing = clashes(found)
    found = [
        safe_name(f"{stem_of(path)}__{path.parent.name}") if name.casefold() in clashing else name
        for path, name in zip(resolved, found, strict=True)
    ]
    clashing = clashes(found)
    found = [
        with_hash(name, str(path)) if name.casefold() in clashing else name
        for path, name in zip(resolved, found, strict=True)
    ]
    if clashing := clashes(found):
        raise ResultsError(
            f"no two slides may be named {', '.join(sorted(clashing))}; rename one of the files"
        )
    return tuple(found)


def clashes(found: Sequence[str]) -> set[str]:
    """Return the names that are not alone, or not free, on a file system that ignores case."""
    count = Counter(name.casefold() for name in found)
    return {name for name, n in count.items() if n > 1} | (TAKEN & count.keys())


def stem_of(path: Path) -> str:
    """Return the name of a slide's file without what tells its format, ``.ome.tif`` included."""
    name = path.name
    for suffix in COMPOUND_SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    # os.path answers no where a path cannot even be asked for, as when it is too long.
    return path.stem if len(path.suffix) <= MAX_SUFFIX and not os.path.isdir(path) else name


def safe_name(name: str) -> str:
    """Return `name` as a folder name: letters of every script stay, what a system forbids goes."""
    text = unicodedata.normalize("NFC", name)
    text = "".join("_" if is_forbidden(letter) else letter for letter in text)
    # A leading sign would be taken for an option, a hidden file or a spreadsheet's formula.
    kept = text.lstrip(" .~")
    if kept[:1] in {"-", "=", "+", "@", "＝", "＋", "－", "＠", "'"}:
        kept = "_" + kept[1:]
    kept = kept.rstrip(" .")
    if kept.split(".")[0].strip().casefold() in DEVICES:
        kept = "_" + kept
    if len(kept.encode()) > MAX_NAME_BYTES:
        kept = with_hash(kept, name)
    return kept or "slide"


def is_forbidden(letter: str) -> bool:
    # Controls, marks that turn the direction of text, and halves of letters.
    joins_letters = letter in "\u200c\u200d"
    return letter in FORBIDDEN or (
        unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"} and not joins_letters
    )


def with_hash(name: str, text: str) -> str:
    """Return `name`, cut to size, with a hash of `text` that tells it from its like."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    room = MAX_NAME_BYTES - len(digest) - 1
    cut = name.encode()[:room].decode("utf-8", "ignore").rstrip(" .")
    return f"{cut}-{digest}"
