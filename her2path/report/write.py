"""Write the report of a run: one offline page, or a list and a page per slide when many."""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from her2path.criteria.score import EXPRESSION_SCORES, Intensity, Score
from her2path.errors import ResultsError
from her2path.report.charts import hex_of, text_on
from her2path.report.fields import FIELDS_JSON
from her2path.report.phrases import (
    EXCLUSION_WORDS,
    FLAG_ADVICE,
    FLAG_TITLES,
    FLAGS_WITHOUT_CUT,
    FLAGS_WITHOUT_NUMBER,
    ISH_WORDS,
    MEASURE_WORDS,
    TRIAL_WORDS,
    artefact_words,
    code_words,
    entry_words,
    read_by_words,
    shift_words,
)
from her2path.report.pictures import as_data_uri, small_jpeg
from her2path.report.regions import has_tumor_outline
from her2path.report.view import SlideView, doubt_words, view_slide
from her2path.report.wording import (
    DASH,
    SCORE_WORDS,
    STATUS_WORDS,
    beside_cut,
    count,
    counted,
    decimal,
    interval,
    od,
    percent,
    quantity,
    sentence,
    spoken_list,
)
from her2path.results.atomic import remove_file, write_text
from her2path.results.colors import INTENSITY_COLORS, SCORE_COLORS
from her2path.results.folder import ResultsFolder, SlideFolder
from her2path.results.record import RESEARCH_USE, SlideRecord
from her2path.results.review_log import PresentResult, ReviewEntry, by_slide, of_file, read_log
from her2path.results.run_record import software_version
from her2path.statistics.heterogeneity import LEAST_REGION_CELLS
from her2path.statistics.readers import DOUBT

__all__ = ["Report", "csp_hash", "environment", "source_of", "write_report"]

logger = logging.getLogger(__name__)

