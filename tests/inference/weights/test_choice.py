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
from inference.weights.checkpoint import QWEN_ROWS, ModelFiles, embedding_rows, mismatches
from inference.weights.headers.model_list import list_models
from tests.golden import MODELS, relative_error

TRANSFORMER = Path("diffusion_models/anima-tiny.safetensors")
NORM = "blocks.0.self_attn.q_norm.weight"
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
    assert "350 tokens" in mismatches(files)[other]
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
    ("prefixes", "missing", "content"),
    [
        (("model.diffusion_model.", "vae."), TEXT_ENCODER, "contains only a diffusion model and a VAE"),
        (("model.diffusion_model.", "text_"), VAE, "contains only a diffusion model and a text encoder"),
        (("model.diffusion_model.",), TEXT_ENCODER, "contains only a diffusion model"),
    ],
)
def test_of_a_file_without_all_parts_it_is_said_what_it_holds(
    models: Path, prefixes: tuple[str, ...], missing: Path, content: str
) -> None:
    (models / "checkpoints").mkdir()
    parts = {key: tensor for key, tensor in all_in_one(models).items() if key.startswith(prefixes)}
    save_file(parts, models / "checkpoints" / "merge.safetensors")
    (models / TRANSFORMER).unlink()
    (models / missing).unlink()
    with pytest.raises(CheckpointError, match=rf"merge.safetensors {content}\. Run `anima download`, or put one there"):
        ModelFiles.find(models)


@pytest.mark.parametrize("prefixes", [("", "text_encoders.qwen3_06b.transformer.", "vae."), ("", "", "")])
def test_a_diffusion_model_without_prefix_is_told_from_the_other_parts_of_its_file(
    models: Path, prefixes: tuple[str, str, str]
) -> None:
    parts = [
        {key.removeprefix(name): tensor for key, tensor in load_file(models / file).items()}
        for file, name in ((TRANSFORMER, "net."), (TEXT_ENCODER, "model."), (VAE, ""))
    ]
    for file in (TEXT_ENCODER, VAE):
        (models / file).unlink()
    tensors = zip(prefixes, parts, strict=True)
    save_file({prefix + key: x for prefix, part in tensors for key, x in part.items()}, models / TRANSFORMER)
    files = ModelFiles.find(models)
    assert list_models(models).refused == {} and list(list_models(models).models) == ["anima-tiny"]
    for file, wanted in zip((files.transformer, files.text_encoder, files.vae), parts, strict=True):
        assert file.path == models / TRANSFORMER
        assert file.shapes.keys() == wanted.keys()


def test_of_an_averaged_copy_beside_the_weights_the_weights_are_used(models: Path) -> None:
    """`ema.` is as long as `net.` and comes before it."""
    tensors = load_file(models / TRANSFORMER)
    averaged = {key.replace("net.", "ema.", 1): tensor * 2 for key, tensor in tensors.items()}
    save_file(tensors | averaged, models / TRANSFORMER)
    assert torch.equal(ModelFiles.find(models).transformer.tensor(NORM), tensors[f"net.{NORM}"])
    save_file(averaged, models / TRANSFORMER)
    assert torch.equal(ModelFiles.find(models).transformer.tensor(NORM), 2 * tensors[f"net.{NORM}"])


@pytest.mark.parametrize(
    ("file", "place", "found"),
    [
        (TRANSFORMER, "text_encoders/anima.safetensors", "text_encoders/anima.safetensors does: move it there"),
        (TEXT_ENCODER, "diffusion_models/qwen.safetensors", "diffusion_models/qwen.safetensors does: move it there"),
        (VAE, "vae.safetensors", "vae.safetensors does: move it there"),
    ],
)
def test_a_file_in_another_kinds_folder_is_pointed_out(models: Path, file: Path, place: str, found: str) -> None:
    (models / file).rename(models / place)
    with pytest.raises(CheckpointError, match=rf"No file in .*{found}"):
        ModelFiles.find(models)


@pytest.mark.parametrize("dialect", ["low_rank_kohya", "low_rank_comfyui", "low_rank_diffusers", "lokr"])
def test_a_lora_among_the_diffusion_models_is_called_one(models: Path, dialect: str) -> None:
    shutil.copy(models / "loras" / f"{dialect}.safetensors", models / "diffusion_models" / "style.safetensors")
    with pytest.raises(CheckpointError, match=r"style.safetensors is not an Anima diffusion model: it contains a LoRA"):
        ModelFiles.find(models, "style")
    (models / TRANSFORMER).unlink()
    with pytest.raises(CheckpointError, match=r"style.safetensors is of another kind \(a LoRA\)"):
        ModelFiles.find(models)


