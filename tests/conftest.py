"""What all tests share."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("offline", deadline=None, derandomize=True)
settings.load_profile("offline")

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real pictures beside the repository; the test skips where it is absent."""
    if not REAL_DATA.is_dir():
        pytest.skip("the folder of real pictures is not here")
    return REAL_DATA
