"""`anima generate`: draws pictures into PNG files, without Discord."""

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
from typing import TYPE_CHECKING

from bot.cli import WRONG_USE, Commands, fail
from inference import GenerationRequest, InvalidRequest, NativeSettings, NotFinite, OutOfMemory, Picture, Progress
from inference.request import MAX_SEED, SAMPLERS, SCHEDULERS

if TYPE_CHECKING:
    from PIL import Image

    from bot.ops.settings import Settings
    from inference import Engine

RANDOM_SEEDS = 2**53
"""ComfyUI's page rounds larger ones when a picture is dropped on it."""

DENOISE_OF_AN_IMAGE = 0.6
"""At 1, the engine's own default, nothing of the picture to start from would be left."""

FIELDS = (
    *("negative_prompt", "width", "height", "steps", "cfg_scale", "sampler", "scheduler"),
    *("denoise", "variation_seed", "variation_strength"),
)
"""Options that are fields of a request by the same name."""


def add_parser(commands: Commands) -> None:
    parser = commands.add_parser(
        "generate",
        help="draw pictures into PNG files",
        description="Draws pictures into PNG files. What is not given is as the model likes it best.",
    )
    parser.add_argument("prompt", nargs="+", metavar="PROMPT", help="what to draw; several words are one prompt")
    parser.add_argument("-n", "--negative", dest="negative_prompt", metavar="TEXT", help="what not to draw")
    parser.add_argument("--size", type=_size, metavar="WxH", help="width and height in pixels, as 832x1216")
    parser.add_argument("--width", type=int, help="in pixels, a multiple of 16")
    parser.add_argument("--height", type=int, help="in pixels, a multiple of 16")
    parser.add_argument("--steps", type=int, help="how many steps to draw in")
    parser.add_argument("--cfg", dest="cfg_scale", type=float, help="how strictly to follow the prompt; 1 for Turbo")
    parser.add_argument("--sampler", metavar="NAME", help=", ".join(SAMPLERS))
    parser.add_argument("--scheduler", metavar="NAME", help=", ".join(SCHEDULERS))
    parser.add_argument("--seed", type=int, help="the same seed draws the same picture; random if not given")
    parser.add_argument("-c", "--count", type=_positive, default=1, help="how many pictures, with seeds that follow")
    parser.add_argument("--batch", type=_positive, help="how many pictures to draw at a time (ANIMA_LARGEST_BATCH)")
    parser.add_argument(
        *("-l", "--lora"),
        dest="loras",
        action="append",
        type=_lora,
        default=[],
        metavar="NAME:STRENGTH",
        help="a file of models/loras, at strength 1 if not given; may be repeated",
    )
    parser.add_argument("--image", type=Path, metavar="FILE", help="a picture to start from")
    parser.add_argument(
        "--denoise", type=float, help=f"how much of it to redraw, over 0 to 1 ({DENOISE_OF_AN_IMAGE} with --image)"
    )
    parser.add_argument("--variation-seed", type=int, metavar="SEED", help="a second seed to blend in")
    parser.add_argument("--variation-strength", type=float, metavar="STRENGTH", help="how much of it, 0 to 1")
    parser.add_argument("--models", type=Path, metavar="DIR", help="ComfyUI's models folder (ANIMA_MODELS)")
    parser.add_argument("--diffusion-model", metavar="NAME", help="which file to use (ANIMA_DIFFUSION_MODEL)")
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:1 (ANIMA_DEVICE)")
    parser.add_argument("--dtype", help="auto, float32 or bfloat16 (ANIMA_DTYPE)")
    parser.add_argument("-o", "--output", type=Path, default=Path("pictures"), metavar="DIR", help="where to save")
    parser.add_argument("--name", default="anima", help="how the file names begin; a number follows")
    parser.set_defaults(command=generate)


def generate(options: argparse.Namespace) -> None:
    """Draw what the options say; an error ends the command with its sentence."""
    from bot.ops.settings import Settings

    try:
        prompt, fields = " ".join(options.prompt), _fields(options)
        GenerationRequest(prompt, **fields).check()  # type: ignore[arg-type]
        _check_name(options.name)
        settings = Settings.read()
        engine = _load(options, settings)
        request = _request(engine.native, prompt, fields)
        for picture in _draw(engine, request, options.count, options.batch or settings.anima_largest_batch):
            path = save(picture.png(), options.output, options.name)
            print(f"Saved {path} (seed {picture.seed})")
    except InvalidRequest as error:
        fail(str(error), WRONG_USE)
    except (ValueError, NotFinite, OutOfMemory) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or options.output}: {error.strerror or error}. Choose another folder with --output.")
    except RuntimeError as error:
        if "out of memory" not in str(error):
            raise
        fail("The device has too little memory for this: draw fewer at a time (--batch 1) or smaller (--size 768x768).")


