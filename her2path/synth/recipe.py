"""What is to be drawn: a slide as a recipe of tissue, regions, score mix and artefacts."""

from __future__ import annotations

import inspect
import math
import tomllib
from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import Any, TypeVar

from her2path.criteria.score import Intensity, Pattern
from her2path.errors import Her2pathError, list_faults

__all__ = [
    "ADDED",
    "Artefacts",
    "MixEntry",
    "RecipeError",
    "RegionRecipe",
    "SlideRecipe",
    "TissueShape",
    "build_value",
    "check_ranges",
    "common_denominator",
    "mix_of",
    "recipe_from_toml",
]

# 25 × 25 mm of glass is more than a slide carries; beyond it a size is a slip of units.
MAX_SIDE_UM = 80_000.0
T = TypeVar("T")


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
class TissueShape:
    """Outline of the tissue on the glass.

    Attributes
    ----------
    kind : str
        ``fill`` (tissue everywhere), ``blob`` (resection), ``core`` (tissue-microarray disc),
        ``biopsy`` (long cylinders) or ``none`` (blank glass).
    margin_um : float
        Least glass between tissue and border of the slide.
    """

    kind: str = "fill"
    margin_um: float = 60.0

    def __post_init__(self) -> None:
        if self.kind not in ("fill", "blob", "core", "biopsy", "none"):
            raise RecipeError(f"tissue kind {self.kind!r}: use fill, blob, core, biopsy or none")
        check_ranges(self, "[tissue] ", (("margin_um", 0, 10_000),))


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
        0 = classes scattered cell by cell, 1 = classes go by nest.
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
    stroma_cells : float
        Factor on the number of spindle cells in the stroma.
    stroma_bodies_od : float
        Hematoxylin OD of the cytoplasm of plasma cells and other plump cells of the stroma.
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
    stroma_cells: float = 1.0
    stroma_bodies_od: float = 0.0

    def __post_init__(self) -> None:
        for mix in (self.mix, self.dcis_mix, self.benign_mix):
            total = math.fsum(entry.share for entry in mix) if mix is not None else 1.0
            if abs(total - 1) > 1e-9:
                raise RecipeError(
                    f"region {self.name!r}: shares sum to {total}: make them sum to 1"
                )
        if self.disc is not None and (
            len(self.disc) != 3 or not all(-10 <= value <= 10 for value in self.disc)
        ):
            raise RecipeError(
                f"region {self.name!r}: disc = {self.disc}: give x, y and radius as shares"
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
    ("stroma_cells", 0.1, 6),
    ("stroma_bodies_od", 0, 0.5),
)
# Fields that came later: where they do nothing, tables of a recipe leave them out, so that the
# truth of an old slide stays as it was.
ADDED = ("benign_mix", *(name for name, _, _ in _ADDED_RANGES), "crushed_patches")


@dataclass(frozen=True, slots=True)
class Artefacts:
    """How much of each fault of preparation and scanning the slide carries (counts or shares)."""

    folds: int = 0
    pen_marks: int = 0
    bubbles: int = 0
    dust: int = 0
    blurred_patches: int = 0
    pigment_per_mm2: float = 0.0
    debris_per_mm2: float = 0.0
    vessels_per_mm2: float = 6.0
    edge_stain_od: float = 0.0
    tears: int = 0
    crushed_patches: int = 0

    def __post_init__(self) -> None:
        check_ranges(self, "artefacts: ", tuple((f.name, 0, 10_000) for f in fields(self)))


