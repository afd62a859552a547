"""What is read from a model's header equals what the engine reports once it is loaded."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from inference import Engine
from inference.request import CheckpointError, TurboLora
from inference.weights.headers.diffusion_models import (
    CACHED_HEADERS,
    TRANSFORMER_MARK,
    find_diffusion_model,
    model_facts,
)
from inference.weights.headers.header import Header
from inference.weights.modelspec import ANIMA, TURBO
from tests.golden import MODELS
from tests.header_only import write_header

KEYS = {TRANSFORMER_MARK: (1, 0)}


def model(models: Path, name: str, **metadata: str) -> Path:
    return write_header(models / "diffusion_models" / f"{name}.safetensors", KEYS, **metadata)


def test_the_headers_say_what_the_engine_says() -> None:
    engine, facts = Engine.load(MODELS, device="cpu"), model_facts(MODELS)
    assert (facts.name, facts.native, facts.turbo) == (engine.name, engine.native, engine.turbo_lora())


def test_native_settings_come_from_the_header(tmp_path: Path) -> None:
    model(tmp_path, "anima-base", modelspec__resolution="512x512", modelspec__anima__steps="12")
    native = model_facts(tmp_path).native
    assert (native.sizes, native.steps, native.cfg_scale) == (((512, 512),), 12, ANIMA.cfg_scale)


def test_a_turbo_model_has_its_settings_and_no_turbo_lora(tmp_path: Path) -> None:
    model(tmp_path, "anima-turbo-v1")
    write_header(tmp_path / "loras" / "turbo.safetensors")
    facts = model_facts(tmp_path)
    assert (facts.native, facts.turbo) == (TURBO, None)


def test_a_turbo_lora_that_was_copied_in_is_there_at_once(tmp_path: Path) -> None:
    model(tmp_path, "anima-base")
    assert model_facts(tmp_path).turbo is None
    path = write_header(tmp_path / "loras" / "turbo.safetensors")
    assert model_facts(tmp_path).turbo == TurboLora("turbo", TURBO.steps, TURBO.cfg_scale)
    write_header(path, modelspec__anima__steps="4", modelspec__anima__cfg_scale="1")
    os.utime(path, ns=(1, 1))
    assert model_facts(tmp_path).turbo == TurboLora("turbo", 4, 1.0)


def test_files_are_read_once_however_often_they_are_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model(tmp_path, "anima-base")
    for number in range(2 * CACHED_HEADERS):
        write_header(tmp_path / "loras" / f"ink{number}.safetensors")
    facts = model_facts(tmp_path)
    monkeypatch.setattr(Header, "read", lambda path: pytest.fail(f"{path} was read again"))
    assert model_facts(tmp_path) == facts


def test_a_model_in_a_form_that_cannot_be_read_gives_way_to_one_that_can(tmp_path: Path) -> None:
    form = {"layers": {"a": {"format": "nvfp4"}}}
    model(tmp_path, "anima-base-nvfp4", _quantization_metadata=json.dumps(form))
    plain = model(tmp_path, "anima-base-v1")
    assert find_diffusion_model(tmp_path) == plain


def test_without_a_model_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="Run `anima download`"):
        model_facts(tmp_path)
    for name in ("one", "two"):
        model(tmp_path, name)
    with pytest.raises(CheckpointError, match="Say which one to use"):
        model_facts(tmp_path)
    assert model_facts(tmp_path, "two").name == "two"
