"""Writes generation parameters into image files, and reads them, also from other programs' files.

    from inference.metadata import Parameters, encode_png, read

    png = encode_png(image, Parameters(prompt="1girl", steps=30, …))
    parameters = read(png)

Our files hold them three times: as the `parameters` text that A1111, Forge and Civitai show, as the `prompt` and
`workflow` graphs that ComfyUI opens, and in exact form under our own key, which `read` prefers. A JPEG or WebP copy has
the first two in its EXIF block: `image.save(file, exif=exif(parameters))`.
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
