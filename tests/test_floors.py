"""The floors of docs/architecture.md: imports go down only, and every module keeps to its place."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "her2path"
MODULES = sorted(PACKAGE.rglob("*.py"))

FLOORS = {
    "errors": 1,
    "geometry": 1,
    "flags": 1,
    "stain": 1,
    "tissue": 1,
    "cells": 1,
    "criteria": 1,
    "statistics": 1,
    "compiled": 2,
    "bounded": 2,
    "extras": 2,
    "slides": 2,
    "annotations": 2,
    "results": 2,
    "synth": 3,
    "models": 3,
    "pipeline": 4,
    "compare": 4,
    "cohort": 4,
    "outcomes": 4,
    "evaluation": 4,
    "report": 5,
    "review": 5,
    "cli": 5,
}
GROUND = 1

# Libraries that are not for every room. A room above the ground may use any other one.
HOMES = {
    "openslide": {"slides"},
    "wsidicom": {"slides"},
    "pydicom": {"slides", "results", "synth"},
    "highdicom": {"results"},
    "tifffile": {"slides", "synth"},
    "simplejpeg": {"slides", "synth", "models"},
    "imagecodecs": {"slides", "synth"},
    "pyarrow": {"annotations", "results"},
    "torch": {"models"},
    "torchvision": {"models"},
    "onnx": {"models"},
    "onnxruntime": {"models"},
    "safetensors": {"models"},
    "tensorboard": {"models"},
    "lifelines": {"outcomes"},
    "pandas": {"outcomes", "cohort"},
    "dask": {"pipeline"},
    "distributed": {"pipeline"},
    "typer": {"cli"},
    "click": {"cli"},
    "rich": {"cli", "report"},
    "jinja2": {"report"},
    "matplotlib": {"report"},
    "fastapi": {"review"},
    "starlette": {"review"},
    "uvicorn": {"review"},
}
# Arrays in, values out.
GROUND_LIBRARIES = {"numpy", "scipy", "cv2", "skimage", "numba", "shapely", "pydantic"}
# Files, clock, global random, network, processes and logging are for the floors above.
NOT_ON_THE_GROUND = {
    "asyncio",
    "datetime",
    "glob",
    "http",
    "io",
    "logging",
    "multiprocessing",
    "os",
    "pathlib",
    "random",
    "shutil",
    "socket",
    "sqlite3",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "urllib",
}
# Parts of numpy.random that carry their own state; the rest is the global one.
OWN_RANDOM = {"BitGenerator", "Generator", "PCG64", "Philox", "SeedSequence", "default_rng"}
ARCHITECTURE = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
VAGUE_NAMES = {"utils", "helpers", "common", "misc", "base"}
MAX_LINES = 450


def place(path: Path) -> str:
    """The room of a module: its folder, or its own name at the top of the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it, by its absolute name."""
    package = ("her2path", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join([*above, *([node.module] if node.module else [])])
            if source == "her2path":
                yield from (f"her2path.{alias.name}" for alias in node.names)
            else:
                yield source


def rooms_used(path: Path) -> set[str]:
    names = [name.split(".") for name in imported(path)]
    own = place(path)
    return {parts[1] for parts in names if parts[0] == "her2path" and len(parts) > 1} - {own}


def there_is(module: Path) -> bool:
    return module.is_dir() or module.with_suffix(".py").is_file()


def libraries_used(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)} - {"her2path"}


def named(path: Path) -> str:
    return path.relative_to(PACKAGE.parent).as_posix()


def public_names(path: Path) -> set[str]:
    """What stands in `__all__`."""
    for node in tree_of(path).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


each_module = pytest.mark.parametrize("path", MODULES, ids=named)
ground_modules = [path for path in MODULES if FLOORS.get(place(path)) == GROUND]
each_ground_module = pytest.mark.parametrize("path", ground_modules, ids=named)


def test_every_room_has_a_floor() -> None:
    rooms = {place(path) for path in MODULES} - {"__init__", "__main__"}
    assert rooms <= set(FLOORS), "give the new room a floor here and in docs/architecture.md"


@each_module
def test_imports_go_down_only(path: Path) -> None:
    floor = FLOORS.get(place(path), max(FLOORS.values()))
    too_high = {room for room in rooms_used(path) if FLOORS[room] > floor}
    assert not too_high


def test_rooms_do_not_import_each_other_in_a_circle() -> None:
    below: dict[str, set[str]] = {}
    for path in MODULES:
        below.setdefault(place(path), set()).update(rooms_used(path))
    # Take away rooms that use, or are used by, none of what is left; a circle never goes.
    while loose := [
        room
        for room, uses in below.items()
        if not uses & set(below) or not any(room in used for used in below.values())
    ]:
        for room in loose:
            del below[room]
    assert not below, f"in a circle: {sorted(below)}"


@each_module
def test_a_library_is_used_only_in_its_home(path: Path) -> None:
    astray = {
        library
        for library in libraries_used(path)
        if library in HOMES and place(path) not in HOMES[library]
    }
    assert not astray


@each_ground_module
def test_the_ground_computes_and_does_nothing_else(path: Path) -> None:
    used = libraries_used(path)
    assert not used & NOT_ON_THE_GROUND
    assert used <= GROUND_LIBRARIES | set(sys.stdlib_module_names)


@each_ground_module
def test_the_ground_opens_no_file_and_draws_from_no_global_random(path: Path) -> None:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "open", f"line {node.lineno}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
            is_random = ast.unparse(node.value) in ("np.random", "numpy.random")
            assert not is_random or node.attr in OWN_RANDOM, f"line {node.lineno}"


@each_module
def test_a_module_says_what_it_is_for_and_fits_on_the_desk(path: Path) -> None:
    assert path.stem not in VAGUE_NAMES
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@each_module
def test_a_module_lists_its_public_names(path: Path) -> None:
    if path.name in ("__init__.py", "__main__.py"):
        return
    bound = {
        target.id
        for node in tree_of(path).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    assert "__all__" in bound


@each_module
def test_a_module_takes_from_others_what_they_list(path: Path) -> None:
    taken = {
        (PACKAGE.parent / f"{node.module.replace('.', '/')}.py", alias.name)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("her2path.")
        for alias in node.names
    }
    hidden = {
        f"{named(source)}: {name}"
        for source, name in taken
        if source.is_file() and name not in public_names(source)
    }
    assert not hidden


@pytest.mark.parametrize("room", [room for room in FLOORS if (PACKAGE / room).is_dir()])
def test_the_architecture_names_modules_that_there_are(room: str) -> None:
    row = re.search(rf"^\| `{room}` \| (.*?) \|$", ARCHITECTURE, re.MULTILINE)
    assert row is not None
    # Commands stand in such signs, too.
    said = set(re.findall(r"`([a-z_]+)/?`", row[1])) - {"export"}
    assert [name for name in sorted(said) if not there_is(PACKAGE / room / name)] == []


def test_the_places_where_a_change_goes_are_there() -> None:
    section = ARCHITECTURE.split("\n## Where a change goes")[1].split("\n## ")[0]
    files = set(re.findall(r"`([a-z_]+/[a-z_/]+\.py)`", section))
    assert len(files) > 20
    roots = (PACKAGE, PACKAGE.parent)
    assert [name for name in sorted(files) if not any((r / name).is_file() for r in roots)] == []


@each_module
def test_the_package_never_prints(path: Path) -> None:
    prints = [
        node.lineno
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert not prints


def modules_loaded_by(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after running the code."""
    script = f"{code}\nimport json, sys\nsys.stdout.write(json.dumps(sorted(sys.modules)))"
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120
    )
    assert shown.returncode == 0, shown.stderr
    return {name.split(".")[0] for name in json.loads(shown.stdout.splitlines()[-1])}


WEB = {"aiohttp", "fastapi", "flask", "starlette", "tornado", "uvicorn"}


def test_importing_the_package_is_light() -> None:
    heavy = {"cv2", "matplotlib", "numba", "openslide", "pyarrow", "scipy", "skimage", "tifffile"}
    loaded = modules_loaded_by("import her2path")
    assert not loaded & (heavy | WEB | {"torch", "torchvision", "dask"})


LARGE = {"torch", "torchvision", "dask", "distributed"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("left_out", "absent"),
    [({"models"}, LARGE), ({"models", "review"}, LARGE | WEB)],
    ids=["torch and dask", "a web framework"],
)
def test_only_the_room_that_needs_it_loads(left_out: set[str], absent: set[str]) -> None:
    names = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for path in MODULES
        if place(path) not in left_out and path.name != "__main__.py"
    ]
    code = "import importlib\n" + "\n".join(f"importlib.import_module({name!r})" for name in names)
    assert not modules_loaded_by(code) & absent
