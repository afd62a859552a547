"""Commands, comments and settings that single programs write in their own way."""

import html
import io
import json
from typing import Any

import pytest
from PIL import Image

from inference.metadata import LEFT_OUT, Parameters, a1111, read
from inference.metadata.programs import draw_things, dream
from tests.effort import bounded_effort
from tests.inference.metadata.test_json_formats import FOOOCUS, swarmui
from tests.inference.metadata.test_novelai import COMMENT, picture
from tests.inference.metadata.test_other_programs import SETTINGS, png, read_texts


def with_tag(kind: str, tag: int, value: str) -> Parameters | None:
    exif, file = Image.Exif(), io.BytesIO()
    exif[tag] = value
    Image.new("RGB", (8, 8)).save(file, kind, exif=exif)
    return read(file.getvalue())


def named(parameters: Parameters) -> list[str]:
    return [value for name, value in parameters.extra if name == LEFT_OUT]


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize("text", [json.dumps(FOOOCUS), f"cat\nNegative prompt: bad\n{SETTINGS}"])
def test_a_user_comment_outside_of_its_block_is_read(kind: str, text: str) -> None:
    """Fooocus writes it so, in both of its forms."""
    found = with_tag(kind, 0x9286, text)
    assert found is not None and (found.prompt, found.negative_prompt) == ("cat", "bad")


def test_swarmuis_object_in_the_tag_of_the_camera_is_read() -> None:
    found = with_tag("JPEG", 0x0110, json.dumps({"sui_image_params": {"prompt": "cat", "seed": 5}}))
    assert found is not None and (found.prompt, found.seed, found.software) == ("cat", 5, "SwarmUI")


@pytest.mark.parametrize("comment", ["Screenshot", "Created with GIMP", "ASCII"])
def test_comments_of_cameras_and_editors_are_no_prompts(comment: str) -> None:
    assert with_tag("JPEG", 0x9286, comment) is None


def test_fooocus_mre_is_read() -> None:
    values = {
        **{"prompt": "cat", "negative_prompt": "bad", "performance": "Speed", "steps": 30, "cfg": 4, "seed": 12},
        **{"sampler": "euler", "scheduler": "karras", "width": 832, "height": 1216, "base_model": "x.safetensors"},
        **{"l1": "style.safetensors", "w1": 0.5, "l2": "None", "w2": 0.5, "software": "Fooocus 1.0.51-MRE"},
    }
    found = read_texts(Comment=json.dumps(values))
    assert (found.prompt, found.cfg_scale, found.width, found.seed) == ("cat", 4.0, 832, 12)
    assert (found.loras, found.software) == ((("style.safetensors", 0.5),), "Fooocus 1.0.51-MRE")


def test_older_names_of_swarmui_are_read() -> None:
    found = swarmui(comfyuisampler="euler_ancestral", comfyuischeduler="karras", qwenmodel="qwen")
    assert (found.sampler, found.scheduler, found.text_encoder) == ("euler_a", "karras", "qwen")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"batchsize": 4}, ["batchsize 4"]),
        ({"loras": ["a", "b"], "loraweights": ["1", "1"], "lorasectionconfinement": ["0", "5"]}, None),
        ({"loras": ["a"], "loraweights": ["1"], "lorasectionconfinement": ["0"]}, []),
        ({"rescalecfgmultiplier": 0.7, "normalizedattentionguidancescale": 5}, None),
        ({"prompt": "cat <comment:x><//y> <base>"}, []),
    ],
)
def test_what_else_swarmui_did_is_named(values: dict[str, Any], told: list[str] | None) -> None:
    found = swarmui(**values)
    assert found.prompt == "cat"
    assert named(found) == told if told is not None else named(found)


def test_loras_of_tags_that_swarmui_left_in_the_prompt_are_read() -> None:
    found = swarmui(prompt="cat <lora:a:0.7> <lora:b>", loras=["a"], loraweights=["0.5"])
    assert found.loras == (("a", 0.5), ("b", 1.0))
    assert swarmui(prompt="cat <segment:face> <lora:a:0.7>").loras == ()
    assert swarmui(prompt="cat <lora:a:0.7:0.2>").loras == (("a", 0.7),)


