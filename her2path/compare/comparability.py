"""May two sides be compared at all? Every reason why not, each with its numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from her2path.compare.drift import Adjustment, DriftCheck
from her2path.compare.sides import Side
from her2path.criteria.score import Score
from her2path.results.record import RegionKind, SlideRecord

__all__ = [
    "ASSAY_COLUMNS",
    "LEAST_CELLS",
    "SAMPLE_COLUMNS",
    "Reason",
    "ReasonCode",
    "find_obstacles",
    "find_remarks",
    "find_voids",
    "scanner_remark",
]

# CAP 2025: the fewest invasive tumor cells before 0, 0+ and 1+ are told apart.
LEAST_CELLS = 100
# A 1+ line is 0.64 µm wide: at 20 % coarser pixels it has lost as much of its contrast as the
# next scanner type takes.
MAX_MPP_RATIO = 1.2
# Columns of a manifest that name the assay, as laboratories write them.
ASSAY_COLUMNS = ("assay", "antibody", "clone", "kit", "platform")
# And those that tell what tissue was taken: decalcified bone loses antigen.
SAMPLE_COLUMNS = ("compartment", "decalcified")
# Who does not say so has not decalcified.
ANSWERS = {"": "no", "false": "no", "n": "no", "0": "no", "true": "yes", "y": "yes", "1": "yes"}

ReasonCode = str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why, in a code and a sentence; `before` and `after` are what stood on each side."""

    code: ReasonCode
    sentence: str
    before: str = ""
    after: str = ""


def find_voids(before: Side, after: Side) -> tuple[Reason, ...]:
    """Return why one of the sides says nothing: not assessable, or too few cells."""
    return tuple(reason for side in (before, after) for reason in voids_of(side))


def voids_of(side: Side) -> Iterator[Reason]:
    if not side.assessable:
        words = "; ".join(
            dict.fromkeys(
                (slide.record.tissue.explanation or slide.record.status_comment).rstrip(".")
                for slide in side.slides
            )
        )
        yield Reason(
            "not_assessable", f"The side {side.name} is not assessable: {words or 'no score'}."
        )
    elif len(side.counted) < LEAST_CELLS:
        n = len(side.counted)
        yield Reason(
            "few_cells",
            f"The side {side.name} has {n} tumour cells; at least {LEAST_CELLS} are needed before "
            "scores are compared.",
            *((str(n), "") if side.name == "before" else ("", str(n))),
        )


def find_obstacles(
    before: Side, after: Side, *, adjustment: Adjustment, checks: tuple[DriftCheck, ...]
) -> tuple[Reason, ...]:
    """Return every reason why the sides cannot be compared; empty when they can."""
    return (
        *differences(before, after),
        *samples(before, after),
        *scales(before, after),
        *scanners(before, after, adjustment),
        *drifts(adjustment, checks),
    )


def differences(before: Side, after: Side) -> Iterator[Reason]:
    """Compare what must be equal on all slides of both sides."""
    asked: tuple[tuple[str, str, Callable[[SlideRecord], str], str], ...] = (
        (
            "patient",
            "The slides are of different patients",
            lambda r: r.patient_id,
            "check which slides belong together",
        ),
        (
            "rule_edition",
            "The scores follow different criteria or editions",
            lambda r: f"{r.rule_set}, {r.edition}",
            "score both sides by one rule set",
        ),
        (
            "calibration",
            "The sides were classed with different cut-offs",
            lambda r: f"{r.calibration.name} ({r.calibration.source[:60]})",
            "score both sides with one calibration",
        ),
        (
            "stain_vectors",
            "The sides were separated with different stain vectors",
            lambda r: vectors(r.stain.hematoxylin, r.stain.dab),
            "score both sides with the vectors of one batch",
        ),
        (
            "reading",
            "The sides were read in different ways",
            way_of_reading,
            "score both sides again with one version",
        ),
    )
    for code, words, of, remedy in asked:
        found = [side.values(of) for side in (before, after)]
        # A patient without a name may be any.
        known = [[str(value) for value in values if value] for values in found]
        if len(set(known[0]) | set(known[1])) > 1:
            left, right = (", ".join(values) for values in known)
            yield Reason(code, f"{words}: {left} before, {right} after; {remedy}.", left, right)
        elif code == "calibration" and len(calibrations(before) | calibrations(after)) > 1:
            name = known[0][0]
            yield Reason(code, f"{words} of one name, {name}; {remedy}.", name, name)


