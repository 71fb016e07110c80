"""pair.json: the comparison of two sides, for programs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from her2path.compare.continuous import Change
from her2path.compare.pair import Comparison, Pair
from her2path.results.jsonable import ends, to_json, write_json
from her2path.results.record import RESEARCH_USE
from her2path.results.run_record import software_version

__all__ = ["PAIR_HTML", "PAIR_JSON", "forget_pair", "pair_document", "write_pair_json"]

FORMAT = 1
PAIR_JSON = "pair.json"
PAIR_HTML = "pair.html"


def pair_document(pair: Pair) -> dict[str, Any]:
    """Return pair.json as a mapping.

    `score`, `status` and `continuous` are as read; `adjusted` holds the same three on the scale
    common to both sides, and is null where that changes nothing. The verdict rests on the latter.
    """
    return {
        "format": FORMAT,
        "software_version": software_version(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "research_use": RESEARCH_USE,
        "verdict": pair.verdict,
        "sentence": pair.sentence,
        "reasons": pair.reasons,
        **comparison_document(pair.as_read),
        "adjusted": None if pair.adjusted is None else comparison_document(pair.adjusted),
        "comparability": {
            "is_comparable": not pair.obstacles,
            "reasons": [*pair.voids, *pair.obstacles],
            "remarks": pair.remarks,
        },
        "adjustment": {
            **to_json(pair.adjustment),
            "size": pair.adjustment.size,
            "is_too_large": pair.adjustment.is_too_large,
        },
        "drift": {
            check.name: {**to_json(check), "is_within": check.is_within} for check in pair.checks
        },
        "bands": pair.bands,
        "before": pair.before,
        "after": pair.after,
        "seed": pair.seed,
        "n_draws": pair.n_draws,
        "n_permutations": pair.n_permutations,
    }


def comparison_document(found: Comparison) -> dict[str, Any]:
    deciding = None
    if found.deciding is not None:
        deciding = {
            **to_json(found.deciding),
            "ci95": ends(found.deciding.ci95),
            "is_clear": found.deciding.is_clear,
        }
    return {
        "score": found.score,
        "status": found.status,
        "continuous": {name: change_document(c) for name, c in found.continuous.items()},
        "deciding": deciding,
    }


def change_document(change: Change) -> dict[str, Any]:
    intervals = ("ci95", "before_ci95", "after_ci95")
    return {**to_json(change), **{name: ends(getattr(change, name)) for name in intervals}}


def forget_pair(folder: Path) -> None:
    """Delete the comparison of an earlier run from a folder."""
    for name in (PAIR_JSON, PAIR_HTML):
        (folder / name).unlink(missing_ok=True)


def write_pair_json(folder: Path, pair: Pair) -> Path:
    """Write pair.json into a folder, atomically, and return its path."""
    path = folder / PAIR_JSON
    write_json(path, pair_document(pair))
    return path
