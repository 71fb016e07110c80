"""What is to be drawn: a slide as a recipe of tissue, regions, score mix and artefacts."""

from __future__ import annotations

import inspect
import math
import re
import tomllib
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from her2path.errors import list_faults
from her2path.synth.regions import (
    ADDED_TO_REGIONS,
    MAX_ENDING_BYTES,
    MixEntry,
    RecipeError,
    RegionRecipe,
    check_name,
    check_ranges,
    common_denominator,
    mix_of,
)

__all__ = [
    "ADDED",
    "Artefacts",
    "MixEntry",
    "RecipeError",
    "RegionRecipe",
    "SlideRecipe",
    "TissueShape",
    "build_value",
    "check_name",
    "check_ranges",
    "common_denominator",
    "mix_of",
    "recipe_from_toml",
    "toml_table",
]

# 25 × 25 mm of glass is more than a slide carries; beyond it a size is a slip of units.
MAX_SIDE_UM = 80_000.0
# Control tissue stands on the rest of the width (`layout.control_disc`).
SHARE_BESIDE_CONTROL = 0.78
# Of one kind of what is scattered over a slide: a hundred times what tissue shows on a full one.
MAX_SCATTERED = 300_000
# Of whole numbers in TOML, beside the sign; and how deep a recipe goes, with room.
INTEGER_BITS = 63
MAX_DEPTH = 10
# As half of the world writes numbers, and TOML does not.
DECIMAL_COMMA = re.compile(r"=\s*\d+,\d")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TissueShape:
    """Outline of the tissue on the glass.

    Attributes
    ----------
    kind : str
        ``fill`` (tissue everywhere), ``blob`` (resection), ``core`` (tissue-microarray disc),
        ``biopsy`` (long cylinders) or ``none`` (blank glass).
    margin_um : float
        Glass between tissue and border of the slide, about: the frayed edge of the tissue reaches
        up to some 50 µm into it.
    scan_margin_um : float
        Glass further than this from tissue is not scanned: it has the colour of glass, without
        noise, dust or pen, and costs next to nothing. 0 = all is scanned.
    """

    kind: str = "fill"
    margin_um: float = 60.0
    scan_margin_um: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ("fill", "blob", "core", "biopsy", "none"):
            raise RecipeError(f"tissue kind {self.kind!r}: use fill, blob, core, biopsy or none")
        names = ("margin_um", "scan_margin_um")
        check_ranges(self, "[tissue] ", tuple((name, 0, 10_000) for name in names))


# Fields that came later: where they do nothing, tables of a recipe leave them out, so that the
# truth of an old slide stays as it was.
ADDED = (*ADDED_TO_REGIONS, "crushed_patches", "scan_margin_um")


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
        parts = [
            f"artefacts: {f.name} = {getattr(self, f.name)}"
            for f in fields(self)
            if f.type == "int" and not isinstance(getattr(self, f.name), int)
        ]
        if parts:
            raise RecipeError(
                f"{'; '.join(parts)}: these are counted, give whole numbers without a point"
            )


@dataclass(frozen=True, slots=True)
class SlideRecipe:
    """A slide, its regions and its faults; lengths in µm.

    Attributes
    ----------
    name : str
        Goes into the truth, and may have what slides of a series and of pairs add to it.
    width_um, height_um : float
        Size of what is drawn.
    tissue : TissueShape
        Outline of the tissue.
    regions : tuple of RegionRecipe
        At least one: the first is everywhere that no later one covers, each later one has a disc
        and lies over earlier ones.
    artefacts : Artefacts
        Faults of preparation and scanning.
    control : bool
        Whether a disc of 3+ control tissue stands beside the sample (never counted).
    """

    name: str = "field"
    width_um: float = 400.0
    height_um: float = 400.0
    tissue: TissueShape = TissueShape()
    regions: tuple[RegionRecipe, ...] = (RegionRecipe(),)
    artefacts: Artefacts = Artefacts()
    control: bool = False

    def __post_init__(self) -> None:
        check_name(self.name, "name", spare_bytes=MAX_ENDING_BYTES)
        if not isinstance(self.control, bool):
            raise RecipeError(f"control = {self.control!r}: give true or false")
        sides = ("width_um", "height_um")
        check_ranges(self, "in µm, ", tuple((name, 20, MAX_SIDE_UM) for name in sides))
        if self.control and self.tissue.kind == "fill":
            raise RecipeError(
                "control tissue needs glass beside the sample: use another tissue kind"
            )
        most = self.most_margin_um
        if self.tissue.margin_um >= most:
            raise RecipeError(
                f"a margin of {self.tissue.margin_um:g} µm leaves no tissue on a slide of "
                f"{self.width_um:g} × {self.height_um:g} µm: give less than {most:g} µm, or draw "
                "a larger slide"
            )
        if not 1 <= len(self.regions) <= 50:
            raise RecipeError(f"{len(self.regions)} regions: give 1 to 50")
        self._check_scattered()
        first, *later = self.regions
        if first.disc is not None:
            raise RecipeError(
                f"region {first.name!r} is the first and lies everywhere: give it no disc"
            )
        for region in later:
            if region.disc is None:
                raise RecipeError(f"region {region.name!r} is not the first: give it a disc")

    def _check_scattered(self) -> None:
        """Refuse what is scattered in such numbers that it takes hours and all memory to place."""
        area_mm2 = self.width_um * self.height_um / 1e6
        parts: list[tuple[str, Artefacts | RegionRecipe]] = [("artefacts", self.artefacts)]
        parts += [(f"region {region.name!r}", region) for region in self.regions]
        faults = [
            f"{where}: {f.name} = {getattr(part, f.name):g} makes "
            f"{getattr(part, f.name) * area_mm2:,.0f} on a slide of {area_mm2:,.0f} mm²"
            for where, part in parts
            for f in fields(part)
            if f.name.endswith("_per_mm2") and getattr(part, f.name) * area_mm2 > MAX_SCATTERED
        ]
        if faults:
            raise RecipeError(f"{'; '.join(faults)}: give fewer, at most {MAX_SCATTERED:,} each")

    @property
    def sample_width_um(self) -> float:
        """Width that the sample has; beside control tissue it does not have all."""
        return self.width_um * (SHARE_BESIDE_CONTROL if self.control else 1.0)

    @property
    def most_margin_um(self) -> float:
        """The margin from which on no tissue is left, infinite where there is none to keep."""
        if self.tissue.kind in ("fill", "none"):
            return math.inf
        # The ends of a biopsy keep up to twice the margin (`layout.tissue_depth`).
        n_margins = 4 if self.tissue.kind == "biopsy" else 2
        return min(self.sample_width_um / n_margins, self.height_um / 2)

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


