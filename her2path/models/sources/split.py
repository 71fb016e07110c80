"""Patients and laboratories stand on one side of the split, and it is checked."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import StrEnum

from her2path.errors import ManifestError, list_faults
from her2path.models.sources.sample import Part, Sample

__all__ = [
    "Apart",
    "check_split",
    "group_of",
    "split_digest",
    "split_faults",
    "split_samples",
    "unchecked",
    "without_tested",
]


class Apart(StrEnum):
    """What must not stand on two sides.

    `LABORATORY` shows how a network does in a laboratory that it never saw, `PATIENT` on further
    patients of laboratories that it knows. `PICTURE` is for public sets that do not say whose
    pictures they are: figures from such a split may be too good, because pieces of one tumor can
    stand on both sides.
    """

    LABORATORY = "laboratory"
    PATIENT = "patient"
    PICTURE = "picture"


def split_faults(samples: Sequence[Sample], *, apart: Apart) -> tuple[str, ...]:
    """Return every group that stands on two sides, and every picture of an unknown group.

    Pictures without a part are passed over. With all pictures in one part nothing can be wrong.
    """
    placed = [sample for sample in samples if sample.part is not None]
    if len({sample.part for sample in placed}) < 2:
        return ()
    faults: list[str] = []
    for group in GROUPS[apart]:
        parts: dict[str, dict[Part, int]] = defaultdict(lambda: defaultdict(int))
        unknown = 0
        for sample in placed:
            key = group_of(sample, group)
            if key and sample.part is not None:
                parts[key][sample.part] += 1
            else:
                unknown += 1
        # Whoever keeps laboratories apart need not know the patients in them.
        if unknown and group is apart:
            faults.append(
                f"{unknown:,} pictures without a {group}: nobody can tell on which side they "
                f"belong; name their {group}"
            )
        for key in sorted(parts):
            if len(parts[key]) > 1:
                where = ", ".join(f"{n:,} in {part}" for part, n in sorted(parts[key].items()))
                faults.append(f"{group} {key} stands on {len(parts[key])} sides: {where}")
    return tuple(faults)


def check_split(samples: Sequence[Sample], *, apart: Apart = Apart.LABORATORY) -> None:
    """Refuse a split with a group on both sides.

    Raises
    ------
    ManifestError
        With every violation.
    """
    faults = split_faults(samples, apart=apart)
    if faults:
        raise ManifestError(
            list_faults(f"the split does not keep each {apart} on one side", faults)
        )


def split_samples(
    samples: Sequence[Sample],
    *,
    apart: Apart,
    validate_share: float,
    test_share: float = 0.0,
    seed: int = 0,
) -> tuple[Sample, ...]:
    """Give a part to every picture that has none, whole groups at a time.

    Parts that are given stay, and draw the other pictures of their group after them. The rest is
    drawn by a hash of group and seed: the same groups give the same split in any order. Shares
    are of groups, and at least one group goes to each part that is asked for.

    Parameters
    ----------
    samples : sequence of Sample
    apart : Apart
        What a group is.
    validate_share, test_share : float
        0–1, together below 1.
    seed : int

    Raises
    ------
    ManifestError
        If a picture without part has no group, there are too few groups, or the parts that were
        given contradict each other.
    """
    if not (validate_share >= 0 and test_share >= 0 and validate_share + test_share < 1):
        raise ManifestError(
            f"shares of {validate_share} and {test_share} leave nothing to train on; give less "
            "than 1 together"
        )
    given = {
        group_of(sample, apart): sample.part
        for sample in samples
        if sample.part is not None and group_of(sample, apart)
    }
    loose = [sample for sample in samples if sample.part is None]
    lost = [sample for sample in loose if not group_of(sample, apart)]
    if lost:
        raise ManifestError(
            f"{len(lost):,} pictures have neither a split nor a {apart}, the first is "
            f"{lost[0].path}; name their {apart}"
        )
    drawn = draw(
        {group_of(sample, apart) for sample in loose} - set(given),
        {Part.VALIDATE: validate_share, Part.TEST: test_share},
        apart=apart,
        seed=seed,
        taken=set(given.values()),
    )
    found = tuple(
        sample
        if sample.part is not None
        else replace(sample, part=(given | drawn)[group_of(sample, apart)])
        for sample in samples
    )
    check_split(found, apart=apart)
    return found


def without_tested(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Return the pictures that are of no test part, nor of a patient who has one there."""
    tested = {group_of(s, Apart.PATIENT) for s in samples if s.part is Part.TEST} - {""}
    return tuple(
        sample
        for sample in samples
        if sample.part is not Part.TEST and group_of(sample, Apart.PATIENT) not in tested
    )


def unchecked(samples: Sequence[Sample]) -> int:
    """Return how many pictures could be of a patient on another side: nobody says whose they are.

    A laboratory on one side has nobody to give away.
    """
    sides: dict[str, set[Part | None]] = defaultdict(set)
    for sample in samples:
        sides[sample.laboratory].add(sample.part)
    return sum(not sample.patient and len(sides[sample.laboratory]) > 1 for sample in samples)


def split_digest(samples: Sequence[Sample]) -> str:
    """Return a hash of which pictures stand on which side, '' of none."""
    lines = sorted(f"{sample.part}\0{os.path.realpath(sample.path)}" for sample in samples)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest() if lines else ""


def draw(
    groups: Iterable[str],
    shares: dict[Part, float],
    *,
    apart: Apart,
    seed: int,
    taken: set[Part | None],
) -> dict[str, Part]:
    """Return the part of each group."""
    order = sorted(groups, key=lambda key: hashlib.sha256(f"{seed}\0{key}".encode()).digest())
    found: dict[str, Part] = {}
    start = 0
    for part, share in shares.items():
        least = 1 if share > 0 and part not in taken else 0
        n = max(round(share * len(order)), least)
        found |= dict.fromkeys(order[start : start + n], part)
        start += n
    if order and start >= len(order) and Part.TRAIN not in taken:
        raise ManifestError(
            f"{len(order)} {apart} groups are too few for all parts; name the split in the "
            "manifest, or ask for fewer parts"
        )
    return found | dict.fromkeys(order[start:], Part.TRAIN)


# What is looked at, the smallest group last.
GROUPS = {
    Apart.LABORATORY: (Apart.LABORATORY, Apart.PATIENT, Apart.PICTURE),
    Apart.PATIENT: (Apart.PATIENT, Apart.PICTURE),
    Apart.PICTURE: (Apart.PICTURE,),
}


def group_of(sample: Sample, group: Apart) -> str:
    """Return the key of a group, empty where it is not known; a patient is one of a laboratory."""
    if group is Apart.PICTURE:
        return os.path.realpath(sample.path)
    if group is Apart.LABORATORY:
        return sample.laboratory
    # "Patient 1" of two laboratories are two people.
    return f"{sample.laboratory}/{sample.patient}" if sample.patient else ""
