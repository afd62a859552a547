"""The engine finds the LoRA that makes its model a turbo model, and passes over what only looks like one."""

import logging
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from inference import Engine, TurboLora
from inference.miniature.export import turbo_card
from tests.golden import MODELS

LORA = MODELS / "loras" / "low_rank_comfyui.safetensors"
TRANSFORMER = Path("diffusion_models/anima-tiny.safetensors")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return shutil.copytree(MODELS, tmp_path / "models")


def turbo_lora(models: Path) -> TurboLora | None:
    return Engine.load(models, device="cpu").turbo_lora()


def test_other_lora_files_are_not_the_turbo_lora(models: Path) -> None:
    assert turbo_lora(models) is None


def test_a_file_that_says_nothing_of_itself_is_drawn_with_as_turbo_models_are(models: Path) -> None:
    shutil.copy(LORA, models / "loras" / "anima-turbo-v1.0.safetensors")
    shutil.copy(LORA, models / "loras" / "Anima-Turbo-v1.1.safetensors")
    assert turbo_lora(models) == TurboLora("Anima-Turbo-v1.1", steps=10, cfg_scale=1.0)


def test_steps_and_cfg_in_a_files_header_are_used(models: Path) -> None:
    save_file(load_file(LORA), models / "loras" / "turbo.safetensors", metadata=turbo_card())
    assert turbo_lora(models) == TurboLora("turbo", steps=8, cfg_scale=1.0)
    card = {"modelspec.anima.steps": "12", "modelspec.anima.cfg_scale": "1.5"}
    save_file(load_file(LORA), models / "loras" / "turbo.safetensors", metadata=card)
    assert turbo_lora(models) == TurboLora("turbo", steps=12, cfg_scale=1.5)


def test_impossible_values_in_a_files_header_are_ignored(models: Path) -> None:
    card = {"modelspec.anima.steps": "many", "modelspec.anima.cfg_scale": "nan"}
    save_file(load_file(LORA), models / "loras" / "turbo.safetensors", metadata=card)
    assert turbo_lora(models) == TurboLora("turbo", steps=10, cfg_scale=1.0)


def test_damaged_files_and_those_of_other_models_are_passed_over(
    models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loras = models / "loras"
    shutil.copy(LORA, loras / "anima-turbo-v1.0.safetensors")
    (loras / "anima-turbo-v1.1.safetensors").write_bytes(LORA.read_bytes()[:-100])
    os.symlink("nowhere", loras / "anima-turbo-v1.2.safetensors")
    save_file(
        {"lora_unet_double_blocks_0_qkv.lora_up.weight": torch.ones(4, 4)}, loras / "anima-turbo-v1.3.safetensors"
    )
    with caplog.at_level(logging.WARNING):
        assert turbo_lora(models) == TurboLora("anima-turbo-v1.0", steps=10, cfg_scale=1.0)
    assert "anima-turbo-v1.1 is not used as turbo LoRA" in caplog.text
    assert "anima-turbo-v1.3 is not used as turbo LoRA" in caplog.text


def test_a_turbo_checkpoint_needs_none(models: Path) -> None:
    shutil.copy(LORA, models / "loras" / "turbo.safetensors")
    (models / TRANSFORMER).rename(models / "diffusion_models" / "anima-turbo-v1.1.safetensors")
    assert turbo_lora(models) is None


def test_a_turbo_lora_copied_in_is_found_by_a_running_engine(models: Path) -> None:
    engine = Engine.load(models, device="cpu")
    assert engine.turbo_lora() is None
    shutil.copy(LORA, models / "loras" / "turbo.safetensors")
    assert engine.turbo_lora() == TurboLora("turbo", steps=10, cfg_scale=1.0)