def way_of_reading(record: SlideRecord) -> str:
    """Say what of a reading decides on its numbers beside criteria, calibration and vectors."""
    colors = ", colors in sRGB" if record.scan.is_srgb else ""
    # Networks in folders of one name may be two.
    mark = f" {record.network.fingerprint[:12]}" if record.network else ""
    model = f"model {record.model}{mark}"
    return f"{record.selection.method}, {model}, her2path {record.software_version}{colors}"


def calibrations(side: Side) -> set[str]:
    """Return the calibrations of a side but for the range of the control, which classes no cell."""
    return {
        slide.record.calibration.model_dump_json(exclude={"control_od"}) for slide in side.speaking
    }


def vectors(hematoxylin: tuple[float, ...], dab: tuple[float, ...]) -> str:
    return " ".join(
        f"{name} ({', '.join(f'{part:.2f}' for part in vector)})"
        for name, vector in (("H", hematoxylin), ("DAB", dab))
    )


def named_in(side: Side, column: str) -> set[str]:
    named = set()
    for slide in side.speaking:
        # However the manifest's author writes its names.
        own = {key.casefold(): value for key, value in slide.record.extras.items()}
        named.add(own.get(column, "").strip().casefold())
    if column == "decalcified":
        return {ANSWERS.get(name, name) for name in named}
    return named - {""}


def samples(before: Side, after: Side) -> Iterator[Reason]:
    """Compare what the manifest says of assay and tissue, where both sides say it."""
    for code, columns, remedy in (
        ("assay", ASSAY_COLUMNS, "stain both with one assay"),
        ("sample", SAMPLE_COLUMNS, "compare tissue that was taken and treated alike"),
    ):
        for column in columns:
            found = [named_in(side, column) for side in (before, after)]
            if found[0] and found[1] and len(found[0] | found[1]) > 1:
                left, right = (", ".join(sorted(values)) for values in found)
                words = f"{left} before, {right} after"
                yield Reason(
                    code, f"The manifest's {column} differs: {words}; {remedy}.", left, right
                )


def scales(before: Side, after: Side) -> Iterator[Reason]:
    scales = [
        [slide.record.scan.working_mpp for slide in side.speaking if slide.record.scan.working_mpp]
        for side in (before, after)
    ]
    every = [mpp for side in scales for mpp in side]
    if every and max(every) > MAX_MPP_RATIO * min(every):
        left, right = (", ".join(f"{mpp:.3f}" for mpp in dict.fromkeys(side)) for side in scales)
        yield Reason(
            "mpp",
            f"The sides were measured at {left} and {right} µm/px, more than a factor of "
            f"{MAX_MPP_RATIO:g} apart: fine lines do not look alike at both. Scan both alike.",
            left,
            right,
        )


def is_outlined(side: Side) -> bool:
    return any(
        region.kind is RegionKind.ROI and not region.is_core
        for slide in side.speaking
        for region in slide.record.regions
    )


def scanner_of(record: SlideRecord) -> str:
    return record.scan.scanner.strip().casefold()


def scanners_of(side: Side) -> set[str]:
    """Return the scanners of a side, "" for one that is not stated."""
    return {str(value) for value in side.values(scanner_of)}


def scanner_remark(before: Side, after: Side) -> str:
    """Say why the sides may not be of one scanner; empty where they are."""
    found = [scanners_of(side) for side in (before, after)]
    names = found[0] | found[1]
    if len(names) == 1 and "" not in names:
        return ""
    if names == {""}:
        return (
            "No scanner is stated on either side: if there were two, their sharpness may be part "
            "of the difference."
        )
    left, right = (", ".join(sorted(name or "not stated" for name in side)) for side in found)
    if len(names - {""}) == 1:
        return (
            f"The scanner is not stated everywhere ({left} before, {right} after): if there were "
            "two, their sharpness may be part of the difference."
        )
    return (
        f"The scanners differ ({left} before, {right} after): their sharpness may be part of the "
        "difference."
    )


