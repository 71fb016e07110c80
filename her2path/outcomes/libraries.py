"""The libraries that survival is computed by; they come with the extra `outcomes`."""

from __future__ import annotations

import importlib
from typing import Any

from her2path.errors import MissingLibraryError

__all__ = ["REMEDY", "library"]

REMEDY = "pip install 'her2path[outcomes]'"


def library(name: str) -> Any:  # noqa: ANN401 - a module without types
    """Return a module of lifelines or pandas.

    Raises
    ------
    MissingLibraryError
        If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.split(".")[0]
        raise MissingLibraryError(
            f"outcomes need {package}, which is not installed ({error}); {REMEDY}"
        ) from error
