"""Nodes of ComfyUI's extensions are read as they act, or named."""

import json
from dataclasses import replace
from typing import Any

import pytest

from inference.metadata import LEFT_OUT
from inference.metadata import read as file
from tests.inference.metadata.examples import png
from tests.inference.metadata.test_comfyui_nodes import LOADER, SETTINGS
from tests.inference.metadata.test_comfyui_reader import PARTS, READ, node, read


def with_sampler(kind: str, **inputs: Any) -> dict[str, Any]:
    return PARTS | {"sampler": node(kind, **PARTS["sampler"]["inputs"] | inputs)}


def left_out(graph: dict[str, Any]) -> list[str]:
    found = read(graph)
    assert found is not None
    return [what for _, what in found.extra]


@pytest.mark.parametrize(
    ("graph", "named"),
    [
        (with_sampler("KSamplerWithNAG", nag_scale=5), "KSamplerWithNAG"),
        (with_sampler("BNK_TiledKSampler", tile_width=512), "BNK_TiledKSampler"),
        (
            with_sampler("KSampler //Inspire", variation_seed=7, variation_strength=0.3),
            "variation_strength 0.3, variation_seed 7",
        ),
        (with_sampler("SwarmKSampler", var_seed=7, var_seed_strength=0.3), "var_seed_strength 0.3, var_seed 7"),
        (with_sampler("SwarmKSampler", var_seed_strength=0, sigma_max=2.5, sigma_min=-1), "sigma_max 2.5"),
        (with_sampler("SwarmKSampler", tile_sample=True), "tile_sample"),
        (
            with_sampler("KSampler (Efficient)", script=["script", 0])
            | {"script": node("HighRes-Fix Script", upscale_by=1.5, denoise=0.5)},
            "HighRes-Fix Script (denoise 0.5, upscale_by 1.5)",
        ),
    ],
)
def test_what_an_extensions_sampler_did_besides_is_named(graph: dict[str, Any], named: str) -> None:
    assert left_out(graph) == [named]
    assert left_out(with_sampler("KSampler //Inspire", variation_seed=7, variation_strength=0.0)) == []
    assert left_out(with_sampler("SwarmKSampler", var_seed_strength=0, sigma_min=-1.0, tile_sample=False)) == []


@pytest.mark.parametrize(
    ("inputs", "kind", "named"),
    [
        ({"seed": ["made", 0]}, "SimpleMath+", "seed (SimpleMath+)"),
        ({"steps": ["made", 0]}, "MathExpression|pysssss", "steps (MathExpression|pysssss)"),
        ({"cfg": ["made", 0]}, "Somebody's Number", "cfg (Somebody's Number)"),
        ({"steps": ["made", 0]}, "Power Puter (rgthree)", "steps (Power Puter (rgthree))"),
        ({"sampler_name": ["made", 0]}, "Somebody's Choice", "sampler_name (Somebody's Choice)"),
    ],
)
def test_a_setting_that_is_worked_out_is_named_and_never_a_wrong_one(
    inputs: dict[str, Any], kind: str, named: str
) -> None:
    made = node(kind, expression="a*2", a=["five", 0]) if "Math" in kind else node(kind, a=["five", 0])
    graph = with_sampler("KSampler", **inputs) | {"made": made, "five": node("Compute", x=5)}
    assert left_out(graph) == [named]
    found = read(graph | {"five": node("PrimitiveInt", value=5)} if "Math" in kind else graph)
    name = next(iter(inputs))
    assert found is not None
    assert getattr(found, {"cfg": "cfg_scale", "sampler_name": "sampler"}.get(name, name)) is None


def test_a_prompt_node_with_tags_and_optional_wires_is_read() -> None:
    prompt = node("Power Prompt (rgthree)", prompt="cat <lora:foo:0.7>", opt_model=["model", 0], opt_clip=["model", 1])
    graph = with_sampler("KSampler", model=["prompt", 1], positive=["prompt", 0]) | {"prompt": prompt}
    assert read(graph) == replace(READ, prompt="cat", loras=(("foo", 0.7),))


