"""Every column of the tables, spelled once, with its unit and meaning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from her2path.cells.table import N_SECTORS, OUTLINE_STEP_UM
from her2path.criteria.score import Intensity, Pattern, Score, Status

__all__ = [
    "CELL_COLUMNS",
    "PROBABILITY_COLUMNS",
    "REGION_COLUMNS",
    "SLIDE_COLUMNS",
    "UNSEEN",
    "Column",
    "Exclusion",
    "Kind",
    "SlideState",
    "data_dictionary",
    "names",
]


class Kind(StrEnum):
    """How the values of a column are held."""

    TEXT = "text"
    CATEGORY = "category"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    FLOAT = "float"
    DOUBLE = "double"
    BITS = "bits"
    OUTLINE = "outline"


class SlideState(StrEnum):
    """Where a slide stands in the table of a run."""

    DONE = "done"
    FAILED = "failed"


class Exclusion(StrEnum):
    """Why a cell is not among the tumor cells counted; the empty word is a counted cell."""

    COUNTED = ""
    NOT_TUMOR = "not_tumor"
    OUTSIDE_ROI = "outside_roi"
    IGNORED_ROI = "ignored_roi"
    CONTROL = "control"
    ARTEFACT = "artefact"
    NOT_TISSUE = "not_tissue"
    NOT_MEASURABLE = "not_measurable"
    NO_NUCLEUS = "no_nucleus"
    FRAGMENT = "fragment"
    PIGMENT = "pigment"


# Cells of these are neither counted nor shown to a reader: they are not of the sample.
UNSEEN = (Exclusion.IGNORED_ROI.value, Exclusion.OUTSIDE_ROI.value, Exclusion.CONTROL.value)


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes
    ----------
    name : str
        As written in the file.
    kind : Kind
        How values are held.
    meaning : str
        One sentence for the data dictionary.
    unit : str
        Unit; empty for words and counts.
    words : tuple of str
        The words that may stand in it; empty when any may.
    low, high : float or None
        Smallest and largest value; NaN (not measured) is allowed unless `is_required`.
    is_required : bool
        Whether each row must have a value.
    """

    name: str
    kind: Kind
    meaning: str
    unit: str = ""
    words: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    is_required: bool = False


def percent(name: str, meaning: str) -> Column:
    return Column(name, Kind.DOUBLE, meaning, "%", low=0, high=100)


def fraction(name: str, meaning: str, kind: Kind = Kind.DOUBLE) -> Column:
    return Column(name, kind, meaning, "0–1", low=0, high=1)


OF_TUMOR = "of the invasive tumor cells counted"

# Where the probability of each score stands.
PROBABILITY_COLUMNS: Mapping[Score, str] = {
    Score.ZERO: "p_0",
    Score.ULTRALOW: "p_0plus",
    Score.ONE_PLUS: "p_1plus",
    Score.TWO_PLUS: "p_2plus",
    Score.THREE_PLUS: "p_3plus",
}

# Shares of cells and the call, the same for a region and for a slide.
READING: tuple[Column, ...] = (
    Column("n_tumor_cells", Kind.INTEGER, "Invasive tumor cells counted.", low=0),
    *(
        percent(f"pct_{level.label}", f"Share {OF_TUMOR} with {level.label} membrane staining.")
        for level in Intensity
    ),
    percent("pct_complete", f"Share {OF_TUMOR} with complete staining, weak or stronger."),
    percent("pct_stained", f"Share {OF_TUMOR} with any membrane staining."),
    Column(
        "h_score",
        Kind.DOUBLE,
        "1·(faint + weak) + 2·moderate + 3·intense, in percent of cells.",
        "0–300",
        low=0,
        high=300,
    ),
    *(
        fraction(
            name,
            f"Probability that the score is {score.value}; of a slide by both readers, or by "
            "the rules alone where no network read or the criteria are not those of the breast.",
        )
        for score, name in PROBABILITY_COLUMNS.items()
    ),
    Column("review", Kind.BOOLEAN, "Whether a person should look."),
    Column(
        "review_reasons",
        Kind.TEXT,
        "Flags that ask for a second read, by code, separated by ';'; failed for a failed slide. "
        "Notes stand in slide.json and the report.",
    ),
)
CALL: tuple[Column, ...] = (
    Column("score", Kind.CATEGORY, "IHC score.", words=tuple(score.value for score in Score)),
    Column("status", Kind.CATEGORY, "HER2 status.", words=tuple(status.value for status in Status)),
)
NETWORK_SCORE = Column(
    "network_score",
    Kind.CATEGORY,
    "Score that the network reads by itself; empty without one.",
    words=("", *(score.value for score in Score)),
)

