"""ComfyUI's graphs are read as parameters."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inference.metadata import LEFT_OUT, Parameters, comfyui_reader, png_text
from inference.metadata.parameters import RedrawMask
from inference.sampling import sigmas
from tests.effort import bounded_effort
from tests.inference.metadata.examples import EXAMPLE, PARAMETERS


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def read(graph: dict[str, Any]) -> Parameters | None:
    return comfyui_reader.read({"prompt": json.dumps(graph)})


PARTS = {
    "model": node("CheckpointLoaderSimple", ckpt_name="any.safetensors"),
    "positive": node("CLIPTextEncode", text="1girl", clip=["model", 1]),
    "negative": node("CLIPTextEncode", text="bad", clip=["model", 1]),
    "latent": node("EmptyLatentImage", width=512, height=768, batch_size=1),
    "sampler": node(
        "KSampler",
        seed=42,
        steps=20,
        cfg=7.5,
        sampler_name="euler_ancestral",
        scheduler="karras",
        denoise=1,
        model=["model", 0],
        positive=["positive", 0],
        negative=["negative", 0],
        latent_image=["latent", 0],
    ),
    "decoded": node("VAEDecode", samples=["sampler", 0], vae=["model", 2]),
    "saved": node("SaveImage", images=["decoded", 0], filename_prefix="ComfyUI"),
}
READ = Parameters(
    prompt="1girl",
    negative_prompt="bad",
    width=512,
    height=768,
    steps=20,
    cfg_scale=7.5,
    sampler="euler_a",
    scheduler="karras",
    seed=42,
    model="any.safetensors",
    software="ComfyUI",
)


def sampler(**inputs: Any) -> dict[str, Any]:
    """The graph above with other inputs of its sampler."""
    return PARTS | {"sampler": node("KSampler", **PARTS["sampler"]["inputs"] | inputs)}


def test_the_usual_graph_is_read() -> None:
    assert read(PARTS) == READ


@settings(deadline=None)
@given(PARAMETERS)
@example(replace(EXAMPLE, sampler="ddim", mask=RedrawMask()))
def test_our_own_graphs_are_read(parameters: Parameters) -> None:
    graph = read(json.loads(png_text(parameters)["prompt"]))
    assert graph is not None
    for name in ("prompt", "negative_prompt", "width", "height", "cfg_scale", "scheduler", "seed"):
        assert getattr(graph, name) == getattr(parameters, name)
    is_euler = parameters.sampler == "ddim" and parameters.mask is not None
    assert graph.sampler == ("euler" if is_euler else parameters.sampler)
    assert [strength for _, strength in graph.loras] == [strength for _, strength in parameters.loras]
    if parameters.scheduler != "beta57":  # whose steps the graph counts with repeats, which are dropped
        assert (graph.steps, graph.denoise) == (parameters.steps, parameters.denoise)


@settings(deadline=None)
@given(st.integers(1, 200), st.floats(0.05, 1))
@example(30, 0.1)
def test_steps_of_beta57_are_read_off_its_split_schedule(steps: int, denoise: float) -> None:
    parameters = replace(EXAMPLE, scheduler="beta57", steps=steps, denoise=denoise)
    graph = read(json.loads(png_text(parameters)["prompt"]))
    assert graph is not None and graph.scheduler == "beta57"
    walked = sigmas("beta57", steps, denoise=denoise)
    if denoise < 1 and len(walked) == steps + 1:
        assert graph.steps == steps
    assert graph.steps is not None
    assert torch.equal(sigmas("beta57", graph.steps, denoise=graph.denoise), walked)


@pytest.mark.parametrize("scheduler", ["beta", "ddim_uniform"])
def test_a_later_start_counts_the_steps_that_the_schedule_really_has(scheduler: str) -> None:
    inputs = PARTS["sampler"]["inputs"] | {"scheduler": scheduler, "steps": 300, "noise_seed": 42}
    graph = PARTS | {"sampler": node("KSamplerAdvanced", **inputs | {"denoise": None}, start_at_step=200)}
    found = read(graph)
    assert found is not None and found.steps is not None
    assert torch.equal(sigmas(scheduler, found.steps, denoise=found.denoise), sigmas(scheduler, 300)[200:])


@settings(deadline=None)
@given(PARAMETERS)
def test_the_pages_graph_says_the_same_as_the_servers(parameters: Parameters) -> None:
    text = png_text(parameters)
    assert comfyui_reader.read({"workflow": text["workflow"]}) == comfyui_reader.read({"prompt": text["prompt"]})


def test_values_that_come_from_other_nodes_are_followed() -> None:
    graph = sampler(seed=["seed", 3], steps=["steps", 0], cfg=["cfg", 0]) | {
        "seed": node("Seed (rgthree)", seed=99),
        "steps": node("PrimitiveInt", value=25),
        "cfg": node("Reroute", anything=["cfg value", 0]),
        "cfg value": node("FloatConstant", float=3.5),
        "latent": node("EmptySD3LatentImage", width=["side", 0], height=["side", 0], batch_size=1),
        "side": node("INTConstant", value=1024),
    }
    assert read(graph) == replace(READ, seed=99, steps=25, cfg_scale=3.5, width=1024, height=1024)


def test_joined_texts_are_read() -> None:
    graph = PARTS | {
        "positive": node("CLIPTextEncode", text=["joined", 0], clip=["model", 1]),
        "joined": node("StringConcatenate", string_a=["quality", 0], string_b=["more", 0], delimiter=", "),
        "quality": node("PrimitiveStringMultiline", value="best quality"),
        "more": node("Text Concatenate", delimiter=" ", clean_whitespace="true", text_a="1girl,", text_b="smile"),
    }
    assert read(graph) == replace(READ, prompt="best quality, 1girl, smile")


def test_embeddings_in_prompts_are_named_as_left_out() -> None:
    graph = PARTS | {
        "positive": node("CLIPTextEncode", text="1girl, embedding:good, (embedding:sub/hands:1.2)", clip=["model", 1]),
        "negative": node("CLIPTextEncode", text="embedding:bad\nmyembedding:no", clip=["model", 1]),
    }
    found = read(graph)
    assert found is not None
    named = ("embedding:good", "embedding:sub/hands", "embedding:bad")
    assert found.extra == tuple((LEFT_OUT, name) for name in named)
    assert found.prompt == "1girl, embedding:good, (embedding:sub/hands:1.2)"


def test_conditioning_is_followed_through_other_nodes_to_the_right_prompt() -> None:
    graph = sampler(positive=["control", 0], negative=["control", 1]) | {
        "control": node(
            "ControlNetApplyAdvanced",
            positive=["guidance", 0],
            negative=["zero", 0],
            control_net=["net", 0],
            image=["picture", 0],
        ),
        "guidance": node("FluxGuidance", guidance=3.5, conditioning=["positive", 0]),
        "zero": node("ConditioningZeroOut", conditioning=["positive", 0]),
        "net": node("ControlNetLoader", control_net_name="net.safetensors"),
        "picture": node("LoadImage", image="pose.png"),
    }
    assert read(graph) == replace(READ, negative_prompt="", extra=((LEFT_OUT, "ControlNetApplyAdvanced"),))


def test_loras_are_read_in_the_order_in_which_they_apply() -> None:
    graph = sampler(model=["sampling", 0]) | {
        "sampling": node("ModelSamplingAuraFlow", shift=3, model=["power", 0]),
        "power": node(
            "Power Lora Loader (rgthree)",
            PowerLoraLoaderHeaderWidget={"type": "header"},
            lora_1={"on": True, "lora": "c.safetensors", "strength": 0.3},
            lora_2={"on": False, "lora": "off.safetensors", "strength": 1},
            lora_3={"on": True, "lora": "d.safetensors", "strength": 0.4},
            model=["second", 0],
        ),
        "second": node(
            "LoraLoader", lora_name="b.safetensors", strength_model=0.2, strength_clip=1, model=["first", 0]
        ),
        "first": node("LoraLoaderModelOnly", lora_name="a.safetensors", strength_model=-0.1, model=["model", 0]),
    }
    loras = (("a.safetensors", -0.1), ("b.safetensors", 0.2), ("c.safetensors", 0.3), ("d.safetensors", 0.4))
    assert read(graph) == replace(READ, loras=loras)


def test_a_custom_samplers_settings_are_gathered_from_its_nodes() -> None:
    graph = {name: PARTS[name] for name in ("positive", "negative", "latent", "decoded", "saved")} | {
        "model": node("UNETLoader", unet_name="any.safetensors", weight_dtype="default"),
        "clip": node("CLIPLoader", clip_name="clip.safetensors", type="flux"),
        "vae": node("VAELoader", vae_name="vae.safetensors"),
        "noise": node("RandomNoise", noise_seed=42),
        "guider": node("CFGGuider", cfg=7.5, model=["model", 0], positive=["positive", 0], negative=["negative", 0]),
        "select": node("KSamplerSelect", sampler_name="euler_ancestral"),
        "sigmas": node("BasicScheduler", scheduler="karras", steps=20, denoise=0.5, model=["model", 0]),
        "sampler": node(
            "SamplerCustomAdvanced",
            noise=["noise", 0],
            guider=["guider", 0],
            sampler=["select", 0],
            sigmas=["sigmas", 0],
            latent_image=["latent", 0],
        ),
    }
    expected = replace(READ, denoise=0.5, text_encoder="clip.safetensors", vae="vae.safetensors")
    assert read(graph) == expected
    graph["guider"] = node("BasicGuider", model=["model", 0], conditioning=["positive", 0])
    assert read(graph) == replace(expected, cfg_scale=1.0, negative_prompt="")


def test_of_several_samplers_the_first_one_counts() -> None:
    graph = PARTS | {
        "larger": node("LatentUpscale", samples=["sampler", 0], width=1024, height=1536),
        "second": node(
            "KSampler", **PARTS["sampler"]["inputs"] | {"latent_image": ["larger", 0], "seed": 1, "steps": 9}
        ),
        "decoded": node("VAEDecode", samples=["second", 0], vae=["model", 2]),
        "detailed": node("FaceDetailer", image=["decoded", 0], model=["model", 0], denoise=0.4),
        "saved": node("SaveImage", images=["detailed", 0]),
    }
    later = ("LatentUpscale", "KSampler (steps 9, denoise 1)", "FaceDetailer (denoise 0.4)")
    assert read(graph) == replace(READ, extra=tuple((LEFT_OUT, what) for what in later))


def test_a_mask_and_what_else_changed_the_start_are_named() -> None:
    graph = sampler(latent_image=["masked", 0], denoise=0.6) | {
        "masked": node("SetLatentNoiseMask", samples=["encoded", 0], mask=["picture", 1]),
        "encoded": node("VAEEncode", pixels=["inverted", 0], vae=["model", 2]),
        "inverted": node("ImageInvert", image=["scaled", 0]),
        "scaled": node("ImageScale", image=["picture", 0], width=512, height=768),
        "picture": node("LoadImage", image="cat.png"),
    }
    left_out = tuple((LEFT_OUT, what) for what in ("SetLatentNoiseMask", "ImageInvert"))
    assert read(graph) == replace(READ, denoise=0.6, source_image="cat.png", extra=left_out)


def test_the_advanced_samplers_later_start_is_a_denoise() -> None:
    inputs = {name: value for name, value in PARTS["sampler"]["inputs"].items() if name not in ("seed", "denoise")}
    graph = PARTS | {"sampler": node("KSamplerAdvanced", **inputs, noise_seed=42, start_at_step=5, end_at_step=10000)}
    assert read(graph) == replace(READ, steps=15, denoise=0.75)


def test_the_picture_that_was_drawn_over_is_named() -> None:
    graph = sampler(latent_image=["encoded", 0], denoise=0.6) | {
        "encoded": node("VAEEncode", pixels=["picture", 0], vae=["model", 2]),
        "picture": node("LoadImage", image="cat.png"),
    }
    assert read(graph) == replace(READ, width=None, height=None, denoise=0.6, source_image="cat.png")


def test_an_extensions_loader_that_holds_the_prompts_itself_is_read() -> None:
    graph = sampler(positive=["loader", 1], negative=["loader", 2]) | {
        "loader": node("Efficient Loader", ckpt_name="any.safetensors", positive="1girl", negative="bad"),
    }
    assert read(graph) == READ


# The page's graph as it stands in a file without the server's.
PAGE = {
    "nodes": [
        {"id": 1, "type": "CheckpointLoaderSimple", "inputs": [], "widgets_values": ["any.safetensors"]},
        {
            "id": 2,
            "type": "CLIPTextEncode",
            "inputs": [{"name": "clip", "type": "CLIP", "link": 1}],
            "widgets_values": ["1girl"],
        },
        {
            "id": 3,
            "type": "CLIPTextEncode",
            "inputs": [
                {"name": "clip", "type": "CLIP", "link": 2},
                {"name": "text", "type": "STRING", "widget": {"name": "text"}, "link": 3},
            ],
            "widgets_values": ["what stood there before"],
        },
        {"id": 4, "type": "PrimitiveNode", "outputs": [{"links": [3]}], "widgets_values": ["bad", "fixed"]},
        {"id": 5, "type": "EmptyLatentImage", "widgets_values": [512, 768, 1]},
        {
            "id": 6,
            "type": "LoraLoader",
            "mode": 4,
            "inputs": [{"name": "model", "link": 4}, {"name": "clip", "link": 5}],
            "widgets_values": ["bypassed.safetensors", 1, 1],
        },
        {
            "id": 7,
            "type": "SamplerOfAnExtension",
            "inputs": [
                {"name": "model", "link": 6},
                {"name": "positive", "link": 7},
                {"name": "negative", "link": 8},
                {"name": "latent_image", "link": 9},
                *({"name": name, "widget": {"name": name}, "link": None} for name in ("seed", "steps", "cfg")),
                *({"name": name, "widget": {"name": name}, "link": None} for name in ("sampler_name", "scheduler")),
            ],
            "widgets_values": [42, "randomize", 20, 7.5, "euler_ancestral", "karras"],
        },
        {"id": 8, "type": "SaveImage", "inputs": [{"name": "images", "link": 10}], "widgets_values": {"prefix": "x"}},
    ],
    "links": [
        [1, 1, 1, 2, 0, "CLIP"],
        [2, 1, 1, 3, 0, "CLIP"],
        [3, 4, 0, 3, 1, "STRING"],
        [4, 1, 0, 6, 0, "MODEL"],
        [5, 1, 1, 6, 1, "CLIP"],
        [6, 6, 0, 7, 0, "MODEL"],
        [7, 2, 0, 7, 1, "CONDITIONING"],
        [8, 3, 0, 7, 2, "CONDITIONING"],
        [9, 5, 0, 7, 3, "LATENT"],
        [10, 7, 0, 8, 0, "IMAGE"],
    ],
}


def test_a_pages_graph_is_read_where_there_is_no_servers() -> None:
    assert comfyui_reader.read({"workflow": json.dumps(PAGE)}) == READ


def test_a_subgraph_is_read() -> None:
    links = [dict(zip(("id", "origin_id", "origin_slot"), link, strict=False)) for link in PAGE["links"]]
    page = {"nodes": [], "links": [], "definitions": {"subgraphs": [None, {"nodes": PAGE["nodes"], "links": links}]}}
    assert comfyui_reader.read({"workflow": json.dumps(page)}) == READ


def test_a_broken_servers_graph_leaves_the_pages() -> None:
    assert comfyui_reader.read({"prompt": "{", "workflow": json.dumps(PAGE)}) == READ


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["0", "1", "text", "Save", "KSampler", "StringConcatenate"])
    | st.tuples(st.sampled_from("0123456"), st.integers(-1, 2)).map(list),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["on", "lora"]), inner, max_size=2),
    max_leaves=4,
)
INPUTS = st.dictionaries(
    st.sampled_from(
        [
            *("model", "positive", "negative", "latent_image", "seed", "steps", "cfg", "denoise", "sampler_name"),
            *("scheduler", "text", "clip", "sigmas", "guider", "noise", "sampler", "delimiter", "string_a", "value"),
            *(
                "lora_name",
                "strength_model",
                "width",
                "image",
                "samples",
                "step",
                "start_at_step",
                "alpha",
                "unet_name",
            ),
        ]
    ),
    VALUES,
    max_size=8,
)
KINDS = st.sampled_from(
    [
        *("KSampler", "SaveImage", "CLIPTextEncode", "LoraLoader", "SplitSigmas", "BetaSamplingScheduler", "Reroute"),
        *("BasicGuider", "StringConcatenate"),
    ]
)


@given(st.dictionaries(st.sampled_from("0123456"), VALUES | st.builds(lambda k, i: node(k, **i), KINDS, INPUTS)))
def test_every_graph_is_read_or_refused(graph: dict[str, Any]) -> None:
    read({name: json.loads(json.dumps(value)) for name, value in graph.items()})


SOCKETS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "name": st.sampled_from(["model", "positive", "latent_image", "text"]) | VALUES,
            "link": st.integers(0, 5) | VALUES,
            "widget": VALUES | st.just({"name": "seed"}),
        },
    )
    | VALUES,
    max_size=5,
)
PAGE_NODES = st.fixed_dictionaries(
    {"id": st.integers(0, 5) | VALUES},
    optional={"type": KINDS | VALUES, "mode": st.sampled_from([0, 2, 4]) | VALUES, "inputs": SOCKETS | VALUES}
    | {"widgets_values": st.lists(VALUES, max_size=8) | VALUES},
)
PAGES = st.fixed_dictionaries(
    {},
    optional={
        "nodes": st.lists(PAGE_NODES | VALUES, max_size=6) | VALUES,
        "links": st.lists(st.lists(st.integers(0, 5), max_size=6) | VALUES, max_size=6) | VALUES,
        "definitions": VALUES | st.just({"subgraphs": [1, {}]}),
    },
)


@given(PAGES)
def test_every_page_is_read_or_refused(page: dict[str, Any]) -> None:
    comfyui_reader.read({"workflow": json.dumps(page)})


def test_a_graph_in_circles_is_read() -> None:
    graph = sampler(model=["sampler", 0], latent_image=["sampler", 0], seed=["sampler", 0]) | {
        "positive": node("CLIPTextEncode", text=["positive", 0], clip=["negative", 0]),
        "negative": node("StringConcatenate", string_a=["negative", 0], string_b=["negative", 0], delimiter=""),
    }
    assert read(graph) is not None


def long_chain(kind: str, name: str, length: int = 4_000, **inputs: Any) -> dict[str, Any]:
    return {f"{name}{i}": node(kind, **{name: [f"{name}{i + 1}", 0]}, **inputs) for i in range(length)}


@pytest.mark.parametrize(
    "graph",
    [
        sampler(model=["model0", 0])
        | long_chain("LoraLoader", "model", lora_name=["model1", 0], strength_model=["model5", 0]),
        sampler(positive=["conditioning0", 0])
        | long_chain("TextEncode", "conditioning", text=["conditioning9", 0], clip=["conditioning7", 0]),
        sampler(seed=["value0", 0], steps=["value1", 0]) | long_chain("Reroute", "value"),
        sampler(sigmas=["sigmas0", 0], steps=None) | long_chain("SplitSigmas", "sigmas", steps=["sigmas3", 0]),
        PARTS
        | {
            str(i): node("StringConcatenate", delimiter="x", **{f"s{j}": [str(i + 1), 0] for j in range(8)})
            for i in range(3_000)
        }
        | {"positive": node("CLIPTextEncode", text=["0", 0])},
        PARTS
        | {"wide": node("Reroute", **{f"i{j}": ["wide", 0] for j in range(40_000)})}
        | {"positive": node("CLIPTextEncode", text=["wide", 0])},
        {
            str(i): node("KSampler", latent_image=[str(i + 1), 0], positive=["0", 0], guider=["1", 0])
            for i in range(4_900)
        },
    ],
    ids=["weights", "conditioning", "values", "sigmas", "joins", "inputs", "samplers"],
)
def test_enormous_graphs_take_no_time(graph: dict[str, Any]) -> None:
    text = json.dumps(graph)
    with bounded_effort(200):
        comfyui_reader.read({"prompt": text})


def test_oversized_graphs_are_refused() -> None:
    assert read(PARTS | {str(i): node("Reroute") for i in range(5_001)}) is None


def test_a_file_of_another_program_has_no_graph() -> None:
    assert comfyui_reader.read({}) is None
    assert comfyui_reader.read({"prompt": "1girl, smile"}) is None
    assert comfyui_reader.read({"prompt": json.dumps({"1": node("LoadImage", image="a.png")})}) is None


def test_the_example_has_the_values_that_the_graph_needs() -> None:
    assert read(json.loads(png_text(EXAMPLE)["prompt"])) == replace(
        EXAMPLE,
        model_hash=None,
        software="ComfyUI",
        text_encoder="qwen_3_06b_base.safetensors",
        vae="qwen_image_vae.safetensors",
    )
