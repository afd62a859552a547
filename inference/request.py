"""An engine's inputs and outputs as frozen dataclasses, without PyTorch and quick to import."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from inference.prompt import infinite_weight
from inference.solver_settings import ErSdeSettings, is_cfg_pp

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from inference.metadata import Parameters

SAMPLERS = (
    *("er_sde", "euler_a", "dpmpp_2m_sde_gpu", "euler", "heun", "dpmpp_2m", "dpmpp_sde", "lcm"),
    *(
        "res_multistep",
        "sa_solver_pece",
        "deis",
        "ddim",
        "ddpm",
        "dpm_2",
        "dpm_2_ancestral",
        "dpm_adaptive",
        "dpm_fast",
    ),
    *("dpmpp_2m_cfg_pp", "dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu", "dpmpp_2s_ancestral"),
    *("dpmpp_2s_ancestral_cfg_pp", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "dpmpp_sde_gpu", "euler_ancestral_cfg_pp"),
    *("euler_cfg_pp", "exp_heun_2_x0", "exp_heun_2_x0_sde", "gradient_estimation", "gradient_estimation_cfg_pp"),
    *("heunpp2", "ipndm", "ipndm_v", "lms", "res_multistep_ancestral", "res_multistep_ancestral_cfg_pp"),
    *("res_multistep_cfg_pp", "sa_solver", "seeds_2", "seeds_3", "uni_pc", "uni_pc_bh2"),
)
SCHEDULERS = (
    *("simple", "beta57", "beta", "normal", "sgm_uniform", "ddim_uniform", "karras", "exponential"),
    *("kl_optimal", "linear_quadratic"),
)
#: Values of ANIMA_DTYPE, explained in `inference.networks.precision`.
DTYPES = ("auto", "float32", "bfloat16", "float16", "float8")
#: Values of ANIMA_OFFLOAD, explained in `inference.pool.offload`.
Offloading = Literal["auto", "always", "never"]
#: Pixels per latent position: sides must be multiples of it.
SIDE_MULTIPLE = 8
#: Pixels per token: other sides are padded by half a token in the transformer.
TOKEN_SIDE = 16
MAX_SIDE = 4096
MAX_STEPS = 1000
#: Limit of a whole schedule, of which only the end is used if `denoise` is below 1. Computing more steps takes seconds.
MAX_WHOLE_STEPS = 1_000_000
MAX_CFG_SCALE = 100.0
MAX_SEED = 2**64 - 1
MIN_SHIFT, MAX_SHIFT = 0.01, 100.0
MIN_BETA, MAX_BETA = 0.01, 50.0
MAX_PROMPT_LENGTH = 10_000
MAX_LORA_STRENGTH = 100.0


class InvalidRequest(ValueError):
    """A request is invalid; the message names the field and the values it may have."""


class CheckpointError(ValueError):
    """A model file is missing, damaged, or not what it should be; the message says which, and what to do."""


class Cancelled(Exception):
    """`cancelled` returned True; no image was generated."""


class OutOfMemory(RuntimeError):
    """The device's memory does not hold even one image of this size; the message says what to try."""


class NotFinite(ArithmeticError):
    """An image came out as NaN or infinity; the message says what to try."""


