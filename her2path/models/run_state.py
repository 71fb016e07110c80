"""What a run needs to go on where it was: weights, averages, the optimizer's moments, counters."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from her2path.errors import ModelError
from her2path.results.atomic import write_bytes

if TYPE_CHECKING:
    from her2path.models.training import Run

__all__ = ["Counters", "load_state", "save_state"]

STATE_FILE = "state.safetensors"
MOMENTS = ("exp_avg", "exp_avg_sq", "step")
# What of a recipe may differ between a run and its continuation.
TIME = {"max_minutes": 0.0}


@dataclass(frozen=True, slots=True)
class Counters:
    """How far a run is."""

    step: int
    minutes: float
    best: float
    n_worse: int
    figures: dict[str, float]


COUNTERS = TypeAdapter(Counters)


def parameters_of(run: Run) -> list[torch.nn.Parameter]:
    return [p for group in run.optimizer.param_groups for p in group["params"]]


def save_state(folder: Path, run: Run) -> None:
    """Write the state of a run, whole or not at all; counters lie in the same file."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    for prefix, module in (("network", run.network), ("averaged", run.averaged)):
        tensors |= {f"{prefix}.{name}": part for name, part in module.state_dict().items()}
    for k, parameter in enumerate(parameters_of(run)):
        moments = run.optimizer.state[parameter]
        tensors |= {f"optimizer.{k}.{name}": moments[name] for name in MOMENTS}
    counters = {
        "step": run.step,
        "minutes": run.minutes,
        "best": run.best,
        "n_worse": run.n_worse,
        "figures": run.figures,
    }
    stamp = {
        "counters": json.dumps(counters),
        "recipe": run.recipe.model_dump_json(),
        "identity": json.dumps(run.identity),
    }
    packed = save(
        {name: part.detach().cpu().contiguous().clone() for name, part in tensors.items()}, stamp
    )
    write_bytes(folder / STATE_FILE, packed)


def restore_parts(run: Run, tensors: Mapping[str, Tensor]) -> None:
    """Put weights, averages and moments of the optimizer into a run."""
    for prefix, module in (("network", run.network), ("averaged", run.averaged)):
        part = {k.removeprefix(f"{prefix}."): v for k, v in tensors.items() if k.startswith(prefix)}
        module.load_state_dict(part)
    for k, parameter in enumerate(parameters_of(run)):
        moments = {name: tensors[f"optimizer.{k}.{name}"] for name in MOMENTS}
        for name, moment in moments.items():
            if moment.shape != (() if name == "step" else parameter.shape):
                raise RuntimeError(f"optimizer.{k}.{name} has shape {tuple(moment.shape)}")
        run.optimizer.state[parameter] = {
            name: moment.to(parameter.device if name != "step" else "cpu")
            for name, moment in moments.items()
        }


def load_state(folder: Path, run: Run) -> Counters:
    """Put a stored state into a run.

    Raises
    ------
    ModelError
        When there is none, it is damaged, or it is of another recipe, seed, split of pictures or
        network to start from.
    """
    path = folder / STATE_FILE
    try:
        data = path.read_bytes()
        tensors = load(data)
        size = int.from_bytes(data[:8], "little")
        stamp = json.loads(data[8 : 8 + size])["__metadata__"]
        counters = COUNTERS.validate_json(stamp["counters"])
        recipe = json.loads(stamp["recipe"]) | TIME
        # Runs of before the key was written may go on.
        identity = dict(json.loads(stamp.get("identity", "{}")))
    except FileNotFoundError as error:
        raise ModelError(
            f"{path} is not there, and nothing can go on: start a new run, in another folder where "
            "this one holds a model or curves"
        ) from error
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read ({error}): start a new run") from error
    # More time may be given to a run; all else makes it another.
    if recipe != json.loads(run.recipe.model_dump_json()) | TIME:
        raise ModelError(f"{path} is of another recipe: go on with that one, or start a new run")
    # With another split, what was learned from would be validated on.
    other = [name for name, value in identity.items() if value != run.identity.get(name)]
    if other:
        raise ModelError(
            f"{path} is of another {' and '.join(other)}: give the same, or start a new run"
        )
    try:
        restore_parts(run, tensors)
    except (KeyError, RuntimeError) as error:
        raise ModelError(f"{path} lacks parts of the run ({error}): start a new run") from error
    if counters.step < 0 or not math.isfinite(counters.minutes):
        raise ModelError(f"{path} holds no sensible counters: start a new run")
    return counters