def save(png: bytes, folder: Path, name: str) -> Path:
    """Write a new file, numbered after those that are there; none is ever overwritten. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    pattern = re.compile(re.escape(name) + r"-(\d+)\.png", re.IGNORECASE)
    taken = [int(match[1]) for path in folder.iterdir() if (match := pattern.fullmatch(path.name))]
    for number in count(max(taken, default=0) + 1):
        path = folder / f"{name}-{number:05}.png"
        try:
            file = path.open("xb")
        except FileExistsError:  # another process was faster
            continue
        try:
            with file:
                file.write(png)
        except OSError:
            path.unlink()
            raise
        return path
    raise AssertionError("numbers do not end")


def _fields(options: argparse.Namespace) -> dict[str, object]:
    """The fields of a request that were given. Raises InvalidRequest."""
    fields = {name: value for name in FIELDS if (value := getattr(options, name)) is not None}
    if options.size is not None:
        if {"width", "height"} & fields.keys():
            raise InvalidRequest("size: give either --size or --width and --height.")
        fields["width"], fields["height"] = options.size
    fields["loras"] = tuple(options.loras)
    fields["seed"] = secrets.randbelow(RANDOM_SEEDS) if options.seed is None else options.seed
    if options.image is not None:
        fields["image"] = _open_image(options.image)
        fields.setdefault("denoise", DENOISE_OF_AN_IMAGE)
    return fields


def _open_image(path: Path) -> Image.Image:
    from PIL import Image

    try:
        image = Image.open(path)
        image.load()
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise InvalidRequest(f"image: {path} cannot be read as a picture ({error}).") from error
    return image


def _check_name(name: str) -> None:
    if not name or Path(name).name != name:
        raise InvalidRequest(f"name is {name!r}, but must be the beginning of a file name; --output names the folder.")


def _load(options: argparse.Namespace, settings: Settings) -> Engine:
    if options.models is None and not settings.anima_models.is_dir():
        print(
            f"There is no models folder at {settings.anima_models}, so the miniature that ships with the code draws; "
            "`anima download` fetches Anima itself.",
            file=sys.stderr,
        )
    from inference import Engine

    return Engine.load(
        options.models or settings.models,
        options.device or settings.anima_device,
        options.dtype or settings.anima_dtype,
        options.diffusion_model or settings.anima_diffusion_model,
    )


def _request(native: NativeSettings, prompt: str, fields: dict[str, object]) -> GenerationRequest:
    """The model's own settings under what was given; the size is the native one most like the image in shape."""
    image: Image.Image | None = fields.get("image")  # type: ignore[assignment]
    if image is not None and not {"width", "height"} & fields.keys():
        aspect = math.log(image.width / image.height)
        width, height = min(native.sizes, key=lambda size: abs(math.log(size[0] / size[1]) - aspect))
        fields = {**fields, "width": width, "height": height}
    return native.request(prompt, **fields)


def _draw(engine: Engine, request: GenerationRequest, pictures: int, batch: int) -> Iterator[Picture]:
    """Draw `pictures` pictures, `batch` at a time, with seeds that follow the request's, and show how it gets on."""
    from tqdm import tqdm

    requests = [replace(request, seed=(request.seed + i) % (MAX_SEED + 1)) for i in range(pictures)]
    for first in range(0, pictures, batch):
        together = requests[first : first + batch]
        with tqdm(total=request.steps, unit="step", desc=_which(first + 1, first + len(together), pictures)) as bar:

            def show(progress: Progress, bar: tqdm[None] = bar) -> None:
                bar.total, bar.n = progress.steps, progress.step
                bar.refresh()

            drawn = engine.generate(together, show)
        yield from drawn


def _which(first: int, last: int, of: int) -> str:
    if of == 1:
        return "drawing"
    return f"picture {first} of {of}" if first == last else f"pictures {first}-{last} of {of}"


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})[x*](\d{1,5})", text.strip(), re.IGNORECASE)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; it looks like 832x1216")
    return int(match[1]), int(match[2])


def _lora(text: str) -> tuple[str, float]:
    name, colon, strength = text.rpartition(":")
    try:
        return (name, float(strength)) if colon else (text, 1.0)
    except ValueError:
        return text, 1.0


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)
