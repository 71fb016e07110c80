"""Copies of one file under several names, which nobody can keep on one side by its name."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path

from her2path.errors import ManifestError
from her2path.models.sources.sample import Part, Sample

__all__ = ["without_copies"]

logger = logging.getLogger(__name__)

# Index files, which say little and may be alike: the pictures lie in a folder beside them.
INDEX_FILES = frozenset({".mrxs", ".vms", ".vmu"})
HEAD_BYTES = 2**16
# Of larger files so much is read at the beginning, in the middle and at the end.
PIECE_BYTES = 2**22
# Of which part a copy stays: the later one.
ORDER = (Part.TRAIN, Part.VALIDATE, Part.TEST)


def without_copies(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Leave out pictures of which a copy, byte for byte, stands on another side of the split.

    The copy in the test part stays, else that in the part that validates. Pictures that were
    saved anew are not found.

    Parameters
    ----------
    samples : sequence of Sample
        Each with a part.

    Raises
    ------
    ManifestError
        If a file cannot be read.
    """
    alike: Iterable[Sequence[Sample]] = [
        [s for s in samples if s.path.suffix.lower() not in INDEX_FILES]
    ]
    # Few files have the same size, and of those few begin alike: hardly any is read whole.
    for key in (size_of, head_of, pieces_of):
        alike = [group for some in alike for group in parted(some, key)]
    left_out = set()
    for group in alike:
        kept = max(ORDER.index(sample.part) for sample in group if sample.part is not None)
        left_out |= {sample for sample in group if sample.part is not ORDER[kept]}
    if left_out:
        logger.warning(
            "%s pictures are copies of others on another side of the split and are left out, the "
            "first is %s",
            f"{len(left_out):,}",
            min(sample.path for sample in left_out),
        )
    return tuple(sample for sample in samples if sample not in left_out)


def parted(
    samples: Sequence[Sample], key: Callable[[Path], Hashable]
) -> Iterable[Sequence[Sample]]:
    """Yield groups of the same key that stand on several sides."""
    groups: dict[Hashable, list[Sample]] = defaultdict(list)
    for sample in samples:
        try:
            groups[key(sample.path)].append(sample)
        except OSError as error:
            raise ManifestError(
                f"{sample.path} cannot be read ({error.strerror or error}); name another picture"
            ) from error
    for group in groups.values():
        if len({sample.part for sample in group}) > 1:
            yield group


def size_of(path: Path) -> int:
    return path.stat().st_size


def head_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.sha256(file.read(HEAD_BYTES)).digest()


def pieces_of(path: Path) -> bytes:
    size = size_of(path)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for start in (0, max(0, size - PIECE_BYTES) // 2, max(0, size - PIECE_BYTES)):
            file.seek(start)
            digest.update(file.read(PIECE_BYTES))
    return digest.digest()
