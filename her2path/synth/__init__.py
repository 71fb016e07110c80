"""Slides with known truth: every cell of a drawn slide is known by construction."""

from her2path.synth.fields import Field, draw_field
from her2path.synth.laboratory import Laboratory, laboratories, load_laboratory
from her2path.synth.recipe import (
    Artefacts,
    MixEntry,
    RecipeError,
    RegionRecipe,
    SlideRecipe,
    TissueShape,
    mix_of,
    recipe_from_toml,
)
from her2path.synth.truth import CellTruth, Truth

__all__ = [
    "Artefacts",
    "CellTruth",
    "Field",
    "Laboratory",
    "MixEntry",
    "RecipeError",
    "RegionRecipe",
    "SlideRecipe",
    "TissueShape",
    "Truth",
    "draw_field",
    "laboratories",
    "load_laboratory",
    "mix_of",
    "recipe_from_toml",
]
