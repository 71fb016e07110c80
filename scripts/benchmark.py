"""Measure her2path against the bare decoder and against what one would write by hand.

Every ratio is of two things timed in this run. Contenders take turns, and the median of the ratios
of each round counts, so that a busy machine disturbs both alike. The whole command is timed once,
against what the recipe and the decoder took before it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

# One thread for every library, set before any of them is loaded: threads here are our own. The
# whole command is timed under what the user has set.
USERS_ENVIRONMENT = dict(os.environ)
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"

import cv2
import numpy as np
import openslide
import plain_recipe
import simplejpeg
import tifffile
import torch
from benchmark_slide import write_benchmark_slide
from numpy.typing import NDArray
from skimage.color import rgb2hed

from her2path.cells.measure import MeasureSettings, measure_cells
from her2path.errors import Her2pathError
from her2path.geometry import Region
from her2path.models.devices import multiplies_bfloat16
from her2path.models.inference import NetworkReader
from her2path.pipeline.network import NO_NETWORK, SHIPPED_NETWORK, NetworkUse, find_network
from her2path.slides import Slide, Tile, open_slide, plan_tiles, read_overview, require_mpp
from her2path.stain import StainMatrix, WhitePoint, separate
from her2path.tissue.mask import TissueMask, find_tissue
from her2path.tissue.white_point import estimate_white_point

ROOT = Path(__file__).resolve().parent.parent
OVERVIEW_MPP = 6.0
BLOCK_PX = 1024
MEGA = 1e6

Task = Callable[[], object]


@dataclass(frozen=True)
class Scene:
    """A slide, its tissue, and the blocks of it that are read again and again."""

    path: Path
    mpp: float
    tissue_mm2: float
    white_point: WhitePoint
    tiles: tuple[Tile, ...]

    @property
    def read_mp(self) -> float:
        """Megapixels of the chosen blocks."""
        return sum(tile.core.size.n_px for tile in self.tiles) / MEGA


@dataclass(frozen=True)
class Line:
    """One row of the table: what was measured, and how it compares."""

    what: str
    value: float
    unit: str
    against: str = ""
    ratio: float | None = None
    bar: str = ""


def look_at(path: Path, *, mpp: float | None, max_blocks: int) -> Scene:
    """Find the tissue of a slide and choose blocks of it, evenly over the plan."""
    with open_slide(path, mpp=mpp) as slide:
        at_zero = require_mpp(slide).mean
        overview, downsample = read_overview(slide, mpp=OVERVIEW_MPP)
        white_point = estimate_white_point(overview).rgb
        tissue = find_tissue(overview, at_zero * downsample, white_point=white_point)
        planned = plan_tiles(
            slide.dimensions,
            tile_px=BLOCK_PX,
            halo_px=0,
            file_tile=slide.tile_size,
            mask=None,
            mask_downsample=downsample,
        )
    inside = [tile for tile in planned if tissue_frac(tile.core, tissue, downsample) > 0.5]
    if not inside:
        raise SystemExit(f"{path}: no block of {BLOCK_PX} px is mostly tissue; choose another.")
    step = max(1.0, len(inside) / max_blocks)
    chosen = tuple(inside[int(i * step)] for i in range(min(max_blocks, len(inside))))
    return Scene(path, at_zero, tissue.area_mm2, white_point, chosen)


def tissue_frac(core: Region, tissue: TissueMask, downsample: float) -> float:
    """Return the share of a block that is tissue."""
    x0, y0, x1, y1 = (round(v / downsample) for v in (core.x, core.y, core.right, core.bottom))
    return float(tissue.mask[y0 : y1 + 1, x0 : x1 + 1].mean())


def take_turns(tasks: dict[str, Task], *, rounds: int) -> dict[str, list[float]]:
    """Time each task once per round, in turning order, after one run that is not counted."""
    for task in tasks.values():
        task()
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    names = list(tasks)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            begun = time.perf_counter()
            tasks[name]()
            seconds[name].append(time.perf_counter() - begun)
    return seconds


def speed_up(seconds: dict[str, list[float]], ours: str, other: str) -> float:
    """Return how many times faster `ours` was: the median over rounds."""
    pairs = zip(seconds[other], seconds[ours], strict=True)
    return statistics.median(theirs / mine for theirs, mine in pairs)


def on_threads(n: int, work: Callable[[Sequence[object]], object], items: Sequence[object]) -> None:
    """Give each of n threads every n-th item."""
    if n == 1:
        work(items)
        return
    with ThreadPoolExecutor(n) as pool:
        list(pool.map(work, [items[i::n] for i in range(n)]))


def jpeg_blocks(scene: Scene) -> list[bytes]:
    """Return the compressed file tiles under the chosen blocks, each a whole JPEG stream."""
    found = []
    with tifffile.TiffFile(scene.path) as tif:
        page = tif.pages.first
        if page.compression != tifffile.COMPRESSION.JPEG or not page.is_tiled:
            return []
        head = (page.jpegtables or b"\xff\xd8\xff\xd9")[:-2]
        columns = -(-page.imagewidth // page.tilewidth)
        handle = tif.filehandle
        for tile in scene.tiles:
            core = tile.core
            for row in range(core.y // page.tilelength, -(-core.bottom // page.tilelength)):
                for column in range(core.x // page.tilewidth, -(-core.right // page.tilewidth)):
                    index = row * columns + column
                    handle.seek(page.dataoffsets[index])
                    found.append(head + handle.read(page.databytecounts[index])[2:])
    return found


def decode_all(streams: Iterable[bytes]) -> None:
    """Decode each stream into one buffer: nothing that reads these tiles can be faster."""
    buffer: NDArray[np.uint8] | None = None
    for stream in streams:
        if buffer is None:
            height, width, _, _ = simplejpeg.decode_jpeg_header(stream)
            raw = np.empty(height * width * 3 + 64, np.uint8)
            # Fast at any address but those that are 0 mod 32, where libjpeg-turbo stalls.
            start = (8 - raw.ctypes.data) % 32
            buffer = raw[start : start + height * width * 3]
        simplejpeg.decode_jpeg(stream, "RGB", buffer=buffer)


def measure_reading(scene: Scene, *, rounds: int) -> tuple[list[Line], float | None]:
    """Compare decoding, our reader and openslide-python over the same blocks."""
    streams = jpeg_blocks(scene)
    with open_slide(scene.path, mpp=scene.mpp) as slide:
        peer = openslide.OpenSlide(scene.path)
        # A cache would hand out blocks of the round before.
        peer.set_cache(openslide.OpenSlideCache(0))

        def ours(tiles: Sequence[Tile]) -> None:
            # One array for all: fresh memory for each block costs as much as copying it.
            kept = np.empty((BLOCK_PX, BLOCK_PX, 3), np.uint8)
            for tile in tiles:
                core = tile.core
                out = kept if core.size.shape == kept.shape[:2] else None
                slide.read_region(core.location, 0, core.size, out=out)

        def theirs(tiles: Sequence[Tile]) -> None:
            for tile in tiles:
                core = tile.core
                plain_recipe.read_rgb(peer, (core.x, core.y), (core.width, core.height))

        tasks: dict[str, Task] = {}
        for n in (1, 2):
            if streams:
                tasks[f"floor {n}"] = lambda n=n: on_threads(n, decode_all, streams)
            tasks[f"reader {n}"] = lambda n=n: on_threads(n, ours, scene.tiles)
        tasks["openslide 1"] = lambda: theirs(scene.tiles)
        seconds = take_turns(tasks, rounds=rounds)
        peer.close()
    rate = {name: scene.read_mp / statistics.median(times) for name, times in seconds.items()}
    lines = []
    for n, bar in ((1, "≥ 0.85"), (2, "")):
        threads = f"{n} thread{'s' * (n > 1)}"
        if streams:
            lines.append(Line(f"decode floor, {threads}", rate[f"floor {n}"], "MP/s"))
        ratio = speed_up(seconds, f"reader {n}", f"floor {n}") if streams else None
        lines.append(
            Line(f"tile reader, {threads}", rate[f"reader {n}"], "MP/s", "decode floor", ratio, bar)
        )
    lines.append(Line("openslide-python, 1 thread", rate["openslide 1"], "MP/s"))
    ratio = speed_up(seconds, "reader 1", "openslide 1")
    lines.append(
        Line("tile reader, 1 thread", rate["reader 1"], "MP/s", "openslide-python", ratio, "≥ 4")
    )
    return lines, rate.get("floor 2")


def measure_planes(scene: Scene, slide: Slide, *, rounds: int) -> list[Line]:
    """Compare the separation of stains with scikit-image, on one block in memory."""
    core = scene.tiles[len(scene.tiles) // 2].core
    rgb = slide.read_region(core.location, 0, core.size)
    matrix = StainMatrix()
    seconds = take_turns(
        {
            "ours": lambda: separate(rgb, scene.white_point, matrix),
            "peer": lambda: rgb2hed(rgb),
        },
        rounds=rounds,
    )
    size_mp = core.size.n_px / MEGA
    ours, peer = (size_mp / statistics.median(seconds[name]) for name in ("ours", "peer"))
    ratio = speed_up(seconds, "ours", "peer")
    return [
        Line("scikit-image rgb2hed, 1 thread", peer, "MP/s"),
        Line("stain planes, 1 thread", ours, "MP/s", "rgb2hed", ratio, "≥ 12"),
    ]


def measure_cell_finding(
    scene: Scene, slide: Slide, *, rounds: int, n_blocks: int
) -> tuple[list[Line], float]:
    """Compare finding and measuring cells with the plain recipe, both from RGB in memory."""
    step = max(1, len(scene.tiles) // n_blocks)
    cores = [tile.core for tile in scene.tiles[::step][:n_blocks]]
    pictures = [slide.read_region(core.location, 0, core.size) for core in cores]
    settings = MeasureSettings(scene.white_point, StainMatrix())
    seconds = take_turns(
        {
            "ours": lambda: [measure_cells(rgb, settings, mpp=scene.mpp) for rgb in pictures],
            "peer": lambda: [plain_recipe.measure(rgb, scene.mpp) for rgb in pictures],
        },
        rounds=rounds,
    )
    area_mm2 = sum(core.size.n_px for core in cores) * scene.mpp**2 * 1e-6
    ours, peer = (statistics.median(seconds[name]) / area_mm2 for name in ("ours", "peer"))
    ratio = speed_up(seconds, "ours", "peer")
    return [
        Line("plain scikit-image recipe, 1 thread", peer, "s/mm²"),
        Line("cells, 1 thread", ours, "s/mm²", "plain recipe", ratio, "≥ 8"),
    ], peer


def measure_network(scene: Scene, slide: Slide, network: NetworkUse, *, rounds: int) -> list[Line]:
    """Time the network on one block in memory as each runtime runs it: on one thread, on a card."""
    core = scene.tiles[len(scene.tiles) // 2].core
    rgb = slide.read_region(core.location, 0, core.size)

    def reader(device: str, runtime: str, precision: str) -> NetworkReader:
        return NetworkReader(network.folder, device=device, runtime=runtime, precision=precision)

    peer = "torch, fp32, 1 thread"
    readers = {
        "ONNX Runtime, fp32, 1 thread": reader("cpu", "onnx", "fp32"),
        peer: reader("cpu", "torch", "fp32"),
    }
    if multiplies_bfloat16("cpu"):
        readers["torch, bf16, 1 thread"] = reader("cpu", "torch", "bf16")
    if torch.cuda.is_available():
        card = torch.cuda.get_device_name()
        readers |= {f"{card}, {p}": reader("cuda", "torch", p) for p in ("fp32", "bf16")}
    seconds = take_turns(
        {name: lambda one=one: one.read(rgb, scene.mpp) for name, one in readers.items()},
        rounds=rounds,
    )
    size_mp = core.size.n_px / MEGA
    return [
        Line(
            f"network, {name}",
            size_mp / statistics.median(times),
            "MP/s of level 0",
            "" if name == peer else peer,
            None if name == peer else speed_up(seconds, name, peer),
        )
        for name, times in seconds.items()
    ]


def measure_command(
    scene: Scene, out: Path, *, model: str, workers: int, floor: float | None, recipe: float
) -> list[Line]:
    """Time the whole command on the whole slide, start of Python included."""
    program = Path(sys.executable).with_name("her2path.exe" if os.name == "nt" else "her2path")
    command = [program, "score", scene.path, "--out", out, "--model", model, "--quiet"]
    command += ["--workers", workers, "--mpp", scene.mpp]
    begun, processor = time.perf_counter(), processor_seconds()
    ended = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        env=USERS_ENVIRONMENT,
        check=False,
    )
    seconds, processor = time.perf_counter() - begun, processor_seconds() - processor
    if ended.returncode != 0:
        raise SystemExit(f"her2path score ended with status {ended.returncode}; see above.")
    area = scene.tissue_mm2
    name = f"score --model {model}, {workers} workers"
    floor_seconds = area / scene.mpp**2 / floor if floor else None
    lines = [
        Line(
            name,
            seconds / area,
            "s/mm²",
            "plain recipe, 1 thread",
            recipe * area / seconds,
            "≥ 5" if model == NO_NETWORK else "",
        ),
        Line(
            name,
            seconds / area,
            "s/mm²",
            "decode floor, 2 threads",
            floor_seconds / seconds if floor_seconds else None,
            "≥ 0.15" if model == NO_NETWORK else "≥ 0.08",
        ),
    ]
    lines.append(Line("slides like this one", 60 / seconds, "/min"))
    if floor_seconds is not None:
        decoding = 2 * floor_seconds / processor
        lines.append(Line("of its processor time, decoding at the floor's pace", decoding, ""))
    lines += [
        Line(f"of that, {stage}, workers added up", spent / area, "s/mm²")
        for stage, spent in stage_seconds(out).items()
    ]
    lines.append(Line("its processor time, all processes", processor / area, "s/mm²"))
    if (peak := peak_memory_gib()) is not None:
        lines.append(Line("peak memory of the largest process so far", peak, "GiB", bar="≤ 2"))
    return lines


def stage_seconds(out: Path) -> dict[str, float]:
    """Return the seconds of each stage as the results tell them."""
    (record,) = out.glob("*/slide.json")
    timings = json.loads(record.read_text(encoding="utf-8"))["timings"]
    return {str(stage): float(spent) for stage, spent in timings.items()}


def processor_seconds() -> float:
    """Return the processor time of all processes waited for; a busy machine adds little to it."""
    times = os.times()
    return times.children_user + times.children_system


def peak_memory_gib() -> float | None:
    """Return the peak resident memory of the largest process that this one has waited for."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 2**30


