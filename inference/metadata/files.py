"""Writes parameters into PNG, JPEG, WebP and AVIF files, and reads them.

Files are untrusted. The amount of text is limited, and if a part of a file is broken, only that part is lost. Pixels
are decoded only to look for stealth text, if nothing else is found and the image has at most `stealth.MAX_AREA` pixels.
"""

import io
import json
import os
import re
import zlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageFile, IptcImagePlugin, PngImagePlugin

from inference.metadata import a1111, comfyui_reader, comfyui_writer, json_formats, novelai
from inference.metadata.embedded import raw_profile, stealth, xmp
from inference.metadata.parameters import LEFT_OUT, Parameters, from_json, is_json, is_structured, json_object, to_json
from inference.metadata.png_writer import PNG_SIGNATURE, write_png
from inference.metadata.programs import plain_names

OUR_KEY = "anima"
#: Bytes of one text, after decompression; longer ones are ignored.
MAX_TEXT_LENGTH = 1 << 20
MAX_TEXTS = 32
_MAX_CHUNKS = 100_000

_REQUIRED = ("width", "height", "steps", "cfg_scale", "sampler", "scheduler", "seed", "model")

_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt", b"eXIf")
_COMMENT_CODES = ("UNICODE\0", "ASCII\0\0\0", "JIS\0\0\0\0\0", 8 * "\0")
_COMMENT_MARKS = [
    code.encode(encoding)
    for encoding in ("ascii", "utf-16-le", "utf-16-be")
    for code in (*_COMMENT_CODES, "UNICODE")
    if encoding != "ascii" or len(code) == 8
]
#: Other forms of these marks; the last is how exiv2 shows them.
_COMMENT_MARKS += [code.replace("\0", blank).encode() for code in _COMMENT_CODES[:3] for blank in (" ", "\0")]
_COMMENT_MARKS += [f"charset={word} ".encode() for word in ("Unicode", "Ascii", "Jis", "Undefined")]
_MAX_MARKS = 2
#: The escape sequence of ISO 2022 that starts two-byte characters.
_JIS_ESCAPE = b"\x1b$"
_GRAPH = re.compile(r"(prompt|workflow)\s*:\s*(?=\{)", re.IGNORECASE)
#: The most bytes in the EXIF segment of a JPEG file.
_MAX_EXIF = 65_533
_EXIF_MAKE, _EXIF_MODEL, _EXIF_IFD, _EXIF_USER_COMMENT = 0x010F, 0x0110, 0x8769, 0x9286
_EXIF_FIRST, _EXIF_DESCRIPTION, _EXIF_XP_COMMENT = 0x0100, 0x010E, 0x9C9C
#: Usual characters: ASCII, CJK punctuation and kana, ideographs, full-width forms.
_USUAL = re.compile(r"[\n -~\u3000-\u30ff\u4e00-\u9fff\uff00-\uffef]")
_SCAN_LIMIT = 10_000
#: Comments of cameras, phones and editors (`Screenshot`) have none of these.
_COULD_BE_PROMPT = re.compile(r"[,\uff0c\u3001:{\n]")
#: Other keys under which a web UI's text is found.
_OTHER_KEYS = ("Parameters", "UserComment", "Comment", "Description", "comment")


class UnreadableImage(ValueError):
    """The bytes are not a PNG, JPEG, WebP or AVIF image."""


def png_text(parameters: Parameters) -> dict[str, str]:
    """The texts of a PNG file: `parameters` (A1111), `prompt` and `workflow` (ComfyUI), and our own exact form.

    Raises ValueError if a graph could not generate the image, because one of width, height, steps, cfg_scale, sampler,
    scheduler, seed and model is missing, or for a number that is not finite.
    """
    missing = [name for name in _REQUIRED if getattr(parameters, name) is None]
    if missing:
        raise ValueError(f"The picture's parameters lack {', '.join(missing)}, which ComfyUI needs.")
    graph = comfyui_writer.image_graph(parameters)
    return {
        "parameters": _without_surrogates(a1111.write(parameters)),
        "prompt": json.dumps(comfyui_writer.api(graph), allow_nan=False),
        "workflow": json.dumps(comfyui_writer.workflow(graph), allow_nan=False),
        OUR_KEY: to_json(parameters),
    }


def encode_png(image: Image.Image, parameters: Parameters) -> bytes:
    """The image as a PNG file with its parameters. Raises ValueError as `png_text` does."""
    return _png(image, png_text(parameters))


