"""The engine: load a model once, generate many images."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from inference.devices import (
    BatchMeter,
    choose_device,
    choose_precision,
    empty_cache,
    free_memory,
    is_out_of_memory,
    largest_batch,
)
from inference.editing.mask import blend, mask_pixels
from inference.editing.mask_image import is_soft
from inference.editing.thin_mask import REDRAWS_NOTHING
from inference.fast.block_cache import BlockCache
from inference.gpu.batch_gain import full_pass
from inference.gpu.passes import Passes, step_graphs
from inference.metadata import Parameters
from inference.networks.compile import is_compiler_fault, warm_up
from inference.networks.params import TransformerParams
from inference.networks.precision import Precision
from inference.networks.text_encoder import PromptTokenizer, TextEncoder, load_qwen
from inference.networks.transformer import Transformer
from inference.networks.vae import OVERLAP, SCALE, TILE, load_vae
from inference.notes.embeddings import embeddings_notes
from inference.notes.not_finite import why_not_finite
from inference.pixels import fitted_image, image_from_pixels, pixels_from_image
from inference.pool.batches import batches
from inference.pool.diffusion_model import params_of
from inference.pool.loras import LoraFolder
from inference.pool.memory import generating_bytes, reserve
from inference.pool.models import DiffusionModels
from inference.pool.offload import Offloader
from inference.pool.parameters import parameters_of
from inference.pool.sources import ModelSource
from inference.preview import Preview
from inference.request import (
    Cancelled,
    CheckpointError,
    GenerationRequest,
    InvalidRequest,
    IsCancelled,
    NativeSettings,
    NotFinite,
    Offloading,
    OnProgress,
    OnStage,
    OutOfMemory,
    Picture,
    Progress,
    Stage,
    Timings,
    TurboLora,
)
from inference.sampling import initial_noise, needs_unguided, sample, sigmas
from inference.sampling.masks import Redraw
from inference.sampling.noise import spherical_blend
from inference.sampling.samplers import Denoiser
from inference.sampling.tiles import in_tiles, keeping_coarse
from inference.weights.checkpoint import ModelFiles
from inference.weights.headers.diffusion_models import is_turbo, turbo_loras
from inference.weights.lora import MergedLoras, Network
from inference.weights.lora_layers import TEXT_ENCODER

logger = logging.getLogger(__name__)


class Engine:
    """Diffusion models that share a text encoder and a VAE, on one device. Not thread-safe.

    It loads the default model first, and others when a request names them.
    """

    def __init__(
        self,
        files: ModelFiles,
        device: torch.device,
        precision: Precision,
        nag: bool = True,
        offload: Offloading = "auto",
    ) -> None:
        self.files = files
        self.nag = nag
        self.device = device
        self.dtype = dtype = precision.compute
        self._models = DiffusionModels(files, device, dtype, precision.float8)
        #: The default model's settings.
        self.native: NativeSettings = self._models.default.native
        self.parts = Offloader(offload, device, lambda: free_memory(device) - reserve(device))
        where = self.parts.place_for(files.vae.loaded_bytes(dtype))
        self.vae = load_vae(files.vae, where, dtype)
        self.parts.add(self.vae, where)
        tokenizer = PromptTokenizer(files.qwen_tokenizer, files.t5_tokenizer)
        needed = self._needed([self.native.request("")])
        where = self.parts.place_for(files.text_encoder.loaded_bytes(precision.text_encoder) + needed)
        self.text_encoder = TextEncoder(tokenizer, load_qwen(files.text_encoder, where, precision.text_encoder))
        self.parts.add(self.text_encoder.qwen, where)
        self.text_encoder.before_encoding = lambda: self.parts.to_device(self.text_encoder.qwen)
        self._loras = LoraFolder(files.models, self.text_encoder.qwen)
        self._text_encoder_loras = MergedLoras(
            [Network(TEXT_ENCODER, self.text_encoder.qwen, files.text_encoder, self.text_encoder.forget)]
        )
        #: As `EngineDescription.full_pass`; see `measure`.
        self.full_pass: int | None = None
        self.graphs = step_graphs(device)
        #: The block structures that are compiled already.
        self._warmed_up: set[TransformerParams] = set()

    @classmethod
    def load(
        cls,
        models: str | Path,
        device: str = "auto",
        dtype: str = "auto",
        diffusion_model: str | None = None,
        text_encoder: str | None = None,
        vae: str | None = None,
        nag: bool = True,
        offload: Offloading = "auto",
    ) -> Engine:
        """Load a model from ComfyUI's `models` folder.

        device: "auto" (CUDA where there is one, ROCm's too), "cpu", "cuda", "cuda:1"; "mps", "xpu": not tried yet.
        dtype: one of PRECISIONS, or "auto": bfloat16 on CUDA (float16 on older cards), float32 on the CPU (bfloat16 for
        wide models on a processor with AMX).
        diffusion_model, text_encoder, vae: the files' names, where there are several.
        nag: whether requests may use normalized attention guidance, see `GenerationRequest.nag`.
        offload: whether text encoder and VAE are kept in main memory between uses, see `inference.pool.offload`.

        Raises CheckpointError where a file is missing or wrong, ValueError for an unknown device or dtype.
        """
        where = choose_device(device)
        files = ModelFiles.find(models, diffusion_model, text_encoder, vae)
        width = params_of(files.transformer).width
        return cls(files, where, choose_precision(dtype, where, width), nag, offload)

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None = None,
        cancelled: IsCancelled | None = None,
        on_stage: OnStage | None = None,
    ) -> list[Picture]:
        """Generate all requests. Those that can share a batch do; batching does not change an image.

        on_progress: called after each step of each batch. cancelled: asked before each pass of the network.
        on_stage: called as each stage of each batch begins, decoding for each image.

        A batch has one model. If that is not on the device yet, LOADING is the batch's first stage.

        Raises InvalidRequest before any work (for a mask that would redraw nothing, before sampling), Cancelled,
        NotFinite, OutOfMemory, CheckpointError for a damaged file of a model or a LoRA.
        """
        sources = []
        for request in requests:
            request.check()
            self._loras.check(request.loras)
            sources.append(self._models.find(request.model))
        if not self.nag:
            requests = [replace(request, nag=False) for request in requests]
        on_stage = on_stage or _ignore
        images: dict[int, Picture] = {}
        for positions in batches(requests, [source.name for source in sources], largest_batch(self.device)):
            wanted = [requests[i] for i in positions]
            self.use_model(sources[positions[0]], wanted, on_stage)
            if cancelled is not None and cancelled():
                raise Cancelled
            batch = _RequestBatch(self, wanted, positions, on_progress, cancelled, on_stage)
            images.update(zip(positions, batch.generate_in_halves_if_needed(), strict=True))
        return [images[i] for i in range(len(requests))]

    def warm_up(self) -> None:
        """On CUDA, compile the blocks now, so that the first image need not wait. If that fails, leave them uncompiled.

        Models whose blocks have the same sizes share the compiled code.
        """
        blocks = replace(self._models.source.params, depth=1, adapter=self._models.default.params.adapter)
        if not self._models.compiles or blocks in self._warmed_up:
            return
        with torch.inference_mode():
            text = self.text_encoder.context("", self.transformer.llm_adapter)
        try:
            warm_up(self.transformer, text)
        except Exception as error:
            if not is_compiler_fault(error):
                raise
            logger.warning("The blocks are not compiled, so images take longer: %s", str(error).partition("\n")[0])
            self._models.stop_compiling()
        self._warmed_up.add(blocks)

    def measure(self) -> None:
        """Measure the batch size beyond which larger batches save no time on this device."""
        self.full_pass = full_pass(self.transformer, self.device)
        if self.graphs is not None:
            self.graphs.full_pass = self.full_pass

    @property
    def name(self) -> str:
        """The default model's file name, without its ending."""
        return self._models.default.path.stem

    @property
    def model_name(self) -> str:
        """The name of the model used last."""
        return self._models.source.name

    @property
    def transformer(self) -> Transformer:
        """The transformer of the model used last."""
        return self._models.current.transformer

    def native_of(self, model: str) -> NativeSettings:
        """The settings of a model, by the name in requests. Raises InvalidRequest."""
        return self._models.find(model).native

    def loaded_models(self) -> tuple[str, ...]:
        """The diffusion models on the device, by name, the one used last first."""
        return self._models.loaded

    def lora_names(self) -> list[str]:
        """The LoRA files that a request may name."""
        return self._loras.names()

    def turbo_lora(self) -> TurboLora | None:
        """The LoRA file that makes the default model a turbo model; None if there is none or it already is one."""
        if is_turbo(self.native):
            return None
        for turbo in turbo_loras(self.files.models):
            try:
                self._loras.read(turbo.name, self._models.default.params)
            except (CheckpointError, OSError) as error:
                logger.warning("%s is not used as turbo LoRA: %s", turbo.name, error)
            else:
                return turbo
        return None

    def use_model(self, source: ModelSource, requests: Sequence[GenerationRequest], on_stage: OnStage) -> None:
        """Bring the model for a batch of requests to the device. Raises CheckpointError, OutOfMemory."""
        needed = self._needed(requests, source)
        if source.name not in self._models.loaded:
            self.parts.make_room(self._models.size(source) + needed)
        self._models.use(source, needed, lambda: on_stage(Stage.LOADING))
        if self._warmed_up:
            self.warm_up()

    def make_room(self, requests: Sequence[GenerationRequest]) -> None:
        """Move text encoder and VAE off the device if a batch needs their memory."""
        self.parts.make_room(self._needed(requests))

    def _needed(self, requests: Sequence[GenerationRequest], source: ModelSource | None = None) -> int:
        return generating_bytes(source or self._models.source, self.vae, requests, self.dtype)

    def release_idle(self) -> bool:
        """Move everything unused off the device. Returns whether another attempt may succeed."""
        return any([self._models.release_idle(), self.parts.offload_always()])

    def use_loras(self, loras: Sequence[tuple[str, float]]) -> None:
        """Merge exactly these LoRA files, by name and strength, into the model used last and the text encoder."""
        files = [(self._loras.read(name, self._models.source.params), strength) for name, strength in loras]
        for merged in (self._models.current.loras, self._text_encoder_loras):
            merged.set(files)

    def encode(self, prompts: Sequence[str]) -> list[Tensor]:
        """Each prompt's text context [n, width], with the model used last and the LoRA files that are merged now."""
        return [self.text_encoder.context(prompt, self.transformer.llm_adapter) for prompt in prompts]

    @cached_property
    def preview(self) -> Preview:
        return Preview.fit(lambda pixels: self.vae.encode(pixels.to(self.vae.conv1.weight.device)).cpu())

    def notes(self, request: GenerationRequest) -> tuple[str, ...]:
        """What could not be done as requested, in sentences for the user."""
        params = self._models.find(request.model).params
        loras = (self._loras.read(name, params) for name, strength in request.loras if strength)
        left_out = embeddings_notes(request.prompt, request.negative_prompt)
        return tuple(dict.fromkeys((*(note for lora in loras for note in lora.notes), *left_out)))

    def parameters(self, request: GenerationRequest) -> Parameters:
        """The parameters to write into the file of this request's image."""
        source = self._models.find(request.model)
        return parameters_of(request, source, self._models.hash(source), self._loras, self.files)


@dataclass(frozen=True)
class _RequestBatch:
    """Generates requests together, from their texts to their images."""

    engine: Engine
    requests: Sequence[GenerationRequest]
    positions: Sequence[int]
    on_progress: OnProgress | None
    cancelled: IsCancelled | None
    on_stage: OnStage

    def generate_in_halves_if_needed(self) -> list[Picture]:
        """Generate. If memory runs out, move other models off the device and try again, then split the batch."""
        try:
            return self.generate()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            alone = self.engine.loaded_models() == (self.engine.model_name,) and self.engine.parts.mode != "auto"
            if len(self.requests) == 1 and alone:
                raise OutOfMemory(
                    "The device does not have enough memory for this picture. Request a smaller one, or stop other "
                    "programs that use the device."
                ) from error
        if self.engine.release_idle():
            return self.generate_in_halves_if_needed()
        empty_cache(self.engine.device)
        middle = len(self.requests) // 2
        halves = [
            replace(self, requests=self.requests[part], positions=self.positions[part])
            for part in (slice(None, middle), slice(middle, None))
        ]
        return [image for half in halves for image in half.generate_in_halves_if_needed()]

    @torch.inference_mode()
    def generate(self) -> list[Picture]:
        meter = BatchMeter(self.engine.device)
        self.on_stage(Stage.CONDITIONING)
        first = self.requests[0]
        self.engine.use_loras(first.loras)
        schedule = sigmas(first.scheduler, first.steps, first.shift, denoise=first.denoise, beta=first.beta)
        denoiser = self._denoiser(schedule.tolist())
        conditioning = meter.lap()
        starts, sources = zip(*(self._start(request, float(schedule[0])) for request in self.requests), strict=True)
        if first.tiled and first.denoise < 1:
            side = min(self.engine.native_of(first.model).sizes[0]) // SCALE
            denoiser = keeping_coarse(denoiser, torch.cat(sources).to(self.engine.device), side)
        mask = None if first.mask is None else mask_pixels(first.mask, first.width, first.height)
        differential = first.mask is not None and is_soft(first.mask)
        if mask is not None:
            redraw = Redraw(mask, torch.cat(sources), torch.cat(starts), schedule.tolist(), first.shift, differential)
            if redraw.changes_nothing():
                raise InvalidRequest(REDRAWS_NOTHING)
        self.on_stage(Stage.SAMPLING)
        self.engine.make_room(self.requests)
        latents = sample(
            first.sampler,
            denoiser,
            torch.cat(starts).to(self.engine.device),
            schedule,
            seeds=[request.seed for request in self.requests],
            on_step=self._report,
            shift=first.shift,
            er_sde=first.er_sde,
            mask=mask,
            latent=None if mask is None else torch.cat(sources),
            differential=differential,
        )
        sampling = meter.lap()
        if not torch.isfinite(latents).all():
            raise NotFinite(why_not_finite(self.requests))
        images = [self._image(latent, request, mask) for latent, request in zip(latents, self.requests, strict=True)]
        timings = Timings(conditioning, sampling, meter.lap())
        self.on_stage(Stage.FINISHING)
        return [
            Picture(
                image,
                latent,
                request,
                timings,
                self.engine.parameters(request),
                gpu_memory=meter.gpu_memory(),
                notes=self.engine.notes(request),
            )
            for image, latent, request in zip(images, latents.float().cpu(), self.requests, strict=True)
        ]

    def _denoiser(self, schedule: Sequence[float]) -> Denoiser:
        """A function of (x, sigma) that returns x0 = x - sigma * velocity.

        Classifier-free guidance (arXiv 2207.12598) takes one pass with twice the batch. For CFG++ samplers the function
        returns the pair (guided, unguided), also at CFG 1. For normalized attention guidance, only the blocks'
        cross-attentions get the negative texts.
        """
        engine = self.engine
        pair = needs_unguided(self.requests[0].sampler)
        guided = pair or self.requests[0].cfg_scale != 1
        texts = [request.prompt for request in self.requests]
        if guided:
            texts += [request.negative_prompt for request in self.requests]
        avoided = [request.negative_prompt for request in self.requests] if self.requests[0].uses_nag else None
        context = engine.transformer.context(engine.encode(texts), None if avoided is None else engine.encode(avoided))
        cache = BlockCache() if self.requests[0].fast else None
        graphs = None if self.requests[0].tiled else engine.graphs
        passes = Passes(engine.transformer, context, cache, schedule, engine.device, graphs)
        scales = [float(request.cfg_scale) for request in self.requests]
        scale = torch.tensor(scales, device=engine.device).view(-1, 1, 1, 1)

        def denoiser(x: Tensor, sigma: Tensor) -> Tensor | tuple[Tensor, Tensor]:
            if self.cancelled is not None and self.cancelled():
                raise Cancelled
            level = torch.full((1,), float(sigma), device=engine.device)  # unlike a copy, this does not synchronize
            if not guided:
                return x - level * passes.velocity(x, float(sigma))
            velocity, negative_velocity = passes.velocity(torch.cat([x, x]), float(sigma)).chunk(2)
            x0 = x - level * torch.lerp(negative_velocity, velocity, scale)
            return (x0, x - level * negative_velocity) if pair else x0

        if not self.requests[0].tiled:
            return denoiser
        width, height = (side // SCALE for side in engine.native_of(self.requests[0].model).sizes[0])
        return in_tiles(denoiser, height, width, None if cache is None else cache.use_tile)

    def _start(self, request: GenerationRequest, sigma: float) -> tuple[Tensor, Tensor | None]:
        """The latent that sampling starts from, [1, 16, h, w], and that of the source image or None, on the CPU.

        With a source image, its latent and noise are mixed by `sigma`; without one, it is noise alone.
        """
        channels = self.engine.transformer.params.latent_channels
        shape = (1, channels, 1, request.height // SCALE, request.width // SCALE)
        noise = initial_noise(request.seed, shape)
        if request.variation_seed is not None and request.variation_strength > 0:
            noise = spherical_blend(noise, initial_noise(request.variation_seed, shape), request.variation_strength)
        noise = noise[:, :, 0]
        if request.image is None:
            return sigma * noise, None
        latent = self._encode(pixels_from_image(request.image, request.width, request.height)[None], request)
        return sigma * noise + (1 - sigma) * latent, latent

    def _encode(self, pixels: Tensor, request: GenerationRequest) -> Tensor:
        vae = self.engine.vae
        self.engine.parts.to_device(vae)
        if not request.tiled:
            try:
                return vae.encode(pixels.to(self.engine.device)).cpu()
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            empty_cache(self.engine.device)
        return vae.encode_in_tiles(pixels, *self._vae_tile(request))

    def _image(self, latent: Tensor, request: GenerationRequest, mask: Tensor | None) -> Image.Image:
        self.on_stage(Stage.DECODING)
        pixels = self._decode(latent[None], request)[0]
        if mask is None or request.image is None:
            return image_from_pixels(pixels)
        return blend(fitted_image(request.image, request.width, request.height), pixels, mask)

    def _decode(self, latent: Tensor, request: GenerationRequest) -> Tensor:
        vae, (side, overlap) = self.engine.vae, self._vae_tile(request)
        self.engine.parts.to_device(vae, vae.decoding_bytes(latent[..., :side, :side] if request.tiled else latent))
        if not request.tiled and vae.decoding_bytes(latent) <= free_memory(self.engine.device):
            try:
                return vae.decode(latent)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            # Not inside `except`: until it ends, the error keeps the tensors decoded so far alive.
            empty_cache(self.engine.device)
        return vae.decode_in_tiles(latent, side, overlap)

    def _vae_tile(self, request: GenerationRequest) -> tuple[int, int]:
        """The side and overlap of tiles in latent positions; for `tiled` requests at most the model's native size."""
        native = self.engine.native_of(request.model).sizes[0]
        side = min(TILE, *(side // SCALE for side in native)) if request.tiled else TILE
        return side, side * OVERLAP // TILE

    def _report(self, step: int, steps: int, x0: Tensor) -> None:
        if self.on_progress is None:
            return

        def previews() -> list[Image.Image]:
            preview = self.engine.preview
            size = (self.requests[0].width // 2, self.requests[0].height // 2)
            return [preview.image(latent, size) for latent in x0.float().cpu()]

        self.on_progress(Progress(step, steps, tuple(self.positions), previews))


def _ignore(_stage: Stage) -> None:
    pass
