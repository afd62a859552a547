"""Programs that write each setting under a plain name, or in a caption."""

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from inference.metadata import LEFT_OUT, Parameters, read
from inference.metadata.programs.captions import labelled
from tests.inference.metadata.examples import png, with_user_comment

READ = Parameters(
    prompt="cat", negative_prompt="bad", width=832, height=1216, steps=20, cfg_scale=4.5, sampler="euler_a",
    seed=12345, model="anima", software="Easy Diffusion",
)  # fmt: skip
EASY: dict[str, Any] = {
    "prompt": "cat", "negative_prompt": "bad", "seed": 12345, "use_stable_diffusion_model": "anima",
    "sampler_name": "euler_a", "num_inference_steps": 20, "guidance_scale": 4.5, "width": 832, "height": 1216,
}  # fmt: skip
EASY_SHOWN = {
    "Prompt": "cat", "Negative Prompt": "bad", "Seed": "12345", "Stable Diffusion model": "anima",
    "Sampler": "euler_a", "Steps": "20", "Guidance Scale": "4.5", "Width": "832", "Height": "1216",
}  # fmt: skip
SPACE = {
    "prompt": "cat", "negative_prompt": "bad", "resolution": "832 x 1216", "guidance_scale": 4.5,
    "num_inference_steps": 20, "seed": 12345, "sampler": "Euler a", "Model": "anima", "use_upscaler": None,
}  # fmt: skip
TENSORART = {
    "prompt": "cat", "negativePrompt": "bad", "width": 832, "height": 1216, "seed": "12345", "steps": 20,
    "cfgScale": 4.5, "samplerName": "Euler a", "baseModel": {"modelFileName": "anima"},
    "models": [{"type": "LORA", "label": "Ink", "weight": 0.5}, {"type": "LORA", "label": "Wash"}],
}  # fmt: skip
STABILITY_MATRIX = {
    "PositivePrompt": "cat", "NegativePrompt": "bad", "Width": 832, "Height": 1216, "Seed": 12345, "Steps": 20,
    "CfgScale": 4.5, "Sampler": "Euler a", "ModelName": "anima",
}  # fmt: skip
CAPTION = (
    "Include in Image: cat\\; hat: red; Exclude from Image: bad; Model: anima; Steps: 20; Guidance Scale: 4.5; "
    "Seed: 12345; Size: 832x1216; Scheduler: DPM++ 2M Karras; Generator: Mochi Diffusion 5.0"
)


@pytest.mark.parametrize(
    "texts", [{key: str(value) for key, value in EASY.items()}, EASY_SHOWN], ids=["names", "shown"]
)
def test_easy_diffusion_is_read_from_texts(texts: dict[str, str]) -> None:
    assert read(png(texts)) == READ


def test_easy_diffusion_is_read_from_an_object() -> None:
    assert read(with_user_comment("JPEG", b"UNICODE\0" + json.dumps(EASY).encode("utf-16-be"))) == READ


def test_loras_of_easy_diffusion_are_read_and_what_else_it_did_is_named() -> None:
    one = EASY_SHOWN | {"LoRA model": "ink", "LoRA Strength": "0.5", "Use Upscaling": "RealESRGAN"}
    assert read(png(one)) == replace(READ, loras=(("ink", 0.5),), extra=((LEFT_OUT, "Use Upscaling RealESRGAN"),))
    several = EASY | {"use_lora_model": ["ink", "wash"], "lora_alpha": [0.5, 1]}
    assert read(png({"parameters": json.dumps(several)})) == replace(READ, loras=(("ink", 0.5), ("wash", 1)))


def test_a_space_of_hugging_face_is_read() -> None:
    assert read(png({"parameters": json.dumps(SPACE)})) == replace(READ, software="Hugging Face")


def test_tensorart_is_read_where_there_is_no_graph() -> None:
    # It ends the text with a zero.
    expected = replace(READ, software="TensorArt", loras=(("Ink", 0.5), ("Wash", 1.0)))
    assert read(png({"generation_data": json.dumps(TENSORART) + "\0"})) == expected


def test_stability_matrix_is_read_where_there_is_no_graph() -> None:
    expected = replace(READ, software="Stability Matrix")
    assert read(png({"parameters-json": json.dumps(STABILITY_MATRIX)})) == expected


def packet(caption: str) -> bytes:
    item = f'<rdf:li xml:lang="x-default">{caption}</rdf:li>'
    return png(
        {"XML:com.adobe.xmp": f"<x:xmpmeta><dc:description><rdf:Alt>{item}</rdf:Alt></dc:description></x:xmpmeta>"}
    )


def test_the_caption_of_mochi_diffusion_is_read() -> None:
    expected = replace(READ, prompt="cat; hat: red", sampler="dpmpp_2m", scheduler="karras", software="Mochi Diffusion")
    assert read(packet(CAPTION)) == expected
    lines = CAPTION.replace("; ", "\n").replace("\\\n", "\\; ")
    assert read(packet(f"Metadata Version: 2\n{lines}")) == expected


def jpeg_with_iptc(caption: bytes, length: int | None = None) -> bytes:
    """A JPEG file whose caption is in an IPTC record, as macOS writes it; `length`: what the record claims instead."""
    record = b"\x1c\x02\x78" + (len(caption) if length is None else length).to_bytes(2, "big") + caption
    resource = b"8BIM\x04\x04\0\0" + len(record).to_bytes(4, "big") + record + b"\0" * (len(record) % 2)
    data = b"Photoshop 3.0\0" + resource
    file = io.BytesIO()
    Image.new("RGB", (832, 1216)).save(file, "JPEG")
    return b"\xff\xd8\xff\xed" + (len(data) + 2).to_bytes(2, "big") + data + file.getvalue()[2:]


def test_captions_in_iptc_records_are_read() -> None:
    mochi = read(jpeg_with_iptc(CAPTION.encode()))
    assert mochi is not None and (mochi.prompt, mochi.seed) == ("cat; hat: red", 12345)
    webui = read(jpeg_with_iptc("猫\nSteps: 20, Sampler: Euler, Seed: 1".encode()))
    assert webui is not None and (webui.prompt, webui.seed) == ("猫", 1)
    assert read(jpeg_with_iptc(b"A photo of us")) is None
    assert read(jpeg_with_iptc(CAPTION.encode(), length=60_000)) is None


@pytest.mark.parametrize("caption", ["", "A photo: of us; Model: T", "Include", ": ; "])
def test_another_caption_is_nothing(caption: str) -> None:
    assert read(packet(caption)) is None


def test_a_long_caption_is_read_at_once() -> None:
    assert labelled("Model: " * 1_000_000)
    assert labelled("; A" * 1_000_000) == {}


@pytest.mark.parametrize("value", [None, [], {}, "x", -1, 1e400, True])
def test_values_of_wrong_types_are_left_out(value: Any) -> None:
    for found in (EASY, SPACE):
        wrong = dict.fromkeys(found, value) | {"use_lora_model": value, "lora_alpha": value}
        assert isinstance(read(png({"parameters": json.dumps(wrong)})), Parameters)
    wrong = TENSORART | {"models": value, "baseModel": value}
    assert read(png({"generation_data": json.dumps(wrong)})) is not None
