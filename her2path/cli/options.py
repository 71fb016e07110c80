"""Options that several commands share, so that they mean and say the same everywhere."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

__all__ = ["ColorProfile", "Debug", "IccChoice", "Json", "Quiet", "Workers"]


class IccChoice(StrEnum):
    """Whether the color profile of a file is applied."""

    OFF = "off"
    SRGB = "srgb"


ColorProfile = Annotated[
    IccChoice,
    typer.Option(
        "--icc",
        help="srgb: bring colors to sRGB by the profile (ICC) in the file before anything is "
        "measured, to read scanners alike; a calibration must be made with the same.",
    ),
]

Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug messages.")]
Json = Annotated[
    bool, typer.Option("--json", help="Write JSON to standard output, and say nothing else.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Workers = Annotated[
    int,
    typer.Option(
        min=0, max=256, help="Processes; 0: one per processor, up to 8. Changes no result."
    ),
]
