"""Figures of an evaluation: what is written in them lies within them."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from her2path.evaluation.stated import StatedProbabilities, reliability
from her2path.report import evaluation as page
from her2path.report.paper import Plate


def test_titles_of_many_statements_lie_within_the_figure_and_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[Figure] = []
    real = Plate.of

    def keep(figure: Figure, **words: str) -> Plate:
        drawn.append(figure)
        return real(figure, **words)

    monkeypatch.setattr(Plate, "of", keep)
    rng = np.random.default_rng(0)
    found = reliability(np.full(12_000, 0.7), rng.random(12_000) < 0.5, rng=rng)
    page.draw_reliability(StatedProbabilities(0, found, found, 0.1))
    (figure,) = drawn
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    # Their titles stand at the left.
    left, right = (axes._left_title.get_window_extent(renderer) for axes in figure.axes)
    assert left.x1 < right.x0
    assert right.x1 <= figure.bbox.x1
    assert max(left.y1, right.y1) <= figure.bbox.y1