def test_what_else_invokeai_did_is_named_and_loras_that_are_off_are_none() -> None:
    values = {
        **{"positive_prompt": "cat", "app_version": "6", "cfg_rescale_multiplier": 0.7, "upscale_model": {"name": "x"}},
        "loras": [
            {"model": {"name": "a"}, "weight": 0.7},
            {"model": {"name": "b"}, "weight": 1, "is_enabled": False},
        ],
        "canvas_v2_metadata": {"controlLayers": [{"id": 1}], "regionalGuidance": []},
        "qwen3_encoder": {"name": "qwen"},
    }
    found = read_texts(invokeai_metadata=json.dumps(values))
    assert (found.loras, found.text_encoder) == ((("a", 0.7),), "qwen")
    assert named(found) == ["cfg_rescale_multiplier 0.7", "upscale_model", "controlLayers"]


@pytest.mark.parametrize(
    ("mode", "layers", "told"),
    [
        ("txt2img", {"inpaintMasks": [{"isEnabled": True}]}, []),
        ("inpaint", {"inpaintMasks": [{"isEnabled": True}]}, ["inpaintMasks"]),
        ("txt2img", {"controlLayers": [{"isEnabled": False}]}, []),
        ("txt2img", {"controlLayers": [{"isEnabled": True}], "rasterLayers": [{}]}, ["controlLayers"]),
    ],
)
def test_layers_of_invokeais_canvas_are_named_if_they_took_part(
    mode: str, layers: dict[str, Any], told: list[str]
) -> None:
    values = {"positive_prompt": "cat", "generation_mode": mode, "canvas_v2_metadata": layers}
    assert named(read_texts(invokeai_metadata=json.dumps(values))) == told


def test_invokeais_graph_is_read_where_there_is_nothing_else() -> None:
    core = {"type": "core_metadata", "generation_mode": "anima_txt2img", "steps": 30, "guidance_scale": 4.0}
    nodes = {
        "core": core | {"scheduler": "euler_a", "negative_prompt": "bad"},
        "seed": {"type": "integer", "value": 12},
        "text": {"type": "string", "value": "cat"},
        "lora": {"type": "lora_selector", "lora": {"name": "style"}, "weight": 0.7},
    }
    wires = (("seed", "seed"), ("text", "positive_prompt"), ("gone", "width"))
    edges: list[Any] = [
        {"source": {"node_id": name, "field": "value"}, "destination": {"node_id": "core", "field": field}}
        for name, field in wires
    ]
    found = read_texts(invokeai_graph=json.dumps({"nodes": nodes, "edges": [*edges, 7, {}, {"source": 1}]}))
    assert (found.prompt, found.negative_prompt, found.seed, found.steps) == ("cat", "bad", 12, 30)
    assert (found.cfg_scale, found.sampler, found.loras) == (4.0, "euler_a", (("style", 0.7),))
    for graph in ({}, {"nodes": []}, {"nodes": {"x": 1}}):
        assert read(png(invokeai_graph=json.dumps(graph))) is None


def test_invokeais_command_is_read() -> None:
    text = r'"a \"cat\", hat [bad, worse]" -s 50 -S 2980747362 -W 512 -H 768 -C 7.5 -A k_euler_a -G 0.9'
    found = read_texts(Dream=text)
    assert (found.prompt, found.negative_prompt) == ('a "cat", hat', "bad, worse")
    assert (found.steps, found.seed, found.width, found.height) == (50, 2980747362, 512, 768)
    assert (found.cfg_scale, found.sampler, found.denoise, named(found)) == (7.5, "euler_a", 1.0, ["-G 0.9"])
    assert read_texts(Dream=f"{text} -I cat.png -f 0.6").denoise == 0.6
    assert read(png(Dream="no command")) is None


@pytest.mark.parametrize("text", ['"' * 60_000, '"\\' * 30_000, '"a"' + " -s" * 20_000, '"a" -s ' + "1 " * 30_000])
def test_a_long_command_is_read_at_once(text: str) -> None:
    with bounded_effort(200):
        dream.read({"Dream": text})


