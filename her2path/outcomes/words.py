"""The words in which tables of patients tell scores, groups, events and responses."""

from __future__ import annotations

from her2path.criteria.score import Score, Status
from her2path.criteria.words import SCORE_WORDS, score_named
from her2path.errors import TableError
from her2path.results.sheet import number_in

__all__ = [
    "NOT_EVALUABLE",
    "NO_RESPONSE",
    "RESPONSE",
    "STATUS_WORDS",
    "as_status",
    "named_score",
    "ordered",
    "yes_or_no",
]

GROUP_ORDER = (
    Status.POSITIVE,
    Status.LOW,
    Status.ULTRALOW,
    Status.NULL,
    Status.NEGATIVE,
    Status.EQUIVOCAL,
)
STATUS_WORDS = frozenset(status.value for status in Status)

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


def as_status(text: str) -> str:
    """Return a text as a status is written: "Not assessable" is not_assessable."""
    return text.strip().casefold().replace(" ", "_")


def named_score(text: str) -> Score:
    """Read a score; it raises TableError where the text names none."""
    found = score_named(text)
    if found is None:
        raise TableError(f"{text!r:.40} is no score; give one of {', '.join(SCORE_WORDS)}")
    return found


def ordered(groups: set[str]) -> tuple[str, ...]:
    """Return groups in the order of HER2 where they are its words, else as they sort."""
    words = [group.value for group in GROUP_ORDER]
    if groups <= set(words):
        return tuple(word for word in words if word in groups)
    return tuple(sorted(groups, key=sort_key))


def sort_key(text: str) -> tuple[bool, float, str]:
    number = number_in(text)
    return (number is None, number or 0.0, text)