def exif(parameters: Parameters) -> bytes:
    """The EXIF block with the parameters for a JPEG, WebP or AVIF file: the argument `exif` of Pillow's `save`.

    The user comment is A1111's text, in UTF-16 as web UIs write it. The maker and the model are ComfyUI's `workflow:`
    and `prompt:`, as in its own WebP files; they are left out if no graph can generate the image, or if a JPEG could
    not hold them. Raises ValueError for a number that is not finite.
    """
    graphs: dict[str, str] = {}
    with suppress(ValueError):
        graphs = png_text(parameters)
    tags = Image.Exif()
    comment = _without_surrogates(a1111.write(parameters)).encode("utf-16-be")
    tags.get_ifd(_EXIF_IFD)[_EXIF_USER_COMMENT] = b"UNICODE\0" + comment
    alone = tags.tobytes()
    if graphs:
        tags[_EXIF_MAKE] = f"workflow:{graphs['workflow']}"
        tags[_EXIF_MODEL] = f"prompt:{graphs['prompt']}"
    whole = tags.tobytes()
    return whole if len(whole) <= _MAX_EXIF else alone


def exif_of(png: bytes) -> bytes:
    """The EXIF block for a copy of a PNG file in another format; empty if the file has no parameters.

    Raises UnreadableImage.
    """
    parameters = read(png)
    return b"" if parameters is None else exif(parameters)


def encode_png_of_many(image: Image.Image, common: Parameters) -> bytes:
    """A PNG file of an image that combines several, with the parameters that they have in common.

    It has no graphs, because none could generate it. Raises ValueError for a number that is not finite.
    """
    texts = {"parameters": _without_surrogates(a1111.write(common)), OUR_KEY: to_json(common)}
    return _png(image, texts)


def _png(image: Image.Image, texts: dict[str, str]) -> bytes:
    chunks = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        chunks.add_text(key, text)
    return write_png(image.convert("RGB"), [chunk[:2] for chunk in chunks.chunks])


def read(picture: Image.Image | bytes | str | os.PathLike[str]) -> Parameters | None:
    """How an image was made, according to its file; None if it does not say.

    Takes the file, its bytes, or an image that Pillow opened, whose pixels are loaded only to look for stealth text.
    Understands our files and those of A1111 and its forks, ComfyUI, NovelAI and the programs in `json_formats` and
    `plain_names`. If the text has no width or height, they are the image's own.

    Raises UnreadableImage if it is not a PNG, JPEG, WebP or AVIF image, OSError for a file that cannot be opened.
    """
    (width, height), text = _opened(picture)
    parameters = _parameters(text, (width, height))
    if parameters is None:
        parameters = _parameters(_stealth_texts(picture), (width, height))
    if parameters is None:
        return None
    return replace(parameters, width=parameters.width or width, height=parameters.height or height)


def _parameters(text: dict[str, str], size: tuple[int, int]) -> Parameters | None:
    if ours := from_json(text.get(OUR_KEY, "")):
        return ours
    settings = text.get("parameters", "")
    parameters = None if is_json(settings) else a1111.read(settings)
    if parameters is not None and not parameters.loras:
        parameters = _with_loras(parameters, comfyui_reader.read(text, size))
    parameters = parameters or json_formats.read(text) or comfyui_reader.read(text, size)
    parameters = parameters or novelai.read(text) or json_formats.civitai(text) or plain_names.read(text)
    if parameters is None:
        others = (text.get(key, "") for key in _OTHER_KEYS)
        parameters = next(filter(None, (a1111.read(other) for other in others if not is_json(other))), None)
    if parameters is None and settings.strip() and not is_structured(settings):
        prompt, negative_prompt = a1111.read_prompts(settings)
        return Parameters(prompt=prompt, negative_prompt=negative_prompt)
    return parameters


def _with_loras(parameters: Parameters, graph: Parameters | None) -> Parameters:
    """A web UI's settings with the LoRAs of the graph in the same file: nodes that write both often omit LoRAs here."""
    if graph is None or not graph.loras:
        return parameters
    known = {(LEFT_OUT, f"LoRA {a1111.stem(name)}") for name, _ in graph.loras}
    extra = tuple(each for each in parameters.extra if each not in known)
    return replace(parameters, loras=graph.loras, extra=extra)


def _stealth_texts(picture: Image.Image | bytes | str | os.PathLike[str]) -> dict[str, str]:
    """The texts hidden in the pixels: a web UI's, or NovelAI's chunks as one object."""
    with suppress(Exception):  # what Pillow raises for broken pixels is not documented
        if isinstance(picture, Image.Image):
            hidden = stealth.read_text(picture, MAX_TEXT_LENGTH)
        else:
            source = io.BytesIO(picture) if isinstance(picture, bytes) else picture
            with Image.open(source, formats=("PNG", "WEBP")) as image:
                hidden = stealth.read_text(image, MAX_TEXT_LENGTH)
        if hidden is not None:
            return _unfolded(hidden)
    return {}