def test_the_prompt_of_the_whole_image_counts_before_those_of_its_parts() -> None:
    graph = with_sampler("KSampler", positive=["both", 0]) | {
        "both": node("ConditioningCombine", conditioning_1=["area", 0], conditioning_2=["positive", 0]),
        "area": node("ConditioningSetArea", conditioning=["left", 0], width=64),
        "left": node("CLIPTextEncode", text="left", clip=["model", 1]),
    }
    named = tuple((LEFT_OUT, what) for what in ("left", "ConditioningSetArea"))
    assert read(graph) == replace(READ, extra=named)
    alone = with_sampler("KSampler", positive=["area", 0]) | {name: graph[name] for name in ("area", "left")}
    assert read(alone) == replace(READ, prompt="left", extra=named[1:])


def test_texts_of_nodes_that_hold_nothing_else_are_read() -> None:
    loader = node("easy comfyLoader", **LOADER | {"positive": ["yes", 0], "negative": ["no", 0], "batch_size": 2})
    nodes = {
        "loader": loader,
        "yes": node("easy positive", positive="cat"),
        "no": node("easy negative", negative="bad"),
        "sampler": node("easy fullkSampler", pipe=["loader", 0], **SETTINGS),
        "save": node("SaveImage", images=["sampler", 1]),
    }
    found = read(nodes)
    assert found is not None and (found.prompt, found.negative_prompt) == ("cat", "bad")
    assert left_out(nodes) == ["batch_size 2"]


def test_another_way_to_weigh_prompts_in_a_loader_is_named() -> None:
    for setting, value in (("positive_weight_interpretation", "A1111"), ("clip_skip", -2)):
        loader = node("easy fullLoader", **LOADER | {setting: value})
        nodes = {"loader": loader, "sampler": node("easy fullkSampler", pipe=["loader", 0], **SETTINGS)}
        assert left_out(nodes) == [f"easy fullLoader ({setting} {value})"]


def test_what_leads_to_an_unknown_text_is_not_named_besides() -> None:
    encoder = node("CLIPTextEncode", text=["tags", 0], clip=["model", 1])
    tagger = node("WD14Tagger|pysssss", image=["picture", 0], model="x")
    graph = PARTS | {"positive": encoder, "tags": tagger, "picture": node("LoadImage", image="a.png")}
    assert left_out(graph) == ["WD14Tagger|pysssss"]


def test_a_sampler_that_does_not_say_how_it_walks_is_named() -> None:
    inputs = {name: value for name, value in PARTS["sampler"]["inputs"].items() if name != "sampler_name"}
    graph = PARTS | {"sampler": node("AnimaFlowCorrectiveSampler", **inputs)}
    assert read(graph) == replace(READ, sampler=None, extra=((LEFT_OUT, "AnimaFlowCorrectiveSampler"),))


def test_a_queue_of_prompts_is_named() -> None:
    encoder = node("CLIPTextEncode", text=["queue", 0], clip=["model", 1])
    graph = PARTS | {"positive": encoder, "queue": node("AnimaPromptQueue", prompts="a\n\nb")}
    assert left_out(graph) == ["AnimaPromptQueue"]


@pytest.mark.parametrize(
    "settings",
    [
        node("Input Parameters (Image Saver)", seed=5, steps=9, cfg=3.0, sampler="euler", scheduler="simple"),
        node("KSampler Config (rgthree)", steps_total=9, cfg=3.0, sampler_name="euler", scheduler="simple"),
    ],
)
def test_settings_in_a_node_of_their_own_are_read(settings: dict[str, Any]) -> None:
    wired = ("steps", "cfg", "sampler_name", "scheduler")
    graph = with_sampler("KSampler", **{name: ["held", i] for i, name in enumerate(wired)}) | {"held": settings}
    assert read(graph) == replace(READ, steps=9, cfg_scale=3.0, sampler="euler", scheduler="simple")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (node("CLIPSetLastLayer", clip=["model", 1], stop_at_clip_layer=-2), ["CLIPSetLastLayer (-2)"]),
        (node("CLIPSetLastLayer", clip=["model", 1], stop_at_clip_layer=-1), []),
        (node("SetClipHooks", clip=["model", 1], hooks=["hook", 0]), ["SetClipHooks"]),
        (node("Reroute", clip=["model", 1]), []),
        (node("easy pipeOut", clip=["model", 1]), []),
    ],
)
def test_what_changes_the_text_encoder_is_named(changed: dict[str, Any], named: list[str]) -> None:
    hook = node("CreateHookLora", lora_name="a.safetensors", strength_model=1, strength_clip=1)
    encoder = node("CLIPTextEncode", text="1girl", clip=["changed", 0])
    assert left_out(PARTS | {"positive": encoder, "changed": changed, "hook": hook}) == named


