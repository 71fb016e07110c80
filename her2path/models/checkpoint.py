"""Checkpoint folders: weights that are never unpickled, beside a description of themselves.

A folder holds `weights.safetensors` and `model.json`, and may hold `model.onnx`, `MODEL_CARD.md`
and other files; `model.json` knows size and SHA-256 of each.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError, deserialize

from her2path.errors import ModelError
from her2path.models.description import (
    CARD_FILE,
    DESCRIPTION_FILE,
    MAX_DESCRIPTION_BYTES,
    MAX_FILE_BYTES,
    ONNX_FILE,
    WEIGHTS_FILE,
    ModelCalibration,
    ModelDescription,
    described,
    read_description,
    read_part,
    read_verified,
    strangers_in,
)
from her2path.models.design import NetworkDesign
from her2path.results.atomic import PREFIX
from her2path.results.jsonable import to_json

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Checkpoint", "add_files", "load_checkpoint", "recalibrate", "save_checkpoint"]


# As safetensors names and stores them.
FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model that was read and whose hashes held.

    Attributes
    ----------
    folder : Path
    description : ModelDescription
    weights : bytes
        The file of the weights, valid safetensors.
    """

    folder: Path
    description: ModelDescription
    weights: bytes

    @property
    def design(self) -> NetworkDesign:
        """How the network is built.

        Raises
        ------
        ModelError
            When the description names a design that this version does not know.
        """
        architecture = self.description.architecture
        try:
            return NetworkDesign(backbone=architecture.name, **architecture.parameters)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"{self.folder} is of a design that is not known here ({error}); fetch or train "
                "the model again"
            ) from error

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The state of the network; torch is loaded for it."""
        from safetensors.torch import load

        return load(self.weights)

    def floats(self, names: Collection[str]) -> dict[str, NDArray[np.float64]]:
        """Return those of the named tensors that are there, without loading torch."""
        return {
            name: np.frombuffer(stored["data"], FLOATS[stored["dtype"]])
            .reshape(stored["shape"])
            .astype(np.float64)
            for name, stored in parts_of(self.weights)
            if name in names and stored["dtype"] in FLOATS
        }

    @property
    def has_onnx(self) -> bool:
        """Whether the folder holds the network as ONNX as well."""
        return ONNX_FILE in self.description.files

    def read_onnx(self) -> bytes:
        """Return the verified ONNX file.

        Raises
        ------
        ModelError
            If there is none, or it is damaged.
        """
        return read_verified(self.folder, self.description, ONNX_FILE)


def save_checkpoint(
    folder: Path,
    tensors: Mapping[str, Tensor],
    description: ModelDescription,
    *,
    files: Mapping[str, bytes] | None = None,
    overwrite: bool = False,
) -> ModelDescription:
    """Write a checkpoint folder, whole or not at all.

    It is written under another name beside `folder` and then moved. Tensors are stored as they
    are, contiguous and on the CPU; shared memory between two names is stored twice.

    Parameters
    ----------
    folder : Path
        Where it goes; the folder above must exist.
    tensors : mapping of str to Tensor
        The state of the network.
    description : ModelDescription
        Its `files` are replaced by what is written.
    files : mapping of str to bytes, optional
        Further files by their plain name: `model.onnx`, `MODEL_CARD.md`, curves.
    overwrite : bool
        Replace a checkpoint that is there. Only a folder that holds nothing else is replaced.

    Returns
    -------
    ModelDescription
        As written, with the hashes.

    Raises
    ------
    ModelError
        If there is something at `folder` already, it cannot be written, or a file is too large.
    """
    from safetensors.torch import save

    weights = save(
        {name: part.detach().cpu().contiguous().clone() for name, part in tensors.items()}
    )
    return write_folder(
        folder, description, {**(files or {}), WEIGHTS_FILE: weights}, overwrite=overwrite
    )


def add_files(folder: Path, files: Mapping[str, bytes]) -> ModelDescription:
    """Add files to a checkpoint, or replace files beside its weights; the weights stay.

    Raises
    ------
    ModelError
        If the checkpoint is damaged, or cannot be written.
    """
    description = read_description(folder)
    kept = kept_files(folder, description)
    if WEIGHTS_FILE in files:
        raise ModelError(f"{WEIGHTS_FILE} cannot be added to {folder}; save a checkpoint anew")
    return write_folder(folder, description, {**kept, **files}, overwrite=True)


def recalibrate(
    folder: Path, calibration: ModelCalibration, *, metrics: Mapping[str, float] | None = None
) -> ModelDescription:
    """Give a checkpoint another calibration, and further metrics; its files stay.

    The fingerprint changes with it: the same weights state other probabilities.

    Raises
    ------
    ModelError
        If the checkpoint is damaged, or cannot be written.
    """
    description = read_description(folder)
    kept = kept_files(folder, description)
    changed = description.model_copy(
        update={
            "calibration": calibration,
            "metrics": {**description.metrics, **(metrics or {})},
        }
    )
    return write_folder(folder, changed, kept, overwrite=True)


def kept_files(folder: Path, description: ModelDescription) -> dict[str, bytes]:
    """Return the verified files of a checkpoint, and a card that a person has put beside them."""
    kept = {name: read_verified(folder, description, name) for name in description.files}
    if CARD_FILE not in kept and (folder / CARD_FILE).is_file():
        kept[CARD_FILE] = read_part(folder / CARD_FILE, MAX_FILE_BYTES)
    return kept


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint whose hash holds; nothing in it is executed.

    Raises
    ------
    ModelError
        If it is absent, damaged, or does not fit this version.
    """
    description = read_description(folder)
    data = read_verified(folder, description, WEIGHTS_FILE)
    try:
        parts_of(data)
    except (SafetensorError, KeyError, ValueError) as error:
        raise ModelError(
            f"{folder / WEIGHTS_FILE} is no valid safetensors file ({error}); fetch or train the "
            "model again"
        ) from error
    return Checkpoint(folder=folder, description=description, weights=data)


