"""The contents and valid names of presets."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b

from bot.generation.compose import options_of_image
from bot.generation.options import Options
from bot.generation.spec import JobImage

MAX_NAME_LENGTH = 50


def without_seed(options: Options) -> Options:
    """Options to store for other images: with the same seed, all of them would look alike."""
    return replace(options, seed=None, variation=None)


def preset_of_image(image: JobImage) -> Options:
    """The settings of one of a job's images, without count, spoiler and private."""
    options = options_of_image(image.spec, image.index)
    if image.recipe.denoise == 1:
        options = replace(options, denoise=None)
    if options.upscaled:  # its size and denoise only make sense for upscaling
        options = replace(options, size=None, denoise=None, upscaled=None)
    return replace(without_seed(options), count=None, spoiler=None, private=None)


def key_of(name: str) -> str:
    """Identifies a preset in a custom_id, for which a name might be too long."""
    return blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def on_one_line(typed: str) -> str:
    """The typed name with single spaces and no line breaks."""
    return " ".join(typed.split())


def is_valid_name(name: str) -> bool:
    return len(name) <= MAX_NAME_LENGTH and any(character.isprintable() for character in name)
