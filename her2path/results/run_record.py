"""run.json: what ran, with which settings, on which files, when."""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from her2path.errors import ResultsError
from her2path.results.jsonable import (
    canonical_json,
    clean_text,
    read_json,
    to_json,
    write_json,
)

__all__ = [
    "InputFile",
    "RunRecord",
    "describe_input",
    "package_versions",
    "settings_hash",
    "software_commit",
    "software_version",
]

MIB = 2**20
PACKAGE = Path(__file__).resolve().parents[1]
# On a slow disk git looks at every file.
GIT_S = 20
# What a score depends on: decoders, arithmetic, geometry, tables.
PACKAGES = (
    "imagecodecs",
    "numba",
    "numpy",
    "onnxruntime",
    "opencv-python-headless",
    "openslide-python",
    "openslide-bin",
    "pyarrow",
    "scikit-image",
    "scipy",
    "shapely",
    "simplejpeg",
    "tifffile",
    "torch",
)


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that was read; the hash is of its first and last MiB, enough to know it again."""

    path: str
    size: int
    sha256_ends: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run; `finished` and `seconds` are None while it goes on. Times are UTC, ISO 8601."""

    software_version: str
    python: str
    platform: str
    packages: dict[str, str]
    settings: Any
    settings_hash: str
    inputs: tuple[InputFile, ...]
    started: str
    finished: str | None = None
    seconds: float | None = None

    @classmethod
    def begin(
        cls, settings: object, inputs: Iterable[InputFile], *, identity: object = None
    ) -> RunRecord:
        """Return the record of a run that starts now.

        `identity` is what of the settings a run that goes on must share with it, by default all.
        """
        return cls(
            software_version=software_version(),
            python=sys.version.split()[0],
            platform=platform.platform(),
            packages=package_versions(),
            settings=to_json(settings),
            settings_hash=settings_hash(settings if identity is None else identity),
            inputs=tuple(inputs),
            started=datetime.now(UTC).isoformat(),
        )

    def going_on(self, path: Path) -> RunRecord:
        """Return the record with the inputs of an earlier run.json too: their results stay."""
        try:
            earlier = [InputFile(**entry) for entry in read_json(path)["inputs"]]
        except (ResultsError, KeyError, TypeError):
            # The journal says what is done; this file only what was read.
            return self
        named = {part.path for part in self.inputs}
        kept = (part for part in earlier if part.path not in named)
        return replace(self, inputs=(*kept, *self.inputs))

    def ended(self) -> RunRecord:
        """Return the record of the same run, ended now."""
        end = datetime.now(UTC)
        seconds = (end - datetime.fromisoformat(self.started)).total_seconds()
        return replace(self, finished=end.isoformat(), seconds=seconds)

    def write(self, path: Path) -> None:
        """Write run.json, atomically."""
        write_json(path, self)


def settings_hash(settings: object) -> str:
    """Return the SHA-256 of settings; equal settings have equal hashes on every machine."""
    return hashlib.sha256(canonical_json(settings).encode()).hexdigest()


def describe_input(path: Path) -> InputFile:
    """Return size and hash of a file, reading no more than 2 MiB; of a folder, of its file list.

    Raises
    ------
    ResultsError
        If it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        if path.is_dir():
            files = sorted(part for part in path.rglob("*") if part.is_file())
            sizes = [file.stat().st_size for file in files]
            for file, size in zip(files, sizes, strict=True):
                name = file.relative_to(path).as_posix()
                digest.update(f"{name}\0{size}\0".encode("utf-8", "surrogatepass"))
            return InputFile(clean_text(str(path)), sum(sizes), digest.hexdigest())
        size = path.stat().st_size
        if not path.is_file():
            # A pipe would wait for its writer.
            raise ResultsError(f"{path} is a pipe or a device; name a file")
        with path.open("rb") as stream:
            digest.update(stream.read(MIB))
            # A file between one and two MiB is read once in full, not twice in part.
            stream.seek(max(stream.tell(), size - MIB))
            digest.update(stream.read(MIB))
    except OSError as error:
        if isinstance(error, ResultsError):
            raise
        raise ResultsError(
            f"{path} cannot be read ({error.strerror or error}); check the path"
        ) from error
    return InputFile(clean_text(str(path)), size, digest.hexdigest())


def software_version() -> str:
    """Return the version of the installed package."""
    return version("her2path")


def software_commit(package: Path = PACKAGE) -> str:
    """Return the commit that a package runs from, with "+" where its files were changed since.

    Empty where it is installed without its history, or there is no git to ask.
    """
    checkout = package.parent
    if not (checkout / ".git").exists():
        return ""
    found = []
    for question in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", package.name]):
        try:
            answer = subprocess.run(
                ["git", "-C", str(checkout), *question],
                capture_output=True,
                text=True,
                check=True,
                timeout=GIT_S,
            )
        except (OSError, subprocess.SubprocessError):
            return ""
        found.append(answer.stdout.strip())
    return found[0] + ("+" if found[1] else "")


def package_versions() -> dict[str, str]:
    """Return the installed version of each library that can alter a result."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