def as_markdown(lines: Sequence[Line], heading: Sequence[str]) -> str:
    """Return the table as Markdown, under what it was measured on."""
    rows = [
        f"| {line.what} | {line.value:,.3g} {line.unit} | {line.against} "
        f"| {'' if line.ratio is None else f'{line.ratio:.2f} ×'} | {line.bar} |"
        for line in lines
    ]
    head = ["| What | Median | Against | Ratio | Bar |", "|---|---|---|---|---|"]
    return "\n".join([*(f"- {text}" for text in heading), "", *head, *rows, ""])


def drawn_slide(folder: Path, tissue_mm2: float) -> Path:
    """Return the slide that is drawn where none is named; made once, then used again."""
    path = folder / f"drawn_{tissue_mm2:g}mm2_two_levels.tif"
    if not path.is_file():
        print(f"drawing {path.name}", file=sys.stderr, flush=True)
        write_benchmark_slide(path, tissue_mm2=tissue_mm2)
    return path


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="run.py bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--slide", type=Path, help="a slide of yours [one that is drawn]")
    parser.add_argument("--mpp", type=float, help="µm/px, where the slide does not say")
    parser.add_argument("--mm2", type=float, default=20, help="tissue of the drawn slide [20]")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmark_results")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of taking turns [5]")
    parser.add_argument("--blocks", type=int, default=48, help="blocks to read, 1 MP each [48]")
    parser.add_argument("--cell-blocks", type=int, default=2, help="blocks to find cells in [2]")
    parser.add_argument("--workers", type=int, default=2, help="for the whole command [2]")
    parser.add_argument(
        "--model", default=SHIPPED_NETWORK, help="network to time, none for the rules alone [auto]"
    )
    parser.add_argument("--skip-command", action="store_true", help="leave out the whole command")
    arguments = parser.parse_args()
    for name in ("rounds", "blocks", "cell_blocks", "workers"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    if not arguments.mm2 > 0:
        parser.error("--mm2 must be above 0")
    return arguments


def main() -> None:
    """Measure everything, print the table, and write it beside its numbers as JSON."""
    arguments = parse_arguments()
    cv2.setNumThreads(1)
    try:
        network = find_network(arguments.model, device="cpu")
        arguments.out.mkdir(parents=True, exist_ok=True)
        path = arguments.slide or drawn_slide(arguments.out, arguments.mm2)
        scene = look_at(path, mpp=arguments.mpp, max_blocks=arguments.blocks)
    except Her2pathError as error:
        raise SystemExit(str(error)) from error
    cell_rounds = max(3, arguments.rounds // 2)
    lines, floor = measure_reading(scene, rounds=arguments.rounds)
    with open_slide(scene.path, mpp=scene.mpp) as slide:
        lines += measure_planes(scene, slide, rounds=arguments.rounds)
        of_cells, recipe = measure_cell_finding(
            scene, slide, rounds=cell_rounds, n_blocks=arguments.cell_blocks
        )
        if network is not None:
            lines += measure_network(scene, slide, network, rounds=arguments.rounds)
    lines += of_cells
    if not arguments.skip_command:
        for model in (NO_NETWORK, *([] if network is None else [arguments.model])):
            with tempfile.TemporaryDirectory() as out:
                lines += measure_command(
                    scene,
                    Path(out) / "run",
                    model=model,
                    workers=arguments.workers,
                    floor=floor,
                    recipe=recipe,
                )
    heading = (
        f"{scene.path.name}: {scene.mpp:.3g} µm/px, {scene.tissue_mm2:.3g} mm² of tissue",
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, "
        f"Python {platform.python_version()}",
        f"reading: {arguments.rounds} rounds over {len(scene.tiles)} blocks of {BLOCK_PX} px; "
        f"cells: {cell_rounds} over {min(arguments.cell_blocks, len(scene.tiles))}; planes and "
        f"network: {arguments.rounds} over one; the whole command: "
        f"{'not at all' if arguments.skip_command else 'once'}",
    )
    text = as_markdown(lines, heading)
    (arguments.out / "benchmark.md").write_text(text, encoding="utf-8")
    record = {"measured_on": heading, "lines": [asdict(line) for line in lines]}
    (arguments.out / "benchmark.json").write_text(
        json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8"
    )
    print(text)


if __name__ == "__main__":
    main()
