"""The engine: load a model once, generate many images."""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path

import psutil
import torch
from PIL import Image
from torch import Tensor

from inference.metadata import Parameters, lora_hash, model_hash
from inference.metadata.parameters import er_sde_extra, schedule_extra
from inference.networks.compile import compile_blocks, warm_up
from inference.networks.text_encoder import PromptTokenizer, TextEncoder, load_qwen
from inference.networks.transformer import Transformer, TransformerParams
from inference.networks.vae import SCALE, Vae, VaeParams, still_image_weight
from inference.pixels import image_from_pixels, pixels_from_image
from inference.preview import Preview
from inference.prompt import parse_weights
from inference.request import (
    Cancelled,
    CheckpointError,
    GenerationRequest,
    GpuMemory,
    InvalidRequest,
    IsCancelled,
    NativeSettings,
    NotFinite,
    OnProgress,
    OnStage,
    OutOfMemory,
    Picture,
    Progress,
    Stage,
    Timings,
    TurboLora,
)
from inference.sampling import draws_alone, initial_noise, needs_unguided, sample, sigmas
from inference.sampling.samplers import Denoiser
from inference.weights.checkpoint import IGNORED_TRANSFORMER_KEYS, ModelFiles
from inference.weights.headers.diffusion_models import is_turbo, turbo_loras
from inference.weights.lora import Lora, MergedLoras, Network
from inference.weights.lora_files import lora_name, lora_names, lora_paths
from inference.weights.lora_layers import TEXT_ENCODER
from inference.weights.modelspec import native_settings
from inference.weights.weights_file import load_module, reading_sizes_off

logger = logging.getLogger(__name__)

REMEMBERED_LORAS = 8
#: A prompt's weights beyond this are the first to blame for an image that is not a number.
USUAL_WEIGHT = 100.0
SOFTWARE = f"Anima Bot {version('anima-bot')}"


