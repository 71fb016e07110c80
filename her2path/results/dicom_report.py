"""The result of a slide as a DICOM structured report: TID 1500 in a Comprehensive SR."""

from __future__ import annotations

import math

from her2path.criteria.score import Organ, Score
from her2path.results.dicom_source import (
    RESEARCH_USE,
    Dicom,
    Identity,
    code,
    coding_schemes,
    equipment,
    library,
    one_line,
    private_code,
    readable_faults,
    stamp,
)
from her2path.results.jsonable import canonical_json
from her2path.results.record import SlideRecord

__all__ = ["report_of"]

SERIES_NUMBER = 9102
# More than any flag says, and than there are kinds of flags.
MAX_LONG_TEXT = 1024
MAX_FLAGS = 64

# What was asked, by organ: LOINC has a code for breast cancer and one for any tissue.
QUESTIONS = {
    Organ.BREAST: ("85319-2", "HER2 [Presence] in Breast cancer specimen by Immune stain"),
    Organ.STOMACH: ("18474-7", "HER2 Ag [Presence] in Tissue by Immune stain"),
}
STATUS = ("48676-1", "HER2 [Interpretation] in Tissue")
# LOINC answer list LL4396-9. It has no answer for 0+, which is sent as 0 with a text.
ANSWERS = {
    Score.ZERO: ("LA6111-4", "0"),
    Score.ULTRALOW: ("LA6111-4", "0"),
    Score.ONE_PLUS: ("LA11841-6", "1+"),
    Score.TWO_PLUS: ("LA11842-4", "2+"),
    Score.THREE_PLUS: ("LA11843-2", "3+"),
    Score.NOT_ASSESSABLE: ("LA11884-6", "Indeterminate"),
}
QUALIFIERS = {Score.ULTRALOW: "ultralow (0+)", Score.NOT_ASSESSABLE: "not assessable"}
# Columns of slides.csv for which no standard has a code, with their meaning.
SHARES = {
    "pct_stained": "Tumor cells with any HER2 membrane staining",
    "pct_complete": "Tumor cells stained all round, weak or stronger",
    "pct_none": "Tumor cells without HER2 membrane staining",
    **{
        f"pct_{word}": f"Tumor cells with {word} HER2 membrane staining"
        for word in ("faint", "weak", "moderate", "intense")
    },
}


def report_of(record: SlideRecord, image: Dicom) -> Dicom:
    """Return the result of a slide as a structured report.

    It is a partial, preliminary and unverified document: a person reads the slide.

    Parameters
    ----------
    record : SlideRecord
        The result.
    image : pydicom Dataset
        Attributes of the level-0 image (`read_source_image`).

    Returns
    -------
    highdicom ComprehensiveSR

    Raises
    ------
    ResultsError
        If an attribute of the slide is refused.

    References
    ----------
    DICOM PS3.16, TID 1500, Measurement Report. LOINC 85319-2, 18474-7, 48676-1, LL4396-9.
    """
    identity = Identity(str(image.SOPInstanceUID), canonical_json(record), "report")
    with readable_faults(record.slide_id):
        sr, codes = library("highdicom.sr"), library("pydicom.sr.codedict").codes
        content = sr.MeasurementReport(
            observation_context=observers(record, image),
            procedure_reported=codes.SCT.Immunohistochemistry,
            imaging_measurements=[findings(record, identity)],
            referenced_images=[image],
        )
        content[0].ContentSequence.append(text_item(codes.DCM.Comment, RESEARCH_USE))
        made = sr.ComprehensiveSR(
            evidence=[image],
            content=content,
            series_instance_uid=identity.uid("series"),
            series_number=SERIES_NUMBER,
            series_description="HER2 score (research use only)",
            sop_instance_uid=identity.uid("instance"),
            instance_number=1,
            is_complete=False,
            is_final=False,
            is_verified=False,
            coding_schemes=coding_schemes(),
            **equipment(),
        )
        stamp(made, record)
        return made


