"""From what a person names (files, folders, patterns, a manifest) to slides to score."""

from __future__ import annotations

import glob
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from her2path.cells.calibration import Calibration
from her2path.criteria.rule_set import RuleSet
from her2path.criteria.score import IshResult, Specimen
from her2path.errors import AnnotationError, ManifestError, SlideError, list_faults
from her2path.geometry import Location
from her2path.pipeline.settings import SlideJob
from her2path.results.folder import (
    FIELDS_FOLDER,
    OVERVIEW_PNG,
    PARTS,
    SLIDE_JSON,
    name_slides,
    stem_of,
)
from her2path.slides.color import Icc
from her2path.slides.companions import INDEX_SUFFIXES
from her2path.slides.dicom_series import series_of
from her2path.stain.od import WhitePoint

__all__ = ["JobDefaults", "check_manifest_alone", "find_slides", "jobs_of_paths", "outlines_for"]

logger = logging.getLogger(__name__)

# Formats that hold a µm/px, or say that they should; VSI is refused by name, not passed over.
SLIDE_SUFFIXES = frozenset(
    {".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide"}
    | {".dcm", ".vsi", ".qptiff", ".btf", ".zvi", ".czi"}
)
# Plain pictures have none, so that a folder's thumbnails are not taken for slides.
FIELD_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
OUTLINE_SUFFIXES = (".geojson", ".json", ".xml", ".annotations")
SPREADSHEET_SUFFIXES = (".xlsx", ".xls", ".ods", ".numbers")
# What evaluate, cohort, outcomes and compare leave beside their figures.
STUDY_DOCUMENTS = frozenset({"evaluation.json", "cohort.json", "outcomes.json", "pair.json"})
# What `synth` leaves beside a slide.
TRUTH_ENDING, MASK_ENDINGS = ".truth.json", (".masks.png", ".membranes.tif")
MAX_SLIDES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDefaults:
    """What holds for every slide unless a manifest says otherwise for one.

    `roi` is a file of outlines for a single slide, or a folder with one file per slide.
    `is_by_specimen`: of the gastric criteria the specimen of each slide decides, not `rule_set`.
    """

    rule_set: RuleSet
    calibration: Calibration
    is_by_specimen: bool = False
    mpp: float | None = None
    roi: Path | None = None
    roi_offset: Location = field(default=Location(0, 0))
    white_point: WhitePoint | None = None
    ish: IshResult | None = None
    specimen: Specimen | None = None
    icc: Icc = Icc.OFF


def find_slides(sources: Sequence[str], *, with_fields: bool) -> tuple[Path, ...]:
    """Return the slides that files, folders and patterns name, in order, each once.

    The levels of a DICOM slide are files of one series: the first stands for them.

    Parameters
    ----------
    sources : sequence of str
        Folders are searched with all below them; the results of a run are passed over.
    with_fields : bool
        Whether plain PNG and JPEG pictures in folders are slides: only when µm/px is given.

    Raises
    ------
    SlideError
        If a source names nothing.
    """
    found: dict[Path, None] = {}
    faults = []
    for source in sources:
        paths = tuple(expanded(source, with_fields=with_fields))
        if not paths:
            faults.append(f"{source}: {why_nothing(source, with_fields=with_fields)}")
        for path in paths:
            found[Path(os.path.abspath(path))] = None
    if found and not faults and not any(os.path.exists(path) for path in found):
        faults = [f"{path} does not exist; check the path" for path in found]
    if faults:
        raise SlideError(list_faults("nothing to score", faults))
    passed_over = 0 if with_fields else sum(pictures_in(source) for source in sources)
    if passed_over:
        logger.warning(
            "PNG or JPEG pictures passed over: %d. They do not hold their µm/px; add --mpp to "
            "score them",
            passed_over,
        )
    if len(found) > MAX_SLIDES:
        raise SlideError(f"{len(found):,} slides are more than {MAX_SLIDES:,}; score them in parts")
    return tuple(one_of_each_series(found))


