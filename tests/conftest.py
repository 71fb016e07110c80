"""What all tests share."""

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import settings

# Some scripts ask for one thread when they are loaded, and numba stops where that changes later.
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

settings.register_profile("offline", deadline=None, derandomize=True)
settings.load_profile("offline")

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real pictures beside the repository; the test skips where it is absent."""
    if not REAL_DATA.is_dir():
        pytest.skip("the folder of real pictures is not here")
    return REAL_DATA


@pytest.fixture
def load_script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Load a module of the folder scripts, which is no package, by its name."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module


@pytest.fixture(scope="session")
def gamma_profile() -> Callable[..., bytes]:
    """Make a color profile (ICC) of values that are roots of light, such as the 1.8th."""
    # Not before the number of threads is set, above.
    from her2path.synth.color_profile import rgb_profile

    return lambda gamma: rgb_profile(np.linspace(0, 1, 1024) ** gamma)
