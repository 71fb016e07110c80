"""Pages about many patients: what the pages of cohort and outcomes share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from her2path.report.wording import DASH, FIXED_SPACE, decimal, interval
from her2path.report.write import csp_hash, environment, source_of
from her2path.results.atomic import write_text
from her2path.statistics.intervals import Interval

__all__ = ["ends_pct", "number_words", "p_equals", "p_words", "share_words", "write_page"]


def p_words(p: float | None) -> str:
    """Write a p: two or three decimals, and never 0."""
    if p is None:
        return DASH
    if p < 0.001:
        return "<0.001"
    return decimal(p, 3 if p < 0.1 else 2)


def p_equals(p: float | None) -> str:
    """Write a p within a sentence.

    >>> p_equals(0.0001), p_equals(0.0214)
    ('p < 0.001', 'p 0.021')
    """
    return f"p {p_words(p)}".replace("p <", "p < ")


def share_words(rate: float | None) -> str:
    """Write a fraction as percent with one decimal."""
    return DASH if rate is None else f"{decimal(100 * rate, 1)}{FIXED_SPACE}%"


def ends_pct(found: Interval | None) -> str:
    """Write the ends of an interval of a fraction in percent, without the sign."""
    return DASH if found is None else interval(100 * found.lower, 100 * found.upper)


def number_words(value: float | None) -> str:
    """Write a statistic: whole numbers as they are, others with two decimals."""
    if value is None:
        return DASH
    return decimal(value, 0 if value == round(value) else 2)


def write_page(path: Path, template: str, **values: Any) -> None:  # noqa: ANN401 - any value
    """Render a template of the study pages into a file that needs no other.

    Raises
    ------
    ResultsError
        If it cannot be written.
    """
    templates = environment()
    style = f"{templates.globals['style']}{source_of(templates, 'study.css')}"
    templates.globals.update(
        ends_pct=ends_pct,
        number_words=number_words,
        p_words=p_words,
        share_words=share_words,
        style=Markup(style),
        style_hash=csp_hash(style),
    )
    write_text(path, templates.get_template(template).render(**values))