def observers(record: SlideRecord, image: Dicom) -> Dicom:
    """Return who observed, a program, and what: the specimen, where the slide names just one."""
    sr, codes = library("highdicom.sr"), library("pydicom.sr.codedict").codes
    program = sr.DeviceObserverIdentifyingAttributes(
        uid=Identity("", one_line(record.software_version), "program").uid("program"),
        name="her2path",
        manufacturer_name="her2path",
        model_name="her2path",
        serial_number=one_line(record.software_version),
    )
    specimens = list(image.get("SpecimenDescriptionSequence") or [])
    is_named = len(specimens) == 1 and all(
        specimens[0].get(name) for name in ("SpecimenIdentifier", "SpecimenUID")
    )
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(codes.DCM.Device, program),
        subject_context=sr.SubjectContext.from_image(image) if is_named else None,
    )


def findings(record: SlideRecord, identity: Identity) -> Dicom:
    """Return the measurement group that holds the score, the shares and what a reader must know."""
    sr, codes = library("highdicom.sr"), library("pydicom.sr.codedict").codes
    question = code(QUESTIONS[record.organ][0], "LN", one_line(QUESTIONS[record.organ][1]))
    answer = code(ANSWERS[record.score][0], "LN", ANSWERS[record.score][1])
    score = sr.QualitativeEvaluation(question, answer)
    if record.score in QUALIFIERS:
        score[0].ContentSequence = sr.ContentSequence(
            [
                sr.TextContentItem(
                    name=private_code("score", "HER2 score in words"),
                    value=QUALIFIERS[record.score],
                    relationship_type=sr.RelationshipTypeValues.HAS_PROPERTIES,
                )
            ]
        )
    made = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=identity.uid("tracking"), identifier=f"HER2 of {one_line(record.slide_id, 128)}"
        ),
        algorithm_id=sr.AlgorithmIdentification(
            name="her2path",
            version=one_line(record.software_version),
            parameters=[
                f"rule set: {one_line(record.rule_set)}",
                f"edition: {one_line(record.edition, MAX_LONG_TEXT)}",
                f"model: {one_line(record.model)}",
                f"calibration: {one_line(record.calibration.name)}",
                f"settings: {one_line(record.settings_hash)}",
            ],
        ),
        measurements=measurements(record),
        qualitative_evaluations=[score],
    )
    group = made[0].ContentSequence
    group.append(text_item(code(STATUS[0], "LN", STATUS[1]), status_words(record)))
    for flag in record.flags[:MAX_FLAGS]:
        is_review = flag.severity == "review"
        name = private_code("review_flag", "Review flag") if is_review else codes.DCM.Comment
        group.append(text_item(name, f"{flag.flag.value}: {flag.sentence}"))
    if record.score is Score.ULTRALOW:
        words = "HER2 score is 0+ (ultralow); LOINC LL4396-9 has no code for it, and 0 is sent."
        group.append(text_item(codes.DCM.Comment, words))
    return made


def measurements(record: SlideRecord) -> list[Dicom]:
    """Return the numbers of a result; none of a share where no cell was counted."""
    sr, codes = library("highdicom.sr"), library("pydicom.sr.codedict").codes
    cells = code("{cells}", "UCUM", "cells")
    values: list[tuple[str, str, float, Dicom]] = [
        ("n_tumor_cells", "Tumor cells counted", record.reading.n_tumor_cells, cells)
    ]
    if record.reading.n_tumor_cells:
        shares = record.reading.shares
        values += [(n, m, shares.get(n, math.nan), codes.UCUM.Percent) for n, m in SHARES.items()]
        score = shares.get("h_score", math.nan)
        values.append(("h_score", "H-score of HER2 (0-300)", score, codes.UCUM.NoUnits))
    return [
        sr.Measurement(name=private_code(name, meaning), value=value, unit=unit)
        for name, meaning, value, unit in values
        if math.isfinite(value)
    ]


def status_words(record: SlideRecord) -> str:
    words = record.status.value.replace("_", " ")
    return f"{words}: {record.status_comment}" if record.status_comment else words


def text_item(name: Dicom, text: str) -> Dicom:
    sr = library("highdicom.sr")
    return sr.TextContentItem(
        name=name,
        value=one_line(text, MAX_LONG_TEXT),
        relationship_type=sr.RelationshipTypeValues.CONTAINS,
    )
