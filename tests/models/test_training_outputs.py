"""What a run leaves behind."""

import cv2
import numpy as np
import pytest

from her2path.errors import ResultsError
from her2path.models.augment import Crop
from her2path.models.design import CELL_CLASSES, PLANES
from her2path.models.training_outputs import write_samples
from her2path.models.validation import FieldReading

SIDE = 32


@pytest.fixture
def reading() -> FieldReading:
    nothing = np.empty(0, np.float32)
    crop = Crop(
        rgb=np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8),
        planes=np.zeros((9, SIDE, SIDE), np.uint8),
        cells=np.zeros((len(CELL_CLASSES), SIDE // 16, SIDE // 16), np.float32),
        kind_tally=np.zeros(len(CELL_CLASSES), np.int64),
        x=nothing,
        y=nothing,
        is_tumor=np.empty(0, bool),
        kinds_known=True,
    )
    planes = np.zeros((len(PLANES), SIDE, SIDE), np.uint8)
    return FieldReading(crop, 0.5, planes, nothing, 0.0, np.full(5, 0.2, np.float32))


def test_samples_show_the_crop_and_beside_it_what_was_read(tmp_path, reading):
    write_samples(tmp_path / "samples", [reading])
    drawn = cv2.imread(str(tmp_path / "samples" / "sample-00.png"))[..., ::-1]
    assert drawn.shape == (SIDE, 2 * SIDE, 3)
    np.testing.assert_array_equal(drawn[:, :SIDE], reading.crop.rgb)


def test_a_sample_that_cannot_be_written_is_said(tmp_path, reading):
    (tmp_path / "sample-00.png").mkdir()
    with pytest.raises(ResultsError, match="cannot be written"):
        write_samples(tmp_path, [reading])