def _unfolded(text: str) -> dict[str, str]:
    """Splits a text that holds all of a file's: a web UI's, a graph, NovelAI's comment, or an object of such texts."""
    if graph := _GRAPH.match(text):
        return {graph[1].lower(): text[graph.end() :]}
    found = json_object(text)
    if found is None:
        return {"parameters": text}
    texts = {key: value if isinstance(value, str) else _json(value) for key, value in found.items()}
    return {"parameters": text, "prompt": text, "Comment": text} | {key: each for key, each in texts.items() if each}


def _json(value: object) -> str:
    return json.dumps(value) if isinstance(value, dict) else ""


Found = tuple[tuple[int, int], dict[str, str]]


def _opened(picture: Image.Image | bytes | str | os.PathLike[str]) -> Found:
    if isinstance(picture, Image.Image):
        return picture.size, _pillow_texts(picture)
    if isinstance(picture, bytes):
        return _file_texts(io.BytesIO(picture), f"The file of {len(picture)} bytes")
    with Path(picture).open("rb") as file:
        return _file_texts(file, str(picture))


def _file_texts(file: BinaryIO, name: str) -> Found:
    try:
        if file.read(len(PNG_SIGNATURE)) == PNG_SIGNATURE:
            return _png_texts(file)
        file.seek(0)
        with Image.open(file, formats=("JPEG", "WEBP", "AVIF")) as image:
            return image.size, _pillow_texts(image)
    except Exception as error:  # what Pillow raises for a broken file is not documented
        raise UnreadableImage(f"{name} cannot be read as a PNG, JPEG, WebP or AVIF picture.") from error


def _png_texts(file: BinaryIO) -> Found:
    """Reads the chunks without Pillow, starting after the signature (PNG specification, sections 5.3 and 11.3.3).

    Pillow would reject the whole image if one text is too long, and would decode the pixels to find the texts that
    follow them.
    """
    size = None
    text: dict[str, str] = {}
    texts_taken = 0
    for _ in range(_MAX_CHUNKS):
        header = file.read(8)
        length, kind = int.from_bytes(header[:4], "big"), header[4:]
        if (size is None) != (kind == b"IHDR"):
            raise ValueError("IHDR is not the first chunk, or occurs twice")
        if len(header) < 8 or kind == b"IEND":
            break
        if kind == b"IHDR":
            data = file.read(13)
            size = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
        elif kind in _TEXT_CHUNKS and length <= MAX_TEXT_LENGTH and texts_taken < MAX_TEXTS:
            data = file.read(length)
            found = _exif_texts(data) if kind == b"eXIf" else _chunk_text(kind, data)
            # A chunk replaces earlier ones with the same key unless it is empty; an EXIF block never replaces any.
            text |= {k: v for k, v in found.items() if v.strip() and (kind != b"eXIf" or k not in text)}
            texts_taken += 1
        else:
            file.seek(length, os.SEEK_CUR)
        file.seek(4, os.SEEK_CUR)  # the checksum
    if size is None or 0 in size:
        raise ValueError("no size")
    packet = text.get(xmp.PNG_KEY) or raw_profile.xmp(text)
    return size, xmp.texts(packet) | _exif_texts(raw_profile.exif(text)) | text


def _chunk_text(kind: bytes, data: bytes) -> dict[str, str]:
    key, _, rest = data.partition(b"\0")
    with suppress(ValueError, zlib.error):  # for chunks that violate the specification
        if kind == b"tEXt":
            return {key.decode("latin-1"): _decoded(rest)}
        if kind == b"zTXt" and rest[:1] == b"\0":
            return {key.decode("latin-1"): _decoded(_inflated(rest[1:]))}
        if kind == b"iTXt":
            _language, _translated_key, value = rest[2:].split(b"\0", 2)
            return {key.decode("latin-1"): _decoded(_inflated(value) if rest[0] else value)}
    return {}


def _decoded(data: bytes) -> str:
    """Decodes UTF-8 or UTF-16, which programs write although the specification says Latin-1; else Latin-1."""
    if _is_wide(data):
        return _text_of_bytes(data)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _inflated(data: bytes) -> bytes:
    value = zlib.decompressobj().decompress(data, MAX_TEXT_LENGTH + 1)
    if len(value) > MAX_TEXT_LENGTH:
        raise ValueError("the text is too long")
    return value