@pytest.mark.parametrize(
    ("name", "sampler", "scheduler"),
    [
        ("Euler A Trailing", "euler_a", "simple"),
        ("DPM++ 2M Trailing", "dpmpp_2m", "simple"),
        ("DPM++ SDE Trailing", "dpmpp_sde", "simple"),
        ("UniPC Trailing", "uni_pc", "simple"),
        ("Euler A Substep", "euler_a", "Substep"),
        ("DPM++ SDE Substep", "dpmpp_sde", "Substep"),
        ("DPM++ 2M AYS", "dpmpp_2m", "AYS"),
        ("DPM++ 2M Karras", "dpmpp_2m", "karras"),
        ("TCD Trailing", "TCD", "simple"),
        ("LCM", "lcm", None),
        ("Trailing", "Trailing", None),
    ],
)
def test_draw_things_samplers_say_their_schedule(name: str, sampler: str, scheduler: str | None) -> None:
    """Times that are evenly spaced from the first on are what "simple" has for rectified flow."""
    assert draw_things.sampler_and_scheduler(name) == (sampler, scheduler)
    settings = f"Steps: 30, Sampler: {name}, Guidance Scale: 4.5, Seed: 5, Size: 832x1216, Seed Mode: Scale Alike"
    found = a1111.read(f"cat\n{settings}")
    assert found is not None and (found.sampler, found.scheduler) == (sampler, scheduler)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"refiner": "r.ckpt", "tiled_diffusion": True}, ["refiner r.ckpt", "tiled_diffusion True"]),
        ({"resolution_dependent_shift": True}, ["resolution_dependent_shift True"]),
        ({"v2": {"refinerModel": "r.ckpt", "hiresFix": False, "controls": []}}, ["refinerModel r.ckpt"]),
    ],
)
def test_what_else_draw_things_did_is_named(values: dict[str, Any], told: list[str]) -> None:
    usual = {"c": "cat", "uc": "bad", "scale": 4, "sampler": "Euler A Trailing", "seed": 7, "size": "832x1216"}
    packet = f"<exif:UserComment>{html.escape(json.dumps(usual | values))}</exif:UserComment>"
    found = read_texts(**{"XML:com.adobe.xmp": packet})
    assert (found.sampler, found.scheduler, named(found)) == ("euler_a", "simple", told)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"request_type": "Img2ImgRequest", "strength": 0.6, "noise": 0.2}, ["noise 0.2"]),
        ({"noise": 0.2}, []),
        ({"uncond_scale": 0.5}, ["uncond_scale 0.5"]),
        ({"uncond_scale": 1.0}, []),
        ({"v4_prompt": {"use_coords": True, "caption": {"char_captions": [{"char_caption": "x"}]}}}, ["use_coords"]),
        ({"v4_prompt": {"use_coords": True, "caption": {"char_captions": []}}}, []),
    ],
)
def test_what_else_novelai_did_is_named(values: dict[str, Any], told: list[str]) -> None:
    found = read(picture(COMMENT | values))
    assert found is not None and named(found) == told


def test_civitais_settings_are_read_where_its_graph_says_nothing() -> None:
    kept = {"prompt": "cat", "negativePrompt": "bad", "cfgScale": 4, "steps": 30, "sampler": "Euler a", "seed": 5}
    graph = {"1": {"class_type": "Text", "inputs": {}}}
    resources = {"resources": [{"modelVersionId": 7, "strength": 0.8}]}
    for extra in (json.dumps(kept | resources), kept | resources):
        found = read_texts(prompt=json.dumps(graph | {"extraMetadata": extra}))
        assert (found.prompt, found.negative_prompt, found.cfg_scale, found.sampler) == ("cat", "bad", 4.0, "euler_a")
        assert named(found) == ["model version 7"]
    assert read_texts(prompt=json.dumps(graph), extraMetadata=json.dumps(kept)).seed == 5


def webui(prompt: str = "cat", **settings: str) -> Parameters:
    extra = "".join(f", {name.replace('_', ' ')}: {value}" for name, value in settings.items())
    found = a1111.read(f"{prompt}\nSteps: 20, Sampler: Euler, Seed: 1{extra}")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("sampler", "scheduler"),
    [("DPM++ 2M", "karras"), ("DPM++ 2M SDE", "exponential"), ("Euler a", "normal"), ("ER SDE", "Automatic")],
)
def test_the_automatic_schedule_is_the_samplers_own(sampler: str, scheduler: str) -> None:
    found = a1111.read(f"cat\nSteps: 20, Sampler: {sampler}, Schedule type: Automatic, Seed: 1")
    assert found is not None and found.scheduler == scheduler
    in_one_name = a1111.read(f"cat\nSteps: 20, Sampler: {sampler} Automatic, Seed: 1")
    assert in_one_name is not None and (in_one_name.sampler, in_one_name.scheduler) == (found.sampler, scheduler)


