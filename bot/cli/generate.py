"""`anima generate`: generates images without Discord."""

from __future__ import annotations

import argparse
import math
import re
import secrets
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.cli import USAGE_ERROR, Commands, fail
from inference import GenerationRequest, InvalidRequest, NativeSettings, NotFinite, OutOfMemory, Picture, Progress
from inference.request import MAX_SEED, SAMPLERS, SCHEDULERS
from inference.solver_settings import ER_SDE_SOLVERS, MAX_STAGE, ErSdeSettings

if TYPE_CHECKING:
    from PIL import Image

    from bot.ops.settings import Settings
    from inference import Engine

#: ComfyUI's page rounds larger seeds when it loads an image's settings.
RANDOM_SEEDS = 2**53

#: 1, the engine's default, would keep nothing of the given image.
IMAGE_DENOISE = 0.6

#: Options that are fields of a request with the same name.
FIELDS = (
    *("negative_prompt", "width", "height", "steps", "cfg_scale", "sampler", "scheduler"),
    *("denoise", "tiled", "variation_seed", "variation_strength", "nag", "shift", "fast"),
)
#: Options that are fields of ErSdeSettings with the same name.
ER_SDE_FIELDS = ("solver_type", "max_stage", "eta", "s_noise")


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "generate",
        help="generate images as PNG files",
        description="Generates images as PNG files. Options you leave out use the model's recommended values.",
    )
    parser.add_argument("prompt", nargs="+", metavar="PROMPT", help="what to generate; several words are one prompt")
    parser.add_argument("-n", "--negative", dest="negative_prompt", metavar="TEXT", help="what to avoid")
    parser.add_argument("--size", type=_size, metavar="WxH", help="width and height in pixels, such as 832x1216")
    parser.add_argument("--width", type=int, help="in pixels, a multiple of 8")
    parser.add_argument("--height", type=int, help="in pixels, a multiple of 8")
    parser.add_argument("--steps", type=int, help="number of sampling steps")
    parser.add_argument("--cfg", dest="cfg_scale", type=float, help="how strictly to follow the prompt; 1 for Turbo")
    parser.add_argument("--sampler", metavar="NAME", help=", ".join(SAMPLERS))
    parser.add_argument("--scheduler", metavar="NAME", help=", ".join(SCHEDULERS))
    parser.add_argument("--seed", type=int, help="the same seed gives the same image (default: random)")
    parser.add_argument("-c", "--count", type=_positive, default=1, help="number of images, with consecutive seeds")
    parser.add_argument("--batch", type=_positive, help="how many images to generate at a time (ANIMA_LARGEST_BATCH)")
    parser.add_argument(
        *("-l", "--lora"),
        dest="loras",
        action="append",
        type=_lora,
        default=[],
        metavar="NAME:STRENGTH",
        help="a file in models/loras (default strength: 1); can be repeated",
    )
    parser.add_argument("--image", type=Path, metavar="FILE", help="an image to start from")
    parser.add_argument(
        "--denoise",
        type=float,
        help=f"how much of it to change, above 0 up to 1 (with --image: {IMAGE_DENOISE})",
    )
    parser.add_argument(
        "--mask",
        type=Path,
        metavar="FILE",
        help="a black-and-white image: white is redrawn, the rest of --image stays as it is",
    )
    parser.add_argument(
        "--tiled",
        action="store_const",
        const=True,
        help="generate in overlapping tiles of the model's native size, for images far larger than that",
    )
    parser.add_argument("--variation-seed", type=int, metavar="SEED", help="a second seed to blend in")
    parser.add_argument("--variation-strength", type=float, metavar="STRENGTH", help="how much of it, 0 to 1")
    parser.add_argument("--shift", type=float, help="shifts the schedule towards more noise (default: 3)")
    parser.add_argument(
        "--beta",
        type=float,
        nargs=2,
        metavar=("ALPHA", "BETA"),
        help="alpha and beta of the beta scheduler, which this selects (default: 0.6 0.6)",
    )
    parser.add_argument(
        "--solver-type", metavar="NAME", help=f"for er_sde, which this selects: {', '.join(ER_SDE_SOLVERS)}"
    )
    parser.add_argument("--max-stage", type=int, help=f"for er_sde: the highest order of a step, 1 to {MAX_STAGE}")
    parser.add_argument("--eta", type=float, help="for er_sde: how much noise Reverse-time SDE adds (default: 1)")
    parser.add_argument("--s-noise", type=float, help="for er_sde: multiplies the noise that is added (default: 1)")
    parser.add_argument(
        "--fast",
        action="store_const",
        const=True,
        help="skip blocks of the network where they would change little; the image differs slightly",
    )
    parser.add_argument(
        "--no-nag",
        dest="nag",
        action="store_const",
        const=False,
        help="switch off normalized attention guidance, which makes the negative prompt work at CFG 1",
    )
    parser.add_argument("--models", type=Path, metavar="DIR", help="ComfyUI's models folder (ANIMA_MODELS)")
    parser.add_argument(
        *("--model", "--diffusion-model"),
        dest="diffusion_model",
        metavar="NAME",
        help="the diffusion model to use, as `anima doctor` lists it (ANIMA_DIFFUSION_MODEL)",
    )
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:1 (ANIMA_DEVICE)")
    parser.add_argument("--dtype", help="auto, float32, bfloat16, float16 or float8 (ANIMA_DTYPE)")
    parser.add_argument("-o", "--output", type=Path, default=Path("pictures"), metavar="DIR", help="where to save")
    parser.add_argument("--name", default="anima", help="start of the file names; a number follows")
    parser.set_defaults(command=generate)


