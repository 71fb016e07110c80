"""Options that several commands share, so that they mean and say the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["Debug", "Json", "Quiet", "Workers"]

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
