"""From what a person names (results, folders of results, slides) to the sides of a pair."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from her2path.compare.sides import Side, read_pair_slide
from her2path.criteria.rule_set import RuleSet, load_rule_set, rule_set_names
from her2path.criteria.score import IshResult, Score
from her2path.errors import Her2pathError, ResultsError, SlideError, list_faults
from her2path.pipeline.sources import find_slides
from her2path.results.folder import ResultsFolder, SlideFolder
from her2path.results.scored_slide import SlideIdentity
from her2path.slides.mpp import require_mpp
from her2path.slides.opening import open_slide

__all__ = ["SIDES", "SideSource", "find_side_sources", "read_sides", "result_of"]

SIDES = ("before", "after")


@dataclass(frozen=True, slots=True)
class SideSource:
    """What one side is made of: slide.json files, and pictures that are to be scored first."""

    name: str
    results: tuple[Path, ...]
    pictures: tuple[Path, ...]


def find_side_sources(
    named: Mapping[str, Sequence[str]], *, mpp: Mapping[str, float | None]
) -> dict[str, SideSource]:
    """Tell results from pictures, and look at all of them before anything is scored.

    Parameters
    ----------
    named : mapping of str to sequence of str
        Under "before" and "after": slide.json files, results folders of a slide, slides, folders
        of slides.
    mpp : mapping of str to float or None
        µm/px given for the pictures of each side.

    Raises
    ------
    ResultsError
        If anything cannot be used; all faults of both sides at once.
    """
    faults: list[str] = []
    found = {}
    known_as: dict[Path, tuple[str, SlideIdentity]] = {}
    for side in SIDES:
        texts = list(named.get(side, ()))
        if not texts:
            faults.append(f"{side}: no slide and no result; give at least one with --{side}")
        results: list[Path] = []
        pictures: list[Path] = []
        for text in texts:
            try:
                known = result_of(Path(text))
                if known is not None:
                    record = read_pair_slide(known).record
                    results.append(known.resolve())
                    known_as[results[-1]] = side, SlideIdentity.of_record(record)
                else:
                    slides = pictures_of(text, mpp.get(side))
                    pictures += slides
                    known_as |= {path: (side, SlideIdentity.of_file(path)) for path in slides}
            except Her2pathError as error:
                faults.append(fault_of(side, error))
        twice = [path for path, n in Counter([*results, *pictures]).items() if n > 1]
        faults += [f"{side}: {path} is named more than once" for path in twice]
        found[side] = SideSource(side, tuple(results), tuple(pictures))
    before, after = ({*found[side].results, *found[side].pictures} for side in SIDES)
    faults += [f"{path} is named on both sides" for path in sorted(before & after)]
    if not faults:
        faults = [
            f"{one} ({side}) and {other} ({other_side}) are the same cells of one slide"
            for (one, (side, of_one)), (other, (other_side, of_other)) in combinations(
                known_as.items(), 2
            )
            if of_one.is_same(of_other)
        ]
    if faults:
        raise ResultsError(list_faults("the pair cannot be compared", faults))
    return found


def fault_of(side: str, error: Her2pathError) -> str:
    """Return what is wrong with a side, as one fault; a list of its own stands below it."""
    return f"{side}: " + "\n    ".join(str(error).splitlines())


def result_of(path: Path) -> Path | None:
    """Return the slide.json that a path means, None when it means a picture."""
    if path.is_dir():
        own = SlideFolder(path).slide_json
        if own.is_file():
            return own
        if ResultsFolder(path).slides_csv.is_file():
            inside = sorted(path.glob(f"*/{own.name}"))
            if len(inside) == 1:
                return inside[0]
            names = ", ".join(folder.parent.name for folder in inside[:6]) or "none"
            raise ResultsError(
                f"{path} is the folder of a run with {len(inside)} slides ({names}); name the "
                "folders of the slides that belong to this side"
            )
        return None
    if path.suffix.lower() == ".json":
        if not path.is_file():
            raise ResultsError(f"{path} does not exist; check the path")
        return path
    return None


def pictures_of(text: str, mpp: float | None) -> list[Path]:
    """Return the slides that a text names, each opened once to see that it can be scored."""
    # Of a single name a list of one fault would only hide what is wrong.
    if not os.path.exists(text) and not glob.has_magic(text):
        raise SlideError(f"{text} does not exist; check the path")
    paths = find_slides([text], with_fields=mpp is not None)
    for path in paths:
        with open_slide(path, mpp=mpp) as slide:
            require_mpp(slide)
    return [path.resolve() for path in paths]


def read_sides(
    results: Mapping[str, Sequence[Path]],
    *,
    ish: Mapping[str, IshResult | None] | None = None,
    rule_set: RuleSet | None = None,
) -> tuple[Side, Side]:
    """Read both sides from their results.

    Parameters
    ----------
    results : mapping of str to sequence of Path
        Under "before" and "after": slide.json files.
    ish : mapping of str to IshResult or None, optional
        In-situ hybridisation of a side, over what its results hold.
    rule_set : RuleSet, optional
        Criteria that do not come with the package, by which results were scored.

    Raises
    ------
    ResultsError
        If results cannot be read, or a side cannot be read as one; all faults at once.
    """
    faults: list[str] = []
    sides: list[Side] = []
    for name in SIDES:
        slides = []
        for path in results[name]:
            try:
                slides.append(read_pair_slide(path))
            except Her2pathError as error:
                faults.append(fault_of(name, error))
        if not slides:
            continue
        records = [slide.record for slide in slides]
        given = (ish or {}).get(name)
        known = {record.ish for record in records} - {None}
        if given is None and len(known) > 1:
            words = ", ".join(sorted(str(found) for found in known))
            faults.append(f"{name}: its slides have different ISH ({words}); say which it is")
        # A slide that does not count has no say in the criteria either.
        speaking = [r for r in records if r.score is not Score.NOT_ASSESSABLE] or records
        try:
            found = criteria_of(speaking[0].rule_set, speaking[0].edition, rule_set)
        except ResultsError as error:
            faults.append(f"{name}: {error}")
            continue
        sides.append(Side(name, tuple(slides), found, given or next(iter(known), None)))
    if faults:
        raise ResultsError(list_faults("the pair cannot be compared", faults))
    return sides[0], sides[1]


def criteria_of(name: str, edition: str, given: RuleSet | None) -> RuleSet:
    """Return the rule set that results were scored by."""
    if given is not None and given.name == name:
        found = given
    elif name in rule_set_names():
        found = load_rule_set(name)
    else:
        raise ResultsError(
            f"scored by the criteria {name!r:.60}, which do not come with her2path; give their "
            "file with --criteria"
        )
    if found.edition != edition:
        raise ResultsError(
            f"scored by {name}, edition {edition!r:.80}, but the one at hand is "
            f"{found.edition!r:.80}; score the slide again"
        )
    return found
