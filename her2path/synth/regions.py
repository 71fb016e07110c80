"""What grows in a part of the tissue: shares of classes of cells, growth, stroma and texture."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

from her2path.criteria.score import Intensity, Pattern
from her2path.errors import Her2pathError

__all__ = [
    "ADDED_TO_REGIONS",
    "MAX_ENDING_BYTES",
    "MixEntry",
    "RecipeError",
    "RegionRecipe",
    "check_name",
    "check_ranges",
    "common_denominator",
    "mix_of",
]


# File systems stop at 255 bytes; seed, side and suffix still have to fit.
MAX_NAME_BYTES = 120
# What a name takes on: "-2147483647-before".
MAX_ENDING_BYTES = 20


class RecipeError(Her2pathError, ValueError):
    """A recipe or laboratory of the generator cannot be drawn."""


@dataclass(frozen=True, slots=True)
class MixEntry:
    """Share of the tumor cells (0–1) that has this intensity and pattern.

    `Pattern.ABSENT` goes with `Intensity.NONE` and with nothing else.
    """

    intensity: Intensity
    pattern: Pattern
    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise RecipeError(f"a share must lie in 0–1, got {self.share}: give shares of cells")
        if (self.intensity == Intensity.NONE) != (self.pattern == Pattern.ABSENT):
            raise RecipeError(
                f"{self.intensity.label} with pattern {self.pattern.label}: "
                "'none' goes with 'absent' and nothing else does"
            )
        if self.pattern == Pattern.CYTOPLASMIC:
            raise RecipeError(
                "cytoplasmic brown is no membrane pattern: set cytoplasm_od of the region"
            )


def check_ranges(value: object, where: str, ranges: tuple[tuple[str, float, float], ...]) -> None:
    """Refuse a value whose fields are no numbers or lie outside their ranges (name, low, high)."""
    faults = []
    for name, low, high in ranges:
        number = getattr(value, name)
        if isinstance(number, bool) or not isinstance(number, int | float):
            faults.append(f"{where}{name} = {number!r}: give a number in {low:g}–{high:g}")
        elif not low <= number <= high:
            faults.append(f"{where}{name} = {number} is outside {low:g}–{high:g}")
    if faults:
        raise RecipeError("; ".join(faults))


def check_name(name: object, where: str, *, spare_bytes: int = 0) -> None:
    """Refuse a name that cannot stand in the names of files and in what formats write."""
    if not isinstance(name, str) or not name or not name.isprintable():
        raise RecipeError(f"{where} = {name!r:.60}: give a plain name in quotes")
    if len(name.encode()) > MAX_NAME_BYTES + spare_bytes:
        raise RecipeError(
            f"{where} = {name!r:.40}…: give at most {MAX_NAME_BYTES} letters (those beyond ASCII "
            "count two to four times)"
        )


_SHORT = {
    "none": (Intensity.NONE, Pattern.ABSENT),
    **{
        f"{intensity.label}_{pattern.label}": (intensity, pattern)
        for intensity in Intensity
        for pattern in (Pattern.INCOMPLETE, Pattern.BASOLATERAL, Pattern.COMPLETE)
        if intensity != Intensity.NONE
    },
}


def mix_of(**shares: float) -> tuple[MixEntry, ...]:
    """Return a mix from words, for example ``mix_of(none=0.8, faint_incomplete=0.2)``.

    Raises
    ------
    RecipeError
        When a word is unknown or the shares do not sum to 1.
    """
    unknown = sorted(set(shares) - set(_SHORT))
    if unknown:
        raise RecipeError(f"unknown kind of cell {unknown}: use one of {sorted(_SHORT)}")
    for word, share in shares.items():
        if not 0 <= share <= 1:
            raise RecipeError(f"{word} = {share:g}: a share lies between 0 and 1")
    total = math.fsum(shares.values())
    if abs(total - 1) > 1e-9:
        raise RecipeError(f"shares of a mix sum to {total}: make them sum to 1")
    return tuple(MixEntry(*_SHORT[word], share) for word, share in shares.items() if share > 0)


def common_denominator(mix: tuple[MixEntry, ...]) -> int:
    """Return the least number of cells that carries all shares without rounding (≤ 10000)."""
    return min(
        10_000,
        math.lcm(*(Fraction(entry.share).limit_denominator(1000).denominator for entry in mix)),
    )


@dataclass(frozen=True, slots=True)
class RegionRecipe:
    """One part of the tissue with its own tumor, stroma and score mix.

    Attributes
    ----------
    name : str
        Name of the region in the truth.
    mix : tuple of MixEntry
        Shares of the tumor cells by intensity and pattern, sum 1.
    disc : tuple (x, y, radius) of float or None
        Where the region lies, as shares of the slide's width (radius too) and height;
        None = everywhere that no later region covers.
    tumor_share : float
        Share of the nests' places that hold tumor, 0–1.
    nest_um, septum_um : float
        Pitch of the nests and width of the stroma between them.
    cell_um : float
        Diameter of a tumor cell.
    gland_share, cribriform_share, cord_share : float
        Shares of nests that are columnar glands round a lumen, nests with several holes, and
        cords of single cells; the others are solid.
    clustering : float
        0 = classes go by patches of some ten cells, 1 = by nest.
    scatter : float
        How much each cell goes its own way beside them: 0 = hardly, 3 = classes are scattered
        cell by cell. Cells stained all round need company: many of them are taken out then.
    lymphocytes : float
        Lymphocytes per 1000 µm² of stroma where they gather.
    cytoplasm_od, granular_od, stroma_haze_od : float
        DAB OD of the cytoplasm of tumor cells, of granules in it, and of the stroma.
    pleomorphism : float
        Spread of nucleus size, 0–1.
    vesicular_share : float
        Share of tumor nuclei that are pale with a rim and nucleoli.
    benign_share, dcis_share : float
        Shares of nests that are normal ducts, and in-situ carcinoma (both not invasive).
    dcis_mix : tuple of MixEntry or None
        Shares of the in-situ cells; None = like the invasive ones.
    necrosis_share : float
        Share of solid nests with a necrotic centre.
    fat_share : float
        Share of the stroma's area that is fat.
    oedema : float
        How loose the stroma is, 0–1.
    nest_stretch : float
        Length over width of the nests' places, 1 = as long as wide; all lie in one direction.
    cell_stretch : float
        Length over width of the cells of solid nests with a smooth border, 1–2.5.
    stratified_share : float
        Share of the columnar glands whose cells stand crowded in one to three rows, with
        lumens of any shape.
    smooth_share : float
        Share of the solid, cribriform, benign and in-situ nests that have a smooth border.
    scattered_share : float
        Share of nests that are single cells apart in the stroma.
    squamous_share : float
        Share of the benign nests that are sheets of squamous epithelium, not ducts.
    benign_mix : tuple of MixEntry or None
        Shares of the benign cells; None = unstained.
    vacuole_share : float
        Share of the epithelial cells with a clear vacuole (mucin).
    secretion_share : float
        Share of the lumens' area filled with granular matter.
    nucleus_od, cytoplasm_h_od : float
        Mean hematoxylin OD of tumor nuclei, and of their cytoplasm.
    nucleus_fill : float
        Share of a cell's area that its nucleus takes, 0.1–0.8.
    nucleus_brown : float
        Share of the cytoplasm's brown that shows in the nucleus: 0 = white nuclei.
    muscle_share : float
        Share of the stroma's area that is smooth muscle.
    cleft_share : float
        Share of the stroma's area torn open along its fibres.
    retraction_um : float
        Mean width of the clefts round nests.
    stroma_od, fibre_scale, fibre_contrast : float
        Factors on the stroma's hematoxylin, on the thickness of its fibres and on how they
        stand out; 1 = usual.
    edge_granules_od : float
        DAB OD of granules along the borders of nests.
    mottle : float
        Contrast of cytoplasm and chromatin, 1 = coarse, 0 = smooth.
    wobble, patchiness, veil : float
        Factors on how much outlines of cells and nuclei bend, on how much membranes vary in
        width and darkness, and on the brown beside membranes that stand oblique.
    askew_um : float
        By how much membranes that run askew through the section are broader, about: width as
        seen is that of an upright membrane and this in squares. On real cores faint lines
        measure up to three times the upright width.
    stroma_cells : float
        Factor on the number of spindle cells in the stroma.
    stroma_bodies_od : float
        Hematoxylin OD of the cytoplasm of plasma cells and other plump cells of the stroma.
    nerves_per_mm2, walls_per_mm2 : float
        Nerves, and muscle that runs round a lumen (vessels with a wall) or round nothing
        (whorls), per mm² of tissue, as far as they find place. Nests give way to them.
    infiltrates_per_mm2, histiocytes_per_mm2 : float
        Sheets of lymphocytes and plasma cells, and of histiocytes.
    infiltrate_brown_od : float
        DAB OD of the cytoplasm of a part of the cells in those sheets.
    activated_share : float
        How many plump fibroblasts with oval, pale nuclei lie along the nests, 0–1.
    fibre_brown_od : float
        DAB OD along the fibres of the stroma, in places.
    mesh_share : float
        Share of the stroma's area that is a loose mesh without direction.
    defocus_share : float
        Share of all nuclei that lie above or below the plane of focus: smudged and paler.
    passed_share : float
        Share of epithelial cells that the section passes beside their nucleus. Their membranes are
        drawn; they have no nucleus, stand in no table and count in no share.
    fray : float
        How much membranes fray: 0 = clean lines, 1 = streaks of brown leave them everywhere, as
        where membranes are cut along. They are drawn and are no membrane in the truth.
    gap_um : float
        Mean width of the gaps where cells have come apart; each keeps its own outline.
    border_od : float
        OD by which the borders of cells stand out without any DAB, in grey and hematoxylin.
    fringe_od : float
        OD by which the same borders stand out brighter between two dark fringes (> 0), or darker
        between two bright ones (< 0), as where light is bent with the condenser closed.
    blotch_od, blotch_um : float
        DAB OD of brown that lies in the cytoplasm in blotches, and their size.
    granule_um, streak_od : float
        Size of the granules of `granular_od`; DAB OD of fine streaks in the cytoplasm.
    foam_share, foam_um : float
        Share of the cytoplasm that is clear in small bubbles, and their size.
    dot_share, dot_od : float
        Share of the cells with one to three brown dots beside the nucleus, and their DAB OD.
    stroma_mottle : float
        Contrast of the chromatin of lymphocytes, plasma and spindle cells, 0 = even discs.
    brown_inset_um : float
        Width of the rim along the borders of cells in which the brown of their cytoplasm fades, as
        where it lies round the nucleus; 0 = brown up to the border.
    least_arc : float
        Least share of the outline that an incomplete membrane is meant to cover; the largest is
        0.6. Lines that it shares with its neighbours make it longer.
    arc_pieces : float
        Most pieces that an incomplete membrane lies in, 1–5: each cell's is drawn up to it, and
        together they cover what one arc would. Basolateral ones are in one piece.
    branched_share, grazed_share : float
        Shares of the glands with crowded cells that branch, and that the section grazes along
        their wall: a mosaic of narrow cells with little lumen or none.
    """

    name: str = "tumor"
    mix: tuple[MixEntry, ...] = field(default_factory=lambda: mix_of(none=1.0))
    disc: tuple[float, float, float] | None = None
    tumor_share: float = 0.92
    nest_um: float = 170.0
    septum_um: float = 14.0
    cell_um: float = 13.0
    gland_share: float = 0.15
    cribriform_share: float = 0.05
    cord_share: float = 0.05
    clustering: float = 0.6
    lymphocytes: float = 2.0
    cytoplasm_od: float = 0.0
    granular_od: float = 0.0
    stroma_haze_od: float = 0.01
    pleomorphism: float = 0.35
    vesicular_share: float = 0.35
    benign_share: float = 0.03
    dcis_share: float = 0.02
    dcis_mix: tuple[MixEntry, ...] | None = None
    necrosis_share: float = 0.04
    fat_share: float = 0.04
    oedema: float = 0.3
    nest_stretch: float = 1.0
    cell_stretch: float = 1.0
    stratified_share: float = 0.0
    smooth_share: float = 0.0
    scattered_share: float = 0.0
    squamous_share: float = 0.0
    benign_mix: tuple[MixEntry, ...] | None = None
    vacuole_share: float = 0.0
    secretion_share: float = 0.0
    nucleus_od: float = 0.165
    cytoplasm_h_od: float = 0.080
    nucleus_fill: float = 0.45
    nucleus_brown: float = 0.45
    muscle_share: float = 0.0
    cleft_share: float = 0.0
    retraction_um: float = 0.0
    stroma_od: float = 1.0
    fibre_scale: float = 1.0
    fibre_contrast: float = 1.0
    edge_granules_od: float = 0.0
    mottle: float = 1.0
    wobble: float = 1.0
    patchiness: float = 1.0
    veil: float = 1.0
    askew_um: float = 0.0
    scatter: float = 0.0
    stroma_cells: float = 1.0
    stroma_bodies_od: float = 0.0
    nerves_per_mm2: float = 0.0
    walls_per_mm2: float = 0.0
    infiltrates_per_mm2: float = 0.0
    histiocytes_per_mm2: float = 0.0
    infiltrate_brown_od: float = 0.0
    activated_share: float = 0.0
    fibre_brown_od: float = 0.0
    branched_share: float = 0.0
    grazed_share: float = 0.0
    mesh_share: float = 0.0
    defocus_share: float = 0.0
    fray: float = 0.0
    gap_um: float = 0.0
    border_od: float = 0.0
    fringe_od: float = 0.0
    blotch_od: float = 0.0
    blotch_um: float = 2.0
    stroma_mottle: float = 1.0
    least_arc: float = 0.18
    arc_pieces: float = 1.0
    brown_inset_um: float = 0.0
    passed_share: float = 0.0
    granule_um: float = 0.55
    streak_od: float = 0.0
    foam_share: float = 0.0
    foam_um: float = 0.9
    dot_share: float = 0.0
    dot_od: float = 0.0

    def __post_init__(self) -> None:
        check_name(self.name, "name of a region")
        for mix in (self.mix, self.dcis_mix, self.benign_mix):
            total = math.fsum(entry.share for entry in mix) if mix is not None else 1.0
            if abs(total - 1) > 1e-9:
                raise RecipeError(
                    f"region {self.name!r}: shares sum to {total}: make them sum to 1"
                )
            if mix and len({(entry.intensity, entry.pattern) for entry in mix}) < len(mix):
                raise RecipeError(f"region {self.name!r}: a mix names a cell twice, join them")
        if self.disc is not None and (
            len(self.disc) != 3
            or not all(-10 <= value <= 10 for value in self.disc)
            or self.disc[2] <= 0
        ):
            raise RecipeError(
                f"region {self.name!r}: disc = {self.disc}: give x, y and radius as shares, the "
                "radius above 0"
            )
        check_ranges(self, f"region {self.name!r}: ", _REGION_RANGES + _ADDED_RANGES)


_REGION_RANGES = (
    ("nest_um", 30, 2000),
    ("septum_um", 3, 500),
    ("cell_um", 7, 40),
    ("tumor_share", 0, 1),
    ("gland_share", 0, 1),
    ("cribriform_share", 0, 1),
    ("cord_share", 0, 1),
    ("benign_share", 0, 1),
    ("dcis_share", 0, 1),
    ("necrosis_share", 0, 1),
    ("clustering", 0, 1),
    ("fat_share", 0, 1),
    ("oedema", 0, 1),
    ("pleomorphism", 0, 1),
    ("vesicular_share", 0, 1),
    ("lymphocytes", 0, 30),
    ("cytoplasm_od", 0, 2),
    ("granular_od", 0, 2),
    ("stroma_haze_od", 0, 1),
)
_ADDED_RANGES = (
    ("nest_stretch", 1, 4),
    ("cell_stretch", 1, 2.5),
    ("stratified_share", 0, 1),
    ("smooth_share", 0, 1),
    ("scattered_share", 0, 1),
    ("squamous_share", 0, 1),
    ("vacuole_share", 0, 1),
    ("secretion_share", 0, 1),
    ("nucleus_od", 0.02, 1),
    ("cytoplasm_h_od", 0, 0.5),
    ("nucleus_fill", 0.1, 0.8),
    ("nucleus_brown", 0, 1.5),
    ("muscle_share", 0, 1),
    ("cleft_share", 0, 0.9),
    ("retraction_um", 0, 12),
    ("stroma_od", 0, 4),
    ("fibre_scale", 0.3, 4),
    ("fibre_contrast", 0.3, 4),
    ("edge_granules_od", 0, 2),
    ("mottle", 0, 2),
    ("wobble", 0, 3),
    ("patchiness", 0, 3),
    ("veil", 0, 4),
    ("askew_um", 0, 4),
    ("scatter", 0, 10),
    ("stroma_cells", 0.1, 6),
    ("stroma_bodies_od", 0, 0.5),
    ("nerves_per_mm2", 0, 200),
    ("walls_per_mm2", 0, 200),
    ("infiltrates_per_mm2", 0, 200),
    ("histiocytes_per_mm2", 0, 200),
    ("infiltrate_brown_od", 0, 1),
    ("activated_share", 0, 1),
    ("fibre_brown_od", 0, 1),
    ("branched_share", 0, 1),
    ("grazed_share", 0, 1),
    ("mesh_share", 0, 1),
    ("defocus_share", 0, 1),
    ("fray", 0, 1),
    ("gap_um", 0, 8),
    ("border_od", 0, 0.3),
    ("fringe_od", -0.3, 0.3),
    ("blotch_od", 0, 1),
    ("blotch_um", 0.6, 6),
    ("stroma_mottle", 0, 2),
    ("least_arc", 0.1, 0.5),
    ("arc_pieces", 1, 5),
    ("brown_inset_um", 0, 6),
    ("passed_share", 0, 0.8),
    ("granule_um", 0.2, 2),
    ("streak_od", 0, 2),
    ("foam_share", 0, 0.8),
    ("foam_um", 0.3, 3),
    ("dot_share", 0, 1),
    ("dot_od", 0, 2),
)
# Fields that came after the first recipes.
ADDED_TO_REGIONS = ("benign_mix", *(name for name, _, _ in _ADDED_RANGES))
