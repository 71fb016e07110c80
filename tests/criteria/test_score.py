from her2path.criteria import EXPRESSION_SCORES, Extent, Intensity, Pattern, Score


def test_scores_rank_from_low_to_high():
    assert [score.rank for score in EXPRESSION_SCORES] == [0, 1, 2, 3, 4]
    assert Score.NOT_ASSESSABLE.rank == -1
    assert set(Score) - set(EXPRESSION_SCORES) == {Score.NOT_ASSESSABLE}


def test_only_closed_and_half_closed_membranes_have_an_extent_of_their_own():
    extents = {pattern: pattern.extent for pattern in Pattern}
    assert extents.pop(Pattern.COMPLETE) is Extent.COMPLETE
    assert extents.pop(Pattern.BASOLATERAL) is Extent.BASOLATERAL
    assert set(extents.values()) == {Extent.INCOMPLETE}


def test_words_are_those_of_the_tables():
    assert [i.label for i in Intensity] == ["none", "faint", "weak", "moderate", "intense"]
    assert [e.label for e in Extent] == ["incomplete", "basolateral", "complete"]
    assert Pattern.CYTOPLASMIC.label == "cytoplasmic"