def _pillow_texts(image: Image.Image) -> dict[str, str]:
    info = image.info
    text = {key: value for key, value in info.items() if isinstance(key, str) and isinstance(value, str)}
    if isinstance(comment := info.get("comment"), bytes):  # of a JPEG file
        text["comment"] = _text_of_bytes(comment[:MAX_TEXT_LENGTH])
        if is_json(text["comment"]):
            text = _unfolded(text["comment"]) | text
    exif = info.get("exif")
    found = _exif_texts(exif) if isinstance(exif, bytes) else {}
    packet = info.get("xmp")
    if isinstance(packet, bytes):
        text.setdefault(xmp.PNG_KEY, _text_of_bytes(packet[:MAX_TEXT_LENGTH]))
    found = xmp.texts(text.get(xmp.PNG_KEY, "")) | xmp.by_kind(_iptc_captions(image)) | found
    return {key: str(value) for key, value in (found | text).items() if len(value) <= MAX_TEXT_LENGTH}


def _iptc_captions(image: Image.Image) -> list[str]:
    """The captions that macOS and photographers' programs store in a JPEG file (IPTC-IIM 2:120)."""
    with suppress(Exception):  # what Pillow raises for broken records is not documented
        records = IptcImagePlugin.getiptcinfo(image) if isinstance(image, ImageFile.ImageFile) else None
        caption = (records or {}).get((2, 120), b"")
        captions = caption if isinstance(caption, list) else [caption]
        return [_text_of_bytes(each[:MAX_TEXT_LENGTH]) for each in captions[:MAX_TEXTS]]
    return []


def _exif_texts(exif: bytes) -> dict[str, str]:
    """ComfyUI's tags, the description, and the user comment, where web UIs put their text if the file is not a PNG."""
    tags = Image.Exif()
    text: dict[str, str] = {}
    if not exif:
        return text
    with suppress(Exception):  # what Pillow raises for broken tags is not documented
        tags.load(exif)
        # ComfyUI writes one text into each tag, from the model's downwards; other programs start at another tag.
        for tag in range(_EXIF_FIRST, _EXIF_MODEL + 1):
            whole = str(tags.get(tag, ""))
            key, _, value = whole.partition(":")
            # SwarmUI once put its object there.
            text |= _unfolded(whole) if whole.startswith("{") else {key.lower(): value}
        description = tags.get(_EXIF_DESCRIPTION)
        text["Description"] = description if isinstance(description, str) else ""
        # Fooocus does not put it into the IFD that it belongs to.
        comment = tags.get_ifd(_EXIF_IFD).get(_EXIF_USER_COMMENT) or tags.get(_EXIF_USER_COMMENT, b"")
        if comment := _user_comment(comment):
            text |= _unfolded(comment) if _COULD_BE_PROMPT.search(comment) else {"UserComment": comment}
        if isinstance(shown := tags.get(_EXIF_XP_COMMENT), bytes):
            text.setdefault("UserComment", _text_of_bytes(shown[:MAX_TEXT_LENGTH]))
    return {key: value for key, value in text.items() if value}


def _user_comment(value: bytes | str) -> str:
    """The text of a comment that may begin with 8 bytes for its encoding (Exif 2.32, section 4.6.5, UserComment).

    Some programs omit this mark, encode it in UTF-16 too, or write UTF-8 after the mark for UTF-16.
    """
    if isinstance(value, str):
        return value
    value = value[: MAX_TEXT_LENGTH + 16]
    marks = b""
    for _ in range(_MAX_MARKS):
        mark = next((mark for mark in _COMMENT_MARKS if value[: len(mark)].upper() == mark.upper()), b"")
        value, marks = value[len(mark) :], marks + mark
    is_utf8 = not value.isascii() and _decodes(value, "utf-8")
    if marks.upper().startswith(b"JIS") and not is_utf8:
        encoding = "iso2022_jp" if _JIS_ESCAPE in value else "shift_jis"
        if _decodes(value, encoding):
            return value.decode(encoding).strip("\0")
    if marks.upper().startswith(b"ASCII") and not is_utf8 and not _is_wide(value):
        return value.decode("latin-1").strip("\0")
    return _text_of_bytes(value)


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _is_wide(data: bytes) -> bool:
    """Whether many zeros or a byte order mark show that it is UTF-16."""
    return data[:2] in (b"\xff\xfe", b"\xfe\xff") or 4 * data.rstrip(b"\0").count(0) >= len(data) > 0


def _text_of_bytes(data: bytes) -> str:
    """Decodes UTF-16 if a byte order mark or many zeros show it, or if it is not valid UTF-8; else UTF-8."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace").strip("\0")
    if not _is_wide(data):
        with suppress(UnicodeDecodeError):
            return data.decode("utf-8-sig").replace("\0", "")
    # The byte order is not stored. The right one gives more of the usual characters.
    texts = [data.decode(order, "replace").replace("\0", "") for order in ("utf-16-be", "utf-16-le")]
    return max(texts, key=lambda text: len(_USUAL.findall(text[:_SCAN_LIMIT])))


def _without_surrogates(text: str) -> str:
    """Replaces unpaired surrogates, which PNG cannot encode, with question marks."""
    return text.encode("utf-8", "replace").decode()
