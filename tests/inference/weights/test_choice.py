"""Of the files in a folder of ComfyUI the right ones are used, and where two fit nobody guesses."""

import os
import shutil
from pathlib import Path
from unicodedata import normalize

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from inference import Engine, GenerationRequest
from inference.request import CheckpointError
from inference.weights.checkpoint import QWEN_ROWS, ModelFiles, embedding_rows, unfitting
from tests.golden import MODELS, relative_error

TRANSFORMER = Path("diffusion_models/anima-tiny.safetensors")
TEXT_ENCODER = Path("text_encoders/qwen_3_tiny.safetensors")
VAE = Path("vae/qwen_image_vae_tiny.safetensors")
REQUEST = GenerationRequest("1girl", width=64, height=64, steps=2, seed=1)
PARTS = pytest.mark.parametrize(
    ("file", "official", "setting"),
    [
        (TEXT_ENCODER, "qwen_3_06b_base.safetensors", "text_encoder"),
        (VAE, "qwen_image_vae.safetensors", "vae"),
    ],
)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return shutil.copytree(MODELS, tmp_path / "models")


def disturbed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: tensor * 1.5 for key, tensor in tensors.items()}


@PARTS
def test_the_official_name_counts_before_others_that_fit(models: Path, file: Path, official: str, setting: str) -> None:
    save_file(disturbed(load_file(models / file)), (models / file).with_name("Another.safetensors"))
    (models / file).rename((models / file).with_name(official))
    assert getattr(ModelFiles.find(models), setting).path.name == official


@PARTS
def test_between_two_that_fit_nobody_guesses(models: Path, file: Path, official: str, setting: str) -> None:
    other = (models / file).with_name("Another.safetensors")
    save_file(disturbed(load_file(models / file)), other)
    with pytest.raises(CheckpointError, match=rf"Another.safetensors, {file.name}.*\(ANIMA_{setting.upper()}\)"):
        ModelFiles.find(models)
    for name in ("Another", "Another.safetensors"):
        found = ModelFiles.find(models, **{setting: name})
        assert getattr(found, setting).path == other
    assert f"ANIMA_{setting.upper()} names it" in found.reasons


@PARTS
def test_an_unknown_name_is_reported_with_the_known_ones(models: Path, file: Path, official: str, setting: str) -> None:
    with pytest.raises(CheckpointError, match=f"ANIMA_{setting.upper()} is 'nothing'.*There are: {file.name}"):
        ModelFiles.find(models, **{setting: "nothing"})


def test_a_text_encoder_whose_vocabulary_is_too_small_is_not_used(models: Path) -> None:
    tensors = load_file(models / TEXT_ENCODER)
    tensors["model.embed_tokens.weight"] = tensors["model.embed_tokens.weight"][:350].clone()
    other = models / "text_encoders" / "qwen_0.6b_ace15.safetensors"
    save_file(tensors, other)
    files = ModelFiles.find(models)
    assert files.text_encoder.path == models / TEXT_ENCODER
    assert "350 tokens" in unfitting(files)[other]
    with pytest.raises(CheckpointError, match="350 tokens"):
        ModelFiles.find(models, text_encoder=other.name)


def test_qwens_own_tokenizer_asks_for_qwens_own_rows(tmp_path: Path) -> None:
    tokens = ", ".join(f'"{number}": {number}' for number in range(151_669))
    (tmp_path / "vocab.json").write_text(f"{{{tokens}}}")
    assert embedding_rows(tmp_path) == QWEN_ROWS
    (tmp_path / "vocab.json").write_text('{"a": 0, "b": 6}')
    assert embedding_rows(tmp_path) == 7
    (tmp_path / "vocab.json").write_text("nonsense")
    assert embedding_rows(tmp_path) == 0


def test_a_vae_that_cannot_be_read_is_passed_over_for_the_next(models: Path) -> None:
    tensors = load_file(models / VAE)
    head = next(key for key in tensors if key.endswith("decoder.head.2.weight"))
    tensors[head] = tensors[head].repeat(4, *[1] * (tensors[head].ndim - 1))
    save_file(tensors, models / "vae" / "Wan2.1_VAE_upscale2x.safetensors")
    (models / "vae" / "a.safetensors").write_bytes(b"")
    assert ModelFiles.find(models).vae.path == models / VAE


