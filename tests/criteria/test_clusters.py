import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2path.criteria import Intensity
from her2path.criteria.clusters import Clusters, cluster_labels, largest_clusters


def test_a_chain_is_one_cluster_and_a_gap_makes_two():
    x = np.array([0, 15, 30, 45, 100, 115.0])
    labels = cluster_labels(x, np.zeros(6), reach_um=20)
    assert np.bincount(labels).tolist() == [4, 2]


def test_the_largest_cluster_is_found_at_each_intensity():
    x = np.arange(8) * 10.0
    found = largest_clusters(
        x, np.zeros(8), intensity=[4, 4, 3, 3, 2, 1, 1, 0], extent=[2] * 8, reach_um=12
    )
    assert found == Clusters(7, 5, 4, 2)
    assert found.largest(Intensity.MODERATE) == 4


def test_short_arcs_count_as_faint_only():
    found = largest_clusters(
        np.arange(5) * 10.0, np.zeros(5), intensity=[4] * 5, extent=[0] * 5, reach_um=12
    )
    assert found == Clusters(5, 0, 0, 0)


def test_lateral_staining_counts_as_strong_as_it_is():
    found = largest_clusters(
        np.arange(5) * 10.0, np.zeros(5), intensity=[3] * 5, extent=[1] * 5, reach_um=12
    )
    assert found == Clusters(5, 5, 5, 0)


def test_no_cell_has_no_cluster():
    assert largest_clusters([], [], intensity=[], extent=[], reach_um=10) == Clusters(0, 0, 0, 0)


def test_impossible_clusters_and_reaches_are_refused():
    with pytest.raises(ValueError, match="parts of"):
        Clusters(1, 2, 0, 0)
    with pytest.raises(ValueError, match="positive"):
        cluster_labels([0.0], [0.0], reach_um=0)
    with pytest.raises(ValueError, match="stained"):
        Clusters(1, 0, 0, 0).largest(Intensity.NONE)
    with pytest.raises(ValueError, match="one x and one y"):
        cluster_labels([0.0], [], reach_um=1)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=40))
def test_clusters_do_not_depend_on_rotation_or_order(points):
    # Whole coordinates and a reach between two possible distances: rounding cannot decide.
    xy = np.array(points, float)
    sizes = sorted(np.bincount(cluster_labels(xy[:, 0], xy[:, 1], reach_um=7.04)))
    turned = sorted(np.bincount(cluster_labels(-xy[::-1, 1], xy[::-1, 0], reach_um=7.04)))
    assert sizes == turned