def test_loras_of_nodes_that_save_in_this_form_are_read() -> None:
    line = "Lora_0 Model name: a.safetensors, Lora_0 Strength model: 0.7, Lora_0 Strength clip: 1.0, "
    line += "Lora_1 Model name: None, Lora_1 Strength model: 1.0"
    found = a1111.read(f"cat\nSteps: 20, Sampler: euler, Seed: 1, {line}")
    assert found is not None and found.loras == (("a.safetensors", 0.7),)


def test_loras_whose_strengths_are_not_there_are_named() -> None:
    assert named(webui(Lora_hashes='"a: 0123, b: 4567"')) == ["LoRA a", "LoRA b"]
    assert named(webui("cat <lora:a:1>", Lora_hashes='"a: 0123"')) == []
    assert named(webui(Hashes='{"model": "01", "LORA:c": "23"}')) == ["LoRA c"]
    assert named(webui("cat <lora:sub/C:1>", Hashes='{"lora:c": "23"}')) == []


@pytest.mark.parametrize(
    "text", ["cat: a, dog: b, hat: c, box: d", "a: 1, b: 2, c: 3\nNegative prompt: d: e, f: g, h: i"]
)
def test_a_prompt_with_colons_is_no_line_of_settings(text: str) -> None:
    assert a1111.read(text) is None
    assert read_texts(parameters=text).prompt == text.partition("\nNegative")[0]


def test_a_negative_prompt_may_be_indented() -> None:
    found = a1111.read(f"cat\n  Negative prompt: bad\n{SETTINGS}")
    assert found is not None and (found.prompt, found.negative_prompt) == ("cat", "bad")


def test_words_for_no_vae_of_its_own_are_no_names() -> None:
    assert webui(VAE="Default (model)").vae is None and webui(VAE="Automatic").vae is None
    assert webui(VAE="x.safetensors").vae == "x.safetensors"


@pytest.mark.parametrize("argument", ["lbw=ALL", "stop=10", "dyn=4"])
def test_arguments_of_a_lora_that_are_none_here_are_named(argument: str) -> None:
    found = webui(f"cat <lora:a:0.5:0.9:{argument}>")
    assert (found.loras, named(found)) == ((("a", 0.9),), [f"{argument} (LoRA a)"])
    assert named(webui("cat <lora:a:te=0.5:unet=0.9>")) == []


def test_the_strength_of_a_second_pass_of_2022_is_not_that_of_image_to_image() -> None:
    found = webui(Denoising_strength="0.7", First_pass_size="0x0")
    assert found.denoise == 1.0 and ("First pass size", "0x0") in found.extra


@pytest.mark.parametrize(
    "prompt", ["re:zero, smile", "(smile:1.2), cat", "a cat: fluffy, dog", "1girl, Steps: to heaven, cat"]
)
def test_a_prompt_with_a_colon_may_stand_in_the_line_of_the_settings(prompt: str) -> None:
    for text in (f"{prompt} {SETTINGS}", f"{prompt}, {SETTINGS}", f"<lora:x:1> {prompt}. {SETTINGS}"):
        found = a1111.read(text)
        assert found is not None
        assert (found.prompt.strip(), found.steps, found.sampler) == (prompt, 20, "euler_a")


@pytest.mark.parametrize(
    "text",
    [
        f"cat\\nNegative prompt: bad\\n{SETTINGS}",
        f"cat\nNegative Prompt: bad\n{SETTINGS}",
        f"cat\n\nNegative prompt: bad\n\n{SETTINGS}\0\0",
    ],
)
def test_lines_may_be_escaped_or_empty_and_the_negative_prompt_in_capitals(text: str) -> None:
    found = a1111.read(text)
    assert found is not None
    assert (found.prompt, found.negative_prompt, found.steps) == ("cat", "bad", 20)


@pytest.mark.parametrize(
    "first", ["ENSD: 31337", "Created: x, Seed: 7", "Sampler: Heun", 'Lora hashes: "a: 0", Seed: 7']
)
def test_settings_may_come_before_the_steps(first: str) -> None:
    found = a1111.read(f"re:zero, cat\n{first}, Steps: 20, CFG scale: 4.5, Size: 8x8")
    assert found is not None
    assert (found.prompt, found.steps, found.cfg_scale, found.width) == ("re:zero, cat", 20, 4.5, 8)


def test_a_uniform_schedule_is_the_normal_one() -> None:
    assert webui(Schedule_type="Uniform").scheduler == "normal"
    assert webui(Schedule_type="SGM Uniform").scheduler == "sgm_uniform"
