"""Files of other programs, and forms of what they write, are read as those programs mean them."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from inference.metadata import LEFT_OUT, Parameters, read
from inference.metadata.embedded.stealth import MAX_AREA

FILES = Path(__file__).parent / "files"
CASES = json.loads((FILES / "cases.json").read_text("utf-8"))
SETTINGS = "Steps: 20, Sampler: Euler a, Schedule type: Simple, CFG scale: 4.5, Seed: 12345, Size: 832x1216"


def png(**texts: str) -> bytes:
    chunks = PngInfo()
    for key, text in texts.items():
        chunks.add_itxt(key, text)
    file = io.BytesIO()
    Image.new("RGB", (64, 48)).save(file, "PNG", pnginfo=chunks)
    return file.getvalue()


def read_texts(**texts: str) -> Parameters:
    parameters = read(png(**texts))
    assert parameters is not None
    return parameters


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["file"])
def test_a_file_of_another_program_is_read_as_that_program_means_it(case: dict[str, Any]) -> None:
    parameters = read(FILES / case["file"])
    found = {name: getattr(parameters, name, None) for name in case["right"]}
    right = {name: tuple(map(tuple, value)) if name == "loras" else value for name, value in case["right"].items()}
    assert found == right


@pytest.mark.parametrize(
    "unknown",
    [
        *('{"tool": "x", "p": {"text": "cat"}}', "{}", '{"prompt": 3}', '["a", "b"]', '[{"prompt": "cat"}]'),
        *('{"sui_image_params": {"prompt": "cat", "seed": 5', "{'prompt': 'cat'}", '<?xml version="1.0"?><a>cat</a>'),
    ],
)
def test_an_object_of_an_unknown_program_is_no_prompt(unknown: str) -> None:
    assert read(png(parameters=unknown)) is None


@pytest.mark.parametrize(
    ("tag", "strength"),
    [
        ("<lora:foo>", 1.0),
        ("<lora:foo:0.8>", 0.8),
        ("<lora:foo:0.8:1:2>", 1.0),
        ("<lora:foo:unet=-0.3:te=1>", -0.3),
        ("<lora:foo:te=0.6>", 0.6),
        ("<lora:foo:0.5:dyn=4>", 0.5),
        ("<lyco:foo:0.4>", 0.4),
        ("<LORA:foo:0.4>", 0.4),
    ],
)
def test_a_lora_tag_has_the_diffusion_models_strength(tag: str, strength: float) -> None:
    parameters = read_texts(parameters=f"cat {tag}, hat\n{SETTINGS}")
    assert (parameters.prompt, parameters.loras) == ("cat, hat", (("foo", strength),))


@pytest.mark.parametrize("tag", ["<lora:foo:strong>", "<hypernet:foo:1>", "<lora:foo:unet=x>"])
def test_a_tag_that_cannot_be_followed_leaves_the_prompt_and_is_reported(tag: str) -> None:
    parameters = read_texts(parameters=f"cat {tag}\n{SETTINGS}")
    assert (parameters.prompt, parameters.loras) == ("cat", ())
    assert (LEFT_OUT, tag) in parameters.extra


@pytest.mark.parametrize("hires", ["Hires upscale: 2", "Hires resize-1: 1024", "Hires upscaler: Latent"])
def test_the_strength_of_a_second_pass_is_not_that_of_image_to_image(hires: str) -> None:
    parameters = read_texts(parameters=f"cat\n{SETTINGS}, Denoising strength: 0.4, {hires}")
    assert parameters.denoise == 1.0
    assert ("Hires denoising strength", "0.4") in parameters.extra


def test_settings_may_come_without_steps_first() -> None:
    line = "Sampler: Euler a, Steps: 20, CFG scale: 4.5, Seed: 5"
    assert read_texts(parameters=f"cat\n{line}").prompt == "cat"
    assert (read_texts(parameters=f"cat\n{line}").steps, read_texts(parameters=f"cat\n{line}").seed) == (20, 5)


def test_a_later_empty_text_hides_no_earlier_one() -> None:
    data = png(parameters=f"cat\n{SETTINGS}")
    before, end = data[:-12], data[-12:]
    empty = png(parameters=" ")
    chunk = empty[empty.index(b"iTXt") - 4 : empty.index(b"IDAT") - 4]
    parameters = read(before + chunk + end)
    assert parameters is not None and parameters.prompt == "cat"


def test_invokeai_is_read() -> None:
    values = {
        "app_version": "6.1.0",
        "generation_mode": "txt2img",
        "positive_prompt": "cat",
        "negative_prompt": "bad",
        "width": 832,
        "height": 1216,
        "seed": 7,
        "cfg_scale": 4.5,
        "steps": 30,
        "scheduler": "dpmpp_2m_k",
        "model": {"name": "anima", "base": "anima"},
        "loras": [{"model": {"name": "style"}, "weight": 0.7}],
        "strength": 0.5,
    }
    found = read_texts(invokeai_metadata=json.dumps(values))
    assert (found.prompt, found.negative_prompt, found.seed, found.steps) == ("cat", "bad", 7, 30)
    assert (found.sampler, found.scheduler, found.model, found.denoise) == ("dpmpp_2m", "karras", "anima", 1.0)
    assert found.loras == (("style", 0.7),)
    assert read_texts(invokeai_metadata=json.dumps(values | {"generation_mode": "img2img"})).denoise == 0.5


def test_draw_things_is_read() -> None:
    values = '{"c": "cat", "uc": "bad", "scale": 4, "sampler": "Euler a", "seed": 7, "size": "832x1216", "steps": 9,'
    values += ' "strength": 1, "model": "anima.ckpt", "lora": [{"model": "style", "weight": 0.6}], "shift": 3}'
    comment = f'<rdf:li xml:lang="x-default">{values.replace(chr(34), "&quot;")}</rdf:li>'
    xmp = f"<x:xmpmeta><exif:UserComment><rdf:Alt>{comment}</rdf:Alt></exif:UserComment></x:xmpmeta>"
    found = read_texts(**{"XML:com.adobe.xmp": xmp})
    assert (found.prompt, found.negative_prompt, found.sampler, found.width) == ("cat", "bad", "euler_a", 832)
    assert (found.loras, found.software) == ((("style", 0.6),), "Draw Things")


def hidden(data: bytes, signature: bytes, size: tuple[int, int] = (64, 96), length: int | None = None) -> bytes:
    """A PNG with data in its alpha channel's lowest bits, down the columns."""
    bits = np.unpackbits(
        np.frombuffer(signature + (8 * len(data) if length is None else length).to_bytes(4, "big") + data, np.uint8)
    )
    width, height = size
    alpha = np.full(width * height, 254, np.uint8)
    alpha[: len(bits)] |= bits[: len(alpha)]
    image = Image.new("RGBA", size)
    image.putalpha(Image.fromarray(np.ascontiguousarray(alpha.reshape(width, height).T)))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


