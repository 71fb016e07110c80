"""Train a network: fields, batches, averaged weights, validation, and a run that can go on."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from her2path.errors import ModelError
from her2path.models.annotated import read_annotated
from her2path.models.annotated_validation import measure_annotated, warn_of_seen
from her2path.models.augment import Crop
from her2path.models.batches import Batches, BatchPlan, light_of, targets_of
from her2path.models.checkpoint import load_checkpoint
from her2path.models.curves import add_to_curves
from her2path.models.description import WEIGHTS_FILE, ModelDescription
from her2path.models.design import NetworkDesign
from her2path.models.distributed import Team
from her2path.models.echoing import echoed
from her2path.models.export_onnx import export_onnx
from her2path.models.losses import LossWeights, losses_of
from her2path.models.network import Her2Network, grown, parameter_groups
from her2path.models.run_state import load_state, save_state
from her2path.models.scenes import TrainingField, draw_training_fields, load_training_fields
from her2path.models.shipped import find_model
from her2path.models.sources.sample import Sample
from her2path.models.sources.split import split_digest
from her2path.models.torch_reading import network_of
from her2path.models.training_outputs import save_model, write_samples
from her2path.models.training_recipe import TrainingRecipe, split_laboratories
from her2path.models.validation import measure_readings, read_crops, validation_crops
from her2path.results.atomic import remove_leftovers, write_text
from her2path.results.lock import only_run_in

__all__ = ["Progress", "Run", "TrainingOptions", "TrainingResult", "train"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """Where and how a run goes; none of it changes what is learned but rounding.

    Attributes
    ----------
    out : Path
        Folder of the run: ``model`` (the checkpoint), ``state``, ``fields``, ``samples``,
        ``curves.csv``.
    fields : Path or None
        Folder of drawn fields to share between runs; None = in `out`.
    sources : tuple of str
        Annotated pictures beside the drawn ones: manifests, or ``KIND:FOLDER``.
    sources_mpp : float or None
        µm/px of those that hold none.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    threads, workers : int
        Threads of the processor, and processes that draw fields and make batches (0 = none beside
        this one).
    resume : bool
        Go on with the run in `out`.
    write_onnx : bool
        Whether the checkpoint gets an ONNX form at the end, where the package onnx is there.
    start_from : str
        Name or folder of a network whose weights the run begins with; empty = random ones.
    """

    out: Path
    fields: Path | None = None
    sources: tuple[str, ...] = ()
    sources_mpp: float | None = None
    device: str = "auto"
    threads: int = 1
    workers: int = 0
    resume: bool = False
    write_onnx: bool = True
    start_from: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: `stage` is ``reading``, ``drawing`` or ``training``.

    `figures` come with validations; `words` say what was read.
    """

    stage: str
    done: int
    of: int
    loss: float = math.nan
    figures: dict[str, float] | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A finished run: its checkpoint, the steps taken, and the figures of that checkpoint."""

    model: Path
    n_steps: int
    minutes: float
    figures: dict[str, float]


def merit(figures: dict[str, float]) -> float:
    """Return the one number by which checkpoints are compared: the mean of the four readings."""
    # Kappa of a few dozen fields jumps when one of them does; nearness does not.
    names = ("nucleus_f1", "tumor_accuracy", "membrane_f1", "score_nearness")
    return sum(figures[name] for name in names) / len(names)


def train(
    recipe: TrainingRecipe,
    options: TrainingOptions,
    *,
    seed: int = 0,
    progress: Callable[[Progress], None] = lambda _: None,
) -> TrainingResult:
    """Train a network and write its checkpoint.

    Parameters
    ----------
    recipe : TrainingRecipe
        What is trained.
    options : TrainingOptions
        Where and how.
    seed : int
        Seed of weights and batches; the fields have their own in the recipe.
    progress : callable
        Told of each step.

    Raises
    ------
    ModelError
        When the folder holds another run, there is none to go on with, or the loss is lost.
    """
    # A process that is forked beside running threads can wait for them for ever: there is one
    # thread until those that make batches have begun.
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    team = Team.of_environment(options.device)
    try:
        run = Run(recipe, options, team, seed, progress)
        with run.held:
            return run.go()
    finally:
        team.leave()


class Run:
    """One run of training, from the first step or from where it was interrupted."""

    def __init__(
        self,
        recipe: TrainingRecipe,
        options: TrainingOptions,
        team: Team,
        seed: int,
        progress: Callable[[Progress], None],
    ) -> None:
        self.recipe = recipe
        self.options = options
        self.team = team
        self.seed = seed
        self.progress = progress
        # What a run that goes on must share with the one before, beside its recipe.
        self.identity = {"seed": str(seed), "split of pictures": "", "network to start from": ""}
        self.start: ModelDescription | None = None
        torch.manual_seed(seed)
        self.network = self.first_network().to(team.device)
        self.network = self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.network, recipe.weight_decay), lr=recipe.learning_rate
        )
        self.step = 0
        self.minutes = 0.0
        self.best = -math.inf
        self.n_worse = 0
        self.figures: dict[str, float] = {}
        # What goes with the run: the folder, which no other may use.
        self.held = ExitStack()
        self.samples: tuple[Sample, ...] = ()
        self.kept_samples: tuple[Sample, ...] = ()

    def first_network(self) -> Her2Network:
        """Return the network as it is before the first step."""
        design = NetworkDesign(backbone=self.recipe.backbone)
        if self.recipe.goes_on and not self.options.start_from:
            raise ModelError(
                f"the recipe {self.recipe.name} goes on with a network: name it by --start-from, "
                "for example her2-broad"
            )
        if not self.options.start_from:
            return Her2Network(design)
        found = find_model(self.options.start_from)
        checkpoint = load_checkpoint(found.folder)
        self.start = checkpoint.description
        self.identity["network to start from"] = self.start.files[WEIGHTS_FILE].sha256
        learned = sorted(
            set(self.start.data.laboratories) & set(self.recipe.validation_laboratories)
        )
        if learned:
            raise ModelError(
                f"{found.name} has learned from {', '.join(learned)}, which the recipe keeps for "
                "validation: name others in validation_laboratories, or start from another network"
            )
        network = network_of(checkpoint)
        try:
            return grown(network, design)
        except ValueError as error:
            raise ModelError(
                f"{found.name} is {network.design}, the recipe asks for {design}: start from a "
                "network of the same design, or a deep one from a compact one"
            ) from error

    def go(self) -> TrainingResult:
        """Train until the last step, or until one of the other ends."""
        recipe, options, team = self.recipe, self.options, self.team
        if team.is_first:
            self.prepare_folder()
        team.wait()
        # What a person has named may be wrong: it is read before anything is drawn.
        self.samples, self.kept_samples = read_annotated(
            options.sources, mpp=options.sources_mpp, seed=self.seed, say=self.say
        )
        warn_of_seen(self.start, self.kept_samples)
        self.identity["split of pictures"] = split_digest((*self.samples, *self.kept_samples))
        if options.resume:
            self.restore()
            self.say(
                f"the run is over after {self.step} steps: nothing is left to learn"
                if self.is_over
                else f"goes on after step {self.step} of {recipe.steps}"
            )
        if team.is_first:
            write_text(options.out / "recipe.json", recipe.model_dump_json(indent=1))
        if not self.is_over:
            self.learn()
        if team.is_first and options.write_onnx:
            self.write_onnx()
        return TrainingResult(options.out / "model", self.step, self.minutes, self.figures)

    def learn(self) -> None:
        """Draw the fields, and take steps until the run is over."""
        recipe, options, team = self.recipe, self.options, self.team
        used, kept = split_laboratories(recipe)
        fields, kept_fields = self.draw()
        crops = validation_crops(kept_fields, kept, seed=self.seed)
        plan = BatchPlan(
            recipe.groups, recipe.crops_per_group, recipe.crop_px, recipe.annotated_share
        )
        batches = Batches(
            fields,
            used,
            plan,
            seed=self.seed * 1009 + team.rank,
            n_steps=-(-recipe.steps // recipe.echoes),
            samples=self.samples,
        )
        loader = DataLoader(
            Subset(batches, range(self.step // recipe.echoes, len(batches))),
            batch_size=None,
            num_workers=options.workers,
            worker_init_fn=Batches.keep_to_one_thread,
            pin_memory=team.device.type == "cuda",
        )
        made = iter(loader)
        torch.set_num_threads(options.threads)
        last, loss_sum, n_summed = time.monotonic(), 0.0, 0
        moved = ({name: part.to(team.device) for name, part in b.items()} for b in made)
        echo_rng = np.random.default_rng([self.seed, team.rank, self.step, 7])
        for batch in echoed(moved, recipe.echoes, echo_rng):
            loss = self.take_step(batch)
            self.step += 1
            now = time.monotonic()
            self.minutes += team.greatest((now - last) / 60)
            last = now
            loss_sum, n_summed = loss_sum + loss, n_summed + 1
            if self.step % recipe.validate_every == 0 or self.share >= 1:
                team.average(list(self.averaged.buffers()))
                if team.is_first:
                    self.validate(crops, loss_sum / n_summed)
                self.n_worse = int(team.of_first(float(self.n_worse)))
                loss_sum, n_summed = 0.0, 0
            self.progress(Progress("training", self.step, recipe.steps, loss))
            if self.is_over:
                break
        if self.step < recipe.steps:
            no_better = f"validation became no better (patience = {recipe.patience})"
            why = "its time is over" if self.share >= 1 else no_better
            self.say(f"ends after step {self.step} of {recipe.steps}: {why}")

    @property
    def is_over(self) -> bool:
        """Whether steps, time or patience have run out."""
        return self.share >= 1 or 0 < self.recipe.patience <= self.n_worse

    def say(self, words: str) -> None:
        """Tell what was read, once where several processes train."""
        if self.team.is_first:
            self.progress(Progress("reading", 1, 1, words=words))

    def write_onnx(self) -> None:
        """Add the ONNX form to the checkpoint that was kept."""
        folder = self.options.out / "model"
        try:
            export_onnx(folder, network_of(load_checkpoint(folder)))
        except ModelError as error:
            logger.warning("%s", error)

    def prepare_folder(self) -> None:
        """Make the folder; refuse one that holds another run."""
        out = self.options.out
        if out.exists() and not out.is_dir():
            raise ModelError(f"{out} is a file: name a folder for the run")
        # A finished run may have lost its state, which takes the most room.
        held = [name for name in ("state", "model", "curves.csv") if (out / name).exists()]
        if held and not self.options.resume:
            raise ModelError(
                f"{out} holds a run ({', '.join(held)}): go on with --resume, or choose another "
                "folder"
            )
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ModelError(
                f"{out} cannot be made ({error.strerror or error}): choose another folder for the "
                "run"
            ) from error
        self.held.enter_context(only_run_in(out))
        for folder in (out, out / "state", out / "samples", out / "fields"):
            remove_leftovers(folder)

    def draw(self) -> tuple[list[TrainingField], list[TrainingField]]:
        """Draw what is missing of the fields and load them."""
        recipe, first = self.recipe, self.recipe.field_seed
        folder = self.options.fields or self.options.out / "fields"
        # Validation fields come first: a longer recipe keeps them.
        seeds = range(first, first + recipe.n_validation_fields + recipe.n_fields)
        if self.team.is_first:
            draw_training_fields(
                folder,
                seeds,
                recipe.field_um,
                workers=self.options.workers,
                progress=lambda done, of: self.progress(Progress("drawing", done, of)),
            )
        self.team.wait()
        fields = load_training_fields(folder, seeds)
        n = recipe.n_validation_fields
        return fields[n:], fields[:n]

    @property
    def share(self) -> float:
        """How much of the run is done, by steps or by time."""
        limit = self.recipe.max_minutes
        return max(self.step / self.recipe.steps, self.minutes / limit if limit else 0.0)

    def rate(self) -> float:
        """Return the learning rate: a short rise, then half a cosine to nothing."""
        done, warm = self.share, self.recipe.warm_up
        if done < warm:
            return self.recipe.learning_rate * (0.05 + 0.95 * done / warm)
        return self.recipe.learning_rate * max(
            0.002, 0.5 + 0.5 * math.cos(math.pi * (done - warm) / (1 - warm))
        )

    def take_step(self, batch: dict[str, Tensor]) -> float:
        """Learn from one batch and return its loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        self.network.train()
        with self.team.mixed_precision():
            outputs = self.network(light_of(batch))
        terms = losses_of(self.network, outputs, targets_of(batch))
        weights = LossWeights()
        loss = torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ModelError(
                f"the loss became {value} at step {self.step}: train with a lower learning_rate"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.team.average([p.grad for p in self.network.parameters() if p.grad is not None])
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self.optimizer.step()
        self.average_weights()
        return value

    @torch.no_grad()
    def average_weights(self) -> None:
        """Move the averaged weights a little towards the new ones."""
        # Early on the average is short, else it would remember the random start.
        keep = min(self.recipe.averaging, (1 + self.step) / (10 + self.step))
        for mean, new in zip(
            self.averaged.state_dict().values(), self.network.state_dict().values(), strict=True
        ):
            if mean.dtype.is_floating_point:
                mean.lerp_(new, 1 - keep)
            else:
                mean.copy_(new)

    def validate(self, crops: list[tuple[Crop, float]], mean_loss: float) -> None:
        """Measure, write curves, samples and state, and the checkpoint where it is to be kept."""
        out = self.options.out
        readings = read_crops(self.averaged, crops, self.team.device)
        figures = measure_readings(readings) | measure_annotated(
            self.averaged, self.kept_samples, self.recipe.crop_px, self.team.device
        )
        row = {"minutes": self.minutes, "learning_rate": self.rate(), "loss": mean_loss}
        add_to_curves(out, self.step, row | figures | {"merit": merit(figures)})
        is_better = merit(figures) > self.best
        self.best = max(self.best, merit(figures))
        self.n_worse = 0 if is_better else self.n_worse + 1
        if is_better or self.recipe.keep == "last":
            self.figures = figures
            write_samples(out / "samples", readings)
            save_model(
                out / "model",
                self.averaged,
                self.recipe,
                figures,
                seed=self.seed,
                laboratories=tuple(lab.name for lab in split_laboratories(self.recipe)[0]),
                sources=self.options.sources,
                samples=self.samples,
                start=self.start,
            )
        save_state(out / "state", self)
        self.progress(Progress("training", self.step, self.recipe.steps, mean_loss, figures))

    def restore(self) -> None:
        """Go on from the last state."""
        stored = load_state(self.options.out / "state", self)
        self.step, self.minutes = stored.step, stored.minutes
        self.best, self.n_worse, self.figures = stored.best, stored.n_worse, stored.figures
