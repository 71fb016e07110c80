"""Training fields: amounts of stain with their truth, drawn once and coloured later."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import zipfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numba as nb
import numpy as np
from numpy.typing import NDArray

from her2path import criteria, geometry, synth
from her2path.criteria.score import Pattern
from her2path.errors import ModelError
from her2path.geometry import Region
from her2path.models import design
from her2path.models.design import cell_class
from her2path.results.atomic import atomic_path
from her2path.synth.cell_kinds import CellKind
from her2path.synth.scene import Scene
from her2path.synth.stain_maps import StainMaps
from her2path.synth.truth import cells_within, scene_frame
from her2path.synth.variety import random_recipe

__all__ = [
    "FIELD_MPP",
    "MAX_OD",
    "NETWORK_MPP",
    "TrainingField",
    "decode_od",
    "draw_training_field",
    "draw_training_fields",
    "halved",
    "load_training_fields",
]

logger = logging.getLogger(__name__)

# Half the network's pixel: sharpening and compression happen on the scanner's own pixels.
FIELD_MPP = 0.25
NETWORK_MPP = 0.5
# Stain amounts are kept as 8 bits on a square-root scale: fine where staining is faint.
MAX_OD = 3.0
_MAX_BLUR_UM = 2.0
# In-situ carcinoma looks like invasive nests from near by: its label counts less.
_DOUBTFUL = (CellKind.IN_SITU,)
_NOT_COUNTED = (CellKind.CONTROL,)
# Fields with fewer tumor cells than this teach little of them: half of those are drawn anew.
_FEW_PER_MM2 = 800.0
_KEEP_FEW = 0.5
_MAX_ATTEMPTS = 8


@dataclass(frozen=True)
class TrainingField:
    """A drawn field before any colour.

    Attributes
    ----------
    stain : ndarray of shape (M, N, 4), uint8
        Hematoxylin, DAB, red-cell colour and grey, as `decode_od` reads them; 0.25 µm/px.
    truth : ndarray of shape (M, N, 4), uint8
        Nucleus, stained membrane, tumor cell, doubtful (255 = yes).
    place : ndarray of shape (M, N, 3), uint8
        Tissue and spoilt (255 = yes), defocus (255 = 2 µm).
    x, y : ndarray of shape (n,), float32
        Centres of the visible nuclei, px.
    kind : ndarray of shape (n,), int8
        Position in `CELL_CLASSES` of tumor cells, −1 of all others.
    extent, intensity : ndarray of shape (n,), uint8
        What the criteria count a tumor cell as.
    """

    stain: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    place: NDArray[np.uint8]
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    kind: NDArray[np.int8]
    intensity: NDArray[np.uint8]
    extent: NDArray[np.uint8]

    @cached_property
    def coarse(self) -> TrainingField:
        """The field at 0.5 µm/px."""
        od = halved(decode_od(self.stain))
        return TrainingField(
            stain=encode_od(od),
            truth=halved(self.truth),
            place=halved(self.place),
            x=self.x / np.float32(2),
            y=self.y / np.float32(2),
            kind=self.kind,
            intensity=self.intensity,
            extent=self.extent,
        )


def halved(planes: NDArray[Any]) -> NDArray[Any]:
    """Return 2 × 2 means."""
    rows, cols = planes.shape[:2]
    return np.asarray(cv2.resize(planes, (cols // 2, rows // 2), interpolation=cv2.INTER_AREA))


def encode_od(od: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return OD (0–3) on a square-root scale of 8 bits."""
    share = np.clip(od, 0.0, MAX_OD) / np.float32(MAX_OD)
    return np.rint(255.0 * np.sqrt(share)).astype(np.uint8)


