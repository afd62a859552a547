"""Collects the parameters to write into an image's file, from the request and the files of models and LoRAs."""

from __future__ import annotations

from importlib.metadata import version

from inference.editing.named import file_name, redraw_mask
from inference.metadata import Parameters
from inference.metadata.parameters import er_sde_extra, fast_extra, left_out_extra, schedule_extra
from inference.pool.loras import LoraFolder
from inference.pool.sources import ModelSource
from inference.prompt import embeddings
from inference.request import GenerationRequest
from inference.weights.checkpoint import ModelFiles

SOFTWARE = f"Anima Bot {version('anima-bot')}"


def parameters_of(
    request: GenerationRequest, source: ModelSource, model_hash: str | None, loras: LoraFolder, files: ModelFiles
) -> Parameters:
    """The parameters of a request's image, made with a model that has this hash."""
    changes = {loras.name(name): loras.read(name, source.params) for name, _ in request.loras}
    return Parameters(
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        width=request.width,
        height=request.height,
        steps=request.steps,
        cfg_scale=request.cfg_scale,
        sampler=request.sampler,
        scheduler=request.scheduler,
        seed=request.seed,
        denoise=request.denoise,
        loras=tuple((loras.name(name), strength) for name, strength in request.loras),
        lora_hashes=tuple((name, loras.hash(name)) for name in changes),
        text_encoder_loras=tuple(name for name, lora in changes.items() if lora.changes_text_encoder),
        loras_without_comfyui=tuple(name for name, lora in changes.items() if lora.comfyui_passes_over),
        model=source.file_name,
        model_hash=model_hash,
        text_encoder=source.named_part(files.text_encoder.path),
        vae=source.named_part(files.vae.path),
        all_in_one=source.all_in_one,
        variation_seed=request.variation_seed,
        variation_strength=None if request.variation_seed is None else request.variation_strength,
        source_image=None if request.image is None else file_name(request.image),
        mask=redraw_mask(request),
        tiled=request.tiled,
        nag=request.uses_nag,
        software=SOFTWARE,
        extra=(
            *schedule_extra(request.shift, request.beta),
            *er_sde_extra(request.er_sde),
            *fast_extra(request.fast),
            *left_out_extra(embeddings(request.prompt, request.negative_prompt)),
        ),
    )
