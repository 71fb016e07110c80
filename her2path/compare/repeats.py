"""From a table of repeated readings to repeatability bands."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.spatial.distance import pdist

from her2path.compare.bands import DISTANCE, Band, Bands
from her2path.compare.measures import MEASURES, highest_of
from her2path.compare.sources import result_of
from her2path.criteria.score import Intensity
from her2path.errors import Her2pathError, ResultsError, TableError
from her2path.results.faults import SheetFaults
from her2path.results.record import SlideRecord, read_record
from her2path.results.scored_slide import SlideIdentity
from her2path.results.sheet import (
    Sheet,
    SheetRow,
    look_alikes,
    number_in,
    read_sheet,
    warn_of_near_misses,
)
from her2path.statistics.repeatability import Repeatability, within_subject

__all__ = ["bands_of_table"]

SUBJECT, RESULT = "subject", "result"
KNOWN_COLUMNS = (SUBJECT, RESULT, *MEASURES)
# Below so many degrees of freedom the band itself is known to a factor of two at best.
LEAST_DF = 10
SIGNIFICANT = 0.05

Reading = Mapping[str, float]


def bands_of_table(path: Path, *, name: str = "") -> Bands:
    """Measure bands from repeated readings of unchanged things.

    Parameters
    ----------
    path : Path
        CSV with the column `subject` (what was read: a slide, or a block of tissue) and, per row,
        one reading of it: `result` names a slide.json or its folder, or columns named as measures
        hold the numbers, as in slides.csv.
    name : str
        What was repeated, in words; goes into the source.

    Raises
    ------
    TableError
        If it cannot be used; all faults with their row.
    """
    faults = SheetFaults()
    sheet = read_sheet(path, needed=[SUBJECT], known=KNOWN_COLUMNS, faults=faults)
    warn_of_near_misses(sheet, KNOWN_COLUMNS)
    subjects, readings = read_rows(sheet, faults)
    found: dict[str, Repeatability] = {}
    for measure in MEASURES:
        pairs = [
            (reading[measure], subject)
            for reading, subject in zip(readings, subjects, strict=True)
            if measure in reading
        ]
        n_by_subject = [subject for _, subject in pairs]
        if len(set(n_by_subject)) < len(n_by_subject):
            found[measure] = within_subject([value for value, _ in pairs], n_by_subject)
    if not found:
        raise TableError(
            f"{path.name} has no subject that was read more than once; give each repeat a row "
            "with the same subject"
        )
    scattered = {measure: known for measure, known in found.items() if known.sw > 0}
    if not scattered:
        raise TableError(
            f"{path.name}: all repeats of each subject are equal, so that no band can be told; "
            "give readings of their own, not copies of one"
        )
    measures = {measure: band_of(measure, known) for measure, known in scattered.items()}
    distance = distance_band(subjects, readings)
    if distance is not None:
        measures[DISTANCE] = distance
    n_subjects = max(known.n_subjects for known in found.values())
    n_readings = max(known.n_readings for known in found.values())
    return Bands(
        source=f"{name or path.name}: {n_readings} readings of {n_subjects} subjects",
        is_default=False,
        measures=measures,
        remarks=(*single_remarks(subjects), *unit_remarks(readings), *remarks_on(found)),
    )


def read_rows(sheet: Sheet, faults: SheetFaults) -> tuple[list[str], list[Reading]]:
    """Return subject and reading of each row, or raise TableError with every fault."""
    columns = [name for name in MEASURES if name in sheet.columns]
    is_readable = RESULT in sheet.columns or bool(columns)
    if not is_readable:
        faults.add_words(
            f"row 1: no column {RESULT} and no measure; name results, or give any of "
            f"{', '.join(MEASURES)}"
        )
    subjects: list[str] = []
    readings: list[Reading] = []
    first: dict[Path | SlideIdentity, int] = {}
    for row in sheet.rows if is_readable else ():
        subject = row.get(SUBJECT)
        if not subject:
            faults.add(row, SUBJECT, "is empty")
        n_faults = len(faults)
        reading: Reading = {}
        if row.get(RESULT):
            reading = reading_of_result(row, sheet.path.parent, first, faults)
        reading = {**reading, **typed_reading(row, columns, faults, separator=sheet.separator)}
        if not reading and len(faults) == n_faults:
            faults.add_words(f"row {row.number}: holds no reading", row=row.number)
        subjects.append(subject)
        readings.append(reading)
    faults.refuse(sheet.path)
    return subjects, readings


def reading_of_result(
    row: SheetRow, folder: Path, first: dict[Path | SlideIdentity, int], faults: SheetFaults
) -> Reading:
    """Return the measures of the result that a row names; faults go to `faults`.

    `first` says in which row a result, and the cells of a scan, stood first; this row is added.
    """
    try:
        path = result_of(folder / row.get(RESULT))
        if path is None:
            raise ResultsError(f"{row.get(RESULT)!r:.120} is no slide.json or folder of one")
        record = read_record(path)
        reading = reading_of_record(record)
    except Her2pathError as error:
        faults.add(row, RESULT, " ".join(str(error).split()))
        return {}
    cells = SlideIdentity.of_record(record)
    found: list[tuple[Path | SlideIdentity, str]] = [(path.resolve(), "the result")]
    if cells.sha256_ends:
        found.append((cells, "of the same cells of one scan as that"))
    for key, words in found:
        if first.setdefault(key, row.number) != row.number:
            faults.add(
                row,
                RESULT,
                f"is {words} of row {first[key]}; a repeat is a reading of its own, of another "
                "scan or section",
            )
            break
    return reading


def typed_reading(
    row: SheetRow, columns: Sequence[str], faults: SheetFaults, *, separator: str
) -> Reading:
    """Return the measures typed into one row of cells between separators."""
    reading: dict[str, float] = {}
    for name in columns:
        text = row.get(name)
        if not text:
            continue
        value = number_in(text, separator=separator)
        high = highest_of(name)
        if value is None or not 0 <= value <= high:
            faults.add(row, name, f"{text!r:.40} is no number from 0 to {high:g}")
        else:
            reading[name] = value
    return reading


def reading_of_record(record: SlideRecord) -> dict[str, float]:
    """Return the measures of a scored slide; none where no cell was counted."""
    if record.reading.n_tumor_cells == 0:
        raise ResultsError(f"{record.slide_id} has no tumor cell; leave it out")
    known = {**record.reading.shares}
    known |= {name: estimate.value for name, estimate in record.reading.measures.items()}
    return {name: float(known[name]) for name in MEASURES if name in known}


def band_of(measure: str, known: Repeatability) -> Band:
    return Band(
        band=known.band,
        sw=known.sw,
        unit=MEASURES[measure].unit,
        ci95=known.band_interval,
        n_subjects=known.n_subjects,
        n_readings=known.n_readings,
        df=known.df,
    )


def distance_band(subjects: Sequence[str], readings: Sequence[Reading]) -> Band | None:
    """Return the distance that 95 % of repeats stay below, from all pairs of one subject.

    It is no difference of two numbers, so there is no within-subject deviation to multiply. None
    where that is no distance at all, which any difference would exceed.

    A subject counts as in `within_subject`, by its readings less one: among plain pairs one that
    was read thirty times would outnumber hundreds that were read twice.
    """
    names = [f"pct_{level.label}" for level in Intensity]
    found, counts = [], []
    shares: dict[str, list[list[float]]] = {}
    for subject, reading in zip(subjects, readings, strict=True):
        if all(name in reading for name in names):
            shares.setdefault(subject, []).append([reading[name] / 100 for name in names])
    for repeats in shares.values():
        upward = np.asarray(repeats)[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
        # As `class_distance`, of every two: the sum over the classes.
        found.append(pdist(upward, "cityblock"))
        counts.append(np.full(found[-1].size, 2 / len(repeats)))
    apart, weight = (np.concatenate([np.zeros(0), *parts]) for parts in (found, counts))
    if not apart.any():
        return None
    order = apart.argsort()
    below = weight[order].cumsum() - weight[order]
    # With equal weights the usual quantile, straight between two distances.
    band = float(np.interp(0.95 * below[-1], below, apart[order]))
    if band == 0:
        return None
    return Band(
        band=band,
        sw=math.sqrt(float(np.average(np.square(apart), weights=weight)) / 2),
        unit="classes",
        n_subjects=sum(len(repeats) > 1 for repeats in shares.values()),
        n_readings=sum(len(repeats) for repeats in shares.values() if len(repeats) > 1),
    )


def single_remarks(subjects: Sequence[str]) -> tuple[str, ...]:
    """Name the subjects that were read once, which say nothing of repeats."""
    once = sorted(name for name, n in Counter(subjects).items() if n == 1)
    if not once:
        return ()
    names = ", ".join(once[:5]) + (", …" if len(once) > 5 else "")
    words = f"Left out, for they were read once: {len(once)} of the subjects ({names:.200})."
    alike = look_alikes(subjects)
    return (words, f"Look alike but count as others: {alike}.") if alike else (words,)


def unit_remarks(readings: Sequence[Reading]) -> tuple[str, ...]:
    """Name the percentages that look like fractions."""
    highest = {
        name: max(reading.get(name, 0.0) for reading in readings)
        for name, measure in MEASURES.items()
        if measure.unit == "%"
    }
    small = [name for name, value in highest.items() if 0 < value <= 1]
    if not small:
        return ()
    return (f"No reading exceeds 1 %: {', '.join(small)}. If they are fractions, give percent.",)


def remarks_on(found: Mapping[str, Repeatability]) -> tuple[str, ...]:
    """Say where the bands should be doubted."""
    remarks = []
    df = min(known.df for known in found.values())
    if df < LEAST_DF:
        words = "degree of freedom" if df == 1 else "degrees of freedom"
        remarks.append(
            f"Only {df} {words}: the bands themselves are uncertain (see their intervals); "
            f"{LEAST_DF} or more are wanted."
        )
    equal = [name for name, known in found.items() if known.sw == 0]
    if equal:
        remarks.append(
            f"No band is told for {', '.join(equal)}: all repeats of each subject are equal, and "
            "a band of 0 would take any difference for a change."
        )
    uneven = [name for name, known in found.items() if known.level_p < SIGNIFICANT]
    if uneven:
        remarks.append(
            f"The scatter depends on the level ({', '.join(uneven)}): one band is too wide where "
            "it is small and too narrow where it is large."
        )
    return tuple(remarks)
