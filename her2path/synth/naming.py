"""Names of slides as file formats take them that know no letters beyond ASCII."""

from __future__ import annotations

import unicodedata

__all__ = ["ascii_name"]

# Aperio separates its properties by |, DICOM values by \ and parts of names by ^ and =.
SEPARATORS = frozenset("|\\^=")


def ascii_name(name: str) -> str:
    """Return a name in ASCII: letters without their marks, `_` for what has no such form.

    Examples
    --------
    >>> ascii_name("Müster 1")
    'Muster 1'
    """
    return "".join(
        sign if sign.isascii() and sign.isprintable() and sign not in SEPARATORS else "_"
        for sign in unicodedata.normalize("NFKD", name)
        if not unicodedata.combining(sign)
    )
