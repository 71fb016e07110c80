"""The libraries that survival is computed by; they come with the extra `outcomes`."""

from __future__ import annotations

from typing import Any

from her2path.extras import library_of_extra

__all__ = ["library"]


def library(name: str) -> Any:  # noqa: ANN401 - a module without types
    """Return a module of lifelines or pandas.

    Raises
    ------
    MissingLibraryError
        If it is not installed.
    """
    return library_of_extra(name, extra="outcomes", needed_by="outcomes")