# One page opens at once up to here; beyond, browsers and mail begin to struggle.
MAX_SLIDES_IN_PAGE = 25
MAX_BYTES_IN_PAGE = 48 * 2**20
# A list of so many slides still opens at once with a small picture of each (4 kB).
MAX_THUMBNAILS = 1000
THUMBNAIL_PX = 168
WHOLE_S = 1.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A slide without a result, and why."""

    slide_id: str
    error: str


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """One slide of the list."""

    record: SlideRecord
    link: str
    reasons: tuple[str, ...]
    thumbnail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The first page."""

    rows: tuple[SummaryRow, ...]
    failures: tuple[Failure, ...]
    unscored: tuple[str, ...]
    unread: tuple[str, ...]
    has_thumbnails: bool
    note: str = ""

    @property
    def n_slides(self) -> int:
        """Slides of the run, those without a result too."""
        return len(self.rows) + len(self.failures) + len(self.unscored) + len(self.unread)

    @property
    def n_scored(self) -> int:
        """Slides with a result."""
        return len(self.rows)

    @property
    def n_review(self) -> int:
        """Slides that ask for a second read."""
        return sum(row.record.review for row in self.rows)

    @property
    def by_score(self) -> tuple[tuple[Score, int], ...]:
        """Number of slides of each score that occurs."""
        scores = [row.record.score for row in self.rows]
        return tuple((score, scores.count(score)) for score in Score if score in scores)

    @property
    def rules(self) -> tuple[str, ...]:
        """Rule sets in use, with their editions."""
        return tuple(dict.fromkeys(f"{r.record.rule_set} ({r.record.edition})" for r in self.rows))

    @property
    def read_by(self) -> tuple[str, ...]:
        """By what the slides were read, in words: criteria, calibrations, networks."""
        return read_by_words(
            rule_sets=self.rules,
            calibrations=tuple(dict.fromkeys(row.record.calibration.name for row in self.rows)),
            models=tuple(dict.fromkeys(row.record.model for row in self.rows)),
        )


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was written: the page to open, and its slides, without their regions."""

    path: Path
    slides: tuple[SlideRecord, ...]


def write_report(
    results: ResultsFolder,
    records: Iterable[SlideRecord],
    *,
    failed: Mapping[str, str] | None = None,
    unscored: Sequence[str] = (),
    unread: Sequence[str] = (),
    only_changed: bool = False,
) -> Report:
    """Write report.html for the slides of a run.

    Up to 25 slides whose pictures take less than 48 MiB are in that one file, with all pictures
    inside. Larger runs get SLIDE_ID/report.html for each slide, and report.html lists them.

    Parameters
    ----------
    results : ResultsFolder
        Where the pictures are and the report goes.
    records : iterable of SlideRecord
        In the order of the report; of a larger run no more than 26 are held at a time.
    failed : mapping of str to str, optional
        Slides without a result, and why.
    unscored : sequence of str
        Slides that an interrupted run has not come to.
    unread : sequence of str
        Slides that were scored and whose record is damaged or gone; may grow while `records` are
        read.
    only_changed : bool
        Leave the page of a slide as it is where nothing was written to the slide's folder since,
        nor read on the review page; of results of this version only.

    Raises
    ------
    ResultsError
        If a page cannot be written.
    """
    coming = iter(records)
    first = tuple(islice(coming, MAX_SLIDES_IN_PAGE + 1))
    is_one_page = (
        len(first) <= MAX_SLIDES_IN_PAGE
        and sum(picture_bytes(results.slide(record.slide_id)) for record in first)
        <= MAX_BYTES_IN_PAGE
    )
    pages = Pages(results, readings_of(results))
    if is_one_page:
        rows, views = pages.on_one(first)
    else:
        rows, views = pages.of_each(chain(first, coming), only_changed=only_changed), ()
    summary = Summary(
        rows=rows,
        failures=tuple(Failure(name, error) for name, error in (failed or {}).items()),
        unscored=tuple(unscored),
        unread=tuple(unread),
        has_thumbnails=not is_one_page and len(rows) <= MAX_THUMBNAILS,
        note="" if is_one_page else "Each slide has a report of its own: follow its name.",
    )
    # The list of a single slide would only repeat it.
    is_list_needed = summary.n_slides != 1 or not views
    text = pages.template.render(
        summary=summary if is_list_needed else None, views=views, title="her2path report"
    )
    write_text(results.report_html, text)
    for row in rows if is_one_page else ():
        # Of a time when the run had more slides: nobody would write it again.
        remove_file(results.slide(row.record.slide_id).report_html)
    logger.info("report of %d slides in %s", summary.n_slides, results.report_html)
    return Report(results.report_html, tuple(row.record for row in rows))


class Pages:
    """What slides look like in a report.

    Parameters
    ----------
    results : ResultsFolder
    readings : mapping of str to sequence of ReviewEntry
        What people gave each slide on the review page, oldest first.
    """

    def __init__(
        self, results: ResultsFolder, readings: Mapping[str, Sequence[ReviewEntry]]
    ) -> None:
        self.results = results
        self.readings = readings
        self.template = environment().get_template("page.html")

    def on_one(
        self, records: Sequence[SlideRecord]
    ) -> tuple[tuple[SummaryRow, ...], tuple[SlideView, ...]]:
        """Return rows and views of slides that stand in one page."""
        keys = [f"slide-{number}" for number in range(1, len(records) + 1)]
        rows = [row_of(record, f"#{key}") for key, record in zip(keys, records, strict=True)]
        views = [self.view(record, key) for key, record in zip(keys, records, strict=True)]
        return tuple(rows), tuple(views)

    def of_each(
        self, records: Iterable[SlideRecord], *, only_changed: bool
    ) -> tuple[SummaryRow, ...]:
        """Write a page of its own for each slide and return the rows of the list."""
        rows: list[SummaryRow] = []
        for record in records:
            folder = self.results.slide(record.slide_id)
            if not (only_changed and self.is_up_to_date(record)):
                text = self.template.render(
                    views=[self.view(record, "slide-1")],
                    back_link=f"../{self.results.report_html.name}",
                    title=record.slide_id,
                )
                write_text(folder.report_html, text)
            small = thumbnail(folder) if len(rows) < MAX_THUMBNAILS else None
            link = f"{quote(folder.path.name)}/{folder.report_html.name}"
            rows.append(row_of(record, link, small))
        return tuple(rows)

    def is_up_to_date(self, record: SlideRecord) -> bool:
        """Tell whether a slide has a page that is younger than all that it shows."""
        folder = self.results.slide(record.slide_id)
        shown = (folder.slide_json, folder.overview_png, folder.fields / FIELDS_JSON)
        try:
            made = folder.report_html.stat().st_mtime
            changes = [path.stat().st_mtime for path in shown if path.exists()]
        except OSError:
            return False
        readings = self.readings.get(record.slide_id, ())
        changes += [datetime.fromisoformat(entry.written).timestamp() for entry in readings]
        # The log keeps whole seconds, and some file systems no more.
        return all(made > change + WHOLE_S for change in changes)

    def view(self, record: SlideRecord, key: str) -> SlideView:
        """Return what the page of a slide shows."""
        entries = self.readings.get(record.slide_id, ())
        own = of_file(entries, PresentResult.of_record(record))
        return view_slide(record, self.results.slide(record.slide_id), key=key, readings=own)


def row_of(record: SlideRecord, link: str, thumbnail: str | None = None) -> SummaryRow:
    """Return the row of a slide in the list; regions, megabytes of a large slide, stay behind."""
    return SummaryRow(replace(record, regions=()), link, flag_titles(record, "review"), thumbnail)


def readings_of(results: ResultsFolder) -> dict[str, list[ReviewEntry]]:
    """Return what people gave each slide on the review page, oldest first."""
    if not results.review_log.exists():
        return {}
    try:
        return by_slide(read_log(results.review_log))
    except ResultsError as error:
        logger.warning("the report is without second readings: %s", error)
        return {}


def is_earlier(entry: ReviewEntry, record: SlideRecord) -> bool:
    """Return whether the slide was scored again since somebody read it or decided."""
    return not PresentResult.of_record(record).is_of_result(entry)


def picture_bytes(folder: SlideFolder) -> int:
    """Return about how many bytes the pictures of a slide add to a page."""
    files = [folder.overview_png, *folder.fields.glob("*.jpg")]
    # Base64 makes four bytes of three.
    return sum(file.stat().st_size for file in files if file.is_file()) * 4 // 3


def thumbnail(folder: SlideFolder) -> str | None:
    try:
        jpeg = small_jpeg(folder.overview_png, longest_px=THUMBNAIL_PX)
    except ResultsError as error:
        logger.warning("no small picture: %s", error)
        return None
    return None if jpeg is None else as_data_uri(jpeg)


def flag_titles(record: SlideRecord, severity: str) -> tuple[str, ...]:
    """Return what the flags of a severity are called, each once."""
    return tuple(dict.fromkeys(FLAG_TITLES[f.flag] for f in record.flags if f.severity == severity))


def environment() -> jinja2.Environment:
    """Return the templates, with what they call; text of a slide is always escaped."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("her2path.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = color_rules() + source_of(templates, "report.css")
    script = source_of(templates, "report.js")
    templates.filters["sentence"] = sentence
    templates.globals.update(
        DASH=DASH,
        DOUBT=DOUBT,
        EXCLUSION_WORDS=EXCLUSION_WORDS,
        EXPRESSION_SCORES=EXPRESSION_SCORES,
        FLAGS_WITHOUT_CUT=FLAGS_WITHOUT_CUT,
        FLAGS_WITHOUT_NUMBER=FLAGS_WITHOUT_NUMBER,
        FLAG_ADVICE=FLAG_ADVICE,
        FLAG_TITLES=FLAG_TITLES,
        INTENSITIES=tuple(Intensity),
        ISH_WORDS=ISH_WORDS,
        LEAST_REGION_CELLS=LEAST_REGION_CELLS,
        MEASURE_WORDS=MEASURE_WORDS,
        RESEARCH_USE=RESEARCH_USE,
        SCORE_WORDS=SCORE_WORDS,
        STATUS_WORDS=STATUS_WORDS,
        TRIAL_WORDS=TRIAL_WORDS,
        artefact_words=artefact_words,
        back_link="",
        beside_cut=beside_cut,
        code_words=code_words,
        count=count,
        counted=counted,
        decimal=decimal,
        doubt_words=doubt_words,
        entry_words=entry_words,
        has_tumor_outline=has_tumor_outline,
        flags_of=flag_titles,
        interval=interval,
        is_earlier=is_earlier,
        od=od,
        percent=percent,
        quantity=quantity,
        script=Markup(script),
        script_hash=csp_hash(script),
        shift_words=shift_words,
        software_version=software_version(),
        spoken_list=spoken_list,
        style=Markup(style),
        style_hash=csp_hash(style),
        summary=None,
    )
    return templates


def source_of(templates: jinja2.Environment, name: str) -> str:
    """Return the text of a template, style sheet or script as it lies in the package."""
    if templates.loader is None:
        raise ResultsError(f"the template {name} is missing; install her2path again")
    return templates.loader.get_source(templates, name)[0]


def csp_hash(text: str) -> str:
    """Return the hash by which a browser knows the one style or script that it may use."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def color_rules() -> str:
    """Return style rules that give each score and class its color."""
    named = [(f"s-{score.name.lower()}", color) for score, color in SCORE_COLORS.items()]
    named += [(f"i-{level.label}", color) for level, color in INTENSITY_COLORS.items()]
    return "".join(
        f".{name} {{ background: {hex_of(color)}; color: {text_on(color)}; }}\n"
        for name, color in named
    )