def decode_od(stored: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the OD that `encode_od` stored."""
    return _OD_OF[stored]


_OD_OF = (MAX_OD * (np.arange(256) / 255.0) ** 2).astype(np.float32)


def draw_training_field(seed: int, side_um: float) -> TrainingField:
    """Draw one field of a recipe that the seed chooses.

    Parameters
    ----------
    seed : int
        The same seed gives the same field.
    side_um : float
        Its side.
    """
    side = round(side_um / FIELD_MPP)
    scene = choose_scene(seed, side_um)
    maps = scene.stain_maps(0, 0, side, side, FIELD_MPP)
    region = Region(0, 0, side, side)
    cells, _ = cells_within(scene, region, FIELD_MPP)
    near = scene.blocks_near(*scene_frame(region, FIELD_MPP))
    kinds = np.concatenate([scene.block(*key).kind for key in near] + [np.full(2, 255, np.uint8)])
    # Labels −1 and −2 pick the two last values.
    kind_at = kinds[maps.label]
    row = np.clip(cells.y.astype(np.intp), 0, side - 1)
    col = np.clip(cells.x.astype(np.intp), 0, side - 1)
    nucleus = nuclei_of(scene, near, maps)
    # A nucleus of the stroma that epithelium was drawn over cannot be seen.
    seen = nucleus[row, col]
    extent = np.zeros(256, np.uint8)
    for pattern in Pattern:
        extent[pattern] = pattern.extent
    kind = [
        cell_class(int(i), int(extent[p])) if is_tumor else -1
        for i, p, is_tumor in zip(cells.intensity, cells.pattern, cells.is_tumor, strict=True)
    ]
    doubtful = np.isin(kind_at, _DOUBTFUL) * np.uint8(1) + np.isin(
        kind_at, _NOT_COUNTED
    ) * np.uint8(2)
    return TrainingField(
        stain=np.dstack([encode_od(plane) for plane in (maps.h, maps.d, maps.red, maps.neutral)]),
        truth=np.dstack(
            [
                nucleus * np.uint8(255),
                (maps.membrane > 0) * np.uint8(255),
                maps.tumor * np.uint8(255),
                doubtful * np.uint8(127),
            ]
        ),
        place=np.dstack(
            [
                maps.tissue * np.uint8(255),
                maps.artefacts * np.uint8(255),
                np.clip(maps.blur_um * (255 / _MAX_BLUR_UM), 0, 255).astype(np.uint8),
            ]
        ),
        x=cells.x[seen].astype(np.float32),
        y=cells.y[seen].astype(np.float32),
        kind=np.asarray(kind, np.int8)[seen],
        intensity=cells.intensity[seen],
        extent=extent[cells.pattern[seen]],
    )


def choose_scene(seed: int, side_um: float) -> Scene:
    """Return a random scene; one with few tumor cells mostly gives way to another."""
    rng = np.random.default_rng([seed, 11])
    for attempt in range(_MAX_ATTEMPTS):
        recipe = random_recipe(rng, width_um=side_um, height_um=side_um, name="training")
        scene = Scene(recipe, seed=seed * _MAX_ATTEMPTS + attempt)
        blocks = [scene.block(c, r) for c in range(scene.columns) for r in range(scene.rows)]
        n_tumor = sum(int((b.is_seen & (b.kind == CellKind.TUMOR)).sum()) for b in blocks)
        if n_tumor * 1e6 / side_um**2 >= _FEW_PER_MM2 or rng.random() < _KEEP_FEW:
            break
    return scene


def nuclei_of(scene: Scene, near: list[tuple[int, int]], maps: StainMaps) -> NDArray[np.bool_]:
    """Return where nuclei can be seen: those of stroma only where no epithelium covers them."""
    nucleus = np.zeros(maps.label.shape, np.bool_)
    offset = 0
    for key in near:
        block = scene.block(*key)
        stroma = scene.stroma(*key).nuclei
        own = np.where(block.is_seen, np.arange(block.graph.n_cells) + offset, -3)
        for nuclei, inside in ((stroma, np.full(len(stroma), -1)), (block.nuclei, own)):
            fill_nuclei(
                nucleus,
                maps.label,
                inside.astype(np.int32),
                nuclei.x / FIELD_MPP,
                nuclei.y / FIELD_MPP,
                nuclei.a_um / FIELD_MPP,
                nuclei.b_um / FIELD_MPP,
                nuclei.angle,
            )
        offset += block.graph.n_cells
    return nucleus & maps.tissue


@nb.njit(cache=True)
def fill_nuclei(
    out: NDArray[np.bool_],
    label: NDArray[np.int32],
    own: NDArray[np.int32],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    angle: NDArray[np.float32],
) -> None:
    """Mark ellipses (in place), each only where `label` is its own; lengths in px."""
    rows, cols = out.shape
    for k in range(x.size):
        ca, sa = np.cos(angle[k]), np.sin(angle[k])
        reach = a[k] + 1.0
        for r in range(max(0, int(y[k] - reach)), min(rows, int(y[k] + reach) + 1)):
            for c in range(max(0, int(x[k] - reach)), min(cols, int(x[k] + reach) + 1)):
                dx, dy = c + 0.5 - x[k], r + 0.5 - y[k]
                u, v = (dx * ca + dy * sa) / a[k], (dy * ca - dx * sa) / b[k]
                if u * u + v * v <= 1.0 and label[r, c] == own[k]:
                    out[r, c] = True


STORED = tuple(f.name for f in fields(TrainingField))


def field_path(folder: Path, seed: int) -> Path:
    return folder / f"field-{seed:08d}.npz"


def draw_training_fields(
    folder: Path,
    seeds: range,
    side_um: float,
    *,
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> None:
    """Draw the fields that are not yet in a folder.

    Parameters
    ----------
    folder : Path
        Where they are kept, one file each.
    seeds : range
        Which ones.
    side_um : float
        Their side.
    workers : int
        Processes that draw; 0 = none beside this one.
    progress : callable
        Told after each field how many there are, of how many.

    Raises
    ------
    ModelError
        When the folder cannot be made, or holds fields of another size or generator.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(
            f"{folder} cannot be made ({error.strerror or error}): choose another folder for fields"
        ) from error
    stamp = folder / "fields.json"
    wanted = {"side_um": side_um, "generator": generator_hash()}
    if stamp.exists():
        if stamped(stamp) != wanted:
            raise ModelError(
                f"{folder} holds fields of another size or another version of the generator; "
                "delete the folder or choose another one"
            )
    else:
        with atomic_path(stamp) as temporary:
            temporary.write_text(json.dumps(wanted), "utf-8")
    missing = [seed for seed in seeds if not field_path(folder, seed).exists()]
    n_there = len(seeds) - len(missing)
    progress(n_there, len(seeds))
    if workers and len(missing) > 1:
        pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
        with pool:
            futures = [pool.submit(store_field, folder, seed, side_um) for seed in missing]
            try:
                for done, future in enumerate(as_completed(futures), n_there + 1):
                    future.result()
                    progress(done, len(seeds))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    else:
        for done, seed in enumerate(missing, n_there + 1):
            store_field(folder, seed, side_um)
            progress(done, len(seeds))


def stamped(stamp: Path) -> object:
    """Return what the fields of a folder are of; None where nobody can tell."""
    try:
        return json.loads(stamp.read_text("utf-8"))
    except ValueError:
        return None


def store_field(folder: Path, seed: int, side_um: float) -> None:
    """Draw a field and write it."""
    field = draw_training_field(seed, side_um)
    with atomic_path(field_path(folder, seed)) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **{name: getattr(field, name) for name in STORED})


def load_training_fields(folder: Path, seeds: range) -> list[TrainingField]:
    """Load fields that `draw_training_fields` has drawn."""
    loaded = []
    for seed in seeds:
        path = field_path(folder, seed)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                field = TrainingField(**{name: stored[name] for name in STORED})
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ModelError(
                f"{path} is damaged ({error}); delete it, and it is drawn again"
            ) from error
        # Made now, it is shared by the processes that colour; made there, each would keep its own.
        _ = field.coarse
        loaded.append(field)
    return loaded


def generator_hash() -> str:
    """Return the SHA-256 of the code that fields depend on, and of the tables beside it."""
    digest = hashlib.sha256()
    for package in (synth, criteria):
        for path in sorted(Path(str(package.__file__)).parent.rglob("*")):
            if path.suffix in (".py", ".toml"):
                digest.update(path.read_bytes())
    for file in (geometry.__file__, design.__file__, __file__):
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()
