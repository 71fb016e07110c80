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
