"""The last layers of the network, from mean features to a score: small enough for numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from her2path.errors import ModelError
from her2path.models.checkpoint import Checkpoint
from her2path.models.description import N_CUTS

__all__ = ["ScoreHead"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ScoreHead:
    """What `her2path.models.network.Her2Network.above_logits` computes, without torch.

    Attributes
    ----------
    hidden, hidden_bias : ndarray of shape (H, K) and (H,), float64
        Layer between K mean features and the grade.
    grade, grade_bias : ndarray of shape (1, H) and (1,), float64
    cuts : ndarray of shape (4,), float64
        Between the five scores, ascending.
    """

    hidden: Floats
    hidden_bias: Floats
    grade: Floats
    grade_bias: Floats
    cuts: Floats

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> ScoreHead:
        """Take the head out of a checkpoint.

        Raises
        ------
        ModelError
            When the weights do not fit the design, or are no numbers.
        """
        design = checkpoint.design
        shapes = {
            "hidden.weight": (design.n_hidden, design.n_features),
            "hidden.bias": (design.n_hidden,),
            "grade.weight": (1, design.n_hidden),
            "grade.bias": (1,),
            "first_cut": (),
            "cut_steps": (N_CUTS - 1,),
        }
        found = checkpoint.floats(shapes)
        wrong = [
            name
            for name, shape in shapes.items()
            if name not in found or found[name].shape != shape or not np.isfinite(found[name]).all()
        ]
        if wrong:
            raise ModelError(
                f"the weights in {checkpoint.folder} do not fit {design.backbone}, or "
                f"are no numbers ({', '.join(wrong)}); fetch or train the model again"
            )
        return cls(
            hidden=found["hidden.weight"],
            hidden_bias=found["hidden.bias"],
            grade=found["grade.weight"],
            grade_bias=found["grade.bias"],
            cuts=cut_points(found),
        )

    @property
    def n_features(self) -> int:
        """K."""
        return self.hidden.shape[1]

    def above_logits(self, features: Floats) -> Floats:
        """Return the logits of lying above each cut, (n, 4), for mean features, (n, K)."""
        hidden = np.maximum(features @ self.hidden.T + self.hidden_bias, 0.0)
        grade: Floats = 4.0 * (hidden @ self.grade.T + self.grade_bias)
        return grade - self.cuts


def cut_points(found: Mapping[str, Floats]) -> Floats:
    """Return the cuts from the first one and the steps, which softplus keeps above zero."""
    steps = np.logaddexp(0.0, found["cut_steps"])
    cuts: Floats = found["first_cut"] + np.concatenate([[0.0], np.cumsum(steps)])
    return cuts
