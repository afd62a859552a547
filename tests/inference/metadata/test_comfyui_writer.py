"""The graphs that are written open in ComfyUI and draw the same."""

import json
import re
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.metadata import Parameters, a1111, comfyui_reader, png_text
from inference.metadata.parameters import RedrawMask
from inference.sampling import sigmas
from inference.solver_settings import ErSdeSettings
from tests.inference.metadata.examples import EXAMPLE, PARAMETERS, TEXTS

# Inputs and outputs of ComfyUI's stock nodes, as its API describes them: the facts that our graphs have to fit.
STOCK = {
    "UNETLoader": ({"unet_name": "COMBO", "weight_dtype": "COMBO"}, ["MODEL"]),
    "CheckpointLoaderSimple": ({"ckpt_name": "COMBO"}, ["MODEL", "CLIP", "VAE"]),
    "CLIPLoader": ({"clip_name": "COMBO", "type": "COMBO", "device": "COMBO"}, ["CLIP"]),
    "VAELoader": ({"vae_name": "COMBO"}, ["VAE"]),
    "LoraLoaderModelOnly": ({"model": "MODEL", "lora_name": "COMBO", "strength_model": "FLOAT"}, ["MODEL"]),
    "LoraLoader": (
        {
            "model": "MODEL",
            "clip": "CLIP",
            "lora_name": "COMBO",
            "strength_model": "FLOAT",
            "strength_clip": "FLOAT",
        },
        ["MODEL", "CLIP"],
    ),
    "ModelSamplingAuraFlow": ({"model": "MODEL", "shift": "FLOAT"}, ["MODEL"]),
    "CLIPTextEncode": ({"text": "STRING", "clip": "CLIP"}, ["CONDITIONING"]),
    "PrimitiveStringMultiline": ({"value": "STRING"}, ["STRING"]),
    "EmptyLatentImage": ({"width": "INT", "height": "INT", "batch_size": "INT"}, ["LATENT"]),
    "LoadImage": ({"image": "COMBO"}, ["IMAGE", "MASK"]),
    "ImageScale": (
        {"image": "IMAGE", "upscale_method": "COMBO", "width": "INT", "height": "INT", "crop": "COMBO"},
        ["IMAGE"],
    ),
    "VAEEncode": ({"pixels": "IMAGE", "vae": "VAE"}, ["LATENT"]),
    "ImageToMask": ({"image": "IMAGE", "channel": "COMBO"}, ["MASK"]),
    "ThresholdMask": ({"mask": "MASK", "value": "FLOAT"}, ["MASK"]),
    "SolidMask": ({"value": "FLOAT", "width": "INT", "height": "INT"}, ["MASK"]),
    "MaskComposite": (
        {"destination": "MASK", "source": "MASK", "x": "INT", "y": "INT", "operation": "COMBO"},
        ["MASK"],
    ),
    "SetLatentNoiseMask": ({"samples": "LATENT", "mask": "MASK"}, ["LATENT"]),
    "DifferentialDiffusion": ({"model": "MODEL", "strength": "FLOAT"}, ["MODEL"]),
    "GrowMask": ({"mask": "MASK", "expand": "INT", "tapered_corners": "BOOLEAN"}, ["MASK"]),
    "MaskToImage": ({"mask": "MASK"}, ["IMAGE"]),
    "ImageBlur": ({"image": "IMAGE", "blur_radius": "INT", "sigma": "FLOAT"}, ["IMAGE"]),
    "ImageCompositeMasked": (
        {
            "destination": "IMAGE",
            "source": "IMAGE",
            "x": "INT",
            "y": "INT",
            "resize_source": "BOOLEAN",
            "mask": "MASK",
        },
        ["IMAGE"],
    ),
    "KSampler": (
        {
            "model": "MODEL",
            "seed": "INT",
            "steps": "INT",
            "cfg": "FLOAT",
            "sampler_name": "COMBO",
            "scheduler": "COMBO",
            "positive": "CONDITIONING",
            "negative": "CONDITIONING",
            "latent_image": "LATENT",
            "denoise": "FLOAT",
        },
        ["LATENT"],
    ),
    "KSamplerSelect": ({"sampler_name": "COMBO"}, ["SAMPLER"]),
    "BetaSamplingScheduler": ({"model": "MODEL", "steps": "INT", "alpha": "FLOAT", "beta": "FLOAT"}, ["SIGMAS"]),
    "SplitSigmas": ({"sigmas": "SIGMAS", "step": "INT"}, ["SIGMAS", "SIGMAS"]),
    "SamplerCustom": (
        {
            "model": "MODEL",
            "add_noise": "BOOLEAN",
            "noise_seed": "INT",
            "cfg": "FLOAT",
            "positive": "CONDITIONING",
            "negative": "CONDITIONING",
            "sampler": "SAMPLER",
            "sigmas": "SIGMAS",
            "latent_image": "LATENT",
        },
        ["LATENT", "LATENT"],
    ),
    "VAEDecode": ({"samples": "LATENT", "vae": "VAE"}, ["IMAGE"]),
    "SaveImage": ({"images": "IMAGE", "filename_prefix": "STRING"}, []),
}
PYTHON_TYPES = {"COMBO": str, "STRING": str, "INT": int, "FLOAT": (int, float), "BOOLEAN": bool}
# What the page lists among a node's values, in order. It asks what becomes of a seed, and for a button to upload.
PAGE_VALUES = {
    kind: [name for name, type_ in inputs.items() if type_ in PYTHON_TYPES] for kind, (inputs, _) in STOCK.items()
} | {
    "KSampler": ["seed", "control_after_generate", "steps", "cfg", "sampler_name", "scheduler", "denoise"],
    "SamplerCustom": ["add_noise", "noise_seed", "control_after_generate", "cfg"],
    "LoadImage": ["image", "upload"],
}
SAMPLERS = {
    *("er_sde", "euler_ancestral", "dpmpp_2m_sde_gpu", "euler", "heun", "dpmpp_2m", "dpmpp_sde", "lcm"),
    *("euler_cfg_pp", "euler_ancestral_cfg_pp", "heunpp2", "exp_heun_2_x0", "exp_heun_2_x0_sde", "dpm_2"),
    *("dpm_2_ancestral", "lms", "dpm_fast", "dpm_adaptive", "dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp"),
    *("dpmpp_sde_gpu", "dpmpp_2m_cfg_pp", "dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu"),
    *("dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "ddpm", "ipndm", "ipndm_v", "res_multistep_cfg_pp"),
    *("res_multistep_ancestral", "res_multistep_ancestral_cfg_pp", "gradient_estimation", "seeds_2", "seeds_3"),
    *("gradient_estimation_cfg_pp", "sa_solver", "ddim", "uni_pc", "uni_pc_bh2"),
    *("res_multistep", "sa_solver_pece", "deis"),
}
SCHEDULERS = {
    *("simple", "sgm_uniform", "karras", "exponential", "ddim_uniform", "beta", "normal", "linear_quadratic"),
    "kl_optimal",
}


def api(parameters: Parameters) -> dict[str, Any]:
    return json.loads(png_text(parameters)["prompt"])


def page(parameters: Parameters) -> dict[str, Any]:
    return json.loads(png_text(parameters)["workflow"])


def only(graph: dict[str, Any], kind: str) -> dict[str, Any]:
    (node,) = [node for node in graph.values() if node["class_type"] == kind]
    return node["inputs"]


@settings(deadline=None)
@given(PARAMETERS)
def test_every_node_is_stock_and_every_wire_fits(parameters: Parameters) -> None:
    graph = api(parameters)
    for node in graph.values():
        inputs, _ = STOCK[node["class_type"]]
        assert node["inputs"].keys() == inputs.keys()
        for name, value in node["inputs"].items():
            if isinstance(value, list):
                source, slot = value
                assert STOCK[graph[source]["class_type"]][1][slot] == inputs[name]
            else:
                assert isinstance(value, PYTHON_TYPES[inputs[name]])
    samplers = [node for node in graph.values() if node["class_type"] in ("KSampler", "KSamplerSelect")]
    assert [node["inputs"]["sampler_name"] in SAMPLERS for node in samplers] == [True]
    assert all(node["inputs"].get("scheduler", "simple") in SCHEDULERS for node in samplers)
    used = {value[0] for node in graph.values() for value in node["inputs"].values() if isinstance(value, list)}
    assert [graph[name]["class_type"] for name in graph.keys() - used] == ["SaveImage"]


@settings(deadline=None)
@given(PARAMETERS)
def test_the_pages_graph_is_the_same_as_the_servers(parameters: Parameters) -> None:
    shown = page(parameters)
    wires = {wire[0]: wire for wire in shown["links"]}
    converted = {}
    assert shown["last_node_id"] == max(node["id"] for node in shown["nodes"])
    assert shown["last_link_id"] == max(wires)
    for node in shown["nodes"]:
        if node["type"] == "Note":
            continue
        names = PAGE_VALUES[node["type"]]
        assert len(names) == len(node["widgets_values"])
        inputs = dict(zip(names, node["widgets_values"], strict=True))
        assert inputs.pop("control_after_generate", "fixed") == "fixed"
        inputs.pop("upload", None)
        for slot, socket in enumerate(node["inputs"]):
            _, source, source_slot, target, target_slot, type_ = wires[socket["link"]]
            assert (target, target_slot, type_) == (node["id"], slot, socket["type"])
            inputs[socket["name"]] = [str(source), source_slot]
        for slot, output in enumerate(node["outputs"]):
            assert output["links"] == [wire[0] for wire in wires.values() if wire[1:3] == [node["id"], slot]]
        converted[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    assert converted == api(parameters)


@settings(deadline=None)
@given(PARAMETERS)
def test_nodes_stand_side_by_side_and_after_what_they_need(parameters: Parameters) -> None:
    nodes = page(parameters)["nodes"]
    for node in nodes:
        for other in nodes:
            apart = [
                node["pos"][axis] + node["size"][axis] <= other["pos"][axis]
                or other["pos"][axis] + other["size"][axis] <= node["pos"][axis]
                for axis in (0, 1)
            ]
            assert node is other or any(apart)
    order = {node["id"]: node["order"] for node in nodes}
    assert all(order[wire[1]] < order[wire[3]] for wire in page(parameters)["links"])


def test_the_graph_is_that_of_animas_template() -> None:
    graph = api(EXAMPLE)
    assert [node["class_type"] for node in graph.values()] == [
        *("UNETLoader", "CLIPLoader", "VAELoader", "CLIPTextEncode", "CLIPTextEncode", "EmptyLatentImage"),
        *("KSampler", "VAEDecode", "SaveImage"),
    ]
    assert only(graph, "UNETLoader") == {"unet_name": "anima-base-v1.0.safetensors", "weight_dtype": "default"}
    assert only(graph, "CLIPLoader") == {
        "clip_name": "qwen_3_06b_base.safetensors",
        "type": "stable_diffusion",
        "device": "default",
    }
    assert only(graph, "VAELoader") == {"vae_name": "qwen_image_vae.safetensors"}
    sampler = only(graph, "KSampler")
    assert {name: value for name, value in sampler.items() if not isinstance(value, list)} == {
        "seed": 1234567890123,
        "steps": 30,
        "cfg": 4.5,
        "sampler_name": "euler_ancestral",
        "scheduler": "simple",
        "denoise": 1.0,
    }
    assert graph[sampler["positive"][0]]["inputs"]["text"] == EXAMPLE.prompt
    assert graph[sampler["negative"][0]]["inputs"]["text"] == EXAMPLE.negative_prompt


def test_loras_are_chained_in_order_with_the_names_of_their_files() -> None:
    graph = api(replace(EXAMPLE, loras=(("a", 0.8), ("folder/b.safetensors", -1.0), ("v1.5", 1.0))))
    chain = []
    link = only(graph, "KSampler")["model"]
    while graph[link[0]]["class_type"] == "LoraLoaderModelOnly":
        inputs = graph[link[0]]["inputs"]
        chain.append((inputs["lora_name"], inputs["strength_model"]))
        link = inputs["model"]
    assert chain[::-1] == [("a.safetensors", 0.8), ("folder/b.safetensors", -1.0), ("v1.5.safetensors", 1.0)]
    assert graph[link[0]]["class_type"] == "UNETLoader"


@pytest.mark.parametrize(("text_encoder", "vae"), [("sub/all.safetensors", "b"), ("a", "sub/all.safetensors")])
def test_an_all_in_one_model_is_loaded_as_a_checkpoint_with_the_parts_that_are_of_it(
    text_encoder: str, vae: str
) -> None:
    model = "sub/all.safetensors"
    parameters = replace(EXAMPLE, model=model, text_encoder=text_encoder, vae=vae, all_in_one=True, loras=())
    graph = api(parameters)
    kinds = [node["class_type"] for node in graph.values()]
    assert only(graph, "CheckpointLoaderSimple") == {"ckpt_name": model}
    assert "UNETLoader" not in kinds
    assert ("CLIPLoader" in kinds, "VAELoader" in kinds) == (text_encoder != model, vae != model)
    assert only(graph, "KSampler")["model"] == ["1", 0]
    assert (only(graph, "VAEDecode")["vae"] == ["1", 2]) == (vae == model)
    found = comfyui_reader.read({"prompt": json.dumps(graph)})
    assert found is not None and found.model == model


def test_a_picture_made_from_another_starts_from_it() -> None:
    parameters = replace(EXAMPLE, source_image="cat.png", denoise=0.6)
    graph = api(parameters)
    assert only(graph, "KSampler")["denoise"] == 0.6
    assert only(graph, "LoadImage") == {"image": "cat.png"}
    scaled = only(graph, "ImageScale")
    assert (scaled["width"], scaled["height"]) == (832, 1216)
    assert "Choose that one" in notes(parameters)


def notes(parameters: Parameters) -> str:
    return "".join(node["widgets_values"][0] for node in page(parameters)["nodes"] if node["type"] == "Note")


def test_a_note_says_what_stock_nodes_cannot_do() -> None:
    assert notes(EXAMPLE) == ""
    assert "0.25 of seed 9" in notes(replace(EXAMPLE, variation_seed=9, variation_strength=0.25))


@settings(deadline=None)
@given(st.integers(1, 200), st.floats(0.05, 1.0))
def test_beta57_walks_the_same_sigmas_on_stock_nodes(steps: int, denoise: float) -> None:
    graph = api(replace(EXAMPLE, scheduler="beta57", steps=steps, denoise=denoise))
    scheduler = only(graph, "BetaSamplingScheduler")
    assert (scheduler["alpha"], scheduler["beta"]) == (0.5, 0.7)
    walked = sigmas("beta57", scheduler["steps"])
    source, slot = only(graph, "SamplerCustom")["sigmas"]
    if graph[source]["class_type"] == "SplitSigmas":
        step = graph[source]["inputs"]["step"]
        walked = [walked[: step + 1], walked[step:]][slot]
    assert torch.equal(walked, sigmas("beta57", steps, denoise=denoise))


def dynamic_prompt(text: str) -> str:
    """What ComfyUI's page makes of a CLIPTextEncode's own text, with the first of each choice taken."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
    if text.endswith("\\"):
        text += "undefined"
    text = re.sub(r"(?<!\\)\{([^{}|]*)[^{}]*\}?", r"\1", text)
    return re.sub(r"\\([{}|])", r"\1", text)


@given(TEXTS)
def test_the_page_leaves_every_prompt_as_it_is(prompt: str) -> None:
    graph = api(replace(EXAMPLE, prompt=prompt))
    text = graph[only(graph, "KSampler")["positive"][0]]["inputs"]["text"]
    if isinstance(text, list):
        assert graph[text[0]] == {"class_type": "PrimitiveStringMultiline", "inputs": {"value": prompt}}
    else:
        assert text == dynamic_prompt(text) == prompt


@pytest.mark.parametrize("prompt", ["{a|b}", "a // b", "/* a */", "a\\|b", "a\\", r"\{a\}"])
def test_prompts_that_the_page_would_change_come_from_a_node_that_it_leaves_alone(prompt: str) -> None:
    assert only(api(replace(EXAMPLE, prompt=prompt)), "PrimitiveStringMultiline") == {"value": prompt}


def test_brackets_and_escaped_brackets_need_no_such_node() -> None:
    graph = api(replace(EXAMPLE, prompt=r"(a:1.2), b \(c\), :/"))
    assert "PrimitiveStringMultiline" not in {node["class_type"] for node in graph.values()}


def test_another_shift_is_set_by_a_node_and_read_back() -> None:
    assert "ModelSamplingAuraFlow" not in png_text(EXAMPLE)["prompt"]
    texts = png_text(replace(EXAMPLE, extra=(("Shift", "5.5"),)))
    shifted = [node for node in json.loads(texts["prompt"]).values() if node["class_type"] == "ModelSamplingAuraFlow"]
    assert [node["inputs"]["shift"] for node in shifted] == [5.5]
    found = comfyui_reader.read({"prompt": texts["prompt"]})
    assert found is not None and found.shift == 5.5


def test_another_beta_schedule_is_made_by_its_node_and_read_back() -> None:
    texts = png_text(replace(EXAMPLE, scheduler="beta", extra=(("Beta schedule", "alpha 0.9, beta 0.3"),)))
    found = comfyui_reader.read({"prompt": texts["prompt"]})
    assert found is not None
    assert (found.beta, found.steps) == ((0.9, 0.3), EXAMPLE.steps)


@pytest.mark.parametrize("scheduler", ["simple", "beta57"])
@pytest.mark.parametrize("denoise", [1.0, 0.6])
def test_the_settings_of_er_sde_are_set_by_its_node_and_read_back(scheduler: str, denoise: float) -> None:
    er_sde = ErSdeSettings("Reverse-time SDE", 2, eta=0.5, s_noise=0.9)
    drawn = replace(EXAMPLE, sampler="er_sde", scheduler=scheduler, denoise=denoise, extra=(("ER-SDE", str(er_sde)),))
    texts = png_text(drawn)
    assert only(json.loads(texts["prompt"]), "SamplerER_SDE") == asdict(er_sde)
    for chunk in ("prompt", "workflow"):
        found = comfyui_reader.read({chunk: texts[chunk]})
        assert found is not None and found.er_sde == er_sde
        assert (found.sampler, found.scheduler, found.steps, found.seed) == ("er_sde", scheduler, 30, EXAMPLE.seed)
        assert found.denoise == pytest.approx(denoise)
    web_ui = a1111.read(texts["parameters"])
    assert web_ui is not None and web_ui.er_sde == er_sde


@pytest.mark.parametrize("scheduler", ["simple", "beta57"])
def test_ddim_with_a_mask_is_euler_whose_noise_outside_of_the_mask_is_that_of_the_seed(scheduler: str) -> None:
    drawn = replace(EXAMPLE, sampler="ddim", scheduler=scheduler, source_image="source.png")
    kind = "KSampler" if scheduler == "simple" else "KSamplerSelect"
    masked = replace(drawn, mask=RedrawMask(boxes=((0, 0, 64, 64),), seam=4))
    assert [only(api(each), kind)["sampler_name"] for each in (drawn, masked)] == ["ddim", "euler"]


def test_a_lora_that_changes_the_text_encoder_is_loaded_for_it_too() -> None:
    loras = (("style", 0.5), ("words", 0.8))
    texts = png_text(replace(EXAMPLE, loras=loras, text_encoder_loras=("words",)))
    nodes = json.loads(texts["prompt"])
    [number] = [number for number, node in nodes.items() if node["class_type"] == "LoraLoader"]
    assert (nodes[number]["inputs"]["strength_model"], nodes[number]["inputs"]["strength_clip"]) == (0.8, 0.8)
    encoders = [node for node in nodes.values() if node["class_type"] == "CLIPTextEncode"]
    assert [node["inputs"]["clip"] for node in encoders] == [[number, 1]] * 2
    found = comfyui_reader.read({"prompt": texts["prompt"]})
    assert found is not None and [strength for _, strength in found.loras] == [0.5, 0.8]


def test_the_note_says_that_transparency_was_laid_on_white() -> None:
    note = notes(replace(EXAMPLE, source_image="cat.png"))
    assert "transparency, while transparent parts are white here. It decodes JPEG and WebP with another library" in note


def test_embeddings_that_took_no_part_are_in_the_note() -> None:
    note = notes(replace(EXAMPLE, negative_prompt="bad, (embedding:hands:1.2)"))
    assert "drawn without embedding:hands." in note


def test_the_note_says_that_the_negative_was_applied_by_nag() -> None:
    texts = png_text(replace(EXAMPLE, nag=True, cfg_scale=1.0))
    assert "normalized attention guidance" in texts["workflow"]
    assert "normalized attention guidance" not in png_text(EXAMPLE)["workflow"]


def test_the_note_names_loras_that_comfyui_ignores() -> None:
    assert "low_rank_diffusers" in notes(replace(EXAMPLE, loras_without_comfyui=("low_rank_diffusers",)))


def test_the_graph_crops_a_source_of_another_shape_in_the_middle_as_the_engine_does() -> None:
    graph = api(replace(EXAMPLE, source_image="cat.png", denoise=0.5))
    assert only(graph, "ImageScale")["crop"] == "center"
