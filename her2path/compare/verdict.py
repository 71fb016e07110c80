"""The verdict on a pair, and the one sentence that says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from her2path.compare.bands import Band
from her2path.compare.change import ScoreChange, ScoreMove, StatusMove
from her2path.compare.comparability import Reason
from her2path.criteria.score import Score
from her2path.statistics.intervals import Interval

__all__ = ["LEAST_P_MOVED", "Deciding", "Verdict", "conclude_pair"]

# That the share moved is for its interval to say, at 95 %. This keeps out scores that only sit on
# a cut: four in five resampled pairs must move the same way.
LEAST_P_MOVED = 0.8


class Verdict(StrEnum):
    """What can be said of a pair."""

    CHANGED = "changed"
    APPARENT = "apparent"
    UNCHANGED = "unchanged"
    NOT_COMPARABLE = "not_comparable"
    NOT_EVALUABLE = "not_evaluable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deciding:
    """The share that separates the two scores, or that holds the common one.

    Attributes
    ----------
    measure, words : str
        Name as in `continuous`; which cells it counts.
    cut : float or None
        Of the criteria, percent; None where a cluster decides.
    higher_score : Score
        The score that needs the share above its cut.
    before, after, change : float
        Percent, adjusted.
    ci95 : Interval or None
        Of the change.
    band : Band or None
    band_measure : str
        Measure that the band was taken from.
    """

    measure: str
    words: str
    cut: float | None
    higher_score: Score
    before: float
    after: float
    change: float
    ci95: Interval | None
    band: Band | None
    band_measure: str

    @property
    def is_clear(self) -> bool:
        """Whether the whole interval lies beyond the band, on one side."""
        return self.band is not None and self.band.is_cleared_by(self.ci95)


def conclude_pair(
    *,
    voids: Sequence[Reason],
    obstacles: Sequence[Reason],
    move: ScoreMove,
    raw_move: ScoreMove,
    deciding: Deciding | None,
    status: StatusMove | None = None,
    beyond: Sequence[tuple[str, float]] = (),
    scanner: str = "",
) -> tuple[Verdict, tuple[str, ...], str]:
    """Return verdict, reasons and sentence.

    Parameters
    ----------
    voids, obstacles : sequence of Reason
        Why a side says nothing; why sides cannot be compared.
    move, raw_move : ScoreMove
        On the common scale, and as read.
    deciding : Deciding or None
        None where nothing could be counted.
    status : StatusMove, optional
        On the common scale, with ISH: it may go another way than the score.
    beyond : sequence of (str, float)
        Other measures that changed by more than their band, and by how much.
    scanner : str
        Why the sides may not be of one scanner; stands among the reasons of a change, which it
        may have a part in.
    """
    if voids:
        words = tuple(reason.sentence for reason in voids)
        return Verdict.NOT_EVALUABLE, words, "No statement on a change of HER2: " + plain(words[0])
    if obstacles:
        words = tuple(reason.sentence for reason in obstacles)
        return (
            Verdict.NOT_COMPARABLE,
            words,
            "No statement on a change of HER2: the two sides cannot be compared. " + words[0],
        )
    if deciding is None or move.change is ScoreChange.NOT_EVALUABLE:
        words = ("No cell was counted on one side.",)
        return Verdict.NOT_EVALUABLE, words, "No statement on a change of HER2: " + plain(words[0])
    if move.change is ScoreChange.STABLE:
        return unchanged(move, raw_move, deciding, status, beyond, scanner)
    doubts = tuple(doubts_of(move, raw_move, deciding))
    contrary = contrary_status(move, status)
    if doubts:
        but = (
            "the difference is within measurement error"
            if deciding.band is not None
            else "whether the difference exceeds the error of measuring cannot be told"
        )
        return (
            Verdict.APPARENT,
            (*doubts, *contrary),
            f"The score reads {move.before.value} before and {move.after.value} after, but {but}.",
        )
    words = (clear_words(deciding), moved_words(move), *unsure_end(move), *contrary)
    words = (*words, *filter(None, [scanner]))
    return (
        Verdict.CHANGED,
        words,
        f"HER2 changed: the score {verb(move)} from {move.before.value} to {move.after.value}"
        f"{loss_words(move)}, and by more than repeated readings differ.",
    )


def unchanged(
    move: ScoreMove,
    raw_move: ScoreMove,
    deciding: Deciding,
    status: StatusMove | None,
    beyond: Sequence[tuple[str, float]],
    scanner: str,
) -> tuple[Verdict, tuple[str, ...], str]:
    words = [f"The score is {move.before.value} on both sides."]
    sentence = f"HER2 is unchanged: {move.before.value} before and after."
    if raw_move.change is not ScoreChange.STABLE:
        words.append(
            f"As read it was {raw_move.before.value} before and {raw_move.after.value} after; on "
            "one scale the difference is gone."
        )
    if deciding.is_clear:
        words.append(clear_words(deciding))
    if beyond:
        name, size = beyond[0]
        words.append(
            "Beyond the band, without another score: "
            + ", ".join(f"{other} {signed(change)}" for other, change in beyond)
            + "."
        )
        sentence = (
            f"The score is unchanged, {move.before.value} before and after, though {name} "
            f"{'fell' if size < 0 else 'rose'} by {abs(size):.0f} points, more than repeated "
            "readings differ."
        )
    if status is not None and status.steps:
        # A status says more than a share does.
        words.append(status_words(status))
        sentence = (
            f"The score is unchanged, {move.before.value} before and after, though "
            f"{plain(status_words(status))}"
        )
    if scanner and (deciding.is_clear or beyond):
        words.append(scanner)
    return Verdict.UNCHANGED, tuple(words), sentence


def doubts_of(move: ScoreMove, raw_move: ScoreMove, deciding: Deciding) -> list[str]:
    """Say why a change of score is not beyond measurement error."""
    doubts = []
    if deciding.band is None:
        doubts.append(
            f"The bands in use have none for the share of {deciding.words}, so nothing says by how "
            "much repeated readings of it differ. Measure it by more repeats (her2path "
            "repeatability), or compare with the bands that ship."
        )
    elif not deciding.is_clear:
        band = f"{deciding.band.band:.1f}"
        found = interval_words(deciding.ci95)
        doubts.append(
            f"The change in the share of {deciding.words} is {signed(deciding.change)} points "
            f"({found}), which does not clear the ±{band} points by which repeated readings differ."
        )
    steps = move.steps or 0
    if steps * deciding.change < 0:
        doubts.append(
            f"The share of {deciding.words} {'fell' if deciding.change < 0 else 'rose'} while the "
            f"score {verb(move)}: the sides differ in their limits of blank."
        )
    p_same_way = (move.p_lower if steps < 0 else move.p_higher) or 0.0
    if p_same_way < LEAST_P_MOVED:
        doubts.append(
            f"The probability that the score really moved this way is {p_same_way:.2f}, less "
            f"than {LEAST_P_MOVED:g}."
        )
    if raw_move.change is ScoreChange.STABLE:
        doubts.append(
            "As read the score is the same on both sides; it differs only after the adjustment."
        )
    elif (raw_move.steps or 0) * steps < 0:
        doubts.append(
            f"As read the score {verb(raw_move)}, from {raw_move.before.value} to "
            f"{raw_move.after.value}; it {verb(move)} only after the adjustment."
        )
    return doubts


def clear_words(deciding: Deciding) -> str:
    band = deciding.band.band if deciding.band else 0.0
    verb_ = "fell" if deciding.change < 0 else "rose"
    return (
        f"The share of {deciding.words} {verb_} by {abs(deciding.change):.1f} points "
        f"({size_words(deciding.ci95)}), beyond the ±{band:.1f} points by which repeated "
        "readings differ."
    )


def moved_words(move: ScoreMove) -> str:
    return f"The probability that the score moved is {move.p_moved or 0.0:.2f}."


def unsure_end(move: ScoreMove) -> tuple[str, ...]:
    """Say where a change is sure, but not to which score."""
    p = move.probabilities_after.get(move.after, 0.0)
    if p >= LEAST_P_MOVED:
        return ()
    return (f"To which score is less sure: the probability of {move.after.value} is {p:.2f}.",)


def status_words(status: StatusMove) -> str:
    return f"With ISH the status is {status.before.value} before and {status.after.value} after."


def contrary_status(move: ScoreMove, status: StatusMove | None) -> tuple[str, ...]:
    """Say where ISH takes the status the other way than the score went."""
    if status is None or (status.steps or 0) * (move.steps or 0) >= 0:
        return ()
    return (status_words(status),)


def interval_words(found: Interval | None) -> str:
    return (
        "no interval"
        if found is None
        else f"95 % interval {signed(found.lower)} to {signed(found.upper)}"
    )


def signed(value: float) -> str:
    """Write a change with its sign, as a minus and not a hyphen."""
    return f"{value:+.1f}".replace("-", "−")


def size_words(found: Interval | None) -> str:
    """Say the interval of a change whose direction was said."""
    if found is None or found.lower < 0 < found.upper:
        return interval_words(found)
    low, high = sorted((abs(found.lower), abs(found.upper)))
    return f"95 % interval {low:.1f} to {high:.1f}"


def verb(move: ScoreMove) -> str:
    return "fell" if (move.steps or 0) < 0 else "rose"


def loss_words(move: ScoreMove) -> str:
    match move.change:
        case ScoreChange.LOSS:
            return f" (loss, to HER2-{move.loss_to})"
        case ScoreChange.GAIN:
            return " (gain of expression)"
    return ""


def plain(words: str) -> str:
    """Return a sentence as it goes on after a colon."""
    return words[0].lower() + words[1:]
