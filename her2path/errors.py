"""Exceptions: one root, each child also the builtin that a caller would expect.

Every message says what happened, the value that caused it, and what to do about it.
"""

from collections.abc import Sequence

__all__ = [
    "AnnotationError",
    "CalibrationError",
    "CoreGridError",
    "CriteriaError",
    "Her2pathError",
    "ManifestError",
    "MissingLibraryError",
    "ModelError",
    "MppError",
    "ResultsError",
    "SlideError",
    "SlideMemoryError",
    "StainError",
    "TableError",
    "list_faults",
]

# Beyond this many faults a file is of the wrong kind, and a longer list would hide that.
MAX_LISTED = 20


class Her2pathError(Exception):
    """Root of all errors that her2path raises on purpose."""


class SlideError(Her2pathError, OSError):
    """A slide cannot be opened or read."""


class SlideMemoryError(SlideError, MemoryError):
    """Memory ran out while a slide was read: nothing need be wrong with its file."""


class MppError(Her2pathError, ValueError):
    """The µm/px of a slide is missing, absurd, or too different in x and y."""


class StainError(Her2pathError, ValueError):
    """A stain matrix or white point is implausible."""


class CalibrationError(Her2pathError, ValueError):
    """A calibration is unknown, damaged, or does not fit the slide."""


class CoreGridError(Her2pathError, ValueError):
    """The cores of a tissue microarray do not stand in rows and columns."""


class CriteriaError(Her2pathError, ValueError):
    """A rule set is unknown or its table is not total."""


class AnnotationError(Her2pathError, ValueError):
    """An annotation file cannot be understood."""


class ManifestError(Her2pathError, ValueError):
    """A manifest has faults; the message lists all of them with their rows."""


class ModelError(Her2pathError, ValueError):
    """A model is unknown, damaged, or does not fit what is asked of it."""


class TableError(Her2pathError, ValueError):
    """A table of pairs or patients has faults; the message lists all of them with their rows."""


class MissingLibraryError(Her2pathError, ImportError):
    """A command needs a library that is not installed; the message says how to get it."""


class ResultsError(Her2pathError, OSError):
    """A results folder cannot be read or written."""


def list_faults(heading: str, faults: Sequence[str], *, what: str = "fault") -> str:
    """Return a message that lists all faults, one a line; the rest is counted beyond twenty."""
    lines = [f"  - {fault}" for fault in faults[:MAX_LISTED]]
    if len(faults) > MAX_LISTED:
        lines.append(f"  - and {len(faults) - MAX_LISTED:,} more")
    return "\n".join([f"{heading}: {len(faults):,} {what}{'s' * (len(faults) != 1)}", *lines])
