"""Controls of known score for each laboratory, and the calibrations that come of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from accuracy_recipes import (
    Design,
    Plan,
    null,
    one_plus_wide,
    region_of,
    three_plus,
    two_plus,
)

from her2path.cells.calibration import Calibration, generic_calibration
from her2path.criteria import Score
from her2path.errors import CalibrationError
from her2path.pipeline.calibrate import Control, calibrate_site
from her2path.pipeline.network import NetworkUse
from her2path.pipeline.settings import DEFAULT_CRITERIA, SlideJob, find_rule_set
from her2path.synth import Laboratory, SlideRecipe, TissueShape

# Half a square millimeter of glass each: some five hundred tumor cells.
SIDE_UM = 700.0
# Two blanks, for tissue differs in what looks like a line; of the others one each.
KINDS: tuple[tuple[Score, Callable[[np.random.Generator], Design]], ...] = (
    (Score.ZERO, null),
    (Score.ZERO, null),
    (Score.ONE_PLUS, one_plus_wide),
    (Score.TWO_PLUS, two_plus),
    (Score.THREE_PLUS, three_plus),
)


def plan_controls(laboratories: Sequence[Laboratory], *, seed: int) -> list[tuple[Plan, Score]]:
    """Plan the controls of each laboratory; no cell of them is on any other slide."""
    planned = []
    for number, laboratory in enumerate(laboratories):
        for k, (score, kind) in enumerate(KINDS):
            rng = np.random.default_rng([seed, 4241, number, k])
            design = kind(rng)
            name = f"control-{laboratory.name}-{k}"
            recipe = SlideRecipe(
                name=name,
                width_um=SIDE_UM,
                height_um=SIDE_UM,
                tissue=TissueShape("blob", 50.0),
                regions=(region_of(design, rng),),
            )
            plan = Plan(name, laboratory, recipe, design, int(rng.integers(2**40)))
            planned.append((plan, score))
    return planned


def calibrations_of(
    planned: Sequence[tuple[Plan, Score]],
    paths: dict[str, Path],
    *,
    n_jobs: int,
    network: NetworkUse | None,
) -> Iterator[tuple[str, Calibration, str]]:
    """Yield the calibration of each laboratory, and why it is the generic one ('' if it is not)."""
    rule_set, generic = find_rule_set(DEFAULT_CRITERIA), generic_calibration()
    for name in dict.fromkeys(plan.laboratory.name for plan, _ in planned):
        controls = [
            Control(
                SlideJob(
                    slide_id=plan.slide_id,
                    path=paths[plan.slide_id],
                    rule_set=rule_set,
                    calibration=generic,
                ),
                score,
            )
            for plan, score in planned
            if plan.laboratory.name == name
        ]
        try:
            found = calibrate_site(controls, name=name, network=network, n_workers=n_jobs)
        except CalibrationError as error:
            yield name, generic, str(error)
        else:
            yield name, found.calibration, ""
