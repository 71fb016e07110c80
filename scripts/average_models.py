"""Average the weights of networks of one design, trained on from one another.

``python scripts/average_models.py OUT MODEL=SHARE MODEL=SHARE …`` writes a network whose weights
are the weighted mean, with the calibration of the first; run ``calibrate_model.py`` on it after. A
network that was trained on forgets some of what it knew; between the two lies one that knows most
of both (Wortsman et al., CVPR 2022, arXiv 2109.01903).
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from her2path.errors import ModelError
from her2path.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from her2path.models.export_onnx import export_onnx
from her2path.models.shipped import find_model
from her2path.models.torch_reading import network_of
from her2path.models.training_outputs import MAX_SUMMARY


def averaged(parts: Sequence[tuple[Checkpoint, float]]) -> Mapping[str, Tensor]:
    """Return the weighted mean of the weights; what is no floating number is of the first.

    Raises
    ------
    ModelError
        When the networks are not of one design, or the shares do not add up to one.
    """
    if not math.isclose(sum(share for _, share in parts), 1.0, abs_tol=1e-6):
        raise ModelError("the shares must add up to 1")
    if len({checkpoint.design for checkpoint, _ in parts}) > 1:
        raise ModelError("only networks of one design can be averaged")
    states = [(checkpoint.tensors, share) for checkpoint, share in parts]
    first, _ = states[0]
    return {
        name: sum(share * state[name].double() for state, share in states).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in first.items()
    }


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("parts", nargs="+", metavar="MODEL=SHARE", help="a name or folder")
    parser.add_argument("--name", help="of the network (that of the folder)")
    given = parser.parse_args()
    try:
        parts = []
        for text in given.parts:
            model, equals, share = text.rpartition("=")
            if not equals:
                parser.error(f"{text}: give MODEL=SHARE, as her2-broad=0.5")
            parts.append((load_checkpoint(find_model(model).folder), float(share)))
        first, *others = (checkpoint.description for checkpoint, _ in parts)
        named = ", ".join(f"{part.name} ({part.fingerprint[:12]})" for part in (first, *others))
        data = first.data.with_earlier([part.data for part in others])
        data = data.model_copy(
            update={"summary": f"Mean of the weights of {named}. {data.summary}"[:MAX_SUMMARY]}
        )
        description = first.model_copy(
            update={"name": given.name or given.out.name, "metrics": {}, "data": data}
        )
        save_checkpoint(given.out, averaged(parts), description)
        export_onnx(given.out, network_of(load_checkpoint(given.out)))
    except (ModelError, ValueError) as error:
        parser.error(str(error))
    print(f"{given.out}: calibrate it with scripts/calibrate_model.py")
    return 0


if __name__ == "__main__":
    sys.exit(main())