@dataclass(frozen=True)
class GenerationRequest:
    """One image to generate. The defaults are Anima's; see `NativeSettings` for other models.

    prompt, negative_prompt: with ComfyUI's syntax for weights, `(text:1.2)`.
    width, height: in pixels, multiples of 8; best multiples of 16.
    seed: 0 to 2**64 - 1; gives the same image as in ComfyUI.
    loras: names of files under `models/loras`, each with its strength, which may be negative.
    image: an image to start from, resized to width and height; `denoise`, over 0 to 1, says how much to redraw.
    mask: for `image`, with the same aspect ratio: white is redrawn, black stays. Grey is redrawn from a step on that
        comes earlier the lighter it is (differential diffusion).
    tiled: draw in overlapping tiles of the model's native size, for images far larger than that.
    variation_seed, variation_strength: blend the seed's noise with that of a second seed; strength 0 to 1.
    nag: at `cfg_scale` 1, where classifier-free guidance ignores the negative prompt, apply it with normalized
        attention guidance (arXiv 2505.21179), which stock ComfyUI does not have. Without it the negative has no effect
        there.
    shift: shifts the schedule towards noise, as ComfyUI's ModelSamplingAuraFlow does.
    beta: alpha and beta for the scheduler `beta`, as in ComfyUI's BetaSamplingScheduler; None for 0.6 and 0.6.
    er_sde: settings for the sampler `er_sde`, as in ComfyUI's SamplerER_SDE; None for the defaults.
    fast: skip blocks in steps in which they would change little (`inference.fast.block_cache`). Changes the image
        slightly.
    model: the diffusion model, by its name in `inference.weights.headers.model_list`; "" for the engine's default.
    """

    prompt: str
    negative_prompt: str = ""
    width: int = 1024
    height: int = 1024
    steps: int = 30
    cfg_scale: float = 4.0
    sampler: str = "er_sde"
    scheduler: str = "simple"
    seed: int = 0
    loras: tuple[tuple[str, float], ...] = ()
    image: Image.Image | None = field(default=None, compare=False, repr=False)
    denoise: float = 1.0
    mask: Image.Image | None = field(default=None, compare=False, repr=False)
    tiled: bool = False
    variation_seed: int | None = None
    variation_strength: float = 0.0
    nag: bool = True
    shift: float = 3.0
    beta: tuple[float, float] | None = None
    er_sde: ErSdeSettings | None = None
    model: str = ""
    fast: bool = False

    @property
    def uses_nag(self) -> bool:
        """Whether normalized attention guidance is used. CFG++ uses the negative at CFG 1 too and does not need it."""
        return self.nag and self.cfg_scale == 1 and bool(self.negative_prompt.strip()) and not is_cfg_pp(self.sampler)

    @property
    def batch_key(self) -> tuple[Hashable, ...]:
        """Requests with equal keys can share a batch: they differ only in what each image can have of its own."""
        return (
            self.width,
            self.height,
            self.steps,
            self.sampler,
            self.scheduler,
            tuple(self.loras),
            self.denoise,
            self.cfg_scale == 1,
            self.uses_nag,
            self.shift,
            self.beta,
            self.er_sde,
            self.model,
            self.fast,
            # A batch has one mask. Only the identical object is certain to be equal.
            None if self.mask is None else id(self.mask),
            self.tiled,
        )

    def check(self) -> None:
        """Raise InvalidRequest if a field has an invalid value."""
        _check_text("prompt", self.prompt)
        _check_text("negative_prompt", self.negative_prompt)
        _check_text("model", self.model)
        for name, side in (("width", self.width), ("height", self.height)):
            _check_integer(name, side, SIDE_MULTIPLE, MAX_SIDE)
            if side % SIDE_MULTIPLE:
                below = side // SIDE_MULTIPLE * SIDE_MULTIPLE
                raise InvalidRequest(
                    f"{name} is {side}, but must be a multiple of {SIDE_MULTIPLE}, such as {below} or "
                    f"{below + SIDE_MULTIPLE}."
                )
        _check_integer("steps", self.steps, 1, MAX_STEPS)
        _check_number("cfg_scale", self.cfg_scale, 0.0, MAX_CFG_SCALE)
        _check_choice("sampler", self.sampler, SAMPLERS)
        _check_choice("scheduler", self.scheduler, SCHEDULERS)
        _check_number("shift", self.shift, MIN_SHIFT, MAX_SHIFT)
        if self.beta is not None:
            for part in self.beta:
                _check_number("beta", part, MIN_BETA, MAX_BETA)
            if self.scheduler != "beta":
                raise InvalidRequest(f"beta is set, but the scheduler is {self.scheduler!r}: only 'beta' uses it.")
        if self.er_sde is not None:
            if problem := self.er_sde.problem():
                raise InvalidRequest(f"er_sde has {problem}.")
            if self.sampler != "er_sde":
                raise InvalidRequest(f"er_sde is set, but the sampler is {self.sampler!r}: only 'er_sde' uses it.")
        _check_integer("seed", self.seed, 0, MAX_SEED)
        for name, strength in self.loras:
            _check_number(f"loras: the strength of {name!r}", strength, -MAX_LORA_STRENGTH, MAX_LORA_STRENGTH)
        _check_number("denoise", self.denoise, 0.0, 1.0)
        if 0 < self.denoise < self.steps / MAX_WHOLE_STEPS:
            raise InvalidRequest(
                f"denoise is {self.denoise:g}, but with {self.steps} steps must be at least "
                f"{self.steps / MAX_WHOLE_STEPS:g}: less makes no visible difference."
            )
        if self.denoise == 0:
            raise InvalidRequest("denoise is 0, but must be above 0, up to 1: at 0 the image does not change.")
        if self.denoise < 1 and self.image is None:
            raise InvalidRequest(f"denoise is {self.denoise}, but without an image it must be 1.")
        if self.mask is not None:
            if self.image is None:
                raise InvalidRequest("mask is set, but there is no image: give the image that the mask belongs to.")
            from inference.editing.mask_image import mask_problem

            if problem := mask_problem(self.mask, self.image):
                raise InvalidRequest(problem)
        if self.variation_seed is not None:
            _check_integer("variation_seed", self.variation_seed, 0, MAX_SEED)
        _check_number("variation_strength", self.variation_strength, 0.0, 1.0)
        if self.variation_strength and self.variation_seed is None:
            raise InvalidRequest("variation_strength is set, but there is no variation_seed: give one, 0 to 2**64 - 1.")