def one_of_each_series(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the paths without those of a DICOM series of which one was there in that folder."""
    known: set[tuple[Path, str]] = set()
    for path in paths:
        series = series_of(path) if path.suffix.lower() == ".dcm" else ""
        if series and (path.parent, series) in known:
            continue
        known.add((path.parent, series))
        yield path


def expanded(source: str, *, with_fields: bool) -> Iterator[Path]:
    path = Path(source)
    # os.path answers no where a path cannot even be asked for, as when it is too long.
    if os.path.isdir(path):
        yield from slides_below(path, with_fields=with_fields)
    elif os.path.exists(path) or not glob.has_magic(source):
        # A missing file fails by itself, and the others are scored.
        yield path
    else:
        for match in sorted(glob.glob(source, recursive=True)):
            if Path(match).is_dir():
                yield from slides_below(Path(match), with_fields=with_fields)
            else:
                yield Path(match)


def searched(folder: Path) -> Iterator[tuple[Path, list[str], bool]]:
    """Yield the folders that are searched, with their files and whether one is an index of others.

    Linked folders are searched too, each real one once: links may lead in a circle. Hidden ones
    are passed over, and so is what a run has written, and what nobody may read.
    """
    done: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in done:
            folders.clear()
            continue
        done.add(real)
        if is_written(files, folders):
            folders.clear()
            continue
        if not STUDY_DOCUMENTS.isdisjoint(files):
            # Slides may lie beside a study, and its figures are none.
            files = [name for name in files if Path(name).suffix.lower() not in FIELD_SUFFIXES]
        # Masks of a drawn slide are no picture of tissue.
        masks = {
            name.removesuffix(TRUTH_ENDING) + ending
            for name in files
            if name.endswith(TRUTH_ENDING)
            for ending in MASK_ENDINGS
        }
        files = [name for name in files if name not in masks]
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        has_index = any(name.lower().endswith(INDEX_SUFFIXES) for name in files)
        yield Path(place), files, has_index


def is_written(files: Sequence[str], folders: Sequence[str]) -> bool:
    """Tell by what lies in a folder whether `score` or `export` has written it for one slide.

    Of a slide that was killed or failed there may be no more than pictures or parts, and of one
    without cells to write no annotations.
    """
    has_pictures = OVERVIEW_PNG in files and FIELDS_FOLDER in folders
    dicom = {name for name in files if name.lower().endswith(".dcm")}
    has_export = "report.dcm" in dicom and dicom <= {"annotations.dcm", "report.dcm"}
    return SLIDE_JSON in files or has_pictures or has_export or PARTS in folders


def slides_below(folder: Path, *, with_fields: bool) -> Iterator[Path]:
    """Yield the slides of a folder and all below it, sorted by name."""
    for here, files, has_index in searched(folder):
        for name in sorted(files):
            suffix = Path(name).suffix.lower()
            is_field = suffix in FIELD_SUFFIXES and with_fields and not has_index
            if name.startswith(".") or not (suffix in SLIDE_SUFFIXES or is_field):
                continue
            yield here / name


def pictures_in(source: str) -> int:
    """Return how many plain pictures lie in a folder and below it that no index is of."""
    path = Path(source)
    if not os.path.isdir(path):
        return 0
    return sum(
        name.lower().endswith(tuple(FIELD_SUFFIXES)) and not name.startswith(".")
        for _, files, has_index in searched(path)
        if not has_index
        for name in files
    )


def why_nothing(source: str, *, with_fields: bool) -> str:
    path = Path(source)
    if not os.path.isdir(path):
        return "no file has such a name; check the pattern"
    if not with_fields and pictures_in(source):
        return "only plain pictures, which do not hold their µm/px; add --mpp to score them"
    return "no slide in this folder; known suffixes are " + ", ".join(sorted(SLIDE_SUFFIXES))


def jobs_of_paths(paths: Sequence[Path], defaults: JobDefaults) -> tuple[SlideJob, ...]:
    """Return a job for each slide, all alike but for their outlines.

    Raises
    ------
    ResultsError
        If a slide is listed twice.
    AnnotationError
        If one file of outlines is given for several slides, or a slide has none in the folder.
    """
    rois = outlines_for(paths, defaults.roi)
    return tuple(
        SlideJob(
            slide_id=slide_id,
            path=path,
            rule_set=defaults.rule_set,
            calibration=defaults.calibration,
            mpp=defaults.mpp,
            roi=roi,
            roi_offset=defaults.roi_offset,
            white_point=defaults.white_point,
            ish=defaults.ish,
            specimen=defaults.specimen,
            icc=defaults.icc,
        )
        for slide_id, path, roi in zip(name_slides(paths), paths, rois, strict=True)
    )


def outlines_for(paths: Sequence[Path], roi: Path | None) -> tuple[Path | None, ...]:
    """Return the file of outlines of each slide.

    Raises
    ------
    AnnotationError
        If one file is given for several slides, or a slide has none in the folder.
    """
    if roi is None:
        return (None,) * len(paths)
    if not os.path.isdir(roi):
        if len(paths) > 1:
            raise AnnotationError(
                f"{roi} holds the outlines of one slide, but {len(paths)} are to be scored; give a "
                "folder with one file per slide, or a manifest with a column roi"
            )
        if not os.path.isfile(roi):
            raise AnnotationError(f"{roi} does not exist; check --roi")
        return (Path(os.path.abspath(roi)),)
    found: list[Path | None] = []
    faults = []
    for path in paths:
        match = next(
            (
                file
                for stem in (path.name, path.stem, stem_of(path))
                for suffix in OUTLINE_SUFFIXES
                if (file := roi / f"{stem}{suffix}").is_file()
            ),
            None,
        )
        if match is None:
            faults.append(f"{path.name}: no {path.stem}.geojson or .xml in {roi}")
        found.append(match and Path(os.path.abspath(match)))
    shared = [file for file, n in Counter(found).items() if file is not None and n > 1]
    faults += [f"{file} would serve several slides of one name" for file in shared]
    if faults:
        heading = "outlines cannot be told; name them in a manifest with a column roi"
        raise AnnotationError(list_faults(heading if shared else "slides without outlines", faults))
    return tuple(found)


def check_manifest_alone(sources: Sequence[str]) -> Path | None:
    """Return the manifest when the sources are one, None when they name slides.

    Raises
    ------
    ManifestError
        If a manifest is named beside slides, or is no CSV.
    """
    sheets = [source for source in sources if source.lower().endswith(SPREADSHEET_SUFFIXES)]
    if sheets:
        raise ManifestError(f"{sheets[0]} is a spreadsheet; save the sheet as CSV UTF-8, name that")
    manifests = [source for source in sources if source.lower().endswith(".csv")]
    if not manifests:
        return None
    if len(sources) > 1:
        raise ManifestError(
            f"{manifests[0]} is a manifest and is scored alone; add the other slides as rows to it"
        )
    return Path(manifests[0])