SLIDE_COLUMNS: tuple[Column, ...] = (
    Column("slide_id", Kind.TEXT, "Name of the slide in this run.", is_required=True),
    Column("path", Kind.TEXT, "File that was read.", is_required=True),
    Column(
        "state",
        Kind.CATEGORY,
        "Whether the slide was scored.",
        words=tuple(state.value for state in SlideState),
        is_required=True,
    ),
    *CALL,
    *READING,
    Column("mpp", Kind.DOUBLE, "Pixel size at level 0.", "µm/px", low=0),
    Column(
        "seconds",
        Kind.DOUBLE,
        "Work on the slide, that of workers at the same time added up: may exceed the time of the "
        "whole run; of a failed slide the time until it failed.",
        "s",
        low=0,
    ),
    Column("error", Kind.TEXT, "Why the slide failed."),
    NETWORK_SCORE,
    Column(
        "network_set",
        Kind.TEXT,
        "Scores that the network does not rule out at its stated coverage, separated by ';'.",
    ),
    percent(
        "pct_stained_alone",
        f"Share {OF_TUMOR} that is stained even if each line between two cells belongs to one of "
        "them only.",
    ),
    Column("rule_set", Kind.TEXT, "Criteria that the score follows."),
    Column("edition", Kind.TEXT, "Their edition."),
    Column("calibration", Kind.TEXT, "Cut-offs of staining that were used."),
    Column("model", Kind.TEXT, "Network that was used; none for the rules alone."),
    Column("patient_id", Kind.TEXT, "From the manifest; empty where it names none."),
)

REGION_COLUMNS: tuple[Column, ...] = (
    Column("region_id", Kind.TEXT, "Name of the region in the slide.", is_required=True),
    Column("name", Kind.TEXT, "Name given by a person, if any."),
    Column("kind", Kind.TEXT, "What made the region: grid, roi or control."),
    Column("x", Kind.DOUBLE, "Left edge of its box.", "level-0 px"),
    Column("y", Kind.DOUBLE, "Top edge of its box.", "level-0 px"),
    Column("width", Kind.DOUBLE, "Width of its box.", "level-0 px", low=0),
    Column("height", Kind.DOUBLE, "Height of its box.", "level-0 px", low=0),
    Column(
        "area_mm2",
        Kind.DOUBLE,
        "Area of tissue in the region; all that a drawn outline or core encloses.",
        "mm²",
        low=0,
    ),
    Column("n_cells", Kind.INTEGER, "Cells found, tumor or not.", low=0),
    *CALL,
    *READING,
    NETWORK_SCORE,
)

