"""Repeatability bands: how far two readings of one unchanged thing may lie apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from her2path.compare.measures import MEASURES
from her2path.errors import ResultsError
from her2path.results.decoding import from_json
from her2path.results.jsonable import read_json, write_json
from her2path.statistics.intervals import Interval

__all__ = ["DISTANCE", "Band", "Bands", "default_bands", "read_bands", "write_bands"]

FORMAT = 1
DISTANCE = "class_distance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Band of one measure, in its unit.

    `sw` is the within-subject standard deviation, `band` 1.96·√2 of it; `ci95` of the band and
    the counts are None for a default.
    """

    band: float
    sw: float
    unit: str
    ci95: Interval | None = None
    n_subjects: int | None = None
    n_readings: int | None = None
    df: int | None = None

    def is_cleared_by(self, change: Interval | None) -> bool:
        """Whether the whole interval of a change lies beyond the band, on one side."""
        return change is not None and (change.lower > self.band or change.upper < -self.band)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bands:
    """Bands by measure, with where they come from."""

    source: str
    is_default: bool
    measures: Mapping[str, Band]
    remarks: tuple[str, ...] = ()
    format: int = FORMAT

    def of(self, measure: str) -> tuple[Band, str] | None:
        """Return the band of a measure, and the measure that it was taken from.

        A share without a band of its own takes the widest of the shares.
        """
        if measure in self.measures:
            return self.measures[measure], measure
        shares = {name: band for name, band in self.measures.items() if band.unit == "%"}
        if not shares or MEASURES.get(measure, MEASURES["pct_stained"]).unit != "%":
            return None
        widest = max(shares, key=lambda name: shares[name].band)
        return shares[widest], widest


def read_bands(path: Path) -> Bands:
    """Read the JSON that `her2path repeatability` writes.

    Raises
    ------
    ResultsError
        If it cannot be read, is of another kind, or holds a band that is none.
    """
    document = read_json(path)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ResultsError(
            f"{path} holds no repeatability bands of this version; make them with "
            "`her2path repeatability`"
        )
    bands: Bands = from_json(Bands, document, where=str(path))
    wrong = [name for name, band in bands.measures.items() if not 0 <= band.band < float("inf")]
    if wrong or not bands.measures:
        raise ResultsError(
            f"{path} has no usable band for {', '.join(wrong) or 'any measure'}; a band is a "
            "number of at least 0"
        )
    return bands


def write_bands(path: Path, bands: Bands) -> None:
    """Write bands as JSON, atomically."""
    write_json(path, bands)


def default_bands() -> Bands:
    """Return the bands that ship with the package; they belong to no laboratory."""
    file = resources.files("her2path.compare").joinpath("data/default_bands.json")
    with resources.as_file(file) as path:
        return read_bands(path)
