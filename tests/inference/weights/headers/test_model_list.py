"""Which diffusion models of a folder may be chosen, under which names, and why others may not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

import pytest

from inference.request import CheckpointError
from inference.weights.headers.diffusion_models import TRANSFORMER_MARK, model_facts
from inference.weights.headers.model_list import ModelList, find_model, list_models
from inference.weights.modelspec import AESTHETIC, ANIMA, TURBO
from tests.header_only import SIZES, write_diffusion_model, write_header


def write(models: Path, name: str, folder: str = "diffusion_models", blocks: int = 2, **metadata: str) -> Path:
    return write_diffusion_model(models / folder / f"{name}.safetensors", blocks=blocks, **metadata)


def refusals(found: ModelList) -> dict[str, str]:
    return {path.name: why for path, why in found.refused.items()}


def test_the_default_comes_first_and_the_others_in_order(tmp_path: Path) -> None:
    for name in ("b", "anima-base-v1.0", "a"):
        write(tmp_path, name)
    found = list_models(tmp_path)
    assert (found.default, list(found.models)) == ("anima-base-v1.0", ["anima-base-v1.0", "a", "b"])
    assert list(list_models(tmp_path, "b.safetensors").models) == ["b", "a", "anima-base-v1.0"]


def test_each_model_has_the_facts_of_its_own_header(tmp_path: Path) -> None:
    write(tmp_path, "anima-base")
    write(tmp_path, "anima-turbo")
    write(tmp_path, "portraits", modelspec__title="Anima Aesthetic", blocks=3)
    write_header(tmp_path / "loras" / "turbo.safetensors")
    facts = list_models(tmp_path).models
    assert [each.native for each in facts.values()] == [ANIMA, TURBO, AESTHETIC]
    assert [each.turbo is not None for each in facts.values()] == [True, False, True]
    assert [each.blocks for each in facts.values()] == [2, 2, 3]
    assert facts["anima-base"] == model_facts(tmp_path)


def test_names_are_paths_in_the_files_own_folder_and_stay_apart(tmp_path: Path) -> None:
    write(tmp_path, "anima-base")
    write(tmp_path, "mine/portraits")
    shutil.copy(write(tmp_path, "twice"), tmp_path / "diffusion_models" / "twice.sft")
    write(tmp_path, "all-in-one", "checkpoints")
    write(tmp_path, "anima-base", "checkpoints")
    write(tmp_path, "twice", "checkpoints")
    assert list(list_models(tmp_path).models) == [
        "anima-base",
        "all-in-one",
        "checkpoints/anima-base",
        "checkpoints/twice",
        "mine/portraits",
        "twice",
        "twice.sft",
    ]


def test_a_setting_may_name_the_default_as_the_list_does(tmp_path: Path) -> None:
    write(tmp_path, "portraits")
    write(tmp_path, "mine/portraits")
    write(tmp_path, "portraits", "checkpoints")
    for name in ("portraits", "mine/portraits", "checkpoints/portraits"):
        assert list_models(tmp_path, name).default == name


def test_a_file_that_links_lead_to_is_listed_once(tmp_path: Path) -> None:
    write(tmp_path, "anima-base")
    (tmp_path / "unet").symlink_to(tmp_path / "diffusion_models")
    assert list(list_models(tmp_path).models) == ["anima-base"]


def test_files_that_come_and_go_are_noticed(tmp_path: Path) -> None:
    write(tmp_path, "anima-base")
    assert len(list_models(tmp_path).models) == 1
    added = write(tmp_path, "added")
    assert list(list_models(tmp_path).models) == ["anima-base", "added"]
    added.unlink()
    assert len(list_models(tmp_path).models) == 1


def test_models_that_the_engine_cannot_draw_with_are_refused_with_the_reason(tmp_path: Path) -> None:
    write(tmp_path, "anima-base")
    folder = tmp_path / "diffusion_models"
    other_encoder = replace(SIZES, adapter=replace(SIZES.adapter, source_width=128)).shapes
    other_tokens = replace(SIZES, adapter=replace(SIZES.adapter, vocabulary=16)).shapes
    write_header(folder / "encoder.safetensors", other_encoder)
    write_header(folder / "tokens.safetensors", other_tokens)
    write_header(folder / "latents.safetensors", replace(SIZES, latent_channels=4).shapes)
    write_header(folder / "half.safetensors", {k: s for k, s in SIZES.shapes.items() if not k.startswith("blocks.1")})
    write_header(folder / "mark.safetensors", {TRANSFORMER_MARK: (64, 64)})
    write_header(folder / "surplus.safetensors", {**SIZES.shapes, "blocks.1.more.weight": (3,)})
    form = {"layers": {"a": {"format": "nvfp4"}}}
    write_diffusion_model(folder / "nvfp4.safetensors", _quantization_metadata=json.dumps(form))
    write_header(folder / "sdxl.safetensors", {"input_blocks.0.0.weight": (320, 4, 3, 3)})
    (folder / "torn.safetensors").write_bytes(b"\x00" * 20)
    found = list_models(tmp_path)
    assert list(found.models) == ["anima-base", "half"]  # a model with one block less is a model
    said = refusals(found)
    assert said.keys() == {
        f"{name}.safetensors" for name in ("encoder", "tokens", "latents", "mark", "surplus", "nvfp4")
    }
    assert "text encoder of width 128" in said["encoder.safetensors"]
    assert "16 T5 tokens" in said["tokens.safetensors"]
    assert "4 channels" in said["latents.safetensors"]
    assert "lacks tensors" in said["mark.safetensors"]
    assert "blocks.1.more.weight is not known" in said["surplus.safetensors"]
    assert "nvfp4, which is not supported" in said["nvfp4.safetensors"]


def test_without_a_default_the_error_is_the_engines(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="Run `anima download`"):
        list_models(tmp_path)
    for name in ("one", "two"):
        write(tmp_path, name)
    with pytest.raises(CheckpointError, match="Say which one to use"):
        list_models(tmp_path)
    assert list(list_models(tmp_path, "two").models) == ["two", "one"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("mine/portraits", "mine/portraits"),
        ("mine\\portraits.safetensors", "mine/portraits"),
        ("portraits", "mine/portraits"),
        (" a.sft ", "a"),
        ("twice.sft", "twice.sft"),
        ("base", None),  # of two
        ("none", None),
        ("", None),
    ],
)
def test_a_name_is_found_as_files_and_other_programs_write_it(typed: str, meant: str | None) -> None:
    assert find_model(typed, ["a", "mine/portraits", "twice", "twice.sft", "one/base", "two/base"]) == meant


def test_listing_takes_no_pytorch() -> None:
    code = "import sys, inference.weights.headers.model_list; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_name_is_found_as_a_mac_types_it_with_its_folder_and_without() -> None:
    names = ["画風/がんばる", "他/がんばる", "プロ"]
    for name in ("画風/がんばる", "プロ", "プロ.safetensors", "elsewhere/プロ"):
        found = find_model(normalize("NFD", name), names)
        assert found is not None and found == find_model(name, names)