def generate(options: argparse.Namespace) -> None:
    """Generate the requested images; on an error, print its sentence and end the command."""
    from bot.ops.settings import Settings

    try:
        settings = Settings.read()
        prompt, fields = " ".join(options.prompt), _checked_fields(options, settings)
        engine = _load(options, settings)
        request = _request(engine.native, prompt, fields)
        for picture in _generate(engine, request, options.count, options.batch or settings.anima_largest_batch):
            path = save(picture.png(), options.output, options.name)
            print(f"Saved {path} (seed {picture.seed})")
    except InvalidRequest as error:
        fail(str(error), USAGE_ERROR)
    except (ValueError, NotFinite, OutOfMemory) as error:
        fail(str(error))
    except OSError as error:
        fail(_cannot_write(options.output, error))
    except RuntimeError as error:
        if "out of memory" not in str(error):
            raise
        fail("The device ran out of memory. Generate fewer at a time (--batch 1) or smaller images (--size 768x768).")


def save(png: bytes, folder: Path, name: str) -> Path:
    """Write a new file with the next free number; never overwrites one. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    pattern = re.compile(re.escape(name) + r"-(\d+)\.png", re.IGNORECASE)
    taken = [int(match[1]) for path in folder.iterdir() if (match := pattern.fullmatch(path.name))]
    for number in count(max(taken, default=0) + 1):
        path = folder / f"{name}-{number:05}.png"
        try:
            file = path.open("xb")
        except FileExistsError:  # another process took it
            continue
        try:
            with file:
                file.write(png)
        except OSError:
            path.unlink()
            raise
        return path
    raise AssertionError("numbers do not end")


def _checked_fields(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """The request's fields set by options. If some are wrong, lists all problems and exits."""
    from bot.cli.request_checks import ensure_writable, missing_loras, wrong_fields

    fields, problems = _fields(options)
    problems += wrong_fields(" ".join(options.prompt), fields)
    models = options.models or settings.models
    if models.is_dir():
        problems += missing_loras(options.loras, models)
    if not options.name or Path(options.name).name != options.name:
        problems.append(
            f"name is {options.name!r}, but must be a file name without a folder. Use --output for the folder."
        )
    code = USAGE_ERROR if problems else 1
    try:
        ensure_writable(options.output)
    except OSError as error:
        problems.append(_cannot_write(options.output, error))
    if problems:
        fail("\n".join(problems), code)
    return fields