@dataclass(frozen=True, slots=True)
class SlideRecipe:
    """A slide, its regions and its faults; lengths in µm.

    Attributes
    ----------
    name : str
        Goes into the truth.
    width_um, height_um : float
        Size of what is drawn.
    tissue : TissueShape
        Outline of the tissue.
    regions : tuple of RegionRecipe
        At least one; a later region lies over an earlier one.
    artefacts : Artefacts
        Faults of preparation and scanning.
    control : bool
        Whether a strip of 3+ control tissue stands beside the sample (never counted).
    """

    name: str = "field"
    width_um: float = 400.0
    height_um: float = 400.0
    tissue: TissueShape = TissueShape()
    regions: tuple[RegionRecipe, ...] = (RegionRecipe(),)
    artefacts: Artefacts = Artefacts()
    control: bool = False

    def __post_init__(self) -> None:
        sides = ("width_um", "height_um")
        check_ranges(self, "in µm, ", tuple((name, 20, MAX_SIDE_UM) for name in sides))
        if self.control and self.tissue.kind == "fill":
            raise RecipeError(
                "control tissue needs glass beside the sample: use another tissue kind"
            )
        if not 1 <= len(self.regions) <= 50:
            raise RecipeError(f"{len(self.regions)} regions: give 1 to 50")

    @property
    def all_regions(self) -> tuple[RegionRecipe, ...]:
        """The regions, with that of the control tissue last where there is one."""
        return (*self.regions, _CONTROL) if self.control else self.regions


# A cell line or tumor of known score, as it stands on many slides.
_CONTROL = RegionRecipe(
    name="control",
    mix=mix_of(intense_complete=0.9, moderate_complete=0.1),
    tumor_share=1.0,
    nest_um=220.0,
    gland_share=0.0,
    cribriform_share=0.0,
    cord_share=0.0,
    benign_share=0.0,
    dcis_share=0.0,
    fat_share=0.0,
)


def build_value(kind: type[T], table: dict[str, Any], where: str) -> T:
    """Make a value from a table; unknown keys and wrong types are named with `where`."""
    known = set(inspect.signature(kind).parameters)
    unknown = sorted(set(table) - known)
    if unknown:
        raise RecipeError(f"{where}: unknown keys {unknown}: use some of {sorted(known)}")
    try:
        return kind(**table)
    except TypeError as error:
        raise RecipeError(f"{where}: {error}") from error


def recipe_from_toml(text: str) -> SlideRecipe:
    """Read a slide recipe from TOML text.

    The mix of a region is a table of words, for example
    ``mix = {none = 0.8, faint_incomplete = 0.2}``.

    Raises
    ------
    RecipeError
        When the text is no TOML, a key is unknown, or a value is out of range; all faults are
        listed.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"the recipe is no valid TOML: {error}") from error
    faults: list[str] = []

    def read(kind: type[T], name: str, default: T) -> T:
        try:
            return build_value(kind, _table(table, name), f"[{name}]")
        except RecipeError as error:
            faults.append(str(error))
            return default

    table["tissue"] = read(TissueShape, "tissue", TissueShape("blob"))
    table["artefacts"] = read(Artefacts, "artefacts", Artefacts())
    entries = table.get("regions", [{}])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        faults.append("regions: write each one as a table [[regions]]")
        entries = [{}]
    regions = []
    for position, entry in enumerate(entries):
        try:
            regions.append(_region(entry, f"[[regions]] {position + 1}"))
        except RecipeError as error:
            faults.append(str(error))
            regions.append(RegionRecipe())
    table["regions"] = tuple(regions)
    try:
        recipe = build_value(SlideRecipe, table, "the recipe")
    except RecipeError as error:
        faults.append(str(error))
    if faults:
        raise RecipeError(list_faults("the recipe cannot be drawn", faults))
    return recipe


def _region(table: dict[str, Any], where: str) -> RegionRecipe:
    for name in ("mix", "dcis_mix", "benign_mix"):
        if name in table:
            table[name] = mix_of(**_numbers(_table(table, name), f"{where}: {name}"))
    if "disc" in table:
        if not isinstance(table["disc"], list):
            raise RecipeError(f"{where}: disc = {table['disc']!r}: give a list of 3 numbers")
        named = {str(k): value for k, value in enumerate(table["disc"])}
        table["disc"] = tuple(_numbers(named, f"{where}: disc").values())
    return build_value(RegionRecipe, table, where)


def _table(table: dict[str, Any], name: str) -> dict[str, Any]:
    part = table.get(name, {})
    if not isinstance(part, dict):
        raise RecipeError(f"{name} = {part!r}: write it as a table")
    return part


def _numbers(table: dict[str, Any], where: str) -> dict[str, float]:
    for name, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RecipeError(f"{where}: {name} = {value!r} is no number")
    return {name: float(value) for name, value in table.items()}
