"""Where numba keeps the functions that it has compiled: a place, and nothing stale in it."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

__all__ = ["forget_stale", "is_compiled", "provide_place"]

logger = logging.getLogger(__name__)

VARIABLE = "NUMBA_CACHE_DIR"
PACKAGE = Path(__file__).parent


def forget_stale(package: Path = PACKAGE) -> None:
    """Delete compiled functions that may hold what their sources no longer say.

    numba looks at the file of a function alone. What the function has taken in from other files,
    their functions and constants, may be newer after an update of the sources, and would be passed
    over without a word. An index goes when it is older than a source in its room, or than the
    source of a compiled function in any room.
    """
    rooms: dict[Path, list[Path]] = {}
    for index in package.rglob("__pycache__/*.nbi"):
        rooms.setdefault(index.parents[1], []).append(index)
    newest = {room: last_of(room.glob("*.py")) for room in rooms}
    # An index is named after its module: sampling.bilinear-35.py311.nbi.
    compiled = {room / f"{path.name.split('.')[0]}.py" for room in rooms for path in rooms[room]}
    newest_compiled = last_of(compiled)
    for room, indexes in rooms.items():
        for index in indexes:
            if written(index) < max(newest[room], newest_compiled):
                # Another process may have been faster, and what may not be deleted is not ours.
                with suppress(OSError):
                    index.unlink()


def last_of(sources: Iterable[Path]) -> float:
    """Return when the last of some sources was written; 0 of none.

    A time to come is of another clock: by it all would be compiled again at every start.
    """
    now = time.time()
    return max((at for at in map(written, sources) if at <= now), default=0.0)


def written(path: Path) -> float:
    """Return when a file was written last; 0 where it is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def provide_place() -> None:
    """Make a folder for compiled functions where neither this package nor the home takes them.

    numba refuses to import a function that it can keep nowhere. Comes before any of its own
    imports; processes that are started later take the folder over.
    """
    beside = PACKAGE / "__pycache__"
    cache = cache_of_home()
    if VARIABLE in os.environ or can_be_written(beside):
        return
    if cache is not None and can_be_written(cache / "numba"):
        return
    # Of a name that nobody knows before: what lies there is run.
    folder = tempfile.mkdtemp(prefix="her2path-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[VARIABLE] = folder
    logger.warning(
        "neither %s nor the home (%s) can be written, so functions are compiled anew each time, "
        "for a minute or two; set %s to a folder of yours to keep them",
        PACKAGE,
        cache or "not known",
        VARIABLE,
    )


def is_compiled(package: Path = PACKAGE) -> bool:
    """Whether what measures cells was compiled here before, so that a run begins at once."""
    elsewhere, cache = os.environ.get(VARIABLE), cache_of_home()
    places = [Path(elsewhere)] if elsewhere else [package, *([cache / "numba"] if cache else [])]
    # numba names an index after its module: any of this one will do.
    return any(next(place.rglob("line_contrast.*.nbi"), None) is not None for place in places)


def cache_of_home() -> Path | None:
    """Return where programs of this user keep what can be made again.

    None where nobody knows this user, as in containers that give each a number of its own.
    """
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path("~").expanduser() / ".cache")
    except RuntimeError:
        return None


def can_be_written(folder: Path) -> bool:
    """Whether a file can be made in a folder, which is made when absent."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except (OSError, RuntimeError):
        return False
