"""Options that several commands share, so that they mean and say the same everywhere."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from her2path.criteria.score import Specimen

__all__ = [
    "ColorProfile",
    "CriteriaName",
    "Debug",
    "Device",
    "IccChoice",
    "Json",
    "MppOfPairs",
    "MppOfSlides",
    "NetworkDevice",
    "NetworkPrecision",
    "OverwriteFile",
    "OverwriteResults",
    "Precision",
    "Quiet",
    "RegionSide",
    "SeedOfResampling",
    "SpecimenKind",
    "StudyFolder",
    "WhitePointText",
    "Workers",
    "mpp_of",
    "processors",
    "worker_count",
]


class Device(StrEnum):
    """Where the network runs, or is trained."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Precision(StrEnum):
    """In which numbers the network multiplies."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"


class IccChoice(StrEnum):
    """Whether the color profile of a file is applied; the words of `Icc`, which loads a reader."""

    OFF = "off"
    SRGB = "srgb"


def mpp_of(text: str) -> float:
    """Return the µm per pixel that an option states, with a decimal comma or point as in tables."""
    from her2path.results.sheet import number_in

    found = number_in(text)
    if found is None:
        raise typer.BadParameter(f"{text!r:.40} is no number; write µm per pixel as 0.25")
    return found


# How slides are read.
ColorProfile = Annotated[
    IccChoice,
    typer.Option(
        "--icc",
        help="srgb: bring colors to sRGB by the profile (ICC) in the file before anything is "
        "measured, to read scanners alike; a calibration must be made with the same.",
    ),
]
CriteriaName = Annotated[
    str, typer.Option(help="A name from `her2path criteria list`, gastric, or a TOML file.")
]
MppOfPairs = Annotated[
    float | None,
    typer.Option(
        parser=mpp_of,
        metavar="<float>",
        help="µm per pixel of slides, where the file is silent or wrong.",
    ),
]
MppOfSlides = Annotated[
    float | None,
    typer.Option(
        parser=mpp_of,
        metavar="<float>",
        help="µm per pixel at full resolution, where the file is silent or wrong.",
    ),
]
NetworkDevice = Annotated[
    Device, typer.Option(help="Where the network runs; the rules use the CPU.")
]
NetworkPrecision = Annotated[
    Precision,
    typer.Option(
        help="auto is fp32 on a processor, which is the same on all of them, and bf16 on a card; "
        "bf16 may be faster on processors with AMX or AVX-512 BF16, and reads a little otherwise."
    ),
]
RegionSide = Annotated[
    float, typer.Option(min=100, max=10_000, help="Side of the grid's squares, µm.")
]
SpecimenKind = Annotated[
    Specimen | None, typer.Option(help="Decides which gastric criteria apply.")
]
WhitePointText = Annotated[
    str, typer.Option(metavar="R,G,B", help="Value of empty glass, where none is in view.")
]

# How a run goes.
SeedOfResampling = Annotated[int, typer.Option(min=0, help="Seed of the resampling.")]
Workers = Annotated[
    int,
    typer.Option(
        min=0, max=256, help="Processes; 0: one per processor, up to 8. Changes no result."
    ),
]

# What is written, and what is said.
StudyFolder = Annotated[
    Path, typer.Option("--out", "-o", help="Folder for page, tables and figures.")
]
OverwriteResults = Annotated[
    bool, typer.Option("--overwrite", help="Write into --out although it holds results.")
]
OverwriteFile = Annotated[bool, typer.Option("--overwrite", help="Replace the file that is there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but warnings and errors.")]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Write JSON to standard output, and say nothing else but warnings and errors.",
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug messages.")]


def worker_count(workers: int) -> int:
    """Return how many processes `--workers` asks for; 0: one per processor it may use, up to 8."""
    return workers or min(processors(), 8)


def processors() -> int:
    """Return how many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS or Windows
        return os.cpu_count() or 1
