"""What a template shows of one slide: the record, and what is worked out from it for reading."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from her2path.compare.comparability import ASSAY_COLUMNS, SAMPLE_COLUMNS
from her2path.criteria.call import Deciding
from her2path.criteria.rule_set import load_rule_set, rule_set_names
from her2path.criteria.score import EXPRESSION_SCORES, Extent, Intensity, Organ, Score
from her2path.criteria.words import score_named
from her2path.errors import ResultsError
from her2path.report.charts import Segment, deciding_axis, probability_bars, stacked_bar
from her2path.report.fields import FieldPicture, Gallery, read_gallery
from her2path.report.interest import FieldKind, deciding_criterion
from her2path.report.overlay import overlay
from her2path.report.phrases import FIELD_TITLES, intensity_words, share_words
from her2path.report.pictures import as_data_uri, bar_length_um, small_jpeg
from her2path.report.regions import RegionCounts, RegionRow, count_scores, region_rows
from her2path.report.wording import counted, length
from her2path.results.colors import INTENSITY_COLORS, SCORE_COLORS
from her2path.results.folder import SlideFolder
from her2path.results.record import SlideRecord
from her2path.results.review_log import ReviewEntry
from her2path.statistics.intervals import Interval

__all__ = [
    "ClassRow",
    "DecidingView",
    "FieldGroup",
    "FieldView",
    "ReaderRow",
    "SlideView",
    "doubt_words",
    "scores_used",
    "view_slide",
]

# As wide as half a page at 300 dots per inch.
MAX_PICTURE_PX = 1100
# A column of a manifest that may hold the answer: whoever reads the slide again should not see it.
TELLS_SCORE = re.compile(r"score|truth|reference|expected|status|pct_", re.IGNORECASE)
# Such a column may say of the stain who made it, or what an earlier reading found.
OF_HER2 = re.compile(r"her2|ihc|erbb2|result|reading", re.IGNORECASE)
# Whatever the column is called, its words may hold it too.
SAYS_SCORE = re.compile(r"\b[0-3]\+|her2.?(low|null|positive|negative)|ultralow", re.IGNORECASE)
SAYS_STATUS = re.compile(r"positive|negative|equivocal|low|null|pos|neg", re.IGNORECASE)
# What a report must say of specimen and assay on paper too; other columns stay folded there.
REPORTED_COLUMNS = frozenset({"specimen_id", "site", *ASSAY_COLUMNS, *SAMPLE_COLUMNS})


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class of staining: counts by extent, share and interval in percent."""

    intensity: Intensity
    by_extent: tuple[int, ...]
    share: float
    interval: Interval | None

    @property
    def n_cells(self) -> int:
        """Tumor cells of the class."""
        return sum(self.by_extent)


@dataclass(frozen=True, slots=True)
class DecidingView:
    """A number that lies between two scores, with its drawing."""

    role: str
    deciding: Deciding
    words: str
    interval: Interval | None
    is_nearer: bool
    chart: Markup


@dataclass(frozen=True, slots=True)
class ReaderRow:
    """What one of the two readers says, or both: a score (None of both), and percent of each.

    Of `SlideView.reader_scores`; None for a score that the criteria of the rules do not know.
    """

    name: str
    score: Score | None
    percents: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class FieldView:
    """A field with its picture, its outlines and its scale bar (px of the picture)."""

    shown: FieldPicture
    key: str
    picture: str
    outlines: Markup
    bar_px: float
    bar_label: str


