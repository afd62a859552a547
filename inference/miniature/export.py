"""Stage seven: writes the trained networks into a ComfyUI `models` folder, with the same keys as Anima's files."""

import datetime
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from inference.miniature.training import averaged_weights

NAME = "anima-miniature"
DIFFUSION_MODEL = f"diffusion_models/{NAME}.safetensors"
TEXT_ENCODER = "text_encoders/qwen_3_miniature.safetensors"
VAE = "vae/qwen_image_vae_miniature.safetensors"
TURBO = "loras/turbo.safetensors"

STEPS, CFG_SCALE, SAMPLER, SCHEDULER = 24, 4.0, "er_sde", "simple"
TURBO_STEPS = 8


def export(workdir: Path, models: Path, sizes: list[tuple[int, int]]) -> None:
    """Writes what has been trained in this work folder. If it has no VAE or LoRA, theirs in `models` stay unchanged."""
    for folder in ("diffusion_models", "text_encoders", "vae", "loras"):
        (models / folder).mkdir(parents=True, exist_ok=True)
    networks = averaged_weights(workdir / "train.pt")
    transformer = {"net." + key: value for key, value in _under("transformer.", networks).items()}
    save_file(_bfloat16(transformer), models / DIFFUSION_MODEL, metadata=model_card(sizes))
    qwen = {"model." + key: value for key, value in _under("qwen.", networks).items()}
    save_file(_bfloat16(qwen), models / TEXT_ENCODER)
    if (workdir / "vae_polished.pt").exists():
        save_file(_bfloat16(video_weights(averaged_weights(workdir / "vae_polished.pt"))), models / VAE)
    if (workdir / "turbo.pt").exists():
        save_file(
            _bfloat16(comfyui_lora(averaged_weights(workdir / "turbo.pt"))), models / TURBO, metadata=turbo_card()
        )
    shutil.copytree(workdir / "tokenizers", models / "tokenizers", dirs_exist_ok=True)


def model_card(sizes: list[tuple[int, int]]) -> dict[str, str]:
    """ModelSpec 1.0.1 (https://github.com/Stability-AI/ModelSpec), plus `modelspec.anima.*` for what it lacks."""
    resolutions = [f"{width}x{height}" for width, height in sizes]
    return {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": "anima-miniature",
        "modelspec.implementation": "https://github.com/comfyanonymous/ComfyUI",
        "modelspec.title": "Anima in miniature",
        "modelspec.author": "the Anima Bot authors; artwork by the artists named in NOTICE",
        "modelspec.license": "MIT; trained on artwork under CC BY 4.0 and CC0 1.0",
        "modelspec.date": datetime.date.today().isoformat(),
        "modelspec.description": "A tiny model with Anima's architecture and file layout that draws DiceBear avatars.",
        "modelspec.prediction_type": "v",
        "modelspec.resolution": resolutions[0],
        "modelspec.anima.resolutions": ", ".join(resolutions),
        "modelspec.anima.steps": str(STEPS),
        "modelspec.anima.cfg_scale": str(CFG_SCALE),
        "modelspec.anima.sampler": SAMPLER,
        "modelspec.anima.scheduler": SCHEDULER,
    }


def turbo_card() -> dict[str, str]:
    return {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": "anima-miniature/lora",
        "modelspec.title": "Turbo for Anima in miniature",
        "modelspec.date": datetime.date.today().isoformat(),
        "modelspec.description": f"Distilled from the model itself: {TURBO_STEPS} steps at CFG 1.",
        "modelspec.anima.steps": str(TURBO_STEPS),
        "modelspec.anima.cfg_scale": "1.0",
    }


def video_weights(vae: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Converts a still-image VAE's weights to those of a video VAE that does the same to a single frame.

    Kernels become the last time slice of causal 3x3x3 ones. The convolutions that resample time are zero: a single
    frame never uses them.
    """
    weights: dict[str, Tensor] = {}
    for key, tensor in vae.items():
        if key.endswith(".gamma"):
            weights[key] = tensor.view(-1, *[1] * (2 if ".norm." in key else 3))
        elif tensor.ndim == 4 and not any(part in key for part in (".resample.", ".to_qkv.", ".proj.")):
            weights[key] = _last_of_three(tensor) if tensor.shape[-1] == 3 else tensor[:, :, None]
        else:
            weights[key] = tensor
    for part, widening in (("encoder.downsamples.", 1), ("decoder.upsamples.", 2)):
        resamples = sorted(key for key in vae if key.startswith(part) and key.endswith(".resample.1.weight"))
        resamples = resamples[1:] if widening == 1 else resamples[:-1]  # those at full size do not resample time
        for key in resamples:
            name, channels = key.removesuffix("resample.1.weight") + "time_conv", vae[key].shape[1]
            weights[f"{name}.weight"] = torch.zeros(widening * channels, channels, 3, 1, 1)
            weights[f"{name}.bias"] = torch.zeros(widening * channels)
    return weights


def comfyui_lora(student: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The low-rank factors among a student's weights, named `diffusion_model.blocks.0.mlp.layer1.lora_A.weight`."""
    return {
        key.replace("transformer.", "diffusion_model.").replace(".parametrizations.weight.0", "") + ".weight": value
        for key, value in student.items()
        if key.endswith((".lora_A", ".lora_B"))
    }


def _last_of_three(kernel: Tensor) -> Tensor:
    return torch.stack([torch.zeros_like(kernel), torch.zeros_like(kernel), kernel], dim=2)


def _under(prefix: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}


def _bfloat16(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().to("cpu", torch.bfloat16).contiguous() for key, value in weights.items()}
