"""Libraries that come with an extra and may be absent."""

from __future__ import annotations

import importlib
from typing import Any

from her2path.errors import MissingLibraryError

__all__ = ["library_of_extra"]


def library_of_extra(name: str, *, extra: str, needed_by: str) -> Any:  # noqa: ANN401 - a module
    """Return a module of a library that an extra brings.

    Parameters
    ----------
    name : str
        Of the module.
    extra : str
        Name of the extra in pyproject.toml.
    needed_by : str
        What cannot work without it, for the message; in the plural.

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
            f"{needed_by} need {package}, which is not installed ({error}); "
            f'pip install "her2path[{extra}]"'
        ) from error