@dataclass(frozen=True)
class Timings:
    """Seconds that each part of an image's batch took."""

    conditioning: float
    sampling: float
    decoding: float

    @property
    def total(self) -> float:
        return self.conditioning + self.sampling + self.decoding


@dataclass(frozen=True)
class GpuMemory:
    """Bytes of GPU memory: the engine's peak during a batch, and the total."""

    peak: int
    total: int


@dataclass(frozen=True)
class Picture:
    """A finished image.

    image: RGB.
    latent: float32 on the CPU, [16, height / 8, width / 8], normalised per channel as the transformer sees it.
    """

    image: Image.Image
    latent: Tensor = field(compare=False, repr=False)
    request: GenerationRequest
    timings: Timings
    parameters: Parameters
    #: The classifier's labels, each with its probability. Empty without a classifier.
    labels: Mapping[str, float] = field(default_factory=dict)
    #: Of its batch; None if the device is not a CUDA GPU.
    gpu_memory: GpuMemory | None = None
    #: Sentences about what could not be done as requested, such as parts of a LoRA that do not fit the model, each with
    #: a code and values for translation (`inference.notes.Note`).
    notes: tuple[str, ...] = ()

    @property
    def seed(self) -> int:
        return self.request.seed

    def png(self) -> bytes:
        """The PNG file, with the metadata that A1111, Forge, Civitai and ComfyUI read."""
        from inference.metadata import encode_png

        return encode_png(self.image, self.parameters)


@dataclass(frozen=True)
class EncodedImage:
    """A finished image as a PNG file, the form in which images leave an engine's own process."""

    png: bytes = field(repr=False)
    width: int
    height: int
    seed: int
    timings: Timings
    #: As `Picture.labels`.
    labels: Mapping[str, float] = field(default_factory=dict)
    #: As `Picture.gpu_memory`.
    gpu_memory: GpuMemory | None = None
    #: As `Picture.notes`.
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """One step is done, for some of the images that were requested together."""

    #: 1 to `steps`.
    step: int
    steps: int
    #: Positions of these images among the requests.
    pictures: tuple[int, ...]
    #: Makes a preview of each of these images; call it only when needed.
    previews: Callable[[], Sequence[Image.Image]] = field(compare=False, repr=False)


class Stage(Enum):
    """What an engine is doing. Values are worded to follow "while"."""

    LOADING = "loading"
    CONDITIONING = "reading the prompts"
    SAMPLING = "sampling"
    DECODING = "decoding"
    FINISHING = "finishing the pictures"


#: The published variants of Anima.
Variant = Literal["base", "turbo", "aesthetic"]

OnProgress = Callable[[Progress], None]
OnStage = Callable[[Stage], None]
IsCancelled = Callable[[], bool]


@dataclass(frozen=True)
class NativeSettings:
    """The sizes a model was trained for and the settings it works best with.

    sizes: (width, height) in pixels, the default first.
    variant: which published variant of Anima it is.
    prefix, negative: recommended start of its prompts, and recommended negative prompt.
    """

    sizes: tuple[tuple[int, int], ...]
    steps: int
    cfg_scale: float
    sampler: str
    scheduler: str
    variant: Variant = "base"
    prefix: str = "masterpiece, best quality, score_7, safe, "
    negative: str = (
        "worst quality, low quality, score_1, score_2, score_3, artist name, blurry, jpeg artifacts, "
        "chromatic aberration"
    )

    @property
    def megapixels(self) -> float:
        width, height = self.sizes[0]
        return width * height / 1e6

    def request(self, prompt: str, **fields: object) -> GenerationRequest:
        """A request with these settings; `fields` override them."""
        width, height = self.sizes[0]
        settings = {
            "width": width,
            "height": height,
            "steps": self.steps,
            "cfg_scale": self.cfg_scale,
            "sampler": self.sampler,
            "scheduler": self.scheduler,
        }
        return GenerationRequest(prompt, **{**settings, **fields})  # type: ignore[arg-type]


@dataclass(frozen=True)
class TurboLora:
    """A LoRA that lets a model draw in few steps, and the settings it works best with."""

    #: As `GenerationRequest.loras` takes it.
    name: str
    steps: int
    cfg_scale: float


