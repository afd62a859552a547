"""A wrong file is one clear sentence: which file, what was expected, what to do."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from inference import Engine, GenerationRequest
from inference.networks.text_encoder import load_qwen
from inference.networks.vae import load_vae
from inference.request import CheckpointError
from inference.weights.checkpoint import ModelFiles
from inference.weights.headers.contents import TRANSFORMER_MARK
from inference.weights.headers.model_list import list_models
from inference.weights.lora import Lora
from inference.weights.modelspec import native_settings
from inference.weights.weights_file import WeightsFile
from tests.golden import MODELS, relative_error

TRANSFORMER = Path("diffusion_models/anima-tiny.safetensors")
TEXT_ENCODER = Path("text_encoders/qwen_3_tiny.safetensors")
VAE = Path("vae/qwen_image_vae_tiny.safetensors")
REQUEST = GenerationRequest("1girl", width=64, height=64, steps=2, seed=1)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return shutil.copytree(MODELS, tmp_path / "models")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def drop(key: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        tensors = load_file(path)
        del tensors[next(name for name in tensors if name.endswith(key))]
        save_file(tensors, path)

    return change


def replaced(key: str, tensor: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        tensors = load_file(path)
        name = next(name for name in tensors if name.endswith(key))
        tensors[name] = tensor(tensors[name]).contiguous()
        save_file(tensors, path)

    return change


def added(key: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        save_file({**load_file(path), key: torch.ones(1)}, path)

    return change


NORM = "blocks.1.self_attn.q_norm.weight"


@pytest.mark.parametrize(
    ("file", "damage", "sentences"),
    [
        (TRANSFORMER, Path.unlink, ["contains an Anima diffusion model", "Run `anima download`"]),
        (TEXT_ENCODER, Path.unlink, ["Qwen3 text encoder", "Run `anima download`"]),
        (VAE, Path.unlink, ["VAE", "Run `anima download`"]),
        (Path("tokenizers/t5/tokenizer.json"), Path.unlink, ["no tokenizer in", "t5", "anima download"]),
        (Path("tokenizers/qwen/tokenizer.json"), lambda path: path.write_text("{"), ["qwen", "cannot be read"]),
        (TRANSFORMER, cut, ["anima-tiny.safetensors", "incompletely downloaded", "download it again"]),
        (TEXT_ENCODER, cut, ["qwen_3_tiny.safetensors", "download it again"]),
        (VAE, cut, ["qwen_image_vae_tiny.safetensors", "download it again"]),
        (TRANSFORMER, lambda path: path.write_bytes(b"\x80\x02pickle"), ["anima-tiny", "cannot be read"]),
        (TRANSFORMER, drop(NORM), ["anima-tiny", NORM, "missing"]),
        (TRANSFORMER, replaced(NORM, lambda tensor: tensor[:4]), [NORM, "has shape [4], but [32] is needed"]),
        (TRANSFORMER, replaced("x_embedder.proj.1.weight", lambda t: t[:, :64]), ["anima-tiny", "final_layer.linear"]),
        (TRANSFORMER, replaced(NORM, lambda tensor: tensor / 0), [NORM, "not numbers", "download it again"]),
        (TRANSFORMER, added("net.blocks.0.scale_weight"), ["scale_weight", "not supported"]),
        (TEXT_ENCODER, replaced("embed_tokens.weight", lambda t: t[:, :8]), ["fits the diffusion model's sizes"]),
        (VAE, drop("decoder.head.2.bias"), ["qwen_image_vae_tiny", "decoder.head.2.bias", "missing"]),
    ],
)
def test_a_wrong_file_is_named_with_what_to_do(
    models: Path, file: Path, damage: Callable[[Path], object], sentences: list[str]
) -> None:
    damage(models / file)
    with pytest.raises(CheckpointError) as error:
        Engine.load(models, device="cpu")
    for sentence in sentences:
        assert sentence in str(error.value)


def test_a_file_of_another_kind_is_distinguished_from_a_missing_one(models: Path) -> None:
    shutil.copy(models / VAE, models / TRANSFORMER)
    with pytest.raises(CheckpointError, match=r"anima-tiny.safetensors is of another kind"):
        Engine.load(models)


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(CheckpointError, match="There is no models folder at nowhere"):
        Engine.load("nowhere")


def test_pickles_are_never_opened(models: Path) -> None:
    (models / "diffusion_models" / "evil.ckpt").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(CheckpointError, match="can run code when opened"):
        Engine.load(models, diffusion_model="evil.ckpt")


def test_one_of_several_models_is_chosen_by_name_and_only_by_name(models: Path) -> None:
    other = models / "diffusion_models" / "other.safetensors"
    shutil.copy(models / TRANSFORMER, other)
    with pytest.raises(CheckpointError, match=r"anima-tiny.safetensors, other.safetensors"):
        ModelFiles.find(models)
    assert ModelFiles.find(models, "other").transformer.path == other
    with pytest.raises(CheckpointError, match=r"There are: anima-tiny.safetensors, other.safetensors"):
        ModelFiles.find(models, "third")


def test_a_folder_of_comfyui_with_other_models_in_it_will_do(models: Path) -> None:
    save_file({"double_blocks.0.img_attn.qkv.weight": torch.ones(2)}, models / "diffusion_models" / "a.safetensors")
    save_file({"text_model.final_layer_norm.weight": torch.ones(2)}, models / "text_encoders" / "a.safetensors")
    save_file({"decoder.conv_in.weight": torch.ones(2)}, models / "vae" / "a.safetensors")
    (models / "vae" / "broken.safetensors").write_bytes(b"")
    assert ModelFiles.find(models).transformer.path == models / TRANSFORMER


@pytest.mark.parametrize("prefix", ["", "net.", "diffusion_model.", "model.diffusion_model."])
def test_the_transformers_keys_may_have_any_usual_prefix(engine: Engine, models: Path, prefix: str) -> None:
    tensors = {key.removeprefix("net."): tensor for key, tensor in load_file(models / TRANSFORMER).items()}
    save_file({prefix + key: tensor for key, tensor in tensors.items()}, models / TRANSFORMER)
    picture = Engine.load(models, device="cpu").generate([REQUEST])[0]
    assert relative_error(picture.latent, engine.generate([REQUEST])[0].latent) < 1e-5


def test_tensors_of_the_wanted_dtype_stay_memory_mapped() -> None:
    engine = Engine.load(MODELS, device="cpu", dtype="float32")
    weight = engine.transformer.get_parameter("blocks.0.mlp.layer1.weight")
    assert any("anima-tiny.safetensors" in line for line in mappings_of(weight.data_ptr()))


def mappings_of(address: int) -> list[str]:
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("this system does not show a process's memory mappings")
    found = []
    for line in maps.read_text(encoding="utf-8").splitlines():
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        if start <= address < end:
            found.append(line)
    return found


def test_modelspec_settings_are_read_from_a_files_header() -> None:
    settings = native_settings(
        {
            "modelspec.resolution": "96x96",
            "modelspec.anima.resolutions": "96x96, 80x112, 112x80",
            "modelspec.anima.steps": "24",
            "modelspec.anima.cfg_scale": "3.5",
            "modelspec.anima.sampler": "euler_a",
            "modelspec.anima.scheduler": "beta57",
        }
    )
    assert settings.sizes == ((96, 96), (80, 112), (112, 80))
    assert (settings.steps, settings.cfg_scale) == (24, 3.5)
    assert (settings.sampler, settings.scheduler) == ("euler_a", "beta57")


@pytest.mark.parametrize(
    ("name", "metadata", "variant"),
    [
        ("anima-base-v1.0", {}, "base"),
        ("anima-aesthetic-v1.0b", {}, "aesthetic"),
        ("Anima-Turbo-v1.1", {}, "turbo"),
        ("merge", {"modelspec.title": "Nova Anima Turbo"}, "turbo"),
        ("anima-turbo-v1.1", {"modelspec.anima.variant": "Aesthetic"}, "aesthetic"),
        ("something", {"modelspec.anima.variant": "unheard of"}, "base"),
    ],
)
def test_a_checkpoints_variant_is_known_by_its_header_or_its_name(
    name: str, metadata: dict[str, str], variant: str
) -> None:
    assert native_settings(metadata, name).variant == variant


def test_each_variant_has_the_prompt_texts_of_its_card() -> None:
    base, turbo, aesthetic = (native_settings({}, name) for name in ("base", "turbo", "aesthetic"))
    assert (turbo.prefix, turbo.negative) == (base.prefix, base.negative)
    assert "score_7" in base.prefix and base.negative.endswith("blurry, jpeg artifacts, chromatic aberration")
    assert "score" not in aesthetic.prefix + aesthetic.negative
    assert (base.sampler, turbo.sampler, aesthetic.sampler) == ("er_sde", "euler", "euler")
    assert native_settings({"modelspec.anima.prefix": "newest", "modelspec.anima.negative": ""}).prefix == "newest"
    assert native_settings({"modelspec.anima.negative": ""}).negative == ""


def test_a_turbo_checkpoint_is_drawn_with_in_few_steps_and_without_guidance() -> None:
    settings = native_settings({}, "anima-turbo-v1.1")
    assert (settings.steps, settings.cfg_scale) == (10, 1.0)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"modelspec.resolution": "nonsense", "modelspec.anima.steps": "-1", "modelspec.anima.cfg_scale": "nan"},
        {"modelspec.resolution": "100x100", "modelspec.anima.sampler": "magic"},
    ],
)
def test_a_file_that_says_nothing_of_itself_is_anima(metadata: dict[str, str]) -> None:
    settings = native_settings(metadata)
    assert settings.sizes[0] == (1024, 1024)
    assert (settings.steps, settings.cfg_scale, settings.sampler, settings.scheduler) == (30, 4.0, "er_sde", "simple")


def test_shapes_are_given_without_the_prefix() -> None:
    file = WeightsFile(MODELS / TRANSFORMER, TRANSFORMER_MARK)
    assert file.is_marked
    assert TRANSFORMER_MARK in file.shapes


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (b"GGUF\x03\0\0\0\1\2\3\4", "it is a GGUF file, a format that is not supported"),
        (b"PK\x03\x04\0\0\x08\x08\1\2", "it is a pickle of PyTorch (.ckpt, .pt) or a zip file"),
        (b"\x80\x02}q\0X\x0b\0state_dict", "it is a pickle (.ckpt, .pt)"),
        (b"<!DOCTYPE html>\n<html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "it is only the pointer of Git LFS"),
        (b"", "it is empty"),
    ],
)
def test_a_file_of_another_format_under_this_suffix_is_called_by_its_own(models: Path, start: bytes, says: str) -> None:
    (models / TRANSFORMER).write_bytes(start)
    (models / "loras" / "lokr.safetensors").write_bytes(start)
    with pytest.raises(CheckpointError) as error:
        ModelFiles.find(models)
    assert f"anima-tiny.safetensors cannot be read as safetensors ({says}" in str(error.value)
    with pytest.raises(CheckpointError) as error:
        Lora.read(models / "loras" / "lokr.safetensors", torch.nn.Module())
    assert says in str(error.value)


def without_model(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key.removeprefix("model."): tensor for key, tensor in tensors.items()}


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: {**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"].clone()},
        lambda tensors: (
            {f"text_encoders.qwen3_06b.{k}": t for k, t in without_model(tensors).items()}
            | {"text_encoders.qwen3_06b.logit_scale": torch.ones(())}
        ),
        lambda tensors: (
            without_model(tensors) | {"score.weight": torch.ones(2, 40), "v_head.summary.bias": torch.ones(1)}
        ),
        lambda tensors: {k.replace("model.embed_tokens", "lm_head"): t for k, t in tensors.items()},
    ],
    ids=["a head of its own", "as ComfyUI saves it", "other heads", "the embedding is only there as the head"],
)
def test_a_text_encoder_may_have_heads_and_share_its_embedding_with_one(
    models: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
) -> None:
    wanted = load_file(models / TEXT_ENCODER)
    save_file(change(dict(wanted)), models / TEXT_ENCODER)
    file = ModelFiles.find(models).text_encoder
    assert torch.equal(file.tensor("embed_tokens.weight"), wanted["model.embed_tokens.weight"])
    qwen = load_qwen(file, torch.device("cpu"), torch.float32)
    assert torch.equal(qwen.get_parameter("norm.weight"), wanted["model.norm.weight"])


def frame(tensor: torch.Tensor) -> torch.Tensor:
    return tensor[:, :, -1] if tensor.ndim == 5 else tensor


@pytest.mark.parametrize(
    "change",
    [
        frame,
        lambda tensor: tensor[:, :, -1:] if tensor.ndim == 5 else tensor,
        lambda tensor: frame(tensor).flatten(1) if tensor.ndim > 3 and frame(tensor).shape[2:] == (1, 1) else tensor,
    ],
    ids=["images only", "one frame", "convolutions of one pixel as matrices"],
)
def test_a_vaes_convolutions_may_have_fewer_dimensions(
    models: Path, change: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    wanted = load_vae(ModelFiles.find(models).vae, torch.device("cpu"), torch.float32).state_dict()
    tensors = {key: change(tensor).contiguous() for key, tensor in load_file(models / VAE).items()}
    save_file(tensors | {"latents_mean": torch.ones(16), "latents_std": torch.ones(16)}, models / VAE)
    found = load_vae(ModelFiles.find(models).vae, torch.device("cpu"), torch.float32).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())


def test_the_error_about_a_file_names_it_once(models: Path) -> None:
    tensors = {key: tensor for key, tensor in load_file(models / VAE).items() if not key.startswith("encoder")}
    save_file(tensors, models / VAE)
    with pytest.raises(CheckpointError) as error:
        ModelFiles.find(models)
    assert str(error.value).count("qwen_image_vae_tiny.safetensors") == 1


@pytest.mark.parametrize("wrapper", ["_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module"])
def test_names_of_parts_that_pytorch_wrapped_are_the_plain_ones(models: Path, wrapper: str) -> None:
    tensors = load_file(models / TRANSFORMER)
    wanted = WeightsFile(models / TRANSFORMER, TRANSFORMER_MARK).shapes
    save_file(
        {re.sub(r"blocks\.(\d)\.", rf"blocks.\1.{wrapper}.", k): t for k, t in tensors.items()}, models / TRANSFORMER
    )
    assert ModelFiles.find(models).transformer.shapes == wanted
    assert list_models(models).refused == {}