TEXT = f"cat\n{SETTINGS}".encode()


@pytest.mark.parametrize(
    "data", [hidden(TEXT, b"stealth_pnginfo"), hidden(gzip.compress(TEXT), b"stealth_pngcomp")], ids=["plain", "gzip"]
)
def test_text_in_the_alpha_channel_is_read(data: bytes) -> None:
    for found in (read(data), read(Image.open(io.BytesIO(data)))):
        assert found is not None
        assert (found.prompt, found.seed, found.width) == ("cat", 12345, 832)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("compressed", [False, True])
def test_text_in_the_colours_is_read(mode: str, compressed: bool) -> None:
    """Of each pixel's red, green and blue in turn, down the columns."""
    data = gzip.compress(TEXT) if compressed else TEXT
    head = (b"stealth_rgbcomp" if compressed else b"stealth_rgbinfo") + (8 * len(data)).to_bytes(4, "big")
    bits = np.unpackbits(np.frombuffer(head + data, np.uint8))
    values = np.full(3 * 64 * 64, 100, np.uint8)
    values[: len(bits)] |= bits
    image = Image.fromarray(np.ascontiguousarray(values.reshape(64, 64, 3).transpose(1, 0, 2))).convert(mode)
    file = io.BytesIO()
    image.save(file, "PNG")
    found = read(file.getvalue())
    assert found is not None
    assert (found.prompt, found.seed, found.width) == ("cat", 12345, 832)


