"""What untreated tumours do between two readings: the floor that an observed rate must clear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from her2path.cohort.pairs import Pair
from her2path.cohort.rates import EXPRESSING, Rate, rate_of
from her2path.criteria.score import Organ, Status
from her2path.statistics.excess import difference_interval, excess
from her2path.statistics.intervals import Interval
from her2path.statistics.significance import Significance

__all__ = ["LOW_TO_ZERO", "NOISE_FLOOR", "ZERO_TO_LOW", "FloorRow", "NoiseFloor", "floor_rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloor:
    """A published series of pairs without therapy in between."""

    source: str
    what: str
    n_pairs: int
    agreement_pct: float
    kappa: float


NOISE_FLOOR = NoiseFloor(
    source="PMC9777154",
    what="core biopsy and excision of the same untreated tumour",
    n_pairs=5610,
    agreement_pct=82.4,
    kappa=0.684,
)
# Low is 1+, or 2+ without amplification; 0 was not yet divided into null and ultralow.
LOW_TO_ZERO = (387, 3209)
ZERO_TO_LOW = (530, 1066)


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorRow:
    """An observed rate beside that of untreated tumours.

    `is_like_for_like` says whether both count the same; `note` says what differs.
    """

    name: str
    observed: Rate
    reference: tuple[int, int]
    difference: float | None
    difference_ci95: Interval | None
    excess: Significance
    is_like_for_like: bool
    note: str


def floor_rows(pairs: Sequence[Pair]) -> tuple[FloorRow, ...]:
    """Return observed rates beside the untreated noise floor, like with like first.

    Nothing for the stomach: the floor is of breast tumors, and low is no status there.
    """
    if any(side.organ is Organ.STOMACH for pair in pairs for side in (pair.before, pair.after)):
        return ()
    return (*low_to_zero_rows(pairs), zero_to_low_row(pairs), loss_row(pairs))


def low_to_zero_rows(pairs: Sequence[Pair]) -> list[FloorRow]:
    """Low before and zero after; where 2+ before was left open, also with those taken for low."""
    is_zero_after = [not pair.after.expresses for pair in pairs]
    is_low = [pair.before.status is Status.LOW for pair in pairs]
    is_open = [pair.before.status is Status.EQUIVOCAL for pair in pairs]
    n_open = sum(is_open)
    row = floor_row(
        "low_to_zero",
        pairs,
        counted=is_zero_after,
        eligible=is_low,
        denominator="pairs that are HER2-low before (1+, or 2+ not amplified)",
        reference=LOW_TO_ZERO,
        note=f"{n_open} at 2+ without ISH before are not in it" if n_open else "",
    )
    if not n_open:
        return [row]
    return [
        row,
        floor_row(
            "low_to_zero_if_2plus_is_low",
            pairs,
            counted=is_zero_after,
            eligible=[low or still_open for low, still_open in zip(is_low, is_open, strict=True)],
            denominator="pairs at 1+ or 2+ before that are not known to be amplified",
            reference=LOW_TO_ZERO,
            note=f"takes the {n_open} at 2+ without ISH before for low",
            is_like_for_like=False,
        ),
    ]


def zero_to_low_row(pairs: Sequence[Pair]) -> FloorRow:
    """Zero before and low after."""
    is_zero = [not pair.before.expresses for pair in pairs]
    is_clear = [pair.after.status is not Status.EQUIVOCAL for pair in pairs]
    n_unclear = sum(zero and not clear for zero, clear in zip(is_zero, is_clear, strict=True))
    return floor_row(
        "zero_to_low",
        pairs,
        counted=[pair.after.status is Status.LOW for pair in pairs],
        eligible=[zero and clear for zero, clear in zip(is_zero, is_clear, strict=True)],
        denominator="pairs at 0 or 0+ before, after which the status is known",
        reference=ZERO_TO_LOW,
        note=f"{n_unclear} at 2+ without ISH after are not in it" if n_unclear else "",
    )


def loss_row(pairs: Sequence[Pair]) -> FloorRow:
    """Any expression before and zero after, for which there is no floor of its own."""
    return floor_row(
        "loss",
        pairs,
        counted=[not pair.after.expresses for pair in pairs],
        eligible=[pair.before.expresses for pair in pairs],
        denominator=EXPRESSING,
        reference=LOW_TO_ZERO,
        note="the floor is of HER2-low tumours alone; here every expressing one counts",
        is_like_for_like=False,
    )


def floor_row(
    name: str,
    pairs: Sequence[Pair],
    *,
    counted: Sequence[bool],
    eligible: Sequence[bool],
    denominator: str,
    reference: tuple[int, int],
    note: str,
    is_like_for_like: bool = True,
) -> FloorRow:
    """Return the rate of the counted among the eligible pairs beside that of the reference."""
    patients = [pair.patient_id for pair in pairs]
    observed = rate_of(counted, eligible, patients=patients, denominator=denominator)
    difference, ends = None, None
    if observed.rate is not None and observed.ci95 is not None:
        difference, ends = difference_interval(observed.rate, observed.ci95, reference=reference)
    return FloorRow(
        name=name,
        observed=observed,
        reference=reference,
        difference=difference,
        difference_ci95=ends,
        excess=excess(
            observed.n,
            observed.of,
            reference=reference,
            design_effect=observed.design_effect,
            df=observed.df,
        ),
        is_like_for_like=is_like_for_like,
        note=note,
    )