def test_a_loader_that_chooses_among_loras_is_named() -> None:
    files = {"lora_1_name": "a.safetensors", "lora_2_name": "b.safetensors"}
    chooser = node("easy loraSwitcher", model=["model", 0], toggle=True, select=2, lora_strength=0.6, **files)
    assert left_out(with_sampler("KSampler", model=["chooser", 0]) | {"chooser": chooser}) == ["easy loraSwitcher"]


def test_the_other_text_of_an_encoder_of_two_is_named() -> None:
    encoder = node("CLIPTextEncodeSDXL", text_g="1girl", text_l="cat", clip=["model", 1])
    assert left_out(PARTS | {"positive": encoder}) == ["cat"]
    encoder["inputs"]["text_l"] = "1girl"
    assert read(PARTS | {"positive": encoder}) == READ


def test_comments_in_a_node_of_lines_are_no_text() -> None:
    encoder = node("CLIPTextEncode", text=["lines", 0], clip=["model", 1])
    lines = node("Text Multiline", text="# what it is\n1girl\n  #hat")
    assert read(PARTS | {"positive": encoder, "lines": lines}) == READ


def test_loras_of_the_graph_complete_a_text_that_names_none() -> None:
    graph = with_sampler("KSampler", model=["lora", 0]) | {
        "lora": node("LoraLoaderModelOnly", lora_name="sub/a.safetensors", strength_model=0.7, model=["model", 0]),
    }
    line = 'Steps: 9, Sampler: Euler, Seed: 1, Lora hashes: "a: 0123", Version: ComfyUI'
    found = file(png({"parameters": f"cat\n{line}", "prompt": json.dumps(graph)}))
    assert found is not None
    assert (found.prompt, found.steps, found.loras, found.extra) == ("cat", 9, (("sub/a.safetensors", 0.7),), ())
    found = file(png({"parameters": f"cat <lora:b:1>\n{line}", "prompt": json.dumps(graph)}))
    assert found is not None and found.loras == (("b", 1.0),)


def test_a_random_number_is_no_seed() -> None:
    made = node("Random Number", number_type="integer", minimum=0, maximum=100, seed=5)
    graph = with_sampler("KSampler", seed=["made", 1]) | {"made": made}
    found = read(graph)
    assert found is not None and found.seed is None
    assert left_out(graph) == ["seed (Random Number)"]


def custom_sampler(**nodes: dict[str, Any]) -> dict[str, Any]:
    sampler = node(
        "SamplerCustom", add_noise=True, noise_seed=42, cfg=7.5, sampler=["choice", 0], sigmas=["sigmas", 0],
        **{name: PARTS["sampler"]["inputs"][name] for name in ("model", "positive", "negative", "latent_image")},
    )  # fmt: skip
    return PARTS | {
        "sampler": sampler,
        "choice": node("KSamplerSelect", sampler_name="euler_ancestral"),
        "sigmas": node("BasicScheduler", model=["model", 0], scheduler="karras", steps=20, denoise=1.0),
        **nodes,
    }


@pytest.mark.parametrize("kind", ["DetailDaemonSamplerNode", "LyingSigmaSampler"])
def test_what_wraps_a_sampler_is_named_beside_it(kind: str) -> None:
    assert read(custom_sampler()) == READ
    inner = node("KSamplerSelect", sampler_name="euler_ancestral")
    graph = custom_sampler(choice=node(kind, sampler=["inner", 0], detail_amount=0.1, steps=3), inner=inner)
    found = read(graph)
    assert found == replace(READ, extra=((LEFT_OUT, kind),))


def test_settings_are_taken_from_a_container_of_settings_by_their_kind() -> None:
    settings = node("KSampler Config (rgthree)", **SETTINGS_OF_A_NODE)
    context = node(
        "Context Big (rgthree)", seed=["seed", 0], steps=["settings", 0], cfg=["settings", 2], sampler=["settings", 3],
        scheduler=["settings", 4],
    )  # fmt: skip
    wired = {"seed": 7, "steps": 8, "cfg": 10, "sampler_name": 13, "scheduler": 14}
    graph = with_sampler("KSampler", **{name: ["context", slot] for name, slot in wired.items()})
    seed = node("Seed (rgthree)", seed=42)
    assert read(graph | {"context": context, "settings": settings, "seed": seed}) == READ