def scanners(before: Side, after: Side, adjustment: Adjustment) -> Iterator[Reason]:
    found = [scanners_of(side) - {""} for side in (before, after)]
    is_bridged = adjustment.source == "control" and not adjustment.is_too_large
    if found[0] and found[1] and len(found[0] | found[1]) > 1 and not is_bridged:
        left, right = (", ".join(sorted(values)) for values in found)
        yield Reason(
            "scanner",
            f"The scanners differ ({left} before, {right} after) and no control tissue on both "
            "slides brings them to one scale; scan both on one scanner, or with a control.",
            left,
            right,
        )


DRIFT_WORDS = {
    "counterstain_od": (
        "counterstain",
        "The counterstain of cells that are no tumour differs by a factor of {apart:.2f}, more "
        "than {cut:g}: the slides were not stained or scanned alike.",
    ),
    "background_od": (
        "background",
        "The brown of cells that are no tumour differs by {apart:.3f} OD, more than {cut:g}: "
        "the slides were not stained alike.",
    ),
    "line_limit_od": (
        "blank",
        "The limits of blank differ by a factor of {apart:.2f}, more than {cut:g}: faint lines "
        "are seen on one slide and not on the other.",
    ),
    "blur_um": (
        "focus",
        "The slides differ in sharpness by {apart:.2f} µm, more than {cut:g}: fine lines are "
        "seen on one and not on the other.",
    ),
}


def drifts(adjustment: Adjustment, checks: tuple[DriftCheck, ...]) -> Iterator[Reason]:
    if adjustment.is_too_large:
        left, right = adjustment.control_od_before or 0.0, adjustment.control_od_after or 0.0
        yield Reason(
            "adjustment",
            f"The control tissue is {left:.2f} OD before and {right:.2f} OD after: a factor of "
            f"{adjustment.size:.2f}, more than {adjustment.cut:g}, is too much to adjust.",
            f"{left:.3f}",
            f"{right:.3f}",
        )
    for check in checks:
        if not check.is_within and check.apart is not None:
            code, words = DRIFT_WORDS[check.name]
            yield Reason(
                code,
                words.format(apart=check.apart, cut=check.cut),
                f"{check.before:.3f}",
                f"{check.after:.3f}",
            )


def find_remarks(
    before: Side, after: Side, *, adjustment: Adjustment, checks: tuple[DriftCheck, ...]
) -> tuple[str, ...]:
    """Return what a reader should know that does not stop the comparison."""
    remarks = []
    if adjustment.source == "none":
        remarks.append(
            "No control tissue was measured on both sides: a change in the strength of the stain "
            "itself cannot be told from a change of the tumour."
        )
    unchecked = [check.name for check in checks if check.apart is None]
    if "counterstain_od" in unchecked:
        remarks.append(
            "Too few cells that are no tumour on one side: drift of the stain was not checked."
        )
    for side in (before, after):
        sources = side.values(lambda r: r.stain.white_point_source)
        if "default" in sources:
            remarks.append(
                f"No glass was in view on the side {side.name}: its white point is a default."
            )
        left_out = [
            s.record.slide_id for s in side.slides if s.record.score is Score.NOT_ASSESSABLE
        ]
        if left_out and side.assessable:
            remarks.append(
                f"Not assessable and left out of the side {side.name}: {', '.join(left_out)}."
            )
    outlined = [side for side in (before, after) if is_outlined(side)]
    if len(outlined) == 1:
        remarks.append(
            f"Tumour was drawn by a person on the side {outlined[0].name} only: cells outside do "
            "not count there, and inside more of the doubtful ones do."
        )
    names = [{slide.record.path for slide in side.slides} for side in (before, after)]
    if names[0] & names[1]:
        remarks.append("The same file stands on both sides.")
    if scanner := scanner_remark(before, after):
        remarks.append(scanner)
    organs = {side.rule_set.organ for side in (before, after)}
    specimens = {str(v) for side in (before, after) for v in side.values(lambda r: r.specimen)}
    if len(specimens - {"None"}) > 1:
        remarks.append(f"Specimens differ: {', '.join(sorted(specimens - {'None'}))}.")
    if len(organs) > 1:
        remarks.append("The criteria are of different organs.")
    return tuple(remarks)
