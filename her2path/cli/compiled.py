"""A place for the functions that numba compiles, where there is none."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["provide_place"]

logger = logging.getLogger(__name__)

VARIABLE = "NUMBA_CACHE_DIR"


def provide_place() -> None:
    """Make a folder for compiled functions where neither this package nor the home takes them.

    numba refuses to import a function that it can keep nowhere. Comes before any of its own
    imports; processes that are started later take the folder over.
    """
    beside = Path(__file__).with_name("__pycache__")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~").expanduser() / ".cache")
    if VARIABLE in os.environ or can_be_written(beside) or can_be_written(cache / "numba"):
        return
    # Of a name that nobody knows before: what lies there is run.
    folder = tempfile.mkdtemp(prefix="her2path-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[VARIABLE] = folder
    logger.warning(
        "neither %s nor %s can be written, so functions are compiled anew each time, for a minute "
        "or two; set %s to a folder of yours to keep them",
        beside.parents[1],
        cache,
        VARIABLE,
    )


def can_be_written(folder: Path) -> bool:
    """Whether a file can be made in a folder, which is made when absent."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except (OSError, RuntimeError):
        return False
