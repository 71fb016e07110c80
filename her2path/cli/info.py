"""`her2path info`: what was understood of a slide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.table import Column, Table
from rich.text import Text

from her2path.cli.console import OUTPUT
from her2path.slides.info import describe_slide
from her2path.slides.opening import open_slide

__all__ = ["show_info"]


def show_info(path: Path, *, mpp: float | None, as_json: bool) -> None:
    """Print what was understood of a slide, as a table or as JSON."""
    with open_slide(path, mpp=mpp) as slide:
        facts = describe_slide(slide)
    if as_json:
        OUTPUT.print(json.dumps(facts, ensure_ascii=False, indent=2))
        return
    # Paths without a blank are longer than a line, and are not cut short.
    columns = Column(no_wrap=True), Column(overflow="fold")
    table = Table(*columns, show_header=False, box=None, pad_edge=False)
    for name, value in rows_of(facts):
        # Text of a file may hold what rich takes for markup.
        table.add_row(Text(name, style="bold"), Text(value))
    OUTPUT.print(table)
    for problem in facts["problems"]:
        OUTPUT.print(Text.assemble(("problem: ", "bold yellow"), problem))


def rows_of(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the rows of the table."""
    width, height = facts["dimensions"]
    mpp, size = facts["mpp"], facts["size_mm"]
    levels = ", ".join(
        f"{level['dimensions'][0]} × {level['dimensions'][1]} (1/{level['downsample']:g})"
        for level in facts["levels"]
    )
    return [
        ("file", facts["path"]),
        ("format", f"{facts['format']}, read by {facts['backend']}"),
        ("scanner", facts["scanner"] or "not said"),
        ("size", f"{width} × {height} px, {facts['megapixels']:g} MP"),
        ("µm/px", f"{mpp[0]:.4g} × {mpp[1]:.4g}, {facts['mpp_source']}" if mpp else "missing"),
        ("area", f"{size[0]:.2f} × {size[1]:.2f} mm" if size else "unknown without µm/px"),
        ("objective", f"{facts['objective_power']:g}×" if facts["objective_power"] else "not said"),
        ("levels", levels),
        ("tiles", f"{facts['tile_size'][0]} × {facts['tile_size'][1]} px, {facts['compression']}"),
        ("ICC profile", "yes; applied where --icc srgb is asked for" if facts["has_icc"] else "no"),
        ("other pictures", ", ".join(facts["associated_images"]) or "none"),
    ]
