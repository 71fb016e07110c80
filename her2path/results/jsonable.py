"""The one way a value becomes JSON, and JSON a value."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence, Set
from datetime import date, datetime
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from pydantic import BaseModel

from her2path.bounded import FileTooLargeError, read_bounded
from her2path.errors import ResultsError
from her2path.results.atomic import write_bytes
from her2path.statistics.intervals import Interval

__all__ = [
    "MAX_JSON_BYTES",
    "canonical_json",
    "clean_text",
    "ends",
    "read_json",
    "to_json",
    "write_json",
]

# A slide.json holds regions, not cells: a few MB, and where the squares of its grid are smallest,
# 2 kB for each of 100 a square millimetre of tissue.
MAX_JSON_BYTES = 128 * 2**20


def to_json(value: object) -> Any:  # noqa: ANN401 - JSON has no narrower type
    """Return a value as dicts, lists, strings, numbers, booleans and None.

    Dataclasses and pydantic models become objects, enums their value (a number's enum its
    lower-case name), NaN and infinities null, because JSON has no word for them.

    Raises
    ------
    TypeError
        If a part of the value has no JSON form; the message says where it is.
    """
    return convert(value, "$")


def ends(interval: Interval | None) -> list[float] | None:
    """Return the two ends of an interval, as documents of figures hold it; None for none."""
    return None if interval is None else [interval.lower, interval.upper]


def convert(value: object, where: str) -> Any:  # noqa: ANN401 - JSON has no narrower type
    match value:
        case Enum():
            return value.value if isinstance(value.value, str) else value.name.lower()
        case None | bool() | int():
            return value
        case str():
            return clean_text(value)
        case float():
            return value if math.isfinite(value) else None
        case np.generic() | np.ndarray():
            return convert(value.tolist(), where)
        case datetime() | date():
            return value.isoformat()
        case PurePath():
            return clean_text(str(value))
        case BaseModel():
            return convert(dict(value), where)
        case Mapping():
            return {key_of(key, where): convert(v, f"{where}.{key}") for key, v in value.items()}
        case Set():
            return sorted(convert(part, where) for part in value)
        case Sequence() if not isinstance(value, bytes | bytearray | memoryview):
            return [convert(part, f"{where}[{index}]") for index, part in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: convert(getattr(value, field.name), f"{where}.{field.name}")
            for field in dataclasses.fields(value)
        }
    raise TypeError(f"{where} is a {type(value).__name__}, which has no JSON form")


def key_of(key: object, where: str) -> str:
    found = convert(key, where)
    if isinstance(found, str):
        return found
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    raise TypeError(f"{where} has the key {key!r:.60}; keys must be text")


def clean_text(text: str) -> str:
    """Return text that any encoder takes: bytes of a file name that are no letters become '?'."""
    return text.encode("utf-8", "replace").decode("utf-8")


def canonical_json(value: object) -> str:
    """Return JSON that is the same for equal values, whatever the order of their keys."""
    return json.dumps(
        to_json(value), ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    )


def write_json(path: Path, value: object, *, many: str = "") -> None:
    """Write a value as readable JSON, atomically.

    Parameters
    ----------
    path : Path
    value : object
    many : str
        Name of a list in the value of whose parts there may be thousands: each takes one line,
        which is half the size.

    Raises
    ------
    ResultsError
        If it cannot be written, or not be read again.
    """
    document = to_json(value)
    parts = document[many] if many else []
    if parts:
        document[many] = []
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2)
    if parts:
        # No text of the document holds a line break as such.
        empty = f"\n  {json.dumps(many)}: ["
        lines = [json.dumps(part, ensure_ascii=False, allow_nan=False) for part in parts]
        text = text.replace(f"{empty}]", f"{empty}\n    " + ",\n    ".join(lines) + "\n  ]", 1)
    data = f"{text}\n".encode()
    if len(data) > MAX_JSON_BYTES:
        raise ResultsError(
            f"{path} would take {len(data) // 2**20:,} MiB, and could not be read again; of a "
            "slide, choose larger squares by --region-um, or draw simpler outlines"
        )
    write_bytes(path, data)


def read_json(path: Path) -> Any:  # noqa: ANN401 - JSON has no narrower type
    """Read a JSON file of bounded size.

    Raises
    ------
    ResultsError
        If the file is absent, larger than `MAX_JSON_BYTES`, or no JSON.
    """
    try:
        data = read_bounded(path, MAX_JSON_BYTES)
    except FileTooLargeError as error:
        raise ResultsError(
            f"{path} is larger than {MAX_JSON_BYTES // 2**20} MiB; it is no result of her2path"
        ) from error
    except OSError as error:
        raise ResultsError(
            f"{path} cannot be read ({error.strerror or error}); check the path"
        ) from error
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ResultsError(
            f"{path} is no valid JSON ({error}); give a file that her2path has written"
        ) from error