class Engine:
    """One model on one device. Not to be used from two threads at once."""

    def __init__(self, files: ModelFiles, device: torch.device, dtype: torch.dtype, nag: bool = True) -> None:
        self.files = files
        self.nag = nag
        self.device = device
        self.dtype = dtype
        self.native: NativeSettings = native_settings(files.transformer.metadata, self.name)
        with torch.device("meta"), reading_sizes_off(files.transformer):
            self.transformer = Transformer(TransformerParams.from_shapes(files.transformer.shapes))
        with torch.device("meta"), reading_sizes_off(files.vae):
            self.vae = Vae(VaeParams.from_shapes(files.vae.shapes))
        load_module(self.transformer, files.transformer, device, dtype, ignored=IGNORED_TRANSFORMER_KEYS)
        load_module(self.vae, files.vae, device, dtype, convert=still_image_weight)
        self.vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        tokenizer = PromptTokenizer(files.qwen_tokenizer, files.t5_tokenizer)
        self.text_encoder = TextEncoder(tokenizer, load_qwen(files.text_encoder, device, dtype))
        self._merged_loras = MergedLoras(
            [
                Network("", self.transformer, files.transformer),
                Network(TEXT_ENCODER, self.text_encoder.qwen, files.text_encoder, self.text_encoder.forget),
            ]
        )
        reader = ThreadPoolExecutor(1, "model-hash")
        self._model_hash = reader.submit(model_hash, files.transformer.path)
        reader.shutdown(wait=False)
        self._read_lora = lru_cache(REMEMBERED_LORAS)(self._read_lora_file)
        if device.type == "cuda":
            compile_blocks(self.transformer)

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
    ) -> Engine:
        """Load a model from ComfyUI's `models` folder.

        device: "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1".
        dtype: "auto" (bfloat16 on CUDA, float32 on the CPU), "float32", "bfloat16".
        diffusion_model, text_encoder, vae: the files' names, where there are several.
        nag: whether requests may use normalized attention guidance, see `GenerationRequest.nag`.

        Raises CheckpointError where a file is missing or wrong, ValueError for a device or dtype there is not.
        """
        where = choose_device(device)
        files = ModelFiles.find(models, diffusion_model, text_encoder, vae)
        return cls(files, where, choose_dtype(dtype, where), nag)

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None = None,
        cancelled: IsCancelled | None = None,
        on_stage: OnStage | None = None,
    ) -> list[Picture]:
        """Generate all requests; those that can share a batch do, and each image is the one it would be alone.

        on_progress: called after each step of each batch. cancelled: asked before each pass of the network.
        on_stage: called as each stage of each batch begins, decoding for each image.

        Raises InvalidRequest before any work, Cancelled, NotFinite, OutOfMemory, CheckpointError for a damaged LoRA
        file.
        """
        for request in requests:
            request.check()
            self._check_loras(request)
        if not self.nag:
            requests = [replace(request, nag=False) for request in requests]
        images: dict[int, Picture] = {}
        for positions in _batches(requests):
            wanted = [requests[i] for i in positions]
            batch = _RequestBatch(self, wanted, positions, on_progress, cancelled, on_stage or _never_cancelled)
            images.update(zip(positions, batch.generate_in_halves_if_needed(), strict=True))
        return [images[i] for i in range(len(requests))]

    def warm_up(self) -> None:
        """On CUDA, have the blocks compiled now; else the first images wait for it."""
        if self.device.type == "cuda":
            with torch.inference_mode():
                text = self.text_encoder.context("", self.transformer.llm_adapter)
            warm_up(self.transformer, text)

    @property
    def name(self) -> str:
        """The diffusion model's file name, without its ending."""
        return self.files.transformer.path.stem

    def lora_names(self) -> list[str]:
        """The LoRA files that a request may name."""
        return lora_names(self.files.models)

    def turbo_lora(self) -> TurboLora | None:
        """The LoRA file that makes this model a turbo model; None where there is none, or the model is one already."""
        if is_turbo(self.native):
            return None
        for turbo in turbo_loras(self.files.models):
            try:
                self._lora(turbo.name)
            except (CheckpointError, OSError) as error:
                logger.warning("%s is not used as turbo LoRA: %s", turbo.name, error)
            else:
                return turbo
        return None

    def use_loras(self, loras: Sequence[tuple[str, float]]) -> None:
        """Merge just these LoRA files, by name and strength, into the model."""
        self._merged_loras.set([(self._lora(name), strength) for name, strength in loras])

    def encode(self, prompts: Sequence[str]) -> list[Tensor]:
        """Each prompt's text context [n, width], with the LoRA files that are merged now."""
        return [self.text_encoder.context(prompt, self.transformer.llm_adapter) for prompt in prompts]

    @cached_property
    def preview(self) -> Preview:
        return Preview.fit(lambda pixels: self.vae.encode(pixels.to(self.device)).cpu())

    def _check_loras(self, request: GenerationRequest) -> None:
        known = self.lora_names() if request.loras else []
        for name, _ in request.loras:
            if lora_name(name, known) is None:
                raise InvalidRequest(
                    f"loras: there is no LoRA {name!r} in {self.files.loras}. There are: {', '.join(known) or 'none'}."
                )

    def _lora(self, name: str) -> Lora:
        path = self._lora_path(name)
        return self._read_lora(path, path.stat().st_mtime_ns)

    def _lora_name(self, name: str) -> str:
        """A LoRA's name as the folder's list has it."""
        return lora_name(name, self.lora_names()) or name

    def _lora_path(self, name: str) -> Path:
        paths = lora_paths(self.files.models)
        if (known := lora_name(name, paths)) is None:
            raise CheckpointError(f"There is no LoRA {name!r} in {self.files.loras} any more.")
        return paths[known]

    def _read_lora_file(self, path: Path, _mtime: int) -> Lora:
        lora = Lora.read(path, self.transformer, self.text_encoder.qwen)
        if lora.unmatched:
            logger.warning("%s: these keys have no effect: %s", path.name, ", ".join(lora.unmatched))
        return lora

    def notes(self, request: GenerationRequest) -> tuple[str, ...]:
        """What could not be done as it was asked for, in sentences for the person who asked."""
        found = (self._lora(name).note for name, strength in request.loras if strength)
        return tuple(dict.fromkeys(note for note in found if note))

    def parameters(self, request: GenerationRequest) -> Parameters:
        """What a file of this request's image says about how it was made."""
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
            loras=tuple((self._lora_name(name), strength) for name, strength in request.loras),
            lora_hashes=tuple((self._lora_name(name), lora_hash(self._lora_path(name))) for name, _ in request.loras),
            text_encoder_loras=tuple(
                self._lora_name(name) for name, _ in request.loras if self._lora(name).changes_text_encoder
            ),
            loras_without_comfyui=tuple(
                self._lora_name(name) for name, _ in request.loras if self._lora(name).comfyui_passes_over
            ),
            model=self.files.transformer.path.name,
            model_hash=self._model_hash.result(),
            text_encoder=self.files.text_encoder.path.name,
            vae=self.files.vae.path.name,
            variation_seed=request.variation_seed,
            variation_strength=None if request.variation_seed is None else request.variation_strength,
            source_image=None if request.image is None else _file_name(request.image),
            nag=request.uses_nag,
            software=SOFTWARE,
            extra=(*schedule_extra(request.shift, request.beta), *er_sde_extra(request.er_sde)),
        )