def parts_of(weights: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Return name and dtype, shape and data of each tensor; SafetensorError where it is damaged."""
    found: list[tuple[str, dict[str, Any]]] = deserialize(weights)  # type: ignore[no-untyped-call]
    return found


def write_folder(
    folder: Path, description: ModelDescription, files: Mapping[str, bytes], *, overwrite: bool
) -> ModelDescription:
    """Write description and files beside `folder`, then move them there."""
    too_large = [name for name, data in files.items() if len(data) > MAX_FILE_BYTES]
    if too_large:
        raise ModelError(
            f"{', '.join(too_large)}: larger than {MAX_FILE_BYTES // 2**20} MiB, the most that "
            "is read back; make the network smaller"
        )
    try:
        full = described(description, files)
    except ValidationError as error:
        faults = "; ".join(str(fault["msg"]) for fault in error.errors())
        raise ModelError(f"{folder} cannot be saved ({faults}); use plain file names") from error
    text = json.dumps(to_json(full), ensure_ascii=False, allow_nan=False, indent=2) + "\n"
    if len(text.encode()) > MAX_DESCRIPTION_BYTES:
        raise ModelError(f"the description of {full.name} is too long to be read back; shorten it")
    # Of a link what it leads to is written; the link stays.
    folder = Path(os.path.realpath(folder))
    check_free(folder, files, overwrite=overwrite)
    temporary = folder.with_name(f"{PREFIX}{secrets.token_hex(8)}")
    try:
        temporary.mkdir()
        try:
            for name, data in {**files, DESCRIPTION_FILE: text.encode()}.items():
                with (temporary / name).open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            put_in_place(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise ModelError(
            f"{folder} cannot be written ({error.strerror or error}); check free space, rights "
            "and that the folder above it exists"
        ) from error
    return full


def check_free(folder: Path, files: Collection[str], *, overwrite: bool) -> None:
    """Refuse a place that holds something which these files are not to replace, or hold on to."""
    if not os.path.lexists(folder):
        return
    if not overwrite:
        raise ModelError(f"{folder} is there already; choose another folder or overwrite it")
    known = {DESCRIPTION_FILE, *read_description(folder).files, *({CARD_FILE} & set(files))}
    strangers = sorted(strangers_in(folder, known))
    if strangers:
        raise ModelError(
            f"{folder} holds files that are not of the model ({', '.join(strangers[:5])}); move "
            "them away, or save into another folder"
        )


def put_in_place(temporary: Path, folder: Path) -> None:
    """Move the new folder to its place; the old one goes only when the new one is there."""
    if not folder.exists():
        os.rename(temporary, folder)
        return
    # Not called as leftovers are: killed between here and the end, it is all that there is.
    old = folder.with_name(f"{folder.name}.before-{secrets.token_hex(4)}")
    os.rename(folder, old)
    try:
        os.rename(temporary, folder)
    except OSError:
        os.rename(old, folder)
        raise
    shutil.rmtree(old)
