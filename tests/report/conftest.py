"""The made-up slide as a fixture."""

import pytest
from report_slides import make_slide


@pytest.fixture
def made(tmp_path):
    """A results folder with one scored slide whose pictures were not taken yet."""
    return make_slide(tmp_path)
