"""Parameters for the tests in this folder, and files as other programs write them."""

import io
from typing import Any

from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from inference.metadata import Parameters
from inference.metadata.parameters import RedrawMask
from inference.request import SAMPLERS, SCHEDULERS

EXAMPLE = Parameters(
    prompt="masterpiece, 1girl, (chibi:2), re:zero, smile",
    negative_prompt="worst quality, low quality",
    width=832,
    height=1216,
    steps=30,
    cfg_scale=4.5,
    sampler="euler_a",
    scheduler="simple",
    seed=1234567890123,
    model="anima-base-v1.0.safetensors",
    model_hash="0123456789",
    software="Anima Bot 1.0",
)

PIECES = st.sampled_from(
    [
        *("1girl", ", ", ":", '"', "'", "\n", "\r\n", "\\", "(", ")", "\\(", "{a|b}", "//", "/* */", "<lora:x:1>"),
        *("Steps: 3, Sampler: Euler, Seed: 1", "\nNegative prompt: ", "\nSteps: 3", "火", "😀", "\0", "\ud800", " "),
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=5), max_size=8).map("".join)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.text(min_size=1, max_size=12)
SEEDS = st.integers(0, 2**64 - 1)

SIDES = st.integers(0, 4096)
MASKS = st.builds(
    RedrawMask,
    boxes=st.lists(st.tuples(SIDES, SIDES, SIDES, SIDES), max_size=3).map(tuple),
    image=st.none() | NAMES,
    soft=st.booleans(),
    seam=st.integers(0, 4),
)
PARAMETERS = st.builds(
    Parameters,
    prompt=TEXTS,
    negative_prompt=TEXTS,
    width=st.integers(1, 4096),
    height=st.integers(1, 4096),
    steps=st.integers(1, 1000),
    cfg_scale=NUMBERS,
    sampler=st.sampled_from(SAMPLERS),
    scheduler=st.sampled_from(SCHEDULERS),
    seed=SEEDS,
    denoise=st.floats(0.05, 1.0),
    loras=st.lists(st.tuples(NAMES, NUMBERS), max_size=3).map(tuple),
    lora_hashes=st.lists(st.tuples(NAMES, NAMES), max_size=3).map(tuple),
    model=NAMES,
    model_hash=st.none() | NAMES,
    text_encoder=st.none() | NAMES,
    vae=st.none() | NAMES,
    variation_seed=st.none() | SEEDS,
    variation_strength=st.none() | st.floats(0, 1),
    source_image=st.none() | NAMES,
    mask=st.none() | MASKS,
    tiled=st.booleans(),
    software=st.none() | NAMES,
    extra=st.lists(st.tuples(NAMES, TEXTS), max_size=3).map(tuple),
)


def png(text: dict[str, str], size: tuple[int, int] = (8, 8), **how: Any) -> bytes:
    """A PNG file with these texts, as Pillow writes it for the web UI and ComfyUI."""
    chunks = PngInfo()
    for key, value in text.items():
        chunks.add_text(key, value, **how)
    file = io.BytesIO()
    Image.new("RGB", size).save(file, "PNG", pnginfo=chunks)
    return file.getvalue()


def with_exif(format_: str, exif: Image.Exif, size: tuple[int, int] = (8, 8)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size).save(file, format_, exif=exif.tobytes())
    return file.getvalue()


def with_user_comment(format_: str, comment: bytes) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = comment
    return with_exif(format_, exif)
