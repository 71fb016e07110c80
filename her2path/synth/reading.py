"""Recipes and laboratories from files."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path

from her2path.synth.laboratory import Laboratory, laboratory_from_table, load_laboratory
from her2path.synth.recipe import RecipeError, SlideRecipe, recipe_from_toml

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
    if not isinstance(name, str) or Path(name).name != name or name.startswith(".") or not name:
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
    try:
        table = tomllib.loads(read_text(Path(name), "the laboratory"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RecipeError(f"the laboratory {name} is no valid TOML: {error}") from error
    return laboratory_from_table(table, f"the laboratory {name}")


def example_recipe() -> str:
    """Return a recipe, as TOML text, that explains every field."""
    return (resources.files("her2path.synth") / "data" / "example.toml").read_text("utf-8")


def read_text(path: Path, what: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise RecipeError(f"{path} is larger than 1 MB: that is not {what}")
        return data.decode("utf-8")
    except OSError as error:
        reason = error.strerror or error
        raise RecipeError(f"{what} {path} cannot be read ({reason}); check the path") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is no text in UTF-8: that is not {what}") from error
