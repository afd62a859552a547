"""Converts image modes to 8 bits per channel."""

from PIL import Image

#: What Pillow's own conversion needs a step between for.
_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}


def to_8_bit(image: Image.Image) -> Image.Image:
    """An image in a mode that Pillow converts to RGB and RGBA as a viewer shows it.

    Pillow cuts grey of 16 bits off at 255; here it is divided by 257. Premultiplied alpha is undone.
    """
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value / 257).convert("L")
    return image.convert(_PREMULTIPLIED[image.mode]) if image.mode in _PREMULTIPLIED else image
