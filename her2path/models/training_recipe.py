"""Recipes of training: all that a run depends on, as one value read from TOML."""

from __future__ import annotations

import json
import tomllib
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from her2path.bounded import read_bounded_text
from her2path.errors import ModelError, list_faults
from her2path.models.design import STRIDE_PX
from her2path.synth.laboratory import Laboratory, laboratories

__all__ = ["TrainingRecipe", "read_training_recipe", "shipped_recipes", "split_laboratories"]

MAX_BYTES = 1_000_000


class TrainingRecipe(BaseModel):
    """One training run.

    Attributes
    ----------
    name : str
        Goes into the checkpoint.
    backbone : str
        One of `design.BACKBONES`.
    n_fields, n_validation_fields : int
        Fields drawn for training, and for validation with other seeds.
    field_um : float
        Side of a field.
    field_seed : int
        Seed of the first field.
    crop_px, groups, crops_per_group : int
        Side of the crops (0.5 µm/px), fields in a batch, crops of each.
    annotated_share : float
        Share of the fields in a batch that come from annotated pictures, where some are given.
    echoes : int
        Times that a batch is learned from, turned by quarters of a circle: more than 1 where
        making batches takes longer than learning from them. A run that goes on after an
        interruption then repeats other batches than it would have.
    steps : int
        Steps of learning in all.
    max_minutes : float
        The learning rate comes down in time for this; 0 = no limit.
    learning_rate, weight_decay, warm_up : float
        Of AdamW; `warm_up` is the share of the run in which the rate rises.
    averaging : float
        Share of the averaged weights kept at each step.
    validate_every : int
        Steps between validations.
    patience : int
        Validations without a better one after which training ends; 0 = never.
    keep : {"best", "last"}
        Which weights are kept: those of the best validation, or those of the last one. At the end
        the rate has come down, and a few dozen fields tell two good networks apart by chance.
    goes_on : bool
        Whether it is made to go on with a network: its rate and its steps are no use to random
        weights.
    validation_laboratories : tuple of str
        Training laboratories that are kept from training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
    backbone: Literal["compact", "deep", "resnet18"] = "compact"
    n_fields: Annotated[int, Field(ge=1, le=100_000)] = 120
    n_validation_fields: Annotated[int, Field(ge=1, le=1000)] = 24
    field_um: Annotated[float, Field(ge=80, le=1000)] = 320.0
    field_seed: Annotated[int, Field(ge=0, le=2**40)] = 1000
    crop_px: Annotated[int, Field(ge=64, le=1024)] = 256
    groups: Annotated[int, Field(ge=1, le=1024)] = 8
    crops_per_group: Annotated[int, Field(ge=1, le=16)] = 2
    annotated_share: Annotated[float, Field(ge=0, le=1)] = 0.3
    echoes: Annotated[int, Field(ge=1, le=16)] = 1
    steps: Annotated[int, Field(ge=1, le=10_000_000)] = 6000
    max_minutes: Annotated[float, Field(ge=0)] = 0.0
    learning_rate: Annotated[float, Field(gt=0, le=0.1)] = 3e-3
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.02
    warm_up: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.995
    validate_every: Annotated[int, Field(ge=1)] = 250
    patience: Annotated[int, Field(ge=0)] = 0
    keep: Literal["best", "last"] = "best"
    goes_on: bool = False
    validation_laboratories: tuple[str, ...] = ("training-c", "training-g")

    @model_validator(mode="after")
    def check_parts(self) -> TrainingRecipe:
        """Refuse crops that do not fit."""
        if self.crop_px % STRIDE_PX:
            raise ValueError(f"crop_px = {self.crop_px}: give a multiple of {STRIDE_PX}")
        if self.crop_px * 0.62 > self.field_um:
            raise ValueError(
                f"a crop of {self.crop_px} px does not fit a field of {self.field_um:g} µm; "
                "make field_um larger"
            )
        return self

    def to_toml(self) -> str:
        """Return the recipe as a TOML file that `read_training_recipe` reads."""
        # JSON writes texts, numbers and lists as TOML does.
        values = self.model_dump(mode="json")
        return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


def shipped_recipes() -> tuple[str, ...]:
    """Return the names of the recipes that come with her2path."""
    folder = resources.files("her2path.models") / "recipes"
    return tuple(sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".toml")))


def read_training_recipe(name: str | Path) -> TrainingRecipe:
    """Read a recipe by its name, or from a TOML file.

    Raises
    ------
    ModelError
        When it is unknown or has faults; all are listed.
    """
    if str(name) in shipped_recipes():
        text = (resources.files("her2path.models") / "recipes" / f"{name}.toml").read_text("utf-8")
    else:
        try:
            text = read_bounded_text(Path(name), MAX_BYTES)
        except OSError as error:
            raise ModelError(
                f"the recipe {name} cannot be read ({error.strerror or error}); give a TOML file "
                f"or one of {', '.join(shipped_recipes())}"
            ) from error
    try:
        return TrainingRecipe.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ModelError(f"the recipe {name} is no valid TOML: {error}") from error
    except ValidationError as error:
        faults = [
            unknown_key(str(f["loc"][0]))
            if f["type"] == "extra_forbidden"
            else f"{'.'.join(map(str, f['loc'])) or 'recipe'}: {f['msg']}"
            for f in error.errors()
        ]
        raise ModelError(list_faults(f"the recipe {name} cannot be used", faults)) from error


def unknown_key(name: str) -> str:
    """Say that a recipe knows no such key, and which is meant or which there are."""
    known = list(TrainingRecipe.model_fields)
    near = get_close_matches(name, known, 1)
    if near:
        return f"{name}: no such key; did you mean {near[0]}?"
    return f"{name}: no such key; known are {', '.join(known)}"


def split_laboratories(
    recipe: TrainingRecipe,
) -> tuple[tuple[Laboratory, ...], tuple[Laboratory, ...]]:
    """Return the laboratories for training and for validation; none is in both."""
    known = laboratories("training")
    names = [lab.name for lab in known]
    unknown = sorted(set(recipe.validation_laboratories) - set(names))
    if unknown or not recipe.validation_laboratories:
        raise ModelError(
            f"validation_laboratories {list(recipe.validation_laboratories)}: use some of {names}"
        )
    kept = tuple(lab for lab in known if lab.name in recipe.validation_laboratories)
    used = tuple(lab for lab in known if lab.name not in recipe.validation_laboratories)
    if not used:
        raise ModelError("every laboratory is kept for validation: leave some for training")
    return used, kept
