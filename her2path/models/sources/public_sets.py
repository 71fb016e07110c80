"""Public sets by the layouts that they have when they are unpacked.

All were scored before 0 was divided into 0 and 0+: a "0" of theirs is read as one of the two.
None of them comes with this package; each has terms of its own, which do not all allow every use.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from her2path.errors import ManifestError, TableError, list_faults
from her2path.models.sources.folders import (
    label_of,
    listed,
    needed_mpp,
    pictures_in,
    read_class_folders,
)
from her2path.models.sources.sample import Part, Sample
from her2path.results.sheet import Sheet, read_sheet

__all__ = ["read_bci", "read_her2_ihc_40x", "read_warwick"]

logger = logging.getLogger(__name__)

BCI_NAME = re.compile(r"(\d+)_(train|test)_([0-3])(\+?)", re.IGNORECASE)
WARWICK_NAME = re.compile(r"0*(\d+)_her2", re.IGNORECASE)
WARWICK_TABLE = "groundTruth.csv"
# So many cases show which were left out.
MAX_NAMED = 10


def read_bci(root: Path, *, mpp: float | None = None, laboratory: str = "") -> tuple[Sample, ...]:
    """Read BCI: ``IHC/train/00000_train_1+.png``; the H&E pictures beside them are passed over.

    The score in a name is that of the slide which the picture was cut from. Names do not tell
    slides or patients apart, so the set's own split can only be kept, not checked.

    Parameters
    ----------
    root : Path
        The unpacked folder, which holds ``IHC``.
    mpp : float
        µm/px of the pictures.
    laboratory : str
        Other name of the group; ``BCI``.

    Raises
    ------
    ManifestError
        If the layout is another one.
    """
    places = [root, *(child for child in listed(root) if child.name.lower() == "bci_dataset")]
    folders = [
        child
        for place in places
        if place.is_dir()
        for child in listed(place)
        if child.name.lower() == "ihc" and child.is_dir()
    ]
    if not folders:
        raise ManifestError(f"{root} holds no folder IHC; name the folder that BCI unpacks to")
    pixel = needed_mpp(mpp, "BCI")
    samples, strange = [], []
    for path, _ in pictures_in(folders[0]):
        name = BCI_NAME.fullmatch(path.stem)
        if name is None:
            strange.append(path.name)
            continue
        number, plus = name.group(3), name.group(4)
        samples.append(
            Sample(
                path=path,
                mpp_if_none=pixel,
                laboratory=laboratory or "BCI",
                part=Part(name.group(2).lower()),
                score=label_of(number + plus, is_split=False, of="slide"),
                source="BCI",
            )
        )
    if strange:
        raise ManifestError(
            list_faults(f"{folders[0]}: names are not like 00000_train_1+.png", strange)
        )
    if not samples:
        raise ManifestError(f"{folders[0]} holds no picture")
    return tuple(samples)


def read_her2_ihc_40x(
    root: Path, *, mpp: float | None = None, laboratory: str = ""
) -> tuple[Sample, ...]:
    """Read HER2-IHC-40x: ``Patch-based-dataset/train_data_patch/class_2+/….png``.

    The set comes in two variants, ``Patch-based-dataset`` (split by patch) and
    ``WSI-based-dataset`` (split by slide). They hold the same pictures on different sides, so one
    of them is read. Names do not tell slides apart; only the variant by slide keeps them apart.

    Parameters
    ----------
    root : Path
        One unpacked variant, or the folder that holds one.
    mpp : float
        µm/px of the pictures.
    laboratory : str
        Other name of the group; ``HER2-IHC-40x``.

    Raises
    ------
    ManifestError
        If the layout is another one, or both variants are there.
    """
    variants = [place for place in listed(root) if place.name.lower().endswith("-based-dataset")]
    if len(variants) > 1:
        names = " and ".join(place.name for place in variants)
        raise ManifestError(
            f"{root} holds {names}, which hold the same pictures on different sides of their "
            "splits; name one of them"
        )
    samples = read_class_folders(
        variants[0] if variants else root,
        mpp=mpp,
        laboratory=laboratory or "HER2-IHC-40x",
        source="HER2-IHC-40x",
        score_of="slide",
    )
    without = [str(sample.path) for sample in samples if sample.part is None]
    if without:
        raise ManifestError(list_faults(f"{root}: pictures are in neither train nor test", without))
    return samples


def read_warwick(
    root: Path, *, mpp: float | None = None, laboratory: str = ""
) -> tuple[Sample, ...]:
    """Read the Warwick contest: slides ``01_HER2.ndpi``, scores in ``groundTruth.csv``.

    The table is the one that the contest gives as a spreadsheet, saved as CSV: a column of case
    numbers (``CaseNo``) and one of scores (``HeR2 SCORE``). H&E slides are passed over. Slides
    without a score, and scores without a slide, are left out with a warning.

    Parameters
    ----------
    root : Path
        The folder of slides; the table lies in it, or the slides in folders below it.
    mpp : float, optional
        µm/px, where the slides do not say.
    laboratory : str
        Other name of the group; ``Warwick``.

    Raises
    ------
    ManifestError
        If there is no table, it has faults, or no slide has a score.
    """
    tables = [path for path in listed(root) if path.name.lower() == WARWICK_TABLE.lower()]
    if not tables:
        raise ManifestError(
            f"{root} holds no {WARWICK_TABLE}; save the contest's table of scores under that name"
        )
    try:
        scores = warwick_scores(read_sheet(tables[0]))
    except TableError as error:
        raise ManifestError(str(error)) from error
    slides: dict[int, Path] = {}
    for path in sorted(root.rglob("*")):
        name = WARWICK_NAME.fullmatch(path.stem)
        if name is not None and path.suffix.lower() in (".ndpi", ".tif", ".tiff", ".svs"):
            slides.setdefault(int(name.group(1)), path)
    unused = sorted(set(slides) ^ set(scores))
    if unused:
        logger.warning(
            "%s: %d cases have only a slide (named like 01_HER2.ndpi) or only a score, and are "
            "left out: %s",
            root,
            len(unused),
            ", ".join(map(str, unused[:MAX_NAMED])) + (", …" if unused[MAX_NAMED:] else ""),
        )
    samples = tuple(
        Sample(
            path=slides[case],
            mpp_if_none=mpp,
            patient=str(case),
            laboratory=laboratory or "Warwick",
            score=label_of(scores[case], is_split=False, of="slide"),
            source="Warwick",
        )
        for case in sorted(set(slides) & set(scores))
    )
    if not samples:
        raise ManifestError(
            f"{root}: no slide named like 01_HER2.ndpi has a score in {tables[0].name}"
        )
    return samples


def warwick_scores(sheet: Sheet) -> dict[int, str]:
    """Return the score of each case."""
    columns = {column.casefold().replace(" ", ""): column for column in sheet.columns}
    case, score = (
        next((column for key, column in columns.items() if key.startswith(word)), None)
        for word in ("case", "her2score")
    )
    if case is None or score is None:
        raise ManifestError(
            f"{sheet.path.name} needs a column of case numbers (CaseNo) and one of scores "
            f"(HeR2 SCORE); it has {', '.join(sheet.columns):.200}"
        )
    found: dict[int, str] = {}
    faults = []
    for row in sheet.rows:
        if not row.get(score):
            # Cases that the contest kept for testing stand in the table without one.
            continue
        # A spreadsheet may write a whole number as 3.0.
        number, text = (row.get(column).removesuffix(".0") for column in (case, score))
        given = text.removesuffix("+")
        if not number.isdecimal() or given not in ("0", "1", "2", "3"):
            faults.append(f"row {row.number}: case {number!r:.20}, score {text!r:.20}")
        elif int(number) in found:
            faults.append(f"row {row.number}: case {number} stands twice")
        else:
            found[int(number)] = given if given == "0" else f"{given}+"
    if faults:
        raise ManifestError(list_faults(f"{sheet.path.name} cannot be used", faults))
    return found
