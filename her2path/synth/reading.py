"""Recipes and laboratories from files."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from her2path.bounded import read_bounded_text
from her2path.synth.laboratory import Laboratory, laboratory_from_table, load_laboratory
from her2path.synth.recipe import (
    RecipeError,
    SlideRecipe,
    check_name,
    recipe_from_toml,
    toml_table,
)

__all__ = ["example_recipe", "read_laboratory", "read_recipe"]

# A recipe or laboratory is a few kB of text.
MAX_BYTES = 1_000_000


def read_recipe(path: str | Path) -> SlideRecipe:
    """Read the recipe of a slide from a TOML file.

    Raises
    ------
    RecipeError
        When it cannot be read or drawn, or its name cannot name files.
    """
    recipe = recipe_from_toml(read_text(Path(path), "the recipe"))
    name = recipe.name
    check_name(name, "name")
    if Path(name).name != name or name.startswith("."):
        raise RecipeError(f"name = {name!r}: give a plain name, it names the files")
    return recipe


def read_laboratory(name: str) -> Laboratory:
    """Return the laboratory of the package with this name, or the one in a TOML file.

    Raises
    ------
    RecipeError
        When there is none, or the file has faults.
    """
    if not name.lower().endswith(".toml"):
        return load_laboratory(name)
    what = f"the laboratory {name}"
    return laboratory_from_table(toml_table(read_text(Path(name), "the laboratory"), what), what)


def example_recipe() -> str:
    """Return a recipe, as TOML text, that explains every field."""
    return (resources.files("her2path.synth") / "data" / "example.toml").read_text("utf-8")


def read_text(path: Path, what: str) -> str:
    try:
        return read_bounded_text(path, MAX_BYTES)
    except OSError as error:
        raise RecipeError(
            f"{what} {path} cannot be read ({error.strerror or error}); give a TOML file, saved as "
            "UTF-8"
        ) from error
