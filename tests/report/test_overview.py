"""The map of a slide colors regions that have a score, and leaves the others pale."""

import numpy as np

from her2path.criteria.score import Score
from her2path.report.overview import MapRegion, MapShapes, draw_map


def test_a_region_without_a_score_stays_grey():
    rgb = np.full((200, 300, 3), 120, np.uint8)
    ring = np.array([[20.0, 20.0], [120.0, 20.0], [120.0, 120.0], [20.0, 120.0]])
    regions = (
        MapRegion((ring,), None),
        MapRegion((ring + np.array([150.0, 0.0]),), Score.THREE_PLUS),
    )
    drawn = draw_map(rgb, MapShapes(regions=regions), mpp=10.0)
    assert len(set(drawn[70, 70].tolist())) == 1
    assert drawn[70, 220, 0] > drawn[70, 220, 1]


def test_where_a_square_lies_in_an_outline_its_color_is_that_of_the_legend():
    rgb = np.full((200, 300, 3), 120, np.uint8)
    square = np.array([[20.0, 20.0], [120.0, 20.0], [120.0, 120.0], [20.0, 120.0]])
    around = np.array([[10.0, 10.0], [280.0, 10.0], [280.0, 190.0], [10.0, 190.0]])
    alone = draw_map(rgb, MapShapes(regions=(MapRegion((square,), Score.ULTRALOW),)), mpp=10.0)
    for order in (1, -1):
        regions = (
            MapRegion((square,), Score.ULTRALOW),
            MapRegion((around,), Score.THREE_PLUS, is_drawn=True),
        )[::order]
        both = draw_map(rgb, MapShapes(regions=regions), mpp=10.0)
        assert both[70, 70].tolist() == alone[70, 70].tolist()
        assert both[70, 220].tolist() != alone[70, 220].tolist()
