"""How well faintly stained cells are told from unstained ones, by the rules and with a network.

``python scripts/line_evidence.py`` draws fields of random laboratories, finds their cells with a
network, and asks of each tumor cell by which factor its limit could be raised until it counted as
unstained: once as the limit of the rules alone, once as the limit that the network moved
(`her2path.cells.classify.line_limits`). Prints the area under the curve (AUC) of both, mean over
laboratories, what the limits in use make of the cells, and what they would make of them if the
network's membrane counted as seen from other probabilities (``calibrate_model.py --membrane-cut``).
At the end, how many clear lines the network overlooks, of stained cells and of unstained ones.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from accuracy_recipes import Plan, fresh_laboratories, plan_slides
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import rankdata

from her2path.cells.calibration import generic_calibration
from her2path.cells.classify import classify_cells, has_clear_line, is_refused
from her2path.cells.cytoplasm import with_shared_cytoplasm
from her2path.cells.measure import HALO_UM, MeasureSettings, measure_cells
from her2path.cells.nuclei import typical_counterstain
from her2path.cells.table import CellMeasurements
from her2path.criteria.score import Intensity
from her2path.errors import ModelError
from her2path.models.inference import NetworkReader, shifted
from her2path.models.shipped import find_model
from her2path.pipeline.network import maps_of
from her2path.stain.matrix import StainMatrix
from her2path.stain.separate import separate
from her2path.synth import draw_field

N_FIELDS, N_LABORATORIES, SIDE_UM = 70, 14, 420.0
TUMOR_CUT = 0.5
MATCH_UM = 3.0
# Factors on the limit that are tried, from far below to far above.
FACTORS = np.geomspace(0.2, 8.0, 40)
# Probabilities from which a membrane might count as seen; the network's own comes beside them.
CUTS = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55)


@dataclass(frozen=True, slots=True)
class FieldCells:
    """Tumor cells of one field that meet a true one, faintly stained or unstained."""

    laboratory: str
    is_null: bool
    cells: CellMeasurements
    intensity: NDArray[np.uint8]


def read_field(plan: Plan, reader: NetworkReader) -> FieldCells:
    """Draw a field and measure its cells with what the network sees."""
    laboratory, recipe = plan.laboratory, plan.recipe
    recipe = replace(recipe, tissue=replace(recipe.tissue, kind="fill"))
    field = draw_field(recipe, laboratory, seed=plan.seed)
    hematoxylin, dab, _ = (tuple(map(float, row)) for row in laboratory.stain_matrix)
    settings = MeasureSettings(laboratory.white_point, StainMatrix(hematoxylin, dab))
    planes = separate(field.rgb, settings.white_point, settings.matrix)
    settings = replace(settings, counterstain=typical_counterstain([planes], mpp=field.mpp))
    maps = maps_of(reader.read(field.rgb, field.mpp))
    cells = measure_cells(field.rgb, settings, mpp=field.mpp, maps=maps)
    cells = with_shared_cytoplasm(
        cells, cells.seen_tumor >= TUMOR_CUT, x_um=cells.x * field.mpp, y_um=cells.y * field.mpp
    )
    truth = field.truth.cells
    far, nearest = cKDTree(np.column_stack([truth.x, truth.y])).query(
        np.column_stack([cells.x, cells.y])
    )
    rim = HALO_UM / 2 / field.mpp
    rows, cols = field.rgb.shape[:2]
    use = (
        (far * field.mpp < MATCH_UM)
        & truth.is_tumor[nearest]
        & (cells.seen_tumor >= TUMOR_CUT)
        & (np.minimum(cells.x, cols - cells.x) > rim)
        & (np.minimum(cells.y, rows - cells.y) > rim)
    )
    is_null = all(entry.intensity == Intensity.NONE for entry in plan.design.mix)
    return FieldCells(laboratory.name, is_null, cells.select(use), truth.intensity[nearest][use])


def without_network(cells: CellMeasurements) -> CellMeasurements:
    """Return the same cells as if no network had read them."""
    return replace(
        cells,
        seen_line=np.zeros_like(cells.seen_line),
        seen_tumor=np.full_like(cells.seen_tumor, np.nan),
    )


def is_stained(cells: CellMeasurements, factor: float = 1.0) -> NDArray[np.bool_]:
    """Tell which cells count as stained when all lines are so many times fainter than they are."""
    fainter = replace(cells, line_contrast_od=cells.line_contrast_od / np.float32(factor))
    return classify_cells(fainter, generic_calibration()).intensity > Intensity.NONE


def evidence_of(cells: CellMeasurements) -> NDArray[np.float64]:
    """Return the highest factor at which each cell still counts as stained, 0 for none."""
    found = np.zeros(len(cells))
    for factor in FACTORS:
        found[is_stained(cells, float(factor))] = factor
    return found


def area_under_curve(values: NDArray[np.float64], is_true: NDArray[np.bool_]) -> float:
    """Return how probably a true one has the higher value; nan where one kind is missing."""
    n_true, n_false = int(is_true.sum()), int((~is_true).sum())
    if not n_true or not n_false:
        return float("nan")
    ranks = float(rankdata(values)[is_true].sum())
    return (ranks - n_true * (n_true + 1) / 2) / (n_true * n_false)


def figures_of(
    fields: list[FieldCells], seen: list[CellMeasurements]
) -> Iterator[tuple[str, float]]:
    """Yield the figures of one way of reading, by name."""
    areas = []
    for name in sorted({field.laboratory for field in fields}):
        own = [k for k, field in enumerate(fields) if field.laboratory == name]
        values = np.concatenate([evidence_of(seen[k]) for k in own])
        intensity = np.concatenate([fields[k].intensity for k in own])
        use = intensity <= Intensity.FAINT
        areas.append(area_under_curve(values[use], intensity[use] > Intensity.NONE))
    yield "AUC, faint against none, mean over laboratories", float(np.nanmean(areas))
    stained = [is_stained(cells) for cells in seen]
    intensity, found = (np.concatenate(parts) for parts in ([f.intensity for f in fields], stained))
    yield "of faint cells read as stained", float(found[intensity == Intensity.FAINT].mean())
    yield "of unstained cells", float(found[intensity == Intensity.NONE].mean())
    null = [s.mean() for field, s in zip(fields, stained, strict=True) if field.is_null]
    yield "of the worst field without staining", float(max(null, default=float("nan")))


def seen_from(cells: CellMeasurements, cut: float) -> CellMeasurements:
    """Return the same cells as if a membrane counted as seen from this probability."""
    return replace(cells, seen_line=shifted(cells.seen_line, cut))


def overlooked(cells: CellMeasurements, is_asked: NDArray[np.bool_]) -> str:
    """Say of how many of these cells with a clear line the network sees no membrane there."""
    clear = has_clear_line(cells) & is_asked
    return f"{int((clear & is_refused(cells)).sum())} of {int(clear.sum())}"


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fields", type=int, default=N_FIELDS)
    parser.add_argument("--seed", type=int, default=4242, help="of laboratories and fields")
    parser.add_argument("--model", default="her2-broad", help="network")
    arguments = parser.parse_args()
    if arguments.fields < 5:
        parser.error("--fields must be at least 5: one of each score")
    if arguments.seed < 0:
        parser.error("--seed must be at least 0")
    try:
        folder = find_model(arguments.model).folder
    except ModelError as error:
        parser.error(str(error))
    cv2.setNumThreads(1)
    reader = NetworkReader(folder, device="cpu")
    calibration = reader.description.calibration
    own_cut = calibration.plane_cuts.get("membrane", 0.5)
    # Read without its own cut: each cut is tried on what the weights say.
    uncut = {name: cut for name, cut in calibration.plane_cuts.items() if name != "membrane"}
    reader.description = reader.description.model_copy(
        update={"calibration": calibration.model_copy(update={"plane_cuts": uncut})}
    )
    laboratories = fresh_laboratories(arguments.seed, N_LABORATORIES)
    plans = plan_slides(arguments.fields, seed=arguments.seed, side_um=SIDE_UM, known=laboratories)
    fields = []
    for plan in plans:
        fields.append(read_field(plan, reader))
        print(f"read {len(fields)}/{len(plans)}", file=sys.stderr, flush=True)
    print(f"{arguments.fields} fields, seed {arguments.seed}, network {arguments.model}")
    ways = {
        "rules": [without_network(field.cells) for field in fields],
        "both": [seen_from(field.cells, own_cut) for field in fields],
    }
    for way, seen in ways.items():
        for name, value in figures_of(fields, seen):
            print(f"{way:<6} {name:<50} {value:.3f}")
    for cut in CUTS:
        kept = dict(figures_of(fields, [seen_from(field.cells, cut) for field in fields]))
        faint, none = kept["of faint cells read as stained"], kept["of unstained cells"]
        print(f"membrane from {cut:.2f}: faint {faint:.3f}, unstained {none:.4f}")
    cells = CellMeasurements.concatenate(ways["both"])
    is_true = np.concatenate([field.intensity for field in fields]) > Intensity.NONE
    for kind, is_asked in (("stained", is_true), ("unstained", ~is_true)):
        print(f"clear lines of {kind} cells that it overlooks: {overlooked(cells, is_asked)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