def test_several_files_of_one_kind_are_named_together(models: Path) -> None:
    (models / TRANSFORMER).unlink()
    for name in ("a", "b"):
        shutil.copy(models / VAE, models / "diffusion_models" / f"{name}.safetensors")
    save_file({"double_blocks.0.img_attn.qkv.weight": torch.ones(2)}, models / "diffusion_models" / "flux.safetensors")
    with pytest.raises(
        CheckpointError,
        match=r"a.safetensors, b.safetensors are of another kind \(a VAE\); flux.safetensors is of another kind\.",
    ):
        ModelFiles.find(models)


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


@PARTS
def test_links_to_one_file_are_one_candidate(models: Path, file: Path, official: str, setting: str) -> None:
    """ComfyUI's `clip` is often a link to `text_encoders`."""
    (models / file).with_name("also.safetensors").symlink_to(models / file)
    os.link(models / file, (models / file).with_name("same.safetensors"))
    (models / "clip").symlink_to(models / "text_encoders")
    assert getattr(ModelFiles.find(models), setting).path.samefile(models / file)
    assert not getattr(ModelFiles.find(models), setting).path.is_symlink()
    assert getattr(ModelFiles.find(models, **{setting: "same"}), setting).path.name == "same.safetensors"
    (models / file).with_name(official).symlink_to(models / file)
    save_file(disturbed(load_file(models / file)), (models / file).with_name("another.safetensors"))
    assert getattr(ModelFiles.find(models), setting).path.name == official


def test_links_to_one_diffusion_model_are_one(models: Path) -> None:
    (models / "unet").symlink_to(models / "diffusion_models")
    (models / "diffusion_models" / "again.safetensors").symlink_to(models / TRANSFORMER)
    assert ModelFiles.find(models).transformer.path.samefile(models / TRANSFORMER)


@pytest.mark.parametrize("hidden", [".Trash-1000/files/old.safetensors", ".cache/x.safetensors", "._anima.safetensors"])
def test_what_is_hidden_is_no_model(models: Path, hidden: str) -> None:
    path = models / "diffusion_models" / hidden
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(models / TRANSFORMER, path)
    assert ModelFiles.find(models).transformer.path == models / TRANSFORMER
    assert list(list_models(models).models) == ["anima-tiny"]


@PARTS
def test_a_file_of_its_own_counts_before_the_part_in_an_all_in_one_file(
    models: Path, file: Path, official: str, setting: str
) -> None:
    """ComfyUI's own loaders of text encoders and VAEs do not list `checkpoints`."""
    (models / "checkpoints").mkdir()
    save_file(all_in_one(models), models / "checkpoints" / "merge.safetensors")
    files = ModelFiles.find(models, "anima-tiny")
    assert getattr(files, setting).path == models / file
    assert set(files.reasons) == {"it is the only one that fits outside of all-in-one files"}
    merged = ModelFiles.find(models, "merge")
    assert getattr(merged, setting).path.name == "merge.safetensors"


@pytest.mark.parametrize(
    "name", ["SUB\\Another.safetensors", "sub/another", "another", "ANOTHER.safetensors", "text_encoders/sub/another"]
)
def test_a_setting_may_be_written_with_any_slashes_and_letters(models: Path, name: str) -> None:
    (models / "text_encoders" / "sub").mkdir()
    other = models / "text_encoders" / "sub" / "Another.safetensors"
    shutil.copy(models / TEXT_ENCODER, other)
    assert ModelFiles.find(models, text_encoder=name).text_encoder.path == other


@pytest.mark.parametrize(
    ("names", "default"),
    [
        (("anima-base-v1.0-fp8", "anima-base-v1.0"), "anima-base-v1.0"),
        (("Anima-Base-v1.0", "a"), "Anima-Base-v1.0"),
        (("anima-base-fp8", "anima-base-mine"), "anima-base-mine"),
    ],
)
def test_the_default_is_the_released_file_before_copies_of_it(
    models: Path, names: tuple[str, str], default: str
) -> None:
    tensors = load_file(models / TRANSFORMER)
    (models / TRANSFORMER).unlink()
    for name in names:
        scale = {"net.blocks.0.mlp.layer1.weight_scale": torch.ones(())} if "fp8" in name else {}
        save_file(tensors | scale, models / "diffusion_models" / f"{name}.safetensors")
    assert ModelFiles.find(models).transformer.path.stem == default
