"""Where models are found: a folder by its path, or one of a known place by its name.

Known places, in this order: the folders of `HER2PATH_MODELS`; `models/` of the checkout that the
package is imported from; the weights that were installed with the package, which are the same
folder under the name `her2path_models`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from her2path.errors import ModelError
from her2path.models.description import (
    DESCRIPTION_FILE,
    ModelDescription,
    read_description,
)

__all__ = [
    "MODELS_VARIABLE",
    "FoundModel",
    "find_model",
    "list_models",
    "model_places",
    "shipped_models",
]

MODELS_VARIABLE = "HER2PATH_MODELS"
INSTALLED_PACKAGE = "her2path_models"
# `--model none` asks for no model at all.
RESERVED = "none"

Origin = Literal["own", "shipped"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model that can be asked for by name, and where it lies."""

    name: str
    folder: Path
    origin: Origin

    def describe(self) -> ModelDescription:
        """Read what it says of itself.

        Raises
        ------
        ModelError
            If its description does not fit.
        """
        return read_description(self.folder)


def model_places() -> tuple[tuple[Path, Origin], ...]:
    """Return the folders that hold models, those of `HER2PATH_MODELS` first."""
    own = [Path(part) for part in os.environ.get(MODELS_VARIABLE, "").split(os.pathsep) if part]
    shipped = [*checkout_place(), *installed_place()]
    return (*((folder, "own") for folder in own), *((folder, "shipped") for folder in shipped))


def checkout_place() -> Iterator[Path]:
    """Yield `models/` of the checkout, if the package is imported from one."""
    root = Path(__file__).resolve().parents[2]
    # Beside an installed package could lie anybody's folder named models.
    if (root / "pyproject.toml").is_file() and (root / "models").is_dir():
        yield root / "models"


def installed_place() -> Iterator[Path]:
    """Yield where the package manager has put the weights."""
    spec = find_spec(INSTALLED_PACKAGE)
    if spec is not None:
        places = map(Path, spec.submodule_search_locations or ())
        # Of an editable installation a hook that is no folder is among them.
        yield from (place for place in places if place.is_dir())


def list_models() -> tuple[FoundModel, ...]:
    """Return the models that can be asked for by name; of one name the first place wins.

    A folder counts when it holds `model.json`; whether that fits is not looked at.
    """
    return models_of(model_places())


def shipped_models() -> tuple[FoundModel, ...]:
    """Return the models that came with the package, whatever own ones are called."""
    return models_of([place for place in model_places() if place[1] == "shipped"])


def models_of(places: Iterable[tuple[Path, Origin]]) -> tuple[FoundModel, ...]:
    """Return the models of some places, by name."""
    found: dict[str, FoundModel] = {}
    for place, origin in places:
        try:
            folders = sorted(place.iterdir())
        except OSError as error:
            logger.warning(
                "%s of %s cannot be read (%s)", place, MODELS_VARIABLE, error.strerror or error
            )
            continue
        for folder in folders:
            # Unlike a path, it calls what is somebody else's own no file, and goes on.
            if os.path.isfile(folder / DESCRIPTION_FILE) and not folder.name.startswith("."):
                found.setdefault(folder.name, FoundModel(folder.name, folder, origin))
    return tuple(found[name] for name in sorted(found))


def find_model(name_or_path: str) -> FoundModel:
    """Return the model of this name, or the one in this folder.

    What holds a separator is a path; what holds none is a name first, then a folder here.

    Raises
    ------
    ModelError
        If there is none; the message lists those that there are.
    """
    named = name_or_path.strip()
    models = list_models()
    if named and named != RESERVED:
        is_path = any(sign in named for sign in {"/", os.sep})
        for model in () if is_path else models:
            if model.name == named:
                return model
        folder = Path(os.path.abspath(os.path.expanduser(named)))
        if (folder / DESCRIPTION_FILE).is_file():
            return FoundModel(folder.name, folder, "own")
    known = ", ".join(model.name for model in models) or "none"
    raise ModelError(
        f"there is no model {name_or_path!r:.100}; known are: {known}. Give one of them, a "
        f"folder with {DESCRIPTION_FILE}, or set {MODELS_VARIABLE} to where your own models lie"
    )