CELL_COLUMNS: tuple[Column, ...] = (
    Column("x", Kind.DOUBLE, "Nucleus centre.", "level-0 px", is_required=True),
    Column("y", Kind.DOUBLE, "Nucleus centre, down.", "level-0 px", is_required=True),
    Column("region_id", Kind.CATEGORY, "Square of the grid that holds the cell.", is_required=True),
    Column("is_tumor", Kind.BOOLEAN, "Whether it is an invasive tumor cell.", is_required=True),
    fraction(
        "tumor_probability",
        "Probability of an invasive tumor cell; 0.5 where the cells of the slide part.",
        Kind.FLOAT,
    ),
    Column(
        "excluded",
        Kind.CATEGORY,
        "Why the cell is not counted; empty when it is.",
        words=tuple(reason.value for reason in Exclusion),
        is_required=True,
    ),
    Column(
        "intensity",
        Kind.CATEGORY,
        "Class of membrane staining.",
        words=tuple(level.label for level in Intensity),
        is_required=True,
    ),
    fraction(
        "completeness",
        "Share of the outline that is stained, or that a network sees to go on.",
        Kind.FLOAT,
    ),
    fraction(
        "longest_arc_frac",
        "Longest arc that the line reaches by itself, share of the outline.",
        Kind.FLOAT,
    ),
    Column(
        "pattern",
        Kind.CATEGORY,
        "How the stained membrane lies around the cell.",
        words=tuple(pattern.label for pattern in Pattern),
        is_required=True,
    ),
    Column(
        "membrane_od", Kind.FLOAT, "DAB OD of the line above its feet, stained part.", "OD (log10)"
    ),
    Column("membrane_contrast_od", Kind.FLOAT, "Guarded line contrast.", "OD (log10)"),
    Column(
        "line_limit_od",
        Kind.FLOAT,
        "Line contrast from which a sector of this cell counts: the limit of blank, raised by "
        "brown cytoplasm, lowered or raised by what a network sees; 4 where it refuses a line.",
        "OD (log10)",
        low=0,
    ),
    Column("membrane_width_um", Kind.FLOAT, "Full width at half height.", "µm", low=0),
    Column("cytoplasm_od", Kind.FLOAT, "Median DAB OD of the cytoplasm.", "OD (log10)"),
    Column("nucleus_area_um2", Kind.FLOAT, "Area of the nucleus.", "µm²", low=0),
    Column("nucleus_elongation", Kind.FLOAT, "Long over short axis.", "≥ 1", low=0),
    Column("nucleus_h_od", Kind.FLOAT, "Mean hematoxylin OD of the nucleus.", "OD (log10)"),
    Column("nucleus_dab_od", Kind.FLOAT, "Mean DAB OD of the nucleus.", "OD (log10)"),
    Column("spacing_um", Kind.FLOAT, "Mean distance to the nearest neighbours.", "µm", low=0),
    Column(
        "is_nucleus_hidden",
        Kind.BOOLEAN,
        "Nucleus found as a hollow in brown, hardly bluer than its cytoplasm.",
        is_required=True,
    ),
    Column(
        "outline_um",
        Kind.OUTLINE,
        f"Radius of the outline in {N_SECTORS} sectors, clockwise (y down) from +x, stored as "
        f"whole steps of {OUTLINE_STEP_UM} µm.",
        f"{OUTLINE_STEP_UM} µm",
        low=0,
        is_required=True,
    ),
    Column(
        "stained_sectors",
        Kind.BITS,
        "Bit k is set when sector k of the outline is stained.",
        is_required=True,
    ),
    Column(
        "has_own_line",
        Kind.BOOLEAN,
        "Stained even if each line belongs to one cell only: other stained cells do not explain "
        "its line.",
        is_required=True,
    ),
)

TABLES: dict[str, tuple[Column, ...]] = {
    "slides.csv": SLIDE_COLUMNS,
    "regions.parquet": REGION_COLUMNS,
    "cells.parquet": CELL_COLUMNS,
}


def names(columns: Iterable[Column]) -> tuple[str, ...]:
    """Return the names of columns in their order."""
    return tuple(column.name for column in columns)


def data_dictionary() -> str:
    """Return the columns of all tables as Markdown."""
    lines: list[str] = []
    for table, columns in TABLES.items():
        lines += [f"## {table}", "", "| column | kind | unit | meaning |", "|---|---|---|---|"]
        for column in columns:
            words = ", ".join(f"`{word}`" for word in column.words if word)
            meaning = f"{column.meaning} One of {words}." if words else column.meaning
            lines.append(f"| `{column.name}` | {column.kind} | {column.unit} | {meaning} |")
        lines.append("")
    return "\n".join(lines)
