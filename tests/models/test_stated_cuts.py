"""scripts/calibrate_model.py refuses cuts that are no probabilities before it draws anything."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.mark.parametrize("plane", ["tumor", "membrane"])
@pytest.mark.parametrize("cut", ["75", "0", "1", "-0.5", "nan"])
def test_a_cut_that_is_no_probability_is_refused_before_anything_is_drawn(
    plane: str,
    cut: str,
    untrained: Path,
    load_script: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = load_script("calibrate_model")

    def drawn(*_: object, **__: object) -> None:
        pytest.fail("fields were drawn")

    monkeypatch.setattr(script, "plan_slides", drawn)
    monkeypatch.setattr(script, "read_fields", drawn)
    monkeypatch.setattr("sys.argv", ["calibrate_model.py", str(untrained), f"--{plane}-cut={cut}"])
    with pytest.raises(SystemExit) as caught:
        script.main()
    assert caught.value.code == 2
    assert f"--{plane}-cut {float(cut):g} is no probability" in capsys.readouterr().err