def test_a_name_that_a_mac_has_taken_apart_is_found_as_operators_write_it(models: Path) -> None:
    file = (models / TRANSFORMER).rename(
        (models / TRANSFORMER).with_name(f"{normalize('NFD', 'がんばる')}.safetensors")
    )
    for form in ("NFC", "NFD"):
        for name in ("がんばる", "がんばる.safetensors", "diffusion_models/がんばる.safetensors"):
            assert ModelFiles.find(models, normalize(form, name)).transformer.path.samefile(file)


def test_linked_folders_and_short_or_capital_suffixes_are_found(models: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (models / TRANSFORMER).rename(elsewhere / "anima.sft")
    (models / "diffusion_models" / "second disk").symlink_to(elsewhere)
    (models / "diffusion_models" / "loop").symlink_to(models)
    (models / VAE).rename((models / VAE).with_suffix(".SAFETENSORS"))
    assert ModelFiles.find(models).transformer.path.name == "anima.sft"
    assert ModelFiles.find(models, "anima").transformer.path.name == "anima.sft"
    assert Engine.load(models, device="cpu").name == "anima"


def all_in_one(models: Path, **changes: Tensor) -> dict[str, Tensor]:
    tensors = {
        f"model.diffusion_model.{key.removeprefix('net.')}": tensor
        for key, tensor in load_file(models / TRANSFORMER).items()
    }
    for key, tensor in load_file(models / TEXT_ENCODER).items():
        tensors[f"text_encoders.qwen3_06b.transformer.{key}"] = tensor
    return tensors | {f"vae.{key}": tensor.half() for key, tensor in load_file(models / VAE).items()} | changes


@pytest.mark.parametrize("folder", ["checkpoints", "diffusion_models"])
def test_one_file_is_the_whole_model(engine: Engine, models: Path, folder: str) -> None:
    (models / "checkpoints").mkdir()
    path = models / folder / "all in one.safetensors"
    save_file(all_in_one(models), path)
    for file in (TRANSFORMER, TEXT_ENCODER, VAE):
        (models / file).unlink()
    loaded = Engine.load(models, device="cpu")
    assert {loaded.files.transformer.path, loaded.files.text_encoder.path, loaded.files.vae.path} == {path}
    wanted = engine.generate([REQUEST])[0]
    assert relative_error(loaded.generate([REQUEST])[0].latent, wanted.latent) < 1e-5


def test_a_file_without_all_parts_is_completed_by_others(models: Path) -> None:
    (models / "checkpoints").mkdir()
    parts = {key: tensor for key, tensor in all_in_one(models).items() if not key.startswith("vae.")}
    save_file(parts, models / "checkpoints" / "merge.safetensors")
    (models / TRANSFORMER).unlink()
    files = ModelFiles.find(models)
    assert files.vae.path == models / VAE
    assert files.text_encoder.path.name == "merge.safetensors"
    assert files.reasons[0] == "it is in the file of the diffusion model"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("anima-Q8_0.gguf", "anima-Q8_0.gguf is a GGUF file"),
        ("anima.ckpt", "anima.ckpt is not a .safetensors file. Other formats can run code"),
    ],
)
def test_a_file_of_another_format_is_named(models: Path, name: str, sentence: str) -> None:
    (models / TRANSFORMER).rename(models / "diffusion_models" / name)
    with pytest.raises(CheckpointError, match=sentence):
        ModelFiles.find(models)


def test_a_piece_of_a_model_is_reported_as_one(models: Path) -> None:
    (models / TRANSFORMER).unlink()
    save_file({"x": torch.ones(1)}, models / "diffusion_models" / "anima-00001-of-00002.safetensors")
    with pytest.raises(CheckpointError, match="one of several pieces of a model"):
        ModelFiles.find(models)


def test_a_link_to_nothing_and_a_pipe_are_passed_over(models: Path) -> None:
    for folder in ("diffusion_models", "text_encoders", "vae"):
        (models / folder / "aaa.safetensors").symlink_to(models / "gone.safetensors")
    if hasattr(os, "mkfifo"):
        os.mkfifo(models / "vae" / "pipe.safetensors")
    assert ModelFiles.find(models).vae.path.name != "pipe.safetensors"