def build_value(kind: type[T], table: dict[str, Any], where: str = "") -> T:
    """Make a value from a table; unknown keys and wrong types are named with `where`."""
    said = f"{where}: " if where else ""
    known = set(inspect.signature(kind).parameters)
    unknown = sorted(set(table) - known)
    if unknown:
        raise RecipeError(f"{said}unknown keys {unknown}: use some of {sorted(known)}")
    try:
        return kind(**table)
    except TypeError as error:
        raise RecipeError(f"{said}{error}") from error


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
    table = toml_table(text, "the recipe")
    faults: list[str] = []

    def read(kind: type[T], name: str, default: T) -> T:
        try:
            return build_value(kind, _table(table, name), f"[{name}]")
        except RecipeError as error:
            faults.append(str(error))
            return default

    # What stands in for a faulty part brings no faults of its own.
    table["tissue"] = read(TissueShape, "tissue", TissueShape("none"))
    table["artefacts"] = read(Artefacts, "artefacts", Artefacts())
    entries = table.get("regions", [{}])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        faults.append("regions: write each one as a table [[regions]]")
        entries = [{}]
    regions = []
    for position, entry in enumerate(entries):
        where = f"[[regions]] {position + 1}: "
        try:
            regions.append(_region(entry))
        except RecipeError as error:
            faults.append(f"{where}{error}")
            regions.append(RegionRecipe(disc=(0.5, 0.5, 0.1) if position else None))
    table["regions"] = tuple(regions)
    try:
        recipe = build_value(SlideRecipe, table, "the recipe")
    except RecipeError as error:
        faults.append(str(error))
    if faults:
        raise RecipeError(list_faults("the recipe cannot be drawn", faults))
    return recipe


def toml_table(text: str, what: str) -> dict[str, Any]:
    """Return TOML text as a table; `what` names it in the error.

    Raises
    ------
    RecipeError
        When it is no TOML, or holds what neither a recipe nor a laboratory does: whole numbers
        beyond 64 bits, which cannot even be named, or tables within tables without end.
    """
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        is_told = isinstance(error, tomllib.TOMLDecodeError | RecursionError)
        reason = error if is_told else "a number has too many digits"
        hint = "; write decimals with a point (0.5)" if DECIMAL_COMMA.search(text) else ""
        raise RecipeError(f"{what} is no valid TOML: {reason}{hint}") from error
    parts: list[tuple[object, int]] = [(table, 0)]
    while parts:
        part, depth = parts.pop()
        if depth > MAX_DEPTH:
            raise RecipeError(f"{what} has tables in tables, {depth} deep: it needs at most 3")
        if isinstance(part, int) and part.bit_length() > INTEGER_BITS:
            raise RecipeError(f"{what} is no valid TOML: a whole number has more than 64 bits")
        values = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
        parts.extend((value, depth + 1) for value in values)
    return table


def _region(table: dict[str, Any]) -> RegionRecipe:
    for name in ("mix", "dcis_mix", "benign_mix"):
        if name in table:
            shares = _numbers(_table(table, name), name)
            try:
                table[name] = mix_of(**shares)
            except RecipeError as error:
                raise RecipeError(f"{name}: {error}") from error
    if "disc" in table:
        if not isinstance(table["disc"], list):
            raise RecipeError(f"disc = {table['disc']!r}: give a list of 3 numbers")
        named = {str(k): value for k, value in enumerate(table["disc"])}
        table["disc"] = tuple(_numbers(named, "disc").values())
    return build_value(RegionRecipe, table)


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
