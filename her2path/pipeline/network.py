"""The network in the pipeline: which one a run uses, and what it says of tiles and of areas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from her2path.annotations.raster import contains
from her2path.annotations.roi import Roi
from her2path.cells.network_maps import NetworkMaps
from her2path.cells.polar import REACH_UM
from her2path.criteria.score import EXPRESSION_SCORES, Score
from her2path.errors import ModelError
from her2path.geometry import Mpp, Region
from her2path.models.description import read_verified
from her2path.models.devices import choose_device, multiplies_bfloat16
from her2path.models.shipped import FoundModel, find_model, shipped_models
from her2path.results.record import NetworkFacts, RegionKind, RegionRecord
from her2path.statistics.readers import (
    Conformal,
    Opinion,
    combine_readers,
    median_score,
    network_opinion,
)

if TYPE_CHECKING:
    from her2path.models.inference import NetworkPlanes, NetworkReader

__all__ = [
    "NO_NETWORK",
    "SHIPPED_NETWORK",
    "NetworkUse",
    "Positions",
    "find_network",
    "frame_grid_px",
    "frame_halo_um",
    "maps_of",
    "network_facts",
    "positions_of",
    "reader_of",
    "with_network_scores",
]

# What `--model` takes beside the name of a network.
SHIPPED_NETWORK, NO_NETWORK = "auto", "none"
# Positions with less than this many expected tumor cells add nothing to any mean.
LEAST_WEIGHT = 0.02


@dataclass(frozen=True, slots=True)
class NetworkUse:
    """Which network a run uses, and where it runs.

    Attributes
    ----------
    name : str
    folder : Path
        Of the checkpoint.
    fingerprint : str
        Of all that its answers depend on: another network makes another result.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    precision : str
        ``auto``, ``fp32`` or ``bf16``, as `NetworkReader` takes them.
    """

    name: str
    folder: Path
    fingerprint: str
    device: str = "auto"
    precision: str = "auto"

    @classmethod
    def of(cls, model: FoundModel, *, device: str = "auto", precision: str = "auto") -> NetworkUse:
        """Use a found model.

        Raises
        ------
        ModelError
            If its description does not fit.
        """
        return cls(model.name, model.folder, model.describe().fingerprint, device, precision)


def find_network(name: str, *, device: str = "auto", precision: str = "auto") -> NetworkUse | None:
    """Return the network that a run asks for.

    Parameters
    ----------
    name : str
        ``auto`` for the one that ships with the package, ``none`` for the rules alone, else a
        name or a folder.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    precision : str
        ``auto``, ``fp32`` or ``bf16``.

    Raises
    ------
    ModelError
        If there is no such network, its description does not fit, a file of it is damaged, the
        device is not there, or it only emulates bfloat16 where that was asked for.
    """
    if name == NO_NETWORK:
        return None
    if name != SHIPPED_NETWORK:
        return whole(find_model(name), device, precision)
    shipped = shipped_models()
    if not shipped:
        raise ModelError(
            "the network that ships with her2path is not there; install the package again, or "
            "give --model none for the rules alone"
        )
    return whole(shipped[0], device, precision)


def whole(model: FoundModel, device: str, precision: str) -> NetworkUse:
    """Return a network to use; its files and the device are checked before the first slide."""
    if device != "auto":
        choose_device(device)
    if precision == "bf16" and not multiplies_bfloat16(choose_device(device)):
        raise ModelError(
            "--precision bf16: there is no hardware here that multiplies bfloat16, and without "
            "it fp32 is faster; leave it out"
        )
    description = model.describe()
    for name in description.files:
        read_verified(model.folder, description, name)
    return NetworkUse.of(model, device=device, precision=precision)


@lru_cache(maxsize=1)
def reader_of(use: NetworkUse) -> NetworkReader:
    """Return the network, loaded once in each process.

    Raises
    ------
    ModelError
        If the checkpoint is damaged, was changed since `use` was made, or the device is not there.
    """
    # torch takes seconds to load: only where a network is used.
    from her2path.models.inference import NetworkReader

    reader = NetworkReader(use.folder, device=use.device, precision=use.precision)
    # Each process loads it when it needs it, and a result names the one that the run began with.
    if reader.description.fingerprint != use.fingerprint:
        raise ModelError(
            f"the network in {use.folder} was changed while this run went on; score again, all "
            "slides with one network"
        )
    return reader


def frame_halo_um(use: NetworkUse) -> float:
    """Return the margin of a frame: what a cell depends on, plus what the network looks at."""
    return 2 * REACH_UM + reader_of(use).halo_um


def frame_grid_px(use: NetworkUse, working_mpp: float) -> int:
    """Return on which multiples of working px frames begin, so that tiles agree where they meet.

    Raises
    ------
    ModelError
        When the network is not made for this µm/px.
    """
    from her2path.models.design import STRIDE_PX
    from her2path.models.inference import box_factor, stepped

    description = reader_of(use).description
    description.check_mpp(working_mpp)
    downsample = box_factor(working_mpp, description.mpp) or stepped(description.mpp / working_mpp)
    return round(STRIDE_PX * downsample)


def maps_of(
    planes: NetworkPlanes,
    corner: tuple[int, int] = (0, 0),
    *,
    tumor_twice: NDArray[np.uint8] | None = None,
) -> NetworkMaps:
    """Return what the measurement of cells needs of the planes.

    Parameters
    ----------
    planes : NetworkPlanes
    corner : (x, y)
        Where what is measured begins in the picture that the network has read, px.
    tumor_twice : ndarray of shape (M, N), uint8, or None
        The tumor plane after a second look, where there was one.
    """
    return NetworkMaps(
        nucleus=planes.nucleus,
        centre=planes.centre,
        membrane=planes.membrane,
        tumor=planes.tumor,
        mpp=planes.mpp,
        scale=planes.downsample,
        corner_x=corner[0],
        corner_y=corner[1],
        tumor_twice=tumor_twice,
    )


@dataclass(frozen=True, slots=True)
class Positions:
    """Points on a grid, and what the network says of the tumor cells at each.

    Attributes
    ----------
    x, y : ndarray of shape (n,), float64
        Level-0 px.
    weight : ndarray of shape (n,), float32
        Expected number of tumor cells.
    features : ndarray of shape (n, K), float16
        Of these cells, each 0–1.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    weight: NDArray[np.float32]
    features: NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.x)

    def select(self, index: NDArray[np.bool_]) -> Positions:
        """Return the positions that a mask picks."""
        return Positions(*(getattr(self, f.name)[index] for f in fields(self)))

    @staticmethod
    def concatenate(parts: Sequence[Positions]) -> Positions:
        """Join the positions of several tiles; at least one part is needed."""
        return Positions(
            *(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Positions))
        )

    def mean_features(self) -> NDArray[np.float64] | None:
        """Return the mean features, shape (K,); None where no tumor cell is expected."""
        total = float(self.weight.sum(dtype=np.float64))
        if total < 1.0:
            return None
        weight = self.weight.astype(np.float64)
        mean: NDArray[np.float64] = weight @ self.features.astype(np.float64) / total
        return mean


