"""Which device a network runs on."""

import sys
from types import SimpleNamespace

import pytest
import torch

from her2path.errors import ModelError
from her2path.models import devices, distributed
from her2path.models.distributed import Team


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A torch that sees a graphics card or not, and that counts how often it is asked."""
    told = SimpleNamespace(card=False, n_asked=0, capabilities={}, emulates=False)

    def is_available() -> bool:
        told.n_asked += 1
        return bool(told.card)

    def is_bf16_supported(*, including_emulation: bool = True) -> bool:
        return including_emulation or not told.emulates

    fake = SimpleNamespace(
        cuda=SimpleNamespace(is_available=is_available, is_bf16_supported=is_bf16_supported),
        cpu=SimpleNamespace(get_capabilities=lambda: told.capabilities),
    )
    monkeypatch.setitem(sys.modules, "torch", fake)
    return told


@pytest.mark.parametrize(("card", "device"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_a_card_where_torch_sees_one(
    seen: SimpleNamespace, card: bool, device: str
) -> None:
    seen.card = card
    assert devices.choose_device("auto") == device


def test_the_processor_can_be_asked_for_beside_a_card(seen: SimpleNamespace) -> None:
    seen.card = True
    assert devices.choose_device("cpu") == "cpu"
    assert seen.n_asked == 0


@pytest.mark.usefixtures("seen")
def test_a_card_that_is_not_there_is_said_so() -> None:
    with pytest.raises(ModelError, match="--device cpu"):
        devices.choose_device("cuda")


@pytest.mark.usefixtures("seen")
def test_another_word_is_refused() -> None:
    with pytest.raises(ModelError, match="use auto, cpu or cuda"):
        devices.choose_device("tpu")


def test_torch_is_not_asked_where_no_driver_is_installed(
    seen: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen.card = True
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(devices, "has_driver", lambda: False)
    assert devices.choose_device("auto") == "cpu"
    assert "torch" not in sys.modules


@pytest.mark.parametrize(
    ("capabilities", "is_in_hardware"),
    [
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
        ({"avx2": True, "avx512_bf16": False}, False),
        ({}, False),
    ],
)
def test_bfloat16_of_a_processor(
    seen: SimpleNamespace, capabilities: dict[str, bool], is_in_hardware: bool
) -> None:
    seen.capabilities = capabilities
    assert devices.multiplies_bfloat16("cpu") == is_in_hardware


@pytest.mark.parametrize("is_in_hardware", [True, False])
def test_bfloat16_of_a_card_is_not_taken_where_it_is_emulated(
    seen: SimpleNamespace, is_in_hardware: bool
) -> None:
    seen.emulates = not is_in_hardware
    assert devices.multiplies_bfloat16("cuda") == is_in_hardware


@pytest.mark.parametrize(("in_hardware", "kind"), [(True, torch.bfloat16), (False, torch.float32)])
def test_training_is_in_half_precision_where_that_is_in_hardware(
    monkeypatch: pytest.MonkeyPatch, in_hardware: bool, kind: torch.dtype
) -> None:
    monkeypatch.setattr(distributed, "multiplies_bfloat16", lambda _: in_hardware)
    picture = torch.ones(1, 3, 16, 16)
    with Team(torch.device("cpu")).mixed_precision():
        assert torch.nn.Conv2d(3, 4, 3)(picture).dtype == kind


def test_no_driver_under_another_name(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(devices, "AMD_DEVICE", tmp_path / "none")
    monkeypatch.setattr(devices, "NVIDIA_DRIVER", "libno-such-driver.so.1")
    assert not devices.has_driver()
    monkeypatch.setattr(devices, "AMD_DEVICE", tmp_path)
    assert devices.has_driver()