@dataclass(frozen=True)
class EngineDescription:
    """What an engine says about itself once it is loaded.

    name: the default diffusion model's file name, without its suffix.
    loras: the LoRA files at that time; `inference.weights.lora_files.lora_names` lists the current ones.
    turbo: None if there is no turbo LoRA, or if the model needs few steps without one.
    loaded: the models on the device; later `EngineClient.loaded_models` has them.
    model_hash: AutoV2 of the default model's file for engines on other machines, which must all have the same model;
    else empty.
    full_pass: the number of tokens in one pass of the transformer that keeps the device busy, so that more images in a
    batch save no time; None if unknown.
    classifies: whether an engine on another machine has a classifier.
    """

    name: str
    native: NativeSettings
    loras: tuple[str, ...]
    turbo: TurboLora | None
    loaded: tuple[str, ...] = ()
    model_hash: str = ""
    full_pass: int | None = None
    classifies: bool = False


class LoadedEngine(Protocol):
    """An engine that is loaded in this process. `inference.Engine` is one."""

    @property
    def native(self) -> NativeSettings: ...
    @property
    def name(self) -> str: ...
    @property
    def full_pass(self) -> int | None: ...
    def lora_names(self) -> list[str]: ...
    def loaded_models(self) -> tuple[str, ...]: ...
    def turbo_lora(self) -> TurboLora | None: ...
    def generate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None = None,
        cancelled: IsCancelled | None = None,
        on_stage: OnStage | None = None,
    ) -> Sequence[Picture]:
        """Generate all images, or raise; they come in the order of the requests."""


@runtime_checkable
class RelayedEngine(Protocol):
    """An object in this process for an engine that draws elsewhere; its images arrive encoded."""

    @property
    def description(self) -> EngineDescription: ...
    def loaded_models(self) -> tuple[str, ...]: ...
    def check(self) -> None:
        """Called every few seconds while it is idle. Raises EngineDied if it can no longer draw."""

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None = None,
        cancelled: IsCancelled | None = None,
        on_stage: OnStage | None = None,
    ) -> Sequence[EncodedImage]:
        """As `LoadedEngine.generate`. Also raises EngineDied."""


class EngineClient(Protocol):
    """An engine that runs elsewhere. Its methods block; `inference.process.EngineProcess` is one."""

    @property
    def starts(self) -> int:
        """How many times `start` was called."""

    @property
    def loaded_models(self) -> tuple[str, ...]:
        """The diffusion models on the device, by name, the one used last first. Updated after each batch."""

    def start(self) -> EngineDescription:
        """Load the engine, or load it again. Raises EngineFailed with the reason, or EngineDied."""

    def check(self) -> None:
        """Return at once. Raises EngineDied or EngineFailed if the engine has ended since its last use."""

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None = None,
        cancelled: IsCancelled | None = None,
    ) -> list[EncodedImage]:
        """Generate all images, or raise; they come in the order of the requests."""

    def stop(self) -> None:
        """End the engine. A call in another thread raises EngineDied."""


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidRequest(f"{name} must be text, not {type(value).__name__}.")
    if len(value) > MAX_PROMPT_LENGTH:
        raise InvalidRequest(f"{name} has {len(value):,} characters, but may have at most {MAX_PROMPT_LENGTH:,}.")
    if surrogate := _SURROGATE.search(value):
        raise InvalidRequest(
            f"{name} has half of a character at position {surrogate.start() + 1} (a lone surrogate, "
            f"U+{ord(surrogate[0]):04X}), which is not text. Type that character again."
        )
    if weight := infinite_weight(value):
        raise InvalidRequest(f"{name} has the weight {weight!r}, but a weight must be a number, such as 1.2 or -0.5.")


#: JSON and shells produce these from text that was cut or wrongly decoded. Tokenizers reject them.
_SURROGATE = re.compile("[\ud800-\udfff]")


def _check_integer(name: str, value: object, minimum: int, maximum: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidRequest(f"{name} is {value!r}, but must be a whole number from {minimum} to {maximum}.")
    if not minimum <= value <= maximum:
        raise InvalidRequest(f"{name} is {value}, but must be from {minimum} to {maximum}.")


def _check_number(name: str, value: object, minimum: float, maximum: float) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise InvalidRequest(f"{name} is {value!r}, but must be a number from {minimum:g} to {maximum:g}.")
    if not minimum <= value <= maximum:
        raise InvalidRequest(f"{name} is {value:g}, but must be from {minimum:g} to {maximum:g}.")


def _check_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise InvalidRequest(f"{name} is {value!r}, but must be one of: {', '.join(allowed)}.")