SETTINGS_OF_A_NODE = {"steps_total": 20, "cfg": 7.5, "sampler_name": "euler_ancestral", "scheduler": "karras"}


@pytest.mark.parametrize(
    ("latent", "size"),
    [
        (node("EmptyLatentImagePresets", dimensions="512 x 768", invert=False), (512, 768)),
        (node("EmptyLatentImagePresets", dimensions="512 x 768", invert=True), (768, 512)),
        (node("SDXL Empty Latent Image (rgthree)", dimensions=" 512 x 768  (portrait)"), (512, 768)),
        (node("EmptyLatentOfSomebody", aspect_ratio="SDXL - 2:3 portrait 512x768", width=1, height=1), (512, 768)),
        (node("EmptyLatentOfSomebody", resolution="width x height (custom)", width=512, height=768), (512, 768)),
    ],
)
def test_the_words_for_a_preset_tell_the_size(latent: dict[str, Any], size: tuple[int, int]) -> None:
    found = read(PARTS | {"latent": latent})
    assert found is not None and (found.width, found.height) == size


def test_what_a_node_shows_of_an_earlier_image_is_not_its_text() -> None:
    shown = node("easy showAnything", anything=["text", 0], text="an earlier one")
    graph = {"positive": node("CLIPTextEncode", text=["shown", 0], clip=["model", 1]), "shown": shown}
    assert read(PARTS | graph | {"text": node("PrimitiveString", value="1girl")}) == READ


def test_sliders_and_literals_hold_numbers() -> None:
    steps = node("mxSlider", Xi=20, Xf=1.0, isfloatX=0)
    size = node("mxSlider2D", Xi=512, Xf=1.0, Yi=1, Yf=768.0, isfloatX=0, isfloatY=1)
    latent = node("EmptyLatentImage", width=["size", 0], height=["size", 1], batch_size=1)
    graph = with_sampler("KSampler", steps=["steps", 0], cfg=["cfg", 0]) | {"latent": latent}
    assert read(graph | {"steps": steps, "size": size, "cfg": node("Float", Number="7.5")}) == READ


def test_outputs_of_a_node_that_holds_several_texts_are_told_apart() -> None:
    texts = node("Text String", text="no", text_b="1girl", text_c="", text_d="")
    assert (
        read(PARTS | {"positive": node("CLIPTextEncode", text=["texts", 1], clip=["model", 1]), "texts": texts}) == READ
    )


def test_conditionings_may_have_short_names() -> None:
    pipe = node("CR Module Pipe Loader", model=["model", 0], pos=["positive", 0], neg=["negative", 0])
    graph = with_sampler("KSampler", positive=["out", 2], negative=["out", 3])
    found = read(graph | {"pipe": pipe, "out": node("CR Module Input", pipe=["pipe", 0])})
    assert found is not None and (found.prompt, found.negative_prompt) == ("1girl", "bad")


def test_loras_of_an_input_for_tags_alone_are_read() -> None:
    loader = node("ttN pipeLoader_v2", loras="<lora:ink:0.5>", **LOADER | {"lora_name": "None"})
    found = read(with_sampler("KSampler", model=["loader", 0]) | {"loader": loader})
    assert found is not None and found.loras == (("ink", 0.5),)


def test_an_encoder_that_translates_its_text_is_named() -> None:
    graph = {"positive": node("DeepTranslatorCLIPTextEncodeNode", text="un gato", clip=["model", 1])}
    found = read(PARTS | graph)
    assert found is not None and found.prompt == ""
    assert left_out(PARTS | graph) == ["DeepTranslatorCLIPTextEncodeNode"]


def test_a_switch_of_conditionings_whose_choice_is_worked_out_is_named() -> None:
    choice = node("Bool Binary Operation", op="AND", a=True, b=False)
    switch = node("Switch any [Crystools]", boolean=["choice", 0], on_true=["positive", 0], on_false=["negative", 0])
    graph = with_sampler("KSampler", positive=["switch", 0]) | {"choice": choice, "switch": switch}
    assert left_out(graph) == ["Switch any [Crystools]"]