def test_novelais_text_in_the_alpha_channel_is_read() -> None:
    comment = json.dumps({"prompt": "cat", "uc": "bad", "steps": 28, "seed": 3, "scale": 5.0, "sampler": "k_euler"})
    chunks = json.dumps({"Software": "NovelAI", "Source": "NovelAI V4", "Comment": comment})
    found = read(hidden(gzip.compress(chunks.encode()), b"stealth_pngcomp"))
    assert found is not None
    assert (found.prompt, found.negative_prompt, found.steps, found.sampler) == ("cat", "bad", 28, "euler")


@pytest.mark.parametrize(
    "data",
    [
        hidden(TEXT, b"stealth_pngcomp"),
        hidden(TEXT, b"stealth_pnginfo", length=7),
        hidden(TEXT, b"stealth_pnginfo", length=2**31),
        hidden(b"\xff\xfe\xff", b"stealth_pnginfo"),
        hidden(gzip.compress(bytes(1 << 22)), b"stealth_pngcomp", (256, 256)),
        hidden(TEXT, b"stealth_rgbinfo"),
    ],
    ids=["not gzip", "odd length", "longer than the image", "no text", "too long", "another signature"],
)
def test_pixels_that_only_look_like_hidden_text_are_ignored(data: bytes) -> None:
    assert read(data) is None


def test_a_huge_image_is_not_decoded_for_hidden_text() -> None:
    image = Image.new("RGBA", (1 << 12, (MAX_AREA >> 12) + 1))
    image.load = image.getchannel = pytest.fail  # type: ignore[assignment]
    assert read(image) is None


@given(st.binary(max_size=200), st.sampled_from([b"stealth_pnginfo", b"stealth_pngcomp"]), st.integers(0, 2**32 - 1))
def test_any_hidden_bytes_are_read_or_passed_over(data: bytes, signature: bytes, length: int) -> None:
    found = read(hidden(data, signature, length=length if length % 3 else None))
    assert found is None or isinstance(found, Parameters)


def graph(**changes: dict[str, Any]) -> str:
    nodes: dict[str, dict[str, Any]] = {
        "1": {"class_type": "UNETLoader", "inputs": {"unet_name": "anima.safetensors"}},
        "2": {"class_type": "CLIPLoader", "inputs": {"clip_name": "qwen.safetensors"}},
        "4": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["2", 0], "text": "cat"}},
        "5": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["2", 0], "text": "bad"}},
        "6": {"class_type": "EmptyLatentImage", "inputs": {"width": 832, "height": 1216, "batch_size": 1}},
        "7": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["1", 0], "positive": ["4", 0], "negative": ["5", 0], "latent_image": ["6", 0],
                "seed": 7, "steps": 30, "cfg": 4, "sampler_name": "er_sde", "scheduler": "simple", "denoise": 1,
            },
        },
        "9": {"class_type": "SaveImage", "inputs": {"images": ["7", 0]}},
    }  # fmt: skip
    for name, node in changes.items():
        key = name.lstrip("n")
        nodes[key] = {**nodes.get(key, {}), **node, "inputs": nodes.get(key, {}).get("inputs", {}) | node["inputs"]}
    return json.dumps(nodes)


def drawn_by(**changes: dict[str, Any]) -> Parameters:
    return read_texts(prompt=graph(**changes))


