"""What a run leaves behind: the checkpoint and pictures of what the network sees."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from her2path.cells.network_maps import nucleus_peaks
from her2path.criteria.score import EXPRESSION_SCORES
from her2path.models.annotated import n_patients
from her2path.models.checkpoint import save_checkpoint
from her2path.models.description import (
    Architecture,
    CodeVersion,
    ModelDescription,
    Normalisation,
    TrainingData,
)
from her2path.models.design import N_DENSE, PLANES, SCALE, SHIFT
from her2path.models.network import Her2Network
from her2path.models.scenes import NETWORK_MPP
from her2path.models.sources.sample import Sample
from her2path.models.training_recipe import TrainingRecipe
from her2path.models.validation import FieldReading
from her2path.results.atomic import write_bytes
from her2path.results.run_record import software_commit, software_version

__all__ = ["MAX_SUMMARY", "MPP_RANGE", "save_model", "write_samples"]

# µm/px of slides that the network takes: coarser ones lack what it looks for.
MPP_RANGE = (0.1, 0.7)
N_SAMPLES = 8
ONLY_DRAWN = "no picture of a patient."
MAX_SUMMARY = 4000


def save_model(
    folder: Path,
    network: Her2Network,
    recipe: TrainingRecipe,
    figures: dict[str, float],
    *,
    seed: int,
    laboratories: tuple[str, ...],
    sources: tuple[str, ...] = (),
    samples: Sequence[Sample] = (),
    start: ModelDescription | None = None,
) -> None:
    """Write the checkpoint of a network with its description.

    Parameters
    ----------
    samples : sequence of Sample
        Annotated pictures that trained it.
    start : ModelDescription, optional
        Of the network whose weights it began with.
    """
    drawn = "Synthetic fields of the generator of her2path, coloured at random; "
    earlier = () if start is None else (start.data,)
    n_annotated = len(samples) + sum(data.n_annotated for data in earlier)
    taught = f"{len(samples):,} annotated pictures beside them." if samples else ""
    begun = (
        f" Begun with the weights of {start.name} ({start.fingerprint[:12]}): {start.data.summary}"
        if start is not None
        else ""
    )
    summary = drawn + (taught or ("none annotated." if n_annotated else ONLY_DRAWN)) + begun
    description = ModelDescription(
        name=f"her2-{recipe.name}",
        planes=PLANES[:N_DENSE],
        tissue_classes=PLANES[N_DENSE:],
        scores=EXPRESSION_SCORES,
        mpp=NETWORK_MPP,
        mpp_range=MPP_RANGE,
        normalisation=Normalisation(mean=(SHIFT / SCALE,) * 3, std=(1 / SCALE,) * 3),
        architecture=Architecture(
            name=network.design.backbone,
            parameters={
                "n_features": network.design.n_features,
                "n_hidden": network.design.n_hidden,
            },
        ),
        data=TrainingData(
            summary=summary[:MAX_SUMMARY],
            recipe=recipe.name,
            seeds=(seed, recipe.field_seed),
            laboratories=laboratories,
            sources=sources,
            n_pictures=recipe.n_fields + len(samples),
            n_annotated=len(samples),
            n_patients=n_patients(samples),
        ).with_earlier(earlier),
        code=CodeVersion(version=software_version(), commit=software_commit()),
        metrics={f"validation_{name}": float(value) for name, value in figures.items()},
    )
    save_checkpoint(folder, network.state_dict(), description, overwrite=True)


def write_samples(folder: Path, readings: list[FieldReading]) -> None:
    """Write pictures: the crop, and beside it what was read (see `drawn_over`).

    Raises
    ------
    ResultsError
        If one cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for k, reading in enumerate(readings[:N_SAMPLES]):
        pair = np.hstack([reading.crop.rgb, drawn_over(reading.crop.rgb, reading.planes)])
        # Not cv2.imwrite: where it cannot write, it says so by what it returns alone.
        _, png = cv2.imencode(".png", pair[..., ::-1])
        write_bytes(folder / f"sample-{k:02d}.png", png.tobytes())


def drawn_over(rgb: NDArray[np.uint8], planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Draw a reading over a picture: nuclei outlined (green tumor, blue other), membranes red."""
    out = rgb.copy()
    x, y, _ = nucleus_peaks(planes[1], planes[0], mpp=NETWORK_MPP)
    contours, _ = cv2.findContours(
        (planes[0] > 127).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
    )
    out[planes[2] > 127] = (230, 30, 30)
    cv2.drawContours(out, contours, -1, (90, 90, 90), 1)
    for px, py in zip(x.astype(int), y.astype(int), strict=True):
        is_tumor = planes[3, py, px] > max(planes[4, py, px], planes[5, py, px])
        color = (0, 200, 0) if is_tumor else (20, 60, 255)
        cv2.circle(out, (int(px), int(py)), 2, color, -1)
    return out