@dataclass(frozen=True, slots=True)
class FieldGroup:
    """The fields of one kind, with what they show."""

    kind: FieldKind
    title: str
    words: str
    n_wanted: int
    fields: tuple[FieldView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideView:
    """One slide, ready for its template.

    Attributes
    ----------
    key : str
        Unique in the page; starts every identifier of the slide.
    record : SlideRecord
    overview, map : str or None
        Pictures as data, the plain slide and the drawn one; None where there is none.
    scores : tuple of Score
        Those that the criteria in use can give, from low to high.
    classes : tuple of ClassRow
        From none to intense.
    deciding : tuple of DecidingView
        What holds the score up, and what holds it down.
    shares_chart, probabilities_chart : Markup or None
        None when no cell was counted.
    groups : tuple of FieldGroup
        Fields by kind.
    reader_scores : tuple of Score
        Those that `readers` tell of.
    readers : tuple of ReaderRow
        Empty without a network.
    regions : tuple of RegionRow
        The regions shown; those drawn by a person first, then the highest scores.
    region_counts : RegionCounts
        How many squares and drawn regions have each score.
    assay : mapping of str to str
        Columns of the manifest that name specimen and assay.
    extras : mapping of str to str
        Its other columns that hold something and cannot tell a reader the score.
    n_hidden_extras : int
        How many may tell it.
    picture_problem : str
        Why pictures are missing, if they are.
    readings : tuple of ReviewEntry
        What people gave it on the review page, oldest first.
    """

    key: str
    record: SlideRecord
    overview: str | None
    map: str | None
    scores: tuple[Score, ...]
    classes: tuple[ClassRow, ...]
    deciding: tuple[DecidingView, ...]
    shares_chart: Markup | None
    probabilities_chart: Markup | None
    groups: tuple[FieldGroup, ...]
    reader_scores: tuple[Score, ...]
    readers: tuple[ReaderRow, ...]
    regions: tuple[RegionRow, ...]
    region_counts: RegionCounts
    assay: Mapping[str, str]
    extras: Mapping[str, str]
    n_hidden_extras: int
    picture_problem: str = ""
    readings: tuple[ReviewEntry, ...] = ()

    @property
    def n_regions(self) -> int:
        """All regions of the slide, shown or not."""
        return len(self.record.regions)

    def has_kind(self, kind: str) -> bool:
        """Whether there are regions of a `RegionKind`."""
        return any(region.kind.value == kind for region in self.record.regions)

    @property
    def is_scored(self) -> bool:
        """Whether there is a score to explain."""
        return self.record.score is not Score.NOT_ASSESSABLE


def view_slide(
    record: SlideRecord, folder: SlideFolder, *, key: str, readings: Sequence[ReviewEntry] = ()
) -> SlideView:
    """Gather what the report of a slide shows; damaged pictures are left out and named."""
    problem = ""
    overview = drawn = None
    groups: tuple[FieldGroup, ...] = ()
    try:
        gallery = read_gallery(folder.path)
        drawn = picture_data(folder.overview_png)
        if gallery is None:
            problem = "No pictures were taken of this slide."
        else:
            overview = picture_data(folder.fields / gallery.overview_file)
            groups = field_groups(gallery, folder, record, key)
    except ResultsError as error:
        problem = str(error)
    is_counted = record.reading.n_tumor_cells > 0
    scores = scores_used(record)
    filled = {name: value for name, value in record.extras.items() if value.strip()}
    shown = {name: value for name, value in filled.items() if not tells_score(name, value)}
    assay = {name: value for name, value in shown.items() if name.casefold() in REPORTED_COLUMNS}
    return SlideView(
        key=key,
        record=record,
        overview=overview,
        map=drawn,
        scores=scores,
        classes=class_rows(record),
        deciding=deciding_views(record, key),
        shares_chart=shares_chart(record, key) if is_counted else None,
        probabilities_chart=probabilities_chart(record, scores, key) if is_counted else None,
        groups=groups,
        reader_scores=reader_scores(record, scores),
        readers=reader_rows(record, scores),
        regions=region_rows(record.regions, folder),
        region_counts=count_scores(record.regions),
        assay=assay,
        extras={name: value for name, value in shown.items() if name not in assay},
        n_hidden_extras=len(filled) - len(shown),
        picture_problem=problem,
        readings=tuple(readings),
    )


def tells_score(name: str, value: str) -> bool:
    """Tell whether a column of a manifest may give the score away."""
    if TELLS_SCORE.search(name) or SAYS_SCORE.search(value):
        return True
    is_answer = score_named(value) is not None or SAYS_STATUS.fullmatch(value.strip())
    return bool(OF_HER2.search(name) and is_answer)


def scores_used(record: SlideRecord) -> tuple[Score, ...]:
    """Return the scores that the criteria of a slide can give; all, where they are not known."""
    if record.rule_set not in rule_set_names():
        return EXPRESSION_SCORES
    return load_rule_set(record.rule_set).scores_used


def reader_scores(record: SlideRecord, scores: tuple[Score, ...]) -> tuple[Score, ...]:
    """Return the scores that what the two readers say is told in.

    By other criteria for the breast the network's 0+ is told as these make of it. By those of the
    stomach it is not told at all: it stays what the network says.
    """
    return scores if record.organ is Organ.BREAST else EXPRESSION_SCORES


def reader_rows(record: SlideRecord, scores: tuple[Score, ...]) -> tuple[ReaderRow, ...]:
    """Return what each reader holds probable, and both where they read by the same criteria."""
    if record.network is None:
        return ()
    joint = record.network.joint
    shown = reader_scores(record, scores)

    def percents(
        shares: Mapping[Score, float], known: tuple[Score, ...]
    ) -> tuple[float | None, ...]:
        return tuple(100 * shares.get(one, 0.0) if one in known else None for one in shown)

    rows = [
        ReaderRow("Rules", joint.rule.score, percents(joint.rule.probabilities, scores)),
        ReaderRow("Network", joint.network.score, percents(joint.network.probabilities, shown)),
    ]
    if record.organ is Organ.BREAST:
        rows.append(ReaderRow("Together", None, percents(joint.probabilities, shown)))
    return tuple(rows)


def picture_data(path: Path) -> str | None:
    jpeg = small_jpeg(path, longest_px=MAX_PICTURE_PX)
    return None if jpeg is None else as_data_uri(jpeg)


def class_rows(record: SlideRecord) -> tuple[ClassRow, ...]:
    reading = record.reading
    return tuple(
        ClassRow(
            level,
            tuple(reading.tally.counts[level][extent] for extent in Extent),
            reading.shares.get(f"pct_{level.label}", 0.0),
            reading.intervals.get(f"pct_{level.label}"),
        )
        for level in Intensity
    )


def shares_chart(record: SlideRecord, key: str) -> Markup:
    segments = [
        Segment(row.intensity.label, row.share, INTENSITY_COLORS[row.intensity])
        for row in class_rows(record)
    ]
    return stacked_bar(segments, key=f"{key}-shares", title="Tumour cells by membrane staining")


def probabilities_chart(record: SlideRecord, scores: tuple[Score, ...], key: str) -> Markup:
    segments = [
        Segment(score.value, 100 * record.reading.probabilities.get(score, 0), SCORE_COLORS[score])
        for score in scores
    ]
    return probability_bars(segments, key=f"{key}-probability", title="Probability of each score")


def deciding_views(record: SlideRecord, key: str) -> tuple[DecidingView, ...]:
    call = record.call
    if call is None:
        return ()
    views = []
    for role, deciding in (("lower", call.deciding_lower), ("upper", call.deciding_upper)):
        if deciding is None:
            continue
        beyond = deciding.criterion.score
        found = record.reading.intervals.get(deciding.measure) if deciding.unit == "%" else None
        words = share_words(deciding.criterion)
        views.append(
            DecidingView(
                role,
                deciding,
                words,
                found,
                deciding == call.deciding,
                deciding_axis(
                    deciding.value,
                    deciding.cut,
                    comparison=deciding.comparison,
                    unit=deciding.unit,
                    ends=(found.lower, found.upper) if found else None,
                    beyond=Segment(beyond.value, 0.0, SCORE_COLORS[beyond]),
                    key=f"{key}-{role}",
                    title=words,
                ),
            )
        )
    return tuple(views)


def field_groups(
    gallery: Gallery, folder: SlideFolder, record: SlideRecord, key: str
) -> tuple[FieldGroup, ...]:
    groups = []
    for kind in FieldKind:
        views = [
            view
            for shown in gallery.fields
            if shown.kind is kind and (view := view_field(shown, folder, key)) is not None
        ]
        title, words = FIELD_TITLES[kind]
        if kind is FieldKind.TYPICAL:
            title = f"{title} (class {gallery.typical.label})"
        row = deciding_criterion(record.call) if record.call else None
        if kind is FieldKind.DECIDING and row is not None:
            if row.cluster_cells:
                words = (
                    f"In a cluster of at least {row.cluster_cells} cells with "
                    f"{intensity_words(row)} staining, which decides on "
                    f"{row.score.value}, or in the largest where none is as large; {words}"
                )
            else:
                words = f"{share_words(row)}, which decide on {row.score.value}; {words}"
        if views or kind in gallery.wanted:
            n_wanted = gallery.wanted.get(kind, 0)
            groups.append(FieldGroup(kind, title, words, n_wanted, tuple(views)))
    return tuple(groups)


def view_field(shown: FieldPicture, folder: SlideFolder, key: str) -> FieldView | None:
    picture = picture_data(folder.fields / shown.file)
    if picture is None:
        return None
    bar_um = bar_length_um(shown.width * shown.mpp)
    return FieldView(
        shown=shown,
        key=f"{key}-f{shown.number}",
        picture=picture,
        outlines=overlay(shown),
        bar_px=bar_um / shown.mpp,
        bar_label=length(bar_um),
    )


def doubt_words(shown: FieldPicture) -> str:
    """Say how many cells of a field are near which cut-off; empty when none is."""
    return ", ".join(
        f"{counted(n, 'cell')} {doubt.value}" for doubt, n in shown.doubts.items() if n
    )