@dataclass(frozen=True)
class _RequestBatch:
    """Requests that are generated together, from their texts to their images."""

    engine: Engine
    requests: Sequence[GenerationRequest]
    positions: Sequence[int]
    on_progress: OnProgress | None
    cancelled: IsCancelled | None
    on_stage: OnStage

    def generate_in_halves_if_needed(self) -> list[Picture]:
        """Generate, in halves where the device's memory does not hold the whole batch."""
        try:
            return self.generate()
        except torch.OutOfMemoryError as error:
            if len(self.requests) == 1:
                raise OutOfMemory(
                    "The device's memory does not hold this picture. Request a smaller one, or stop other programs "
                    "that use the device."
                ) from error
        torch.cuda.empty_cache()
        middle = len(self.requests) // 2
        halves = [
            replace(self, requests=self.requests[part], positions=self.positions[part])
            for part in (slice(None, middle), slice(middle, None))
        ]
        return [image for half in halves for image in half.generate_in_halves_if_needed()]

    @torch.inference_mode()
    def generate(self) -> list[Picture]:
        meter = _Meter(self.engine.device)
        self.on_stage(Stage.CONDITIONING)
        first = self.requests[0]
        self.engine.use_loras(first.loras)
        denoiser = self._denoiser()
        conditioning = meter.lap()
        schedule = sigmas(first.scheduler, first.steps, first.shift, denoise=first.denoise, beta=first.beta)
        start = torch.cat([self._start(request, float(schedule[0])) for request in self.requests])
        self.on_stage(Stage.SAMPLING)
        latents = sample(
            first.sampler,
            denoiser,
            start.to(self.engine.device),
            schedule,
            seeds=[request.seed for request in self.requests],
            on_step=self._report,
            shift=first.shift,
            er_sde=first.er_sde,
        )
        sampling = meter.lap()
        if not torch.isfinite(latents).all():
            raise NotFinite(self._not_finite())
        images = [self._image(latent) for latent in latents]
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

    def _not_finite(self) -> str:
        texts = [text for request in self.requests for text in (request.prompt, request.negative_prompt)]
        heaviest = max((weight for text in texts for _, weight in parse_weights(text)), key=abs)
        if abs(heaviest) > USUAL_WEIGHT:
            return (
                f"The picture contains values that are not numbers: the weight {heaviest:g} in a prompt is too large. "
                "Usual weights are from 0 to 2."
            )
        return (
            "The picture contains values that are not numbers. Try dtype float32, a lower cfg_scale or lower LoRA "
            "strengths."
        )

    def _denoiser(self) -> Denoiser:
        """x0 = x - sigma * velocity; classifier-free guidance (arXiv 2207.12598) is one pass of twice the batch.

        For CFG++ it is the pair (guided, unguided), also at CFG 1. For normalized attention guidance the negative texts
        go into the blocks' cross-attentions alone.
        """
        engine = self.engine
        pair = needs_unguided(self.requests[0].sampler)
        guided = pair or self.requests[0].cfg_scale != 1
        texts = [request.prompt for request in self.requests]
        if guided:
            texts += [request.negative_prompt for request in self.requests]
        avoided = [request.negative_prompt for request in self.requests] if self.requests[0].uses_nag else None
        context = engine.transformer.context(engine.encode(texts), None if avoided is None else engine.encode(avoided))
        scale = torch.tensor([request.cfg_scale for request in self.requests], device=engine.device).view(-1, 1, 1, 1)

        def denoiser(x: Tensor, sigma: Tensor) -> Tensor | tuple[Tensor, Tensor]:
            if self.cancelled is not None and self.cancelled():
                raise Cancelled
            level = torch.as_tensor(sigma, dtype=torch.float32, device=engine.device).reshape(-1)[:1]
            if not guided:
                velocity: Tensor = engine.transformer(x, level, context)
                return x - level * velocity
            velocity, negative_velocity = engine.transformer(torch.cat([x, x]), level, context).chunk(2)
            x0 = x - level * torch.lerp(negative_velocity, velocity, scale)
            return (x0, x - level * negative_velocity) if pair else x0

        return denoiser

    def _start(self, request: GenerationRequest, sigma: float) -> Tensor:
        """Where an image sets out: noise, and below the schedule's top the image it starts from, [1, 16, h, w]."""
        channels = self.engine.transformer.params.latent_channels
        shape = (1, channels, 1, request.height // SCALE, request.width // SCALE)
        noise = initial_noise(request.seed, shape)
        if request.variation_seed is not None and request.variation_strength > 0:
            noise = spherical_blend(noise, initial_noise(request.variation_seed, shape), request.variation_strength)
        noise = noise[:, :, 0]
        if request.image is None:
            return sigma * noise
        pixels = pixels_from_image(request.image, request.width, request.height)
        latent = self.engine.vae.encode(pixels[None].to(self.engine.device)).cpu()
        return sigma * noise + (1 - sigma) * latent

    def _image(self, latent: Tensor) -> Image.Image:
        self.on_stage(Stage.DECODING)
        return image_from_pixels(self._decode(latent[None])[0])

    def _decode(self, latent: Tensor) -> Tensor:
        vae = self.engine.vae
        if vae.decoding_bytes(latent) <= free_memory(self.engine.device):
            with suppress(torch.OutOfMemoryError):
                return vae.decode(latent)
            torch.cuda.empty_cache()  # only here: while the error is looked at, it holds what had been decoded so far
        return vae.decode_in_tiles(latent)

    def _report(self, step: int, steps: int, x0: Tensor) -> None:
        if self.on_progress is None:
            return

        def previews() -> list[Image.Image]:
            preview = self.engine.preview
            size = (self.requests[0].width // 2, self.requests[0].height // 2)
            return [preview.image(latent, size) for latent in x0.float().cpu()]

        self.on_progress(Progress(step, steps, tuple(self.positions), previews))


def choose_device(name: str) -> torch.device:
    """The device that `name` means; "auto" is CUDA where there is one. Raises ValueError."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f'There is no device {name!r}: it is "auto", "cpu", "cuda" or "cuda:1".') from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"There is no device {name!r}: this machine shows {torch.cuda.device_count()} CUDA devices to PyTorch "
            f"{torch.__version__}. Use device cpu, or fix the driver (see `anima doctor`)."
        )
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype that `name` means for weights and matrix products. Raises ValueError."""
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if name not in dtypes:
        raise ValueError(f'dtype is {name!r}, but must be "auto", "float32" or "bfloat16".')
    return dtypes[name]


def free_memory(device: torch.device) -> int:
    """Bytes that can still be had on `device`: on CUDA also what PyTorch holds in reserve, else the system's."""
    if device.type == "cuda":
        free, _total = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(psutil.virtual_memory().available)


def spherical_blend(first: Tensor, second: Tensor, strength: float) -> Tensor:
    """Walk from `first` (0) to `second` (1) on the arc between them, which keeps noise as long as noise is."""
    cosine = torch.nn.functional.cosine_similarity(first.flatten(), second.flatten(), dim=0).clamp(-1, 1)
    angle = torch.arccos(cosine)
    if angle < 1e-3:
        return torch.lerp(first, second, strength)
    return (torch.sin((1 - strength) * angle) * first + torch.sin(strength * angle) * second) / torch.sin(angle)


def _batches(requests: Sequence[GenerationRequest]) -> Iterator[list[int]]:
    """Positions of the requests that can be generated together, in the order of each group's first request."""
    batches: dict[Hashable, list[int]] = {}
    for position, request in enumerate(requests):
        key = position if draws_alone(request.sampler) else request.batch_key
        batches.setdefault(key, []).append(position)
    yield from batches.values()


def _never_cancelled(_stage: Stage) -> None:
    pass


def _file_name(image: Image.Image) -> str:
    return Path(getattr(image, "filename", "")).name or "source.png"


class _Meter:
    """Seconds and the GPU's memory, for one batch."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._last = time.perf_counter()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def lap(self) -> float:
        """Seconds since the last lap, with the device's work done."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        last, self._last = self._last, time.perf_counter()
        return self._last - last

    def gpu_memory(self) -> GpuMemory | None:
        if self._device.type != "cuda":
            return None
        total = torch.cuda.get_device_properties(self._device).total_memory
        return GpuMemory(torch.cuda.max_memory_allocated(self._device), total)
