"""The words in which tables of patients tell events and responses."""

from __future__ import annotations

from her2path.errors import TableError

__all__ = ["NOT_EVALUABLE", "NO_RESPONSE", "RESPONSE", "yes_or_no"]

YES = frozenset({"1", "yes", "y", "true"})
NO = frozenset({"0", "no", "n", "false", "none"})
EVENT = YES | {"event", "dead", "died", "death", "progressed"}
NO_EVENT = NO | {"censored", "alive"}
# Best overall response of RECIST: complete and partial count as response. Whoever progressed had an
# event, and no response.
RESPONSE = YES | {"cr", "pr", "responder", "response", "pcr"}
NO_RESPONSE = NO | {
    "sd",
    "pd",
    "progressed",
    "non-responder",
    "nonresponder",
    "no response",
    "non-pcr",
}
NOT_EVALUABLE = frozenset(
    {"ne", "na", "n/a", "n.a.", "nd", "n.d.", "unknown", "not evaluable", "not done", "-", "?"}
)


def yes_or_no(text: str) -> bool:
    """Read whether an event happened; it raises TableError where the text does not say."""
    plain = text.strip().casefold()
    if plain in EVENT or plain in NO_EVENT:
        return plain in EVENT
    raise TableError(f"{text!r:.40} is no event; give 1 or 0, yes or no")
