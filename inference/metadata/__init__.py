"""Generation parameters in image files: written, and read back, also from other programs' files.

    from inference.metadata import Parameters, encode_png, read

    png = encode_png(image, Parameters(prompt="1girl", steps=30, …))
    parameters = read(png)

A file that we write says it three times: as the `parameters` text that A1111, Forge and Civitai show, as the `prompt`
and `workflow` graphs that ComfyUI opens, and exactly, under a key of our own. Reading prefers the last. A copy as
JPEG or WebP says the first two in its EXIF block: `image.save(file, exif=exif(parameters))`.
"""

from inference.metadata.files import UnreadableImage, encode_png, encode_png_of_many, exif, exif_of, png_text, read
from inference.metadata.hashes import file_sha256, lora_hash, model_hash
from inference.metadata.parameters import LEFT_OUT, Parameters

__all__ = [
    "LEFT_OUT",
    "Parameters",
    "UnreadableImage",
    "encode_png",
    "encode_png_of_many",
    "exif",
    "exif_of",
    "file_sha256",
    "lora_hash",
    "model_hash",
    "png_text",
    "read",
]
