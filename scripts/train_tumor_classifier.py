"""Fit the tumor rule of her2path/cells/tumor_classifier.json on synthetic fields.

Draws fields of the training laboratories, and as many of laboratories and tissue drawn at random,
measures their cells, and fits a logistic regression. Prints the balanced accuracy on each
laboratory when it was left out. Needs scikit-learn (`pip install scikit-learn`), which the package
itself does not.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from her2path.cells.measure import MeasureSettings, measure_cells
from her2path.cells.nuclei import typical_counterstain
from her2path.cells.tumor import FEATURES, tumor_features
from her2path.stain import StainMatrix, separate
from her2path.synth import (
    Field,
    Laboratory,
    RegionRecipe,
    SlideRecipe,
    TissueShape,
    draw_field,
    laboratories,
    mix_of,
)
from her2path.synth.variety import random_laboratory, random_recipe

TARGET = Path(__file__).resolve().parents[1] / "her2path" / "cells" / "tumor_classifier.json"
MIXES = (
    {"none": 1.0},
    {"none": 0.94, "faint_incomplete": 0.06},
    {"none": 0.6, "faint_incomplete": 0.4},
    {"none": 0.3, "faint_incomplete": 0.2, "weak_complete": 0.3, "moderate_complete": 0.2},
    {"none": 0.1, "moderate_complete": 0.2, "intense_complete": 0.7},
)
SIDE_UM = 350.0
MATCH_UM = 3.0
MARGIN_UM = 20.0
# Group of the fields of laboratories that are no one's.
VARIED = "drawn at random"
# Strong enough that no weight rests on a quirk of the generator.
INVERSE_PENALTY = 0.02


def draw(laboratory: Laboratory, rng: np.random.Generator) -> Field:
    """Draw one field with everything varied that a laboratory does not fix."""
    region = RegionRecipe(
        name="tumor",
        mix=mix_of(**MIXES[rng.integers(len(MIXES))]),
        tumor_share=float(rng.uniform(0.35, 0.8)),
        gland_share=float(rng.uniform(0, 0.7)),
        cord_share=float(rng.uniform(0, 0.3)),
        cell_um=float(rng.uniform(10, 17)),
        cytoplasm_od=float(rng.choice([0.0, 0.0, 0.04, 0.1])),
        lymphocytes=float(rng.uniform(0.3, 5)),
    )
    recipe = SlideRecipe(
        width_um=SIDE_UM, height_um=SIDE_UM, tissue=TissueShape(kind="fill"), regions=(region,)
    )
    return draw_field(recipe, laboratory, seed=int(rng.integers(2**31)))


def draw_varied(rng: np.random.Generator) -> Field:
    """Draw one field with laboratory and tissue at random."""
    recipe = random_recipe(rng, width_um=SIDE_UM, height_um=SIDE_UM)
    return draw_field(recipe, random_laboratory(rng), seed=int(rng.integers(2**31)))


def labelled_features(field: Field) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return features and truth of the cells that were found and lie inside."""
    white = tuple(np.percentile(field.rgb.reshape(-1, 3), 99.5, axis=0).clip(150, 255))
    counterstain = typical_counterstain([separate(field.rgb, white, StainMatrix())], mpp=field.mpp)
    settings = MeasureSettings(white, StainMatrix(), counterstain)
    cells = measure_cells(field.rgb, settings, mpp=field.mpp)
    features = tumor_features(cells, x_um=cells.x * field.mpp, y_um=cells.y * field.mpp)
    truth = field.truth.cells
    distance, nearest = cKDTree(np.column_stack([truth.x, truth.y])).query(
        np.column_stack([cells.x, cells.y])
    )
    margin = MARGIN_UM / field.mpp
    height, width = field.rgb.shape[:2]
    is_inside = (cells.x > margin) & (cells.x < width - margin)
    is_inside &= (cells.y > margin) & (cells.y < height - margin)
    use = is_inside & (distance * field.mpp <= MATCH_UM)
    return features[use], np.asarray(truth.is_tumor)[nearest[use]]


def main() -> None:
    """Draw, measure, fit, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fields", type=int, default=8, help="fields per laboratory")
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--out", type=Path, default=TARGET)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    features, labels, groups = [], [], []
    for laboratory in laboratories("training"):
        for _ in range(arguments.fields):
            x, y = labelled_features(draw(laboratory, rng))
            features.append(x)
            labels.append(y)
            groups.append(np.full(len(y), laboratory.name))
        print(f"{laboratory.name}: {sum(map(len, labels))} cells so far", flush=True)
    for _ in range(len(labels)):
        x, y = labelled_features(draw_varied(rng))
        features.append(x)
        labels.append(y)
        groups.append(np.full(len(y), VARIED))
    print(f"{VARIED}: {sum(map(len, labels))} cells so far", flush=True)
    x, y, group = np.concatenate(features), np.concatenate(labels), np.concatenate(groups)
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-9
    scaled = (x - mean) / scale
    accuracies = []
    for left_out in np.unique(group):
        model = LogisticRegression(C=INVERSE_PENALTY, class_weight="balanced", max_iter=1000)
        model.fit(scaled[group != left_out], y[group != left_out])
        is_test = group == left_out
        accuracies.append(balanced_accuracy_score(y[is_test], model.predict(scaled[is_test])))
        print(f"left out {left_out}: balanced accuracy {accuracies[-1]:.3f}")
    model = LogisticRegression(C=INVERSE_PENALTY, class_weight="balanced", max_iter=1000)
    model.fit(scaled, y)
    document = {
        "name": "synthetic-logistic",
        "source": (
            f"Logistic regression on {len(y)} cells of synthetic fields, half of them from "
            f"{len(np.unique(group)) - 1} training laboratories and half from laboratories and "
            f"tissue drawn at random (seed {arguments.seed}, --fields {arguments.fields}); "
            f"balanced accuracy {np.mean(accuracies):.3f} on laboratories left out, lowest "
            f"{min(accuracies):.3f}. No real picture was used for fitting."
        ),
        "features": list(FEATURES),
        "mean": [round(float(v), 5) for v in mean],
        "scale": [round(float(v), 5) for v in scale],
        "weights": [round(float(v), 5) for v in model.coef_[0]],
        "intercept": round(float(model.intercept_[0]), 5),
    }
    arguments.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {arguments.out}: {dict(zip(FEATURES, document['weights'], strict=True))}")


if __name__ == "__main__":
    main()
