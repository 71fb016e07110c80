"""Recipes and laboratories from files."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

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
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise RecipeError(f"{path} is larger than 1 MB: that is not {what}")
        # Editors and shells of Windows begin a file with a byte order mark.
        return data.decode("utf-8-sig")
    except OSError as error:
        reason = error.strerror or error
        raise RecipeError(f"{what} {path} cannot be read ({reason}); check the path") from error
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"{path} is no text in UTF-8: that is not {what}, or is to be saved as UTF-8"
        ) from error