def node_of(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


FROM_20 = {"inputs": {"model": ["20", 0]}}


@pytest.mark.parametrize(
    "inputs",
    [
        {"lora_name_1": "a", "model_str_1": 0.7, "clip_str_1": 1, "lora_name_2": "None", "model_str_2": 1},
        {"switch_1": "On", "lora_name_1": "a", "model_weight_1": 0.7, "switch_2": "Off", "lora_name_2": "b",
         "model_weight_2": 1.0},
        {"lora_count": 1, "lora_name_1": "a", "lora_wt_1": 0.7, "lora_name_2": "b", "lora_wt_2": 1.0},
        {"lora_name": "a", "lora_model_strength": 0.7},
        {"lora_1": {"on": True, "lora": "a", "strength": 0.7}, "lora_2": {"on": False, "lora": "b", "strength": 1}},
        {"loras": {"__value__": [{"name": "a", "strength": "0.7", "active": True}]}},
    ],
)  # fmt: skip
def test_loras_of_a_loader_or_stack_are_read_by_the_form_of_its_inputs(inputs: dict[str, Any]) -> None:
    node = {"class_type": "Some LoRA Loader", "inputs": {**inputs, "model": ["1", 0]}}
    assert drawn_by(n7=FROM_20, n20=node).loras == (("a", 0.7),)


def test_stacks_of_loras_are_followed_to_their_first() -> None:
    apply = {"class_type": "Apply LoRA Stack", "inputs": {"model": ["1", 0], "lora_stack": ["21", 0]}}
    near = {"class_type": "LoRA Stacker", "inputs": {"lora_name_1": "b", "model_str_1": 0.2, "lora_stack": ["22", 0]}}
    far = {"class_type": "LoRA Stacker", "inputs": {"lora_name_1": "a", "model_str_1": 0.7}}
    found = drawn_by(n7=FROM_20, n20=apply, n21=near, n22=far)
    assert (found.loras, found.model) == ((("a", 0.7), ("b", 0.2)), "anima.safetensors")


def test_other_changes_of_the_model_are_reported() -> None:
    node = {"class_type": "PatchModelAddDownscale", "inputs": {"model": ["1", 0], "factor": 2}}
    assert (LEFT_OUT, "PatchModelAddDownscale") in drawn_by(n7=FROM_20, n20=node).extra
    shift = {"class_type": "ModelSamplingAuraFlow", "inputs": {"model": ["1", 0], "shift": 3.0}}
    assert drawn_by(n7=FROM_20, n20=shift).extra == ()


@pytest.mark.parametrize(("on", "prompt"), [(True, "yes"), (False, "no")])
def test_a_switch_is_followed_to_the_side_that_it_passes_on(on: bool, prompt: str) -> None:
    encode = {"inputs": {"text": ["20", 0]}}
    switch = {"class_type": "ComfySwitchNode", "inputs": {"switch": on, "on_false": ["21", 0], "on_true": ["22", 0]}}
    texts = {
        f"n{n}": {"class_type": "PrimitiveString", "inputs": {"value": text}} for n, text in ((21, "no"), (22, "yes"))
    }
    assert drawn_by(n4=encode, n20=switch, **texts).prompt == prompt


def test_a_switch_that_does_not_say_its_side_gives_no_text() -> None:
    encode = {"inputs": {"text": ["20", 0]}}
    switch = {"class_type": "ComfySwitchNode", "inputs": {"on_false": ["21", 0], "on_true": ["22", 0]}}
    texts = {
        f"n{n}": {"class_type": "PrimitiveString", "inputs": {"value": text}} for n, text in ((21, "no"), (22, "yes"))
    }
    assert drawn_by(n4=encode, n20=switch, **texts).prompt == ""


def test_a_replaced_text_is_read_with_the_replacement() -> None:
    node = {"class_type": "StringReplace", "inputs": {"string": "red dress", "find": "red", "replace": "blue"}}
    assert drawn_by(n4={"inputs": {"text": ["20", 0]}}, n20=node).prompt == "blue dress"


def test_a_second_conditioning_is_reported_as_left_out() -> None:
    concat = {
        "class_type": "ConditioningConcat",
        "inputs": {"conditioning_to": ["4", 0], "conditioning_from": ["21", 0]},
    }
    more = {"class_type": "CLIPTextEncode", "inputs": {"clip": ["2", 0], "text": "hat"}}
    found = drawn_by(n7={"inputs": {"positive": ["20", 0]}}, n20=concat, n21=more)
    assert found.prompt == "cat"
    assert (LEFT_OUT, "hat") in found.extra


def custom(sampler: dict[str, Any], sigmas: dict[str, Any], slot: int = 0, **more: dict[str, Any]) -> Parameters:
    advanced = {
        "noise": ["40", 0], "guider": ["41", 0], "sampler": ["42", 0], "sigmas": ["43", slot], "latent_image": ["6", 0],
    }  # fmt: skip
    guider = {"model": ["1", 0], "positive": ["4", 0], "negative": ["5", 0], "cfg": 4.5}
    nodes = json.loads(graph())
    nodes["7"] = {"class_type": "SamplerCustomAdvanced", "inputs": advanced}
    nodes["40"] = {"class_type": "RandomNoise", "inputs": {"noise_seed": 99}}
    nodes["41"] = {"class_type": "CFGGuider", "inputs": guider}
    nodes |= {"42": sampler, "43": sigmas} | {name.lstrip("n"): node for name, node in more.items()}
    return read_texts(prompt=json.dumps(nodes))


BASIC = {"class_type": "BasicScheduler", "inputs": {"model": ["1", 0], "scheduler": "simple", "steps": 8, "denoise": 1}}


@pytest.mark.parametrize(
    ("node", "sampler"),
    [
        (node_of("SamplerER_SDE", solver_type="ER-SDE", max_stage=3, eta=1.0, s_noise=1.0), "er_sde"),
        (node_of("SamplerEulerAncestral", eta=1.0, s_noise=1.0), "euler_a"),
        (node_of("SamplerDPMPP_2M_SDE", solver_type="midpoint", eta=1, s_noise=1, noise_device="gpu"),
         "dpmpp_2m_sde_gpu"),
        (node_of("SamplerER_SDE", solver_type="ER-SDE", max_stage=2, eta=1.0, s_noise=1.0), "er_sde"),
        (node_of("SamplerER_SDE", solver_type="ER-SDE", max_stage=4, eta=1.0, s_noise=1.0),
         "SamplerER_SDE (max_stage 4)"),
        (node_of("SamplerEulerAncestral", eta=0.5, s_noise=1.0), "SamplerEulerAncestral (eta 0.5)"),
    ],
)  # fmt: skip
def test_a_sampler_node_is_its_sampler_or_is_named_with_what_differs(node: dict[str, Any], sampler: str) -> None:
    assert custom(node, BASIC).sampler == sampler


@pytest.mark.parametrize(
    ("alpha", "beta", "scheduler"), [(0.6, 0.6, "beta"), (0.5, 0.7, "beta57"), (0.9, 0.2, None), (0.6, 0.7, None)]
)
def test_a_beta_schedule_has_a_name_only_for_its_own_shape(alpha: float, beta: float, scheduler: str | None) -> None:
    node = {
        "class_type": "BetaSamplingScheduler",
        "inputs": {"model": ["1", 0], "steps": 8, "alpha": alpha, "beta": beta},
    }
    found = custom(node_of("KSamplerSelect", sampler_name="euler"), node)
    assert found.scheduler == scheduler
    assert (("Beta schedule", f"alpha {alpha:g}, beta {beta:g}") in found.extra) == (scheduler is None)


@pytest.mark.parametrize(
    ("split", "slot", "right"),
    [
        (node_of("SplitSigmas", step=3), 1, (5, True, ())),
        (node_of("SplitSigmas", step=3), 0, (8, False, (("Last step", "3"),))),
        (node_of("SplitSigmasDenoise", denoise=0.5), 1, (4, True, ())),
        (node_of("SplitSigmasDenoise", denoise=0.5), 0, (8, False, (("Last step", "4"),))),
    ],
)
def test_the_part_of_a_schedule_that_is_walked_is_read(
    split: dict[str, Any], slot: int, right: tuple[Any, ...]
) -> None:
    split = {**split, "inputs": split["inputs"] | {"sigmas": ["44", 0]}}
    found = custom(node_of("KSamplerSelect", sampler_name="euler"), split, slot, n44=BASIC)
    assert (found.steps, found.denoise < 1, found.extra) == right
