"""Which cells count: tissue, outlines, control tissue, and the probability of tumor."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from her2path.annotations.raster import contains
from her2path.annotations.roi import RoiKind
from her2path.cells.cytoplasm import with_shared_cytoplasm
from her2path.cells.empty_cells import has_no_nucleus, is_fragment
from her2path.cells.odds import EVEN, shifted
from her2path.cells.pigment import is_pigmented
from her2path.cells.sure_nuclei import told_by_sure_nuclei
from her2path.cells.table import CellMeasurements
from her2path.cells.tumor import tumor_probability
from her2path.cells.tumor_groups import agreed_probability, parting
from her2path.pipeline.settings import ScoreSettings
from her2path.pipeline.survey import Survey
from her2path.results.columns import Exclusion

__all__ = [
    "MAX_REFERENCE_PROBABILITY",
    "Selection",
    "TumorReading",
    "is_sample",
    "read_tumor",
    "select_cells",
    "selected_cells",
]

REASONS = tuple(Exclusion)
CODE = {reason: np.int8(code) for code, reason in enumerate(REASONS)}
# With less than half of its outline in view a cell's pattern is a guess.
MIN_MEASURABLE_FRAC = 0.5
# Cells that are surely no tumor: stroma and lymphocytes show what looks stained without HER2.
MAX_REFERENCE_PROBABILITY = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class TumorReading:
    """How probably each of n cells is tumor.

    Attributes
    ----------
    as_read : ndarray of shape (n,), float32
        By the rule on measurements, and where a network has read by it and the sure nuclei of the
        slide with it.
    parts_at : float
        Probability, as read, at which the cells of the slide part into two groups; counts as even.
    """

    as_read: NDArray[np.float32]
    parts_at: float = EVEN

    @property
    def probability(self) -> NDArray[np.float32]:
        """Probability with even odds where the cells part, shape (n,)."""
        return shifted(self.as_read, at=self.parts_at)


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """What became of n cells.

    Attributes
    ----------
    reason : ndarray of shape (n,), int8
        Position in `Exclusion`; 0 for counted cells.
    probability : ndarray of shape (n,), float32
        Of an invasive tumor cell.
    cut : ndarray of shape (n,), float32
        From which probability the cell counts.
    is_suspected : ndarray of shape (n,), bool
        Whether it lies in a separate piece that looks like control tissue, and no outline has
        settled already whether it counts.
    tumor : TumorReading
        Where the probability comes from.
    is_barred : ndarray of shape (n,), bool
        Whether it would not count as tumor either: it shows no nucleus, a piece of one, or pigment.
    """

    reason: NDArray[np.int8]
    probability: NDArray[np.float32]
    cut: NDArray[np.float32]
    is_suspected: NDArray[np.bool_]
    tumor: TumorReading
    is_barred: NDArray[np.bool_]

    @property
    def is_counted(self) -> NDArray[np.bool_]:
        """Cells that count as invasive tumor."""
        return self.reason == CODE[Exclusion.COUNTED]

    @property
    def looks_like_tumor(self) -> NDArray[np.bool_]:
        """Cells that are tumor to the program, wherever they lie."""
        return self.probability >= self.cut

    @property
    def is_in_place(self) -> NDArray[np.bool_]:
        """Cells that count, or lie where tumor would and are none."""
        return self.is_counted | (self.reason == CODE[Exclusion.NOT_TUMOR])

    @property
    def may_count(self) -> NDArray[np.bool_]:
        """Cells that would count if they were tumor."""
        return self.is_in_place & ~self.is_barred

    @property
    def is_control(self) -> NDArray[np.bool_]:
        """Cells of control tissue."""
        return self.reason == CODE[Exclusion.CONTROL]

    @property
    def is_reference(self) -> NDArray[np.bool_]:
        """Cells of the sample that are surely no tumor, inside or outside an outline."""
        is_sample = self.is_in_place | (self.reason == CODE[Exclusion.OUTSIDE_ROI])
        return is_sample & (self.probability < MAX_REFERENCE_PROBABILITY)

    @property
    def is_suspected_tumor(self) -> NDArray[np.bool_]:
        """Cells in suspected control tissue that count, or would if it were none."""
        would_count = self.is_control & self.looks_like_tumor
        return self.is_suspected & (self.is_counted | would_count)

    def counted_at(self, shift: float) -> NDArray[np.bool_]:
        """Return which cells count when the cut is shifted by so much."""
        return self.may_count & (self.probability >= self.cut + np.float32(shift))

    def counted_as_read(self) -> NDArray[np.bool_]:
        """Return which cells would count had no odds been shifted for the slide."""
        return self.may_count & (self.tumor.as_read >= self.cut)

    def without(self, mask: NDArray[np.bool_], reason: Exclusion) -> Selection:
        """Return the selection in which cells of a mask do not count, wherever the cut lies."""
        is_left_out = mask & self.is_counted
        return replace(
            self,
            reason=np.where(is_left_out, CODE[reason], self.reason),
            is_barred=self.is_barred | mask,
        )

    def with_recognized(self, mask: NDArray[np.bool_]) -> Selection:
        """Return the selection in which cells of a mask count, as surely as at the cut."""
        is_added = mask & self.may_count
        return replace(
            self,
            reason=np.where(is_added, CODE[Exclusion.COUNTED], self.reason),
            probability=np.where(
                is_added, np.maximum(self.probability, self.cut), self.probability
            ),
        )

    def counts(self) -> dict[Exclusion, int]:
        """Count the cells by what became of them."""
        n = np.bincount(self.reason, minlength=len(REASONS))
        return {reason: int(n[code]) for code, reason in enumerate(REASONS)}

    def words(self) -> NDArray[np.str_]:
        """Return what became of each cell, as the table spells it."""
        return np.array([reason.value for reason in REASONS])[self.reason]


def read_tumor(cells: CellMeasurements, survey: Survey) -> TumorReading:
    """Return how probably each cell is tumor: by the rule, with the network where one has read.

    With a network, cells in doubt are told by the slide's own sure nuclei; the rule goes by
    nuclei alone, and has nothing to learn from them.
    """
    as_read = tumor_probability(cells, x_um=cells.x * survey.mpp.x, y_um=cells.y * survey.mpp.y)
    is_tissue = survey.looked_up(survey.tissue, cells.x, cells.y)
    is_tissue &= ~survey.looked_up(survey.excluded, cells.x, cells.y)
    if survey.network is None:
        return TumorReading(as_read, parting(as_read[is_tissue]))
    once = agreed_probability(cells.seen_tumor, as_read)
    as_read = agreed_probability(cells.seen_tumor_twice, as_read)
    # A second look brings cells in. Should the groups part higher by it, none is lost for that.
    at = min(parting(once[is_tissue]), parting(as_read[is_tissue]))
    return TumorReading(told_by_sure_nuclei(as_read, cells, at=at, is_asked=is_tissue), at)


def select_cells(
    cells: CellMeasurements,
    tumor: TumorReading,
    survey: Survey,
    settings: ScoreSettings,
) -> Selection:
    """Decide for each cell whether it counts, and if not why.

    A person's outline outranks what the program sees: control, then ignored, then outside an
    outline of tumor. Inside an outline of tumor the tissue mask is not asked, artefacts are. A
    core of a microarray says where to look, not that all of it is tumor.

    Parameters
    ----------
    cells : CellMeasurements of n cells
        x and y in level-0 px.
    tumor : TumorReading
    survey : Survey
    settings : ScoreSettings
    """
    x, y, probability = cells.x, cells.y, tumor.probability
    drawn = survey.rois_of(RoiKind.TUMOR)
    is_drawn = contains(drawn, x, y)
    is_said = contains([roi for roi in drawn if not roi.is_core], x, y)
    cut = np.where(is_said, settings.tumor_cut_in_roi, settings.tumor_cut).astype(np.float32)
    place = misplaced(x, y, is_drawn, survey)
    # The first that holds is the reason.
    why = {
        **place,
        Exclusion.NOT_MEASURABLE: cells.is_measurable.mean(axis=1) < MIN_MEASURABLE_FRAC,
        Exclusion.NOT_TUMOR: probability < cut,
    }
    codes = [CODE[reason] for reason in why]
    reason = np.select(list(why.values()), codes, CODE[Exclusion.COUNTED]).astype(np.int8)
    # Where a person has said what is control, or that nothing counts, there is nothing to suspect.
    is_said_control = contains(survey.rois_of(RoiKind.CONTROL), x, y)
    is_settled = is_said_control | place[Exclusion.IGNORED_ROI] | place[Exclusion.OUTSIDE_ROI]
    is_suspected = survey.looked_up(survey.suspected, x, y) & ~is_settled
    return Selection(reason, probability, cut, is_suspected, tumor, np.zeros(len(cells), np.bool_))


def selected_cells(
    cells: CellMeasurements, survey: Survey, settings: ScoreSettings
) -> tuple[CellMeasurements, Selection]:
    """Return the cells that were looked for, with what becomes of each.

    Parameters
    ----------
    cells : CellMeasurements of n cells
        x and y in level-0 px.
    survey : Survey
    settings : ScoreSettings

    Returns
    -------
    cells : CellMeasurements of at most n cells
        Those where the slide is covered, with the cytoplasm of tumor cells shared among neighbors.
    selection : Selection
        Of these; cells without a nucleus, with a fragment of one, or under pigment do not count.
    """
    cells = cells.select(survey.looked_up(survey.covered, cells.x, cells.y))
    selection = select_cells(cells, read_tumor(cells, survey), survey, settings)
    shared = with_shared_cytoplasm(
        cells,
        selection.looks_like_tumor,
        x_um=cells.x * survey.mpp.x,
        y_um=cells.y * survey.mpp.y,
    )
    is_typical = selection.is_counted
    selection = selection.without(has_no_nucleus(shared, is_typical), Exclusion.NO_NUCLEUS)
    selection = selection.without(is_fragment(shared, is_typical), Exclusion.FRAGMENT)
    return shared, selection.without(is_pigmented(shared, is_typical), Exclusion.PIGMENT)


def is_sample(x: NDArray[np.float64], y: NDArray[np.float64], survey: Survey) -> NDArray[np.bool_]:
    """Tell which points, x and y of shape (n,) in level-0 px, lie where tumor cells would count."""
    is_drawn = contains(survey.rois_of(RoiKind.TUMOR), x, y)
    reasons = misplaced(x, y, is_drawn, survey).values()
    return ~np.logical_or.reduce(list(reasons))


def misplaced(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    is_drawn: NDArray[np.bool_],
    survey: Survey,
) -> dict[Exclusion, NDArray[np.bool_]]:
    """Return for each reason which points do not count for it, the strongest reason first.

    Parameters
    ----------
    x, y : ndarray of shape (n,)
        Level-0 px.
    is_drawn : ndarray of shape (n,), bool
        Points inside an outline of tumor.
    survey : Survey
    """
    is_drawn_control = contains(survey.rois_of(RoiKind.CONTROL), x, y)
    has_outlines = bool(survey.rois_of(RoiKind.TUMOR))
    return {
        Exclusion.CONTROL: is_drawn_control | survey.looked_up(survey.control, x, y),
        Exclusion.IGNORED_ROI: contains(survey.rois_of(RoiKind.IGNORE), x, y),
        Exclusion.OUTSIDE_ROI: ~is_drawn & has_outlines,
        Exclusion.ARTEFACT: survey.looked_up(survey.excluded, x, y),
        Exclusion.NOT_TISSUE: ~(survey.looked_up(survey.tissue, x, y) | is_drawn),
    }
