"""`her2path criteria`: the tables that slides are scored by."""

from __future__ import annotations

import json

from rich.table import Column, Table

from her2path.cli.console import OUTPUT
from her2path.criteria.rule_set import load_rule_set, rule_set_names
from her2path.pipeline.settings import find_rule_set
from her2path.results.jsonable import to_json

__all__ = ["show_list", "show_rule_set"]


def show_list(*, as_json: bool) -> None:
    """Print the names and editions of the rule sets of the package."""
    rule_sets = [load_rule_set(name) for name in rule_set_names()]
    if as_json:
        rows = [
            {"name": rules.name, "edition": rules.edition, "organ": rules.organ.value}
            for rules in rule_sets
        ]
        OUTPUT.print(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    # Names are there to be copied: none is cut short, however narrow the terminal.
    name = Column("name", overflow="fold")
    table = Table(name, "organ", "edition", box=None, pad_edge=False)
    for rules in rule_sets:
        table.add_row(rules.name, rules.organ.value, rules.edition)
    OUTPUT.print(table)


def show_rule_set(name: str, *, as_json: bool) -> None:
    """Print the rows of a rule set, highest score first."""
    rules = find_rule_set(name)
    if as_json:
        OUTPUT.print(json.dumps(to_json(rules), ensure_ascii=False, indent=2))
        return
    OUTPUT.print(f"{rules.name}: {rules.edition}", style="bold")
    OUTPUT.print(f"Source: {rules.source}\n")
    table = Table("score", "row", "when", box=None, pad_edge=False)
    for row in sorted(rules.criteria, key=lambda row: -row.score.rank):
        text = f"{row.text} (from the matrix)" if row.is_matrix else row.text
        table.add_row(row.score.value, row.id, text)
    table.add_row("0", "", rules.zero_text)
    OUTPUT.print(table)
