"""`anima doctor` explains a models folder as a ComfyUI user has it, on one screen."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import discord
import psutil
import pytest
import torch
from discord.gateway import DiscordWebSocket
from discord.http import Route
from safetensors.torch import save_file

from inference.weights import inventory
from inference.weights.checkpoint import ModelFiles
from inference.weights.folders import without_suffix
from tests.bot.cli.conftest import Anima
from tests.golden import FULL_SIZE_KEYS

Shapes = Mapping[str, tuple[int, ...]]

#: One screen.
ROWS, COLUMNS = 40, 100
BYTES = {"BF16": 2, "F8_E4M3": 1, "F32": 4, "U8": 1}
ANIMA, QWEN, VAE = (
    {key: tuple(shape) for key, shape in FULL_SIZE_KEYS[name].items()}
    for name in (
        "diffusion_models/anima-base-v1.0.safetensors",
        "text_encoders/qwen_3_06b_base.safetensors",
        "vae/qwen_image_vae.safetensors",
    )
)


def write(path: Path, shapes: Shapes, dtype: Callable[[str], str] = lambda _key: "BF16") -> None:
    """A file of full size that has a header and a hole for its tensors, which takes no room on the disk."""
    header, end = {}, 0
    for key, shape in shapes.items():
        size = BYTES[dtype(key)] * torch.Size(shape).numel()
        header[key] = {"dtype": dtype(key), "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def write_lora(path: Path, tensors: Mapping[str, tuple[int, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: torch.full(shape, 0.01) for key, shape in tensors.items()}, path)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shared folder: Anima, what other models brought with them, copies in other forms, and links."""
    models = tmp_path / "models"
    write(models / "diffusion_models" / "anima-base-v1.0.safetensors", ANIMA)
    scales = {key.removesuffix("weight") + "weight_scale": () for key in ANIMA if key.endswith("_proj.weight")}
    write(
        models / "diffusion_models" / "anima_base_fp8_scaled.safetensors",
        ANIMA | scales,
        lambda key: "F32" if key.endswith("scale") else "F8_E4M3" if key.endswith("_proj.weight") else "BF16",
    )
    (models / "unet").mkdir()
    (models / "unet" / "anima-base-Q8_0.gguf").write_bytes(b"GGUF" + bytes(60))
    write(
        models / "checkpoints" / "sd_xl_base_1.0.safetensors", {"model.diffusion_model.input_blocks.0.0.bias": (320,)}
    )
    write(models / "text_encoders" / "qwen_3_06b_base.safetensors", QWEN)
    smaller = {"model.embed_tokens.weight": (151_669, 1024)}
    write(models / "text_encoders" / "qwen_0.6b_ace15.safetensors", QWEN | smaller)
    write(
        models / "text_encoders" / "t5xxl_fp16.safetensors", {"encoder.block.0.layer.0.SelfAttention.q.weight": (8, 8)}
    )
    write(models / "vae" / "qwen_image_vae.safetensors", VAE)
    write(models / "vae" / "Wan2_1_VAE_bf16.safetensors", VAE)
    head = {"decoder.head.2.weight": (12, 96, 3, 3, 3), "decoder.head.2.bias": (12,)}
    write(models / "vae" / "Wan2.1_VAE_upscale2x_imageonly_real_v1.safetensors", VAE | head)
    for name in ("qwen", "t5"):
        (models / "tokenizers" / name).mkdir(parents=True)
        (models / "tokenizers" / name / "tokenizer.json").write_text('{"model": {"vocab": {"a": 151642}}}')
    second_disk = tmp_path / "second disk"
    layer = "blocks.0.self_attn.q_proj"
    factors = {"up": (2048, 1), "down": (1, 2048)}
    kohya, diffusers = layer.replace(".", "_"), "transformer_blocks.0.attn1.to_q"
    te = "lora_te_layers_0_self_attn_q_proj"
    write_lora(
        second_disk / "kohya.safetensors",
        {f"lora_unet_{kohya}.lora_{name}.weight": shape for name, shape in factors.items()}
        | {f"{te}.lora_up.weight": (2048, 1), f"{te}.lora_down.weight": (1, 1024)},
    )
    write_lora(
        second_disk / "ai_toolkit.safetensors",
        {f"diffusion_model.{layer}.lora_B.weight": (2048, 1), f"diffusion_model.{layer}.lora_A.weight": (1, 2048)},
    )
    loras = models / "loras"
    write_lora(
        loras / "onetrainer.safetensors",
        {f"transformer.{diffusers}.lora_{name}.weight": shape for name, shape in factors.items()},
    )
    write_lora(
        loras / "simpletuner.safetensors",
        {f"lycoris_{diffusers.replace('.', '_')}.lokr_w{n}": (s, s) for n, s in ((1, 32), (2, 64))},
    )
    write_lora(
        loras / "peft.safetensors",
        {f"base_model.model.{layer}.lora_B.weight": (2048, 1), f"base_model.model.{layer}.lora_A.weight": (1, 2048)},
    )
    write_lora(loras / "sdxl_style.safetensors", {"lora_unet_down_blocks_0_resnets_0_conv1.lora_up.weight": (2, 2)})
    (loras / "more").symlink_to(second_disk)
    (second_disk / "loop").symlink_to(loras)

    def sha256(path: Path) -> str:
        return inventory.OFFICIAL_SHA256[without_suffix(path.name)]

    monkeypatch.setattr(inventory, "file_sha256", sha256)
    for owner, name in ((Route, "BASE"), (DiscordWebSocket, "DEFAULT_GATEWAY"), (discord.asset.Asset, "BASE")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    return models


def test_the_right_files_are_used_and_one_screen_says_why(
    anima: Anima, models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    enough = psutil.virtual_memory()._replace(total=64 << 30, available=48 << 30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: enough)
    files = ModelFiles.find(models)
    used = [file.path.name for file in (files.transformer, files.text_encoder, files.vae)]
    assert used == ["anima-base-v1.0.safetensors", "qwen_3_06b_base.safetensors", "qwen_image_vae.safetensors"]
    assert anima("doctor", "--models", models, "--device", "cpu") == 0
    shown = capsys.readouterr().out.replace(str(models), "models").replace(str(models.parent), "")
    for part in (
        "diffusion model anima-base-v1.0.safetensors, 4.18 GB; released (SHA-256)",
        "diffusion model anima_base_fp8_scaled.safetensors, 3.31 GB",
        "qwen_3_06b_base.safetensors is used because it is the only one that fits; released (SHA-256)",
        "qwen_0.6b_ace15.safetensors is not used: its vocabulary has 151,669 tokens, fewer than the 151,936",
        "qwen_image_vae.safetensors is used because it has the official name; released (SHA-256)",
        "Wan2_1_VAE_bf16.safetensors is not used: it fits too, but another one is used",
        "Wan2.1_VAE_upscale2x_imageonly_real_v1.safetensors is not used: tensor decoder.head.2.bias has shape [12]",
        "unet/anima-base-Q8_0.gguf is not used: it is a GGUF file",
        "LoRA more/ai_toolkit, more/kohya, onetrainer, peft, simpletuner",
        "sdxl_style.safetensors cannot be used: it fits no layer of this model",
        "No problems found.",
    ):
        assert part in shown
    for other in ("sd_xl_base", "t5xxl"):
        assert other not in shown
    rows = sum(max(1, math.ceil(len(line) / COLUMNS)) for line in shown.splitlines())
    assert rows <= ROWS, f"{rows} rows:\n{shown}"


def test_the_test_folder_takes_almost_no_disk_space(models: Path) -> None:
    assert sum(path.stat().st_blocks * 512 for path in models.rglob("*") if path.is_file()) < 20 << 20
    shutil.rmtree(models)


def test_what_lies_among_the_loras_and_cannot_be_used_is_named(
    anima: Anima, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (models / "loras" / "gone.safetensors").symlink_to(models / "gone")
    (models / "loras" / "style.pt").write_bytes(b"PK")
    assert anima("doctor", "--models", models, "--device", "cpu") == 0
    shown = capsys.readouterr().out
    assert f"loras/gone.safetensors is not used: it is a link to {models / 'gone'}, which does not exist." in shown
    assert "loras/style.pt is not used: it is not a .safetensors file." in shown
