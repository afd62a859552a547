"""The two implementations that are measured, ours and diffusers', both loaded from the same files."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from inference.benchmark.workload import CFG_SCALE, NEGATIVE_PROMPT, PROMPT, SEED, SIGMA, Part, Workload
from inference.engine import Engine
from inference.networks.params import TransformerParams
from inference.networks.transformer import CONTEXT_LENGTH
from inference.networks.vae import LATENT_MEAN, LATENT_STD
from inference.sampling import initial_noise, sigmas
from inference.weights.checkpoint import ModelFiles

#: A file next to the models with the contexts of both prompts [2, 512, C]: ours writes it, diffusers' reads it.
CONTEXTS = "contexts.safetensors"


class Backend(Protocol):
    """One implementation, loaded from the files in a folder."""

    device: torch.device
    dtype: torch.dtype

    def __init__(self, models: Path, device: torch.device, dtype: torch.dtype) -> None: ...

    def run(self, part: Part, workload: Workload) -> Tensor:
        """Run a part. Returns, in the order of PARTS: a velocity [2, C, h, w] for both passes of CFG; clamped pixels
        [1, 3, H, W]; or a generated image's latent.
        """
        ...

    def weights(self, part: Part) -> Iterable[Tensor]:
        """The weights of the networks that a part uses."""
        ...


class AnimaBackend:
    """Our engine."""

    def __init__(self, models: Path, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self.engine = Engine.load(models, str(device), str(dtype).removeprefix("torch."))
        with torch.inference_mode():
            adapter = self.engine.transformer.llm_adapter
            texts = [self.engine.text_encoder.context(prompt, adapter) for prompt in (PROMPT, NEGATIVE_PROMPT)]
            self.context = self.engine.transformer.context(texts)
        self.padded_contexts = torch.stack([F.pad(text, (0, 0, 0, CONTEXT_LENGTH - len(text))) for text in texts])

    def write_contexts(self, models: Path) -> None:
        save_file({"contexts": self.padded_contexts.cpu()}, models / CONTEXTS)

    @torch.inference_mode()
    def run(self, part: Part, workload: Workload) -> Tensor:
        if part == "picture":
            return self.engine.generate([workload.request("euler")])[0].latent
        latent = workload.latent(self.device)
        if part == "vae":
            return self.engine.vae.decode(latent).clamp(-1, 1)
        sigma = torch.tensor([SIGMA], device=self.device)
        velocity: Tensor = self.engine.transformer(latent.expand(2, -1, -1, -1), sigma, self.context)
        return velocity

    def weights(self, part: Part) -> Iterable[Tensor]:
        named = self.engine.transformer.named_parameters()
        transformer = (weight for name, weight in named if not name.startswith("llm_adapter."))
        return _of_part(part, transformer, self.engine.vae.parameters())


class DiffusersBackend:
    """diffusers' networks, and its Anima pipeline starting from the encoded prompts."""

    def __init__(self, models: Path, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        _quiet_diffusers()
        files = ModelFiles.find(models)
        self.transformer = _diffusers_transformer(files).to(device, dtype)
        self.vae = _diffusers_vae(files).to(device, dtype)
        if device.type == "cuda":
            for block in self.transformer.transformer_blocks:
                block.compile(dynamic=True)
        self.contexts = load_file(models / CONTEXTS)["contexts"].to(device, dtype)
        self.pipeline = self._pipeline()

    @torch.inference_mode()
    def run(self, part: Part, workload: Workload) -> Tensor:
        if part == "picture":
            return self._generate(workload)
        latent = workload.latent(self.device)[:, :, None]
        if part == "vae":
            mean, std = (latent.new_tensor(values).view(1, -1, 1, 1, 1) for values in (LATENT_MEAN, LATENT_STD))
            pixels: Tensor = self.vae.decode((latent * std + mean).to(self.dtype), return_dict=False)[0]
            return pixels[:, :, 0]
        x = latent.expand(2, -1, -1, -1, -1).to(self.dtype)
        sigma = torch.tensor([SIGMA, SIGMA], device=self.device)
        velocity: Tensor = self.transformer(x, sigma, self.contexts, return_dict=False)[0]
        return velocity[:, :, 0]

    def weights(self, part: Part) -> Iterable[Tensor]:
        return _of_part(part, self.transformer.parameters(), self.vae.parameters())

    def _generate(self, workload: Workload) -> Tensor:
        schedule = sigmas("simple", workload.steps)
        noise = initial_noise(SEED, workload.latent_shape)[:, :, None]
        state = self.pipeline(
            prompt_embeds=self.contexts[:1],
            negative_prompt_embeds=self.contexts[1:],
            width=workload.width,
            height=workload.height,
            latents=schedule[0] * noise,
            num_inference_steps=workload.steps,
            sigmas=schedule[:-1].tolist(),
            output=["latents", "images"],
        )
        latents: Tensor = state["latents"]
        return latents[0, :, 0].float().cpu()

    def _pipeline(self) -> Any:
        diffusers = _module("diffusers")
        before_denoise = _module("diffusers.modular_pipelines.anima.before_denoise")
        denoise = _module("diffusers.modular_pipelines.anima.denoise")
        decoders = _module("diffusers.modular_pipelines.anima.decoders")
        blocks = _module("diffusers.modular_pipelines").SequentialPipelineBlocks.from_blocks_dict(
            {
                "input": before_denoise.AnimaTextInputStep,
                "prepare_latents": before_denoise.AnimaPrepareLatentsStep,
                "set_timesteps": before_denoise.AnimaSetTimestepsStep,
                "denoise": denoise.AnimaDenoiseStep,
                "decode": decoders.AnimaVaeDecoderStep,
                "postprocess": decoders.AnimaProcessImagesOutputStep,
            }
        )
        pipeline = blocks.init_pipeline()
        pipeline.update_components(
            transformer=self.transformer,
            vae=self.vae,
            scheduler=diffusers.FlowMatchEulerDiscreteScheduler(
                shift=1.0
            ),  # the sigmas it is given are shifted already
            guider=diffusers.ClassifierFreeGuidance(guidance_scale=CFG_SCALE),
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline


def _of_part(part: Part, transformer: Iterable[Tensor], vae: Iterable[Tensor]) -> Iterable[Tensor]:
    return {"transformer": transformer, "vae": vae, "picture": chain(transformer, vae)}[part]


def _module(name: str) -> Any:
    """A module of diffusers, which is optional and whose types cannot be relied on."""
    return import_module(name)


def _quiet_diffusers() -> None:
    """Silence warnings that do not matter here: about `to()` for layers that Anima lacks, and experimental parts."""
    _module("diffusers.utils.logging").set_verbosity_error()


def _diffusers_transformer(files: ModelFiles) -> Any:
    """No padding mask is concatenated: diffusers needs torchvision to do so, and for images the mask is all zeros."""
    file = files.transformer
    params = TransformerParams.from_shapes(file.shapes)
    with torch.device("meta"):
        transformer = _module("diffusers").CosmosTransformer3DModel(
            in_channels=params.latent_channels,
            out_channels=params.latent_channels,
            num_attention_heads=params.width // params.head_dim,
            attention_head_dim=params.head_dim,
            num_layers=params.depth,
            mlp_ratio=params.mlp_width / params.width,
            text_embed_dim=params.context_width,
            adaln_lora_dim=params.modulation_rank,
            rope_scale=(1.0, 4.0, 4.0),
            concat_padding_mask=False,
            extra_pos_embed_type=None,
        )
    state = _module("diffusers.loaders.single_file_utils").convert_cosmos_transformer_checkpoint_to_diffusers(
        {key: file.tensor(key) for key in file.shapes if not key.startswith("llm_adapter.")}
    )
    state["patch_embed.proj.weight"] = state["patch_embed.proj.weight"][:, : 4 * params.latent_channels]
    transformer.load_state_dict(state, assign=True)
    return transformer.requires_grad_(False).eval()


def _diffusers_vae(files: ModelFiles) -> Any:
    file = files.vae
    with torch.device("meta"):
        vae = _module("diffusers").AutoencoderKLQwenImage(
            base_dim=file.shapes["encoder.conv1.weight"][0], z_dim=file.shapes["conv2.weight"][0]
        )
    state = _module("diffusers.loaders.single_file_utils").convert_wan_vae_to_diffusers(
        {key: file.tensor(key) for key in file.shapes}
    )
    vae.load_state_dict(state, assign=True)
    return vae.requires_grad_(False).eval()