def _fields(options: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """The request's fields set by options, and what is wrong with them."""
    fields: dict[str, Any] = {name: value for name in FIELDS if (value := getattr(options, name)) is not None}
    problems = []
    if options.size is not None:
        if {"width", "height"} & fields.keys():
            problems.append("size: use either --size, or --width and --height.")
        fields["width"], fields["height"] = options.size
    if options.beta is not None:
        fields = {"scheduler": "beta", **fields, "beta": tuple(options.beta)}
    er_sde = {name: value for name in ER_SDE_FIELDS if (value := getattr(options, name)) is not None}
    if er_sde:
        fields = {"sampler": "er_sde", **fields, "er_sde": ErSdeSettings(**er_sde)}
    fields["loras"] = tuple(options.loras)
    fields["seed"] = secrets.randbelow(RANDOM_SEEDS) if options.seed is None else options.seed
    if options.image is not None:
        try:
            fields["image"] = _open_image("image", options.image)
            fields.setdefault("denoise", IMAGE_DENOISE)
        except InvalidRequest as error:
            problems.append(str(error))
            fields.pop("denoise", None)  # it would be reported as wrong without an image
    if options.mask is not None and (options.image is None or "image" in fields):
        try:
            fields["mask"] = _open_image("mask", options.mask)
        except InvalidRequest as error:
            problems.append(str(error))
    return fields, problems


def _cannot_write(folder: Path, error: OSError) -> str:
    return f"{error.filename or folder}: {error.strerror or error}. Choose another folder with --output."


def _open_image(field: str, path: Path) -> Image.Image:
    from PIL import Image

    try:
        image = Image.open(path)
        image.load()
    except (OSError, ValueError, SyntaxError, RuntimeError, Image.DecompressionBombError) as error:
        raise InvalidRequest(f"{field}: {path} cannot be read as an image ({error}).") from error
    return image


def _load(options: argparse.Namespace, settings: Settings) -> Engine:
    if options.models is None and not settings.anima_models.is_dir():
        print(
            f"There is no models folder at {settings.anima_models}, so the bundled miniature model is used. "
            "`anima download` downloads Anima itself.",
            file=sys.stderr,
        )
    from inference import Engine

    return Engine.load(
        options.models or settings.models,
        options.device or settings.first_device,
        options.dtype or settings.anima_dtype,
        options.diffusion_model or settings.anima_diffusion_model,
        settings.anima_text_encoder,
        settings.anima_vae,
        settings.anima_nag,
        settings.anima_offload,
    )


def _request(native: NativeSettings, prompt: str, fields: dict[str, Any]) -> GenerationRequest:
    """A request with the model's native settings for missing fields; an image chooses the closest native size."""
    image: Image.Image | None = fields.get("image")
    if image is not None and not {"width", "height"} & fields.keys():
        from PIL import ImageOps

        upright = ImageOps.exif_transpose(image)
        aspect = math.log(upright.width / upright.height)
        width, height = min(native.sizes, key=lambda size: abs(math.log(size[0] / size[1]) - aspect))
        fields = {**fields, "width": width, "height": height}
    return native.request(prompt, **fields)


def _generate(engine: Engine, request: GenerationRequest, count: int, batch: int) -> Iterator[Picture]:
    """Generate `count` images, `batch` at a time, with consecutive seeds, and show the progress."""
    from tqdm import tqdm

    requests = [replace(request, seed=(request.seed + i) % (MAX_SEED + 1)) for i in range(count)]
    for first in range(0, count, batch):
        together = requests[first : first + batch]
        with tqdm(total=request.steps, unit="step", desc=_label(first + 1, first + len(together), count)) as bar:

            def show(progress: Progress, bar: tqdm[None] = bar) -> None:
                bar.total, bar.n = progress.steps, progress.step
                bar.refresh()

            images = engine.generate(together, show)
        for note in dict.fromkeys(note for image in images for note in image.notes):
            print(note, file=sys.stderr)
        yield from images


def _label(first: int, last: int, of: int) -> str:
    if of == 1:
        return "generating"
    return f"image {first} of {of}" if first == last else f"images {first}-{last} of {of}"


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})[x*](\d{1,5})", text.strip(), re.IGNORECASE)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; use for example 832x1216")
    return int(match[1]), int(match[2])


def _lora(text: str) -> tuple[str, float]:
    name, colon, strength = text.rpartition(":")
    try:
        return (name, float(strength)) if colon else (text, 1.0)
    except ValueError:
        return text, 1.0


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)
