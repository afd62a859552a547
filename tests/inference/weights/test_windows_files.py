"""Files as Windows treats them: what is mapped can be neither replaced nor deleted, and mapping takes memory."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from inference import Engine
from inference.request import CheckpointError
from inference.weights import lora as lora_module
from inference.weights import weights_file
from inference.weights.headers.contents import TEXT_ENCODER_MARK
from inference.weights.headers.diffusion_models import why_unreadable
from inference.weights.headers.header import system_fault
from inference.weights.lora import Lora
from inference.weights.weights_file import WeightsFile
from tests.golden import MODELS

LORA = MODELS / "loras" / "lokr.safetensors"
#: As safetensors words it: the system's own words in the user's language, the number by Rust.
PAGE_FILE = "Die Auslagerungsdatei ist zu klein, um diesen Vorgang durchzuführen. (os error 1455)"


def test_no_mapping_of_a_lora_file_stays_open_once_it_is_read(engine: Engine) -> None:
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("this system does not show a process's memory mappings")
    lora = Lora.read(LORA, engine.transformer, engine.text_encoder.qwen)
    assert lora.factors
    assert str(LORA) not in maps.read_text(encoding="utf-8")


def fails(error: Exception) -> object:
    def open_it(*_: object, **__: object) -> None:
        raise error

    return open_it


def test_a_page_file_that_is_too_small_is_no_damage(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    for module in (weights_file, lora_module):
        monkeypatch.setattr(module, "safe_open", fails(OSError(PAGE_FILE)))
    with pytest.raises(CheckpointError, match="page file") as model:
        WeightsFile(MODELS / "diffusion_models" / "anima-tiny.safetensors", TEXT_ENCODER_MARK)
    with pytest.raises(CheckpointError, match="page file") as lora:
        Lora.read(LORA, engine.transformer)
    for raised in (model, lora):
        assert "elete" not in str(raised.value) and "damaged" not in str(raised.value)


def test_a_file_that_another_program_uses_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"weight": torch.ones(1)}, path)
    sentence = why_unreadable(path, PermissionError(13, "The process cannot access the file", str(path)))
    assert "another program is using it" in sentence and "elete" not in sentence


@pytest.mark.parametrize("number", [32, 33])
def test_a_file_that_another_program_has_locked_is_no_damage(
    monkeypatch: pytest.MonkeyPatch, engine: Engine, number: int
) -> None:
    """Rust's errors are plain OSErrors with a number, which means something else on other systems."""
    locked = OSError(f"Der Prozess kann nicht auf die Datei zugreifen. (os error {number})")
    monkeypatch.setattr(sys, "platform", "linux")
    assert system_fault(locked) is None
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(lora_module, "safe_open", fails(locked))
    with pytest.raises(CheckpointError, match="another program is using it") as raised:
        Lora.read(LORA, engine.transformer)
    assert "elete" not in str(raised.value)


def test_python_and_rust_write_the_same_number() -> None:
    assert system_fault(OSError("[WinError 1455] The paging file is too small")) is not None
    assert system_fault(OSError("(os error 14550)")) is None
    assert system_fault(ValueError("invalid header")) is None
