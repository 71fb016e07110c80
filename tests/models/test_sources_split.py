"""Patients and laboratories stand on one side, and every one that does not is listed."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2path.errors import ManifestError
from her2path.models.sources import Apart, Part, Sample, check_split, split_samples
from her2path.models.sources.split import split_faults


def sample(k: int, patient: str, laboratory: str, part: Part | None = None) -> Sample:
    return Sample(path=Path(f"{k}.png"), patient=patient, laboratory=laboratory, part=part)


def test_every_violation_is_listed() -> None:
    samples = [
        sample(0, "P1", "A", Part.TRAIN),
        sample(1, "P1", "A", Part.TEST),
        sample(2, "P2", "B", Part.TRAIN),
        sample(3, "P3", "B", Part.TEST),
        sample(4, "P4", "C", Part.TEST),
    ]
    with pytest.raises(ManifestError, match="3 faults") as caught:
        check_split(samples)
    for words in ("laboratory A stands", "laboratory B stands", "patient A/P1 stands"):
        assert words in str(caught.value)


def test_laboratories_may_be_shared_when_patients_are_asked_for() -> None:
    samples = [sample(0, "P1", "A", Part.TRAIN), sample(1, "P2", "A", Part.TEST)]
    check_split(samples, apart=Apart.PATIENT)
    with pytest.raises(ManifestError, match="laboratory A"):
        check_split(samples, apart=Apart.LABORATORY)


def test_patients_of_one_name_in_two_laboratories_are_two_people() -> None:
    samples = [sample(0, "1", "A", Part.TRAIN), sample(1, "1", "B", Part.TEST)]
    check_split(samples, apart=Apart.LABORATORY)


def test_unknown_groups_are_a_fault_of_what_is_asked_for() -> None:
    samples = [sample(0, "", "A", Part.TRAIN), sample(1, "", "B", Part.TEST)]
    check_split(samples, apart=Apart.LABORATORY)
    with pytest.raises(ManifestError, match="2 pictures without a patient"):
        check_split(samples, apart=Apart.PATIENT)
    check_split(samples, apart=Apart.PICTURE)


def test_a_picture_on_two_sides_is_found_whatever_is_asked_for() -> None:
    samples = [sample(0, "P1", "A", Part.TRAIN), sample(0, "P2", "B", Part.TEST)]
    for apart in Apart:
        assert any("0.png" in fault for fault in split_faults(samples, apart=apart))


def test_a_picture_under_two_spellings_is_one_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    samples = [
        Sample(path=tmp_path / "a.png", part=Part.TRAIN),
        Sample(path=tmp_path / "b.png", part=Part.TEST),
    ]
    with pytest.raises(ManifestError, match=r"a\.png stands on 2 sides"):
        check_split(samples, apart=Apart.PICTURE)


def test_with_one_part_nothing_is_wrong() -> None:
    check_split([sample(0, "", "", Part.TRAIN), sample(0, "", "", Part.TRAIN)])


groups = st.lists(
    st.tuples(st.integers(0, 20), st.sampled_from("ABCDEF")), min_size=30, max_size=60
)


@settings(deadline=None)
@given(groups, st.sampled_from([Apart.PATIENT, Apart.LABORATORY]), st.integers(0, 5))
def test_a_drawn_split_is_clean_whole_and_needs_no_order(
    pairs: list[tuple[int, str]], apart: Apart, seed: int
) -> None:
    samples = [sample(k, f"P{p}", lab) for k, (p, lab) in enumerate(pairs)]
    if len({s.laboratory for s in samples}) < 3:
        return
    found = split_samples(samples, apart=apart, validate_share=0.2, test_share=0.2, seed=seed)
    check_split(found, apart=apart)
    assert {s.part for s in found} == set(Part)
    assert [replace(s, part=None) for s in found] == samples
    again = split_samples(samples[::-1], apart=apart, validate_share=0.2, test_share=0.2, seed=seed)
    assert list(again[::-1]) == list(found)


def test_given_parts_stay_and_draw_their_group() -> None:
    samples = [
        sample(0, "P1", "A", Part.TEST),
        sample(1, "P1", "A"),
        sample(2, "P2", "A"),
        sample(3, "P3", "A"),
    ]
    found = split_samples(samples, apart=Apart.PATIENT, validate_share=0.5, seed=1)
    assert found[0].part is Part.TEST
    assert found[1].part is Part.TEST
    assert {found[2].part, found[3].part} == {Part.TRAIN, Part.VALIDATE}


def test_too_few_groups_unknown_groups_and_greedy_shares_are_refused() -> None:
    one = [sample(0, "P1", "A"), sample(1, "P1", "A")]
    with pytest.raises(ManifestError, match="too few"):
        split_samples(one, apart=Apart.PATIENT, validate_share=0.2)
    with pytest.raises(ManifestError, match="neither a split nor a patient"):
        split_samples([sample(0, "", "A")], apart=Apart.PATIENT, validate_share=0.2)
    with pytest.raises(ManifestError, match="less than 1"):
        split_samples(one, apart=Apart.PATIENT, validate_share=0.5, test_share=0.5)