def positions_of(
    planes: NetworkPlanes, frame: Region, core: Region, working_mpp: float, mpp: Mpp
) -> Positions:
    """Return the positions of a tile that lie in its core."""
    rows, cols = planes.weight.shape
    step = planes.stride * planes.downsample * working_mpp
    x: NDArray[np.float64] = frame.x + (np.arange(cols, dtype=np.float64) + 0.5) * (step / mpp.x)
    y: NDArray[np.float64] = frame.y + (np.arange(rows, dtype=np.float64) + 0.5) * (step / mpp.y)
    is_row, is_col = (y >= core.y) & (y < core.bottom), (x >= core.x) & (x < core.right)
    is_owned = is_row[:, None] & is_col[None, :] & (planes.weight >= LEAST_WEIGHT)
    row, col = np.nonzero(is_owned)
    return Positions(
        x=x[col],
        y=y[row],
        weight=planes.weight[row, col],
        features=planes.features[row, col].astype(np.float16),
    )


def probabilities_of(use: NetworkUse, positions: Positions) -> dict[Score, float]:
    """Return the network's probability of each score for an area; empty without tumor cells."""
    mean = positions.mean_features()
    if mean is None:
        return {}
    found = reader_of(use).score_probabilities(mean[None])[0]
    return dict(zip(EXPRESSION_SCORES, found.tolist(), strict=True))


def network_facts(
    use: NetworkUse, positions: Positions, rule: Opinion, *, told_as: Mapping[Score, Score]
) -> NetworkFacts:
    """Return what the network says of a slide, beside the rules.

    Parameters
    ----------
    positions : Positions
        Those where tumor counts.
    rule : Opinion
        The rule reader's score and probabilities.
    told_as : mapping of Score to Score
        Scores that the criteria in use do not have, with what these make of them.
    """
    reader = reader_of(use)
    calibration = reader.description.calibration
    conformal = None
    if calibration.coverage is not None and calibration.conformal_quantile is not None:
        conformal = Conformal(calibration.coverage, calibration.conformal_quantile)
    network = network_opinion(probabilities_of(use, positions))
    return NetworkFacts(
        name=use.name,
        fingerprint=use.fingerprint,
        n_expected_cells=float(positions.weight.sum(dtype=np.float64)),
        joint=combine_readers(rule, network, conformal=conformal, told_as=told_as),
        runs=reader.runs,
    )


def with_network_scores(
    regions: Sequence[RegionRecord],
    use: NetworkUse,
    positions: Positions,
    rois: Mapping[str, Roi],
    *,
    told_as: Mapping[Score, Score],
) -> tuple[RegionRecord, ...]:
    """Return the regions with what the network reads in each; control tissue has none.

    Parameters
    ----------
    rois : mapping of str to Roi
        Outlines of tumor by their id.
    told_as : mapping of Score to Score
        As for `network_facts`.
    """

    def read(region: RegionRecord) -> RegionRecord:
        if region.kind is RegionKind.CONTROL:
            return region
        if region.kind is RegionKind.ROI:
            is_inside = contains([rois[region.region_id]], positions.x, positions.y)
        else:
            box = region.box
            is_inside = (positions.x >= box.x) & (positions.x < box.right)
            is_inside &= (positions.y >= box.y) & (positions.y < box.bottom)
        score = median_score(probabilities_of(use, positions.select(is_inside)))
        if score is Score.NOT_ASSESSABLE:
            return region
        return replace(region, network_score=told_as.get(score, score))

    return tuple(read(region) for region in regions)
