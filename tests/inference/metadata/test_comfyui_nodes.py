"""Texts, switches and LoRAs of ComfyUI's nodes mean what those nodes make of them, or nothing."""

from dataclasses import replace
from typing import Any

import pytest

from inference.metadata import LEFT_OUT, Parameters
from tests.effort import bounded_effort
from tests.inference.metadata.test_comfyui_reader import PARTS, READ, node, read, sampler


def prompt_of(text: Any, **nodes: dict[str, Any]) -> str:
    found = read(PARTS | {"positive": node("CLIPTextEncode", text=text, clip=["model", 1])} | nodes)
    assert found is not None
    return found.prompt


@pytest.mark.parametrize(
    ("made_by", "prompt"),
    [
        (node("StringReplace", string="a cat", find="cat", replace="dog"), "a dog"),
        (node("CaseConverter", string="A Cat", mode="lowercase"), "a cat"),
        (node("CaseConverter", string="A Cat", mode="unheard of"), ""),
        (node("StringTrim", string="  cat ", mode="Both"), "cat"),
        (node("StringSubstring", string="a cat, a dog", start=2, end=5), "cat"),
        (node("RegexReplace", string="a cat", regex_pattern="c.t", replace="dog"), ""),
        (node("RegexExtract", string="a cat", regex_pattern="c.t"), ""),
        (node("PrimitiveStringMultiline", value="cat"), "cat"),
        (node("ImpactWildcardProcessor", wildcard_text="{a|b}", populated_text="b <lora:x:1>"), "b"),
        (node("DPRandomGenerator", text="{cat|dog} hat"), ""),
        (node("easy wildcards", text="__hair__ cat", seed=1), ""),
        (node("ImpactWildcardProcessor", wildcard_text="{a|b}", populated_text="a {literal}"), "a {literal}"),
        (node("CR Text Concatenate", text2="hat", separator=", ", text1=["cat", 0]), "cat, hat"),
        (node("easy promptConcat", prompt1=["cat", 0], prompt2="hat", separator=" "), "cat hat"),
        (node("StringConcatenate", delimiter=", ", string_b="hat", string_a=["cat", 0]), "cat, hat"),
        (node("JoinStringMulti", inputcount=2, delimiter="-", string_1=["cat", 0], string_2="hat"), "cat-hat"),
        (node("StringFunction|pysssss", action="append", tidy_tags="yes", text_a=["cat", 0], text_b="hat"), "cat, hat"),
        (node("StringFunction|pysssss", action="append", tidy_tags="no", text_a="cat", text_b="hat"), "cathat"),
        (node("StringFunction|pysssss", action="replace", text_a="a cat", text_b="cat", text_c="dog"), "a dog"),
        (node("StringFunction|pysssss", action="replace", text_a="a cat", text_b="/c.t/", text_c="dog"), ""),
        (node("Text Find and Replace", text=["cat", 0], find="cat", replace="dog"), "dog"),
        (node("Text Parse Noodle Soup Prompts", text="__hair__ cat", mode="Noodle Soup Prompts"), ""),
        (node("LoadPromptsFromDir //Inspire", prompt_dir="example"), ""),
        (node("Text Find and Replace", text=["cat", 0], find="c.t", replace="dog"), ""),
        (
            node("CR Text Replace", text="a cat, a hat", find1="cat", replace1="dog", find2="hat", replace2=""),
            "a dog, a ",
        ),
        (node("easy promptReplace", prompt="a cat", find1="cat", replace1="dog"), "a dog"),
        (node("Some Replace", text="a cat", pattern="cat"), ""),
        (node("OllamaGenerate", prompt="Describe a cat."), ""),
        (node("TextGenerate", prompt="Describe a cat.", clip=["model", 1], max_length=256), ""),
        (node("OpenAIChatNode", prompt="Describe a cat."), ""),
        (node("PromptEnhancer", text="a cat"), ""),
        (node("DanTagGen", prompt="a cat"), ""),
        (node("DPMagicPrompt", text="a cat"), ""),
        (node("Load Styles CSV", styles="anime"), ""),
        (node("DPRandomGenerator", text="cat hat"), "cat hat"),
    ],
)
def test_a_text_is_what_its_node_makes_of_it_and_never_a_wrong_one(made_by: dict[str, Any], prompt: str) -> None:
    assert prompt_of(["made", 0], made=made_by, cat=node("PrimitiveString", value="cat")) == prompt


@pytest.mark.parametrize("made_by", [node("Florence2Run", text_input=""), node("easy wildcards", text="{a|b}")])
def test_what_makes_a_text_that_is_not_known_is_named(made_by: dict[str, Any]) -> None:
    found = read(PARTS | {"positive": node("CLIPTextEncode", text=["made", 0], clip=["model", 1]), "made": made_by})
    assert found is not None and found.extra == ((LEFT_OUT, made_by["class_type"]),)


def test_a_text_that_would_grow_without_bounds_is_not_made() -> None:
    bomb = node("StringReplace", string="a" * 100_000, find="a", replace="b" * 100_000)
    assert prompt_of(["made", 0], made=bomb) == ""
    bomb = node("StringFunction|pysssss", action="replace", text_a="a" * 9_999, text_b="a", text_c="b" * 9_999)
    assert prompt_of(["made", 0], made=bomb) == ""


def test_joins_of_changed_texts_are_followed() -> None:
    joined = node("StringConcatenate", string_a=["upper", 0], string_b="hat", delimiter=", ")
    upper = node("CaseConverter", string=["cat", 0], mode="UPPERCASE")
    assert prompt_of(["upper", 0], upper=upper, cat=node("PrimitiveString", value="cat")) == "CAT"
    assert prompt_of(["joined", 0], joined=joined, upper=upper, cat=node("PrimitiveString", value="cat")) == "CAT, hat"


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("ComfySwitchNode", ("switch", "on_true", "on_false")),
        ("Switch any [Crystools]", ("boolean", "on_true", "on_false")),
        ("easy ifElse", ("boolean", "on_true", "on_false")),
        ("ImpactConditionalBranch", ("cond", "tt_value", "ff_value")),
        ("Text Input Switch", ("boolean", "text_a", "text_b")),
        ("If ANY execute A else B", ("ANY", "IF_TRUE", "IF_FALSE")),
    ],
)
@pytest.mark.parametrize(("value", "prompt"), [(True, "yes"), (False, "no"), ("true", "yes"), (["flag", 0], "yes")])
def test_a_condition_chooses_its_side(kind: str, names: tuple[str, str, str], value: Any, prompt: str) -> None:
    switch = node(kind, **{names[0]: value, names[1]: ["yes", 0], names[2]: ["no", 0]})
    texts = {text: node("PrimitiveString", value=text) for text in ("yes", "no")}
    assert prompt_of(["chosen", 0], chosen=switch, flag=node("PrimitiveBoolean", value=True), **texts) == prompt


@pytest.mark.parametrize(
    "switch",
    [
        node("CR Text Input Switch", Input=2, text1=["no", 0], text2=["yes", 0]),
        node("CR Text Input Switch", Input=1, text2="no", text1="yes"),
        node("easy textSwitch", input=2, text1=["no", 0], text2=["yes", 0]),
        node("easy anythingIndexSwitch", index=0, value1=["no", 0], value0=["yes", 0]),
        node("Any Switch (rgthree)", any_02=["no", 0], any_01=["yes", 0]),
        node("ComfySwitchNode", switch=False, on_true=["no", 0], on_false="yes"),
    ],
)
def test_a_number_or_the_first_that_is_wired_chooses(switch: dict[str, Any]) -> None:
    texts = {text: node("PrimitiveString", value=text) for text in ("yes", "no")}
    assert prompt_of(["chosen", 0], chosen=switch, **texts) == "yes"


@pytest.mark.parametrize(
    "switch",
    [
        node("Switch of Somebody", a=["no", 0], b=["no", 0]),
        node("ComfySwitchNode", switch=["compared", 0], on_true=["no", 0], on_false=["no", 0]),
    ],
)
def test_a_switch_whose_choice_is_worked_out_gives_nothing(switch: dict[str, Any]) -> None:
    nodes = {"no": node("PrimitiveString", value="no"), "compared": node("Compare", a=1, b=2, op="==")}
    assert prompt_of(["chosen", 0], chosen=switch, **nodes) == ""


def test_a_switched_model_is_the_one_that_is_passed_on() -> None:
    switch = node("Model Input Switch", boolean=False, model_a=["other", 0], model_b=["model", 0])
    assert with_model(changed=switch, other=node("UNETLoader", unet_name="other.safetensors")) == READ
    steps = node("ComfySwitchNode", switch=True, on_false=12, on_true=22)
    found = read(sampler(steps=["steps", 0]) | {"steps": steps})
    assert found is not None and found.steps == 22


def test_a_long_chain_of_changed_texts_ends() -> None:
    chain = {f"n{i}": node("StringTrim", string=[f"n{i + 1}", 0], mode="Both") for i in range(3000)}
    assert prompt_of(["n0", 0], **chain) == ""
    joins = {
        f"n{i}": node("StringConcatenate", string_a=[f"t{i}", 0], string_b=[f"t{i}", 0], delimiter="")
        for i in range(900)
    }
    trims = {f"t{i}": node("StringTrim", string=[f"n{i + 1}", 0], mode="Both") for i in range(900)}
    with bounded_effort(200):
        prompt_of(["n0", 0], **joins, **trims)


def with_model(**nodes: dict[str, Any]) -> Parameters | None:
    return read(sampler(model=["changed", 0]) | nodes)


@pytest.mark.parametrize(
    "loader",
    [
        node("ImpactWildcardEncode", model=["model", 0], populated_text="cat <lora:style:0.6:1>", wildcard_text="x"),
        node("LoraTagLoader", model=["model", 0], text="<lora:style:0.6:1>"),
    ],
)
def test_loras_by_tags_in_a_nodes_text_are_read(loader: dict[str, Any]) -> None:
    """The first strength is the diffusion model's, other than in A1111's tags."""
    assert with_model(changed=loader) == replace(READ, loras=(("style", 0.6),))
    for name, text in loader["inputs"].items():
        if isinstance(text, str):
            loader["inputs"][name] = text.replace(":1>", ":1:LBW=ALL>")
    named = ((LEFT_OUT, "LBW=ALL (LoRA style)"),)
    assert with_model(changed=loader) == replace(READ, loras=(("style", 0.6),), extra=named)


STACK = {"lora_name_1": "a.safetensors", "lora_wt_1": 0.7, "model_str_1": 0.4, "clip_str_1": 1, "lora_count": 1}
EASY = {"lora_1_name": "a.safetensors", "lora_1_strength": 0.7, "lora_1_model_strength": 0.4, "num_loras": 1}
ROWS = '[{"name": "a.safetensors", "enabled": true, "strength": 0.7}, {"name": "b", "enabled": false, "strength": 1}]'


@pytest.mark.parametrize(
    ("stack", "strength"),
    [
        (node("LoRA Stacker", input_mode="simple", **STACK), 0.7),
        (node("LoRA Stacker", input_mode="advanced", **STACK), 0.4),
        (node("easy loraStack", toggle=True, mode="simple", lora_2_name="b", lora_2_strength=1, **EASY), 0.7),
        (node("easy loraStack", toggle=True, mode="advanced", **EASY), 0.4),
        (node("easy loraStack", toggle=False, mode="simple", **EASY), None),
        (node("Lora stack", lora_1=True, lora_name_1="a.safetensors", model_weight_1=0.7), 0.7),
        (node("Lora stack", lora_1=False, lora_name_1="a.safetensors", model_weight_1=0.7), None),
        (node("Multi LoRA Stack", config=ROWS), 0.7),
    ],
)
def test_a_stack_says_by_its_mode_which_strengths_count(stack: dict[str, Any], strength: float | None) -> None:
    loader = node("CR Apply LoRA Stack", model=["model", 0], switch="On", lora_stack=["stack", 0])
    loras = () if strength is None else (("a.safetensors", strength),)
    assert with_model(changed=loader, stack=stack) == replace(READ, loras=loras)
    off = node("CR Apply LoRA Stack", model=["model", 0], switch="Off", lora_stack=["stack", 0])
    assert with_model(changed=off, stack=stack) == READ


def test_a_loader_that_is_off_loads_nothing_and_a_name_may_bring_its_preview() -> None:
    settings = {"lora_name": "a.safetensors", "strength_model": 0.7, "strength_clip": 1}
    assert with_model(changed=node("CR Load LoRA", model=["model", 0], switch="Off", **settings)) == READ
    named = settings | {"lora_name": {"content": "a.safetensors", "image": None}}
    loaded = replace(READ, loras=(("a.safetensors", 0.7),))
    assert with_model(changed=node("LoraLoader|pysssss", model=["model", 0], **named)) == loaded


@pytest.mark.parametrize(
    ("loader", "loras"),
    [
        (node("LoraLoaderBlockWeight //Inspire", lora_name="a", strength_model=0.7, block_vector="1,0"), (("a", 0.7),)),
        (node("Lora of Somebody", file="a.safetensors", power=0.7), ()),
    ],
)
def test_a_lora_that_cannot_be_repeated_is_named(loader: dict[str, Any], loras: tuple[tuple[str, float], ...]) -> None:
    loader["inputs"]["model"] = ["model", 0]
    named = ((LEFT_OUT, loader["class_type"]),)
    assert with_model(changed=loader) == replace(READ, loras=loras, extra=named)


def test_tags_that_comfyui_reads_as_text_stay() -> None:
    assert prompt_of("cat <lora:style:1>") == "cat <lora:style:1>"


@pytest.mark.parametrize("kind", ["TorchCompileModel", "PathchSageAttentionKJ", "Reroute"])
def test_nodes_that_only_speed_up_a_model_are_not_named(kind: str) -> None:
    assert with_model(changed=node(kind, model=["model", 0])) == READ


def test_nodes_that_change_a_model_otherwise_are_named() -> None:
    assert with_model(changed=node("RescaleCFG", model=["model", 0], multiplier=0.7)) == replace(
        READ, extra=((LEFT_OUT, "RescaleCFG"),)
    )


SETTINGS = {"steps": 20, "cfg": 4.0, "sampler_name": "er_sde", "scheduler": "simple", "seed": 5, "denoise": 1.0}
LOADER = {
    "ckpt_name": "m.safetensors",
    "lora_name": "a.safetensors",
    "lora_model_strength": 0.7,
    "positive": "cat",
    "negative": "bad",
    "empty_latent_width": 832,
    "empty_latent_height": 1216,
}


@pytest.mark.parametrize(
    "nodes",
    [
        {
            "loader": node("Efficient Loader", **LOADER),
            "sampler": node(
                "KSampler (Efficient)",
                **SETTINGS,
                **{name: ["loader", i] for i, name in enumerate(("model", "positive", "negative", "latent_image"))},
            ),
        },
        {
            "loader": node("Efficient Loader", **LOADER | {"positive": ["text", 0]}),
            "text": node("ttN text", text="cat"),
            "sampler": node(
                "KSampler (Efficient)",
                **SETTINGS,
                **{name: ["loader", i] for i, name in enumerate(("model", "positive", "negative", "latent_image"))},
            ),
        },
        {
            "loader": node("easy fullLoader", **LOADER | {"resolution": "832 x 1216", "empty_latent_width": 512}),
            "sampler": node("easy fullkSampler", pipe=["loader", 0], **SETTINGS),
        },
        {
            "loader": node("easy comfyLoader", **LOADER),
            "settings": node("easy preSampling", pipe=["loader", 0], **SETTINGS),
            "sampler": node("easy kSampler", pipe=["settings", 0], image_output="Save"),
        },
    ],
)
def test_loaders_that_hold_everything_and_wires_that_carry_it_are_read(nodes: dict[str, dict[str, Any]]) -> None:
    found = read(nodes | {"save": node("SaveImage", images=["sampler", 0])})
    assert found is not None
    assert (found.prompt, found.negative_prompt, found.width, found.height) == ("cat", "bad", 832, 1216)
    assert (found.steps, found.cfg_scale, found.sampler, found.scheduler) == (20, 4.0, "er_sde", "simple")
    assert (found.seed, found.model, found.loras) == (5, "m.safetensors", (("a.safetensors", 0.7),))
    assert found.extra == ()


def test_a_container_of_wires_is_no_sampler() -> None:
    wires = {"model": ["model", 0], "positive": ["positive", 0], "negative": ["negative", 0], "latent": ["latent", 0]}
    context = node("Context (rgthree)", **wires, seed=7)
    through = {"model": ["context", 1], "positive": ["context", 4], "negative": ["context", 5]}
    found = read(sampler(seed=["context", 7], latent_image=["context", 6], **through) | {"context": context})
    assert found == replace(READ, seed=7)


@pytest.mark.parametrize(
    "size",
    [
        node("CR SDXL Aspect Ratio", width=1024, height=1024, aspect_ratio="3:4 portrait"),
        node("CR Aspect Ratio", width=1024, height=1024, aspect_ratio="3:4 portrait 896x1152", prescale_factor=2),
        node("Size of Somebody", width=1024, height=1024, swap_dimensions="On"),
    ],
)
def test_a_size_that_is_worked_out_is_not_read(size: dict[str, Any]) -> None:
    latent = node("EmptyLatentImage", width=["size", 0], height=["size", 1], batch_size=1)
    found = read(PARTS | {"latent": latent, "size": size})
    assert found is not None and (found.width, found.height) == (None, None)  # the image's own is to be taken


CUSTOM = {"noise_seed": 5, "cfg": 4.0, "sampler": ["chosen", 0], "sigmas": ["schedule", 0]}


def custom(chosen: dict[str, Any], schedule: dict[str, Any]) -> Parameters:
    wires = {"model": ["model", 0], "positive": ["positive", 0], "negative": ["negative", 0]}
    nodes = {"sampler": node("SamplerCustom", latent_image=["latent", 0], **wires, **CUSTOM)}
    basic = node("BasicScheduler", scheduler="simple", steps=20, denoise=1.0)
    found = read(PARTS | nodes | {"chosen": chosen, "schedule": schedule, "basic": basic})
    assert found is not None
    return found


def test_samplers_and_schedules_without_a_name_here_are_called_by_their_nodes() -> None:
    euler, basic = node("KSamplerSelect", sampler_name="euler"), node("BasicScheduler", scheduler="simple", steps=20)
    assert custom(node("SamplerLCMUpscale", scale_ratio=1), basic).sampler == "SamplerLCMUpscale"
    assert custom(node("SamplerSASolver", eta=1.0, use_pece=True), basic).sampler == "sa_solver_pece"
    assert custom(node("SamplerSASolver", eta=1.0, use_pece=False), basic).sampler == "sa_solver"
    found = custom(euler, node("KarrasScheduler", steps=20, sigma_max=14.6, sigma_min=0.03, rho=7))
    assert (found.scheduler, found.steps) == ("KarrasScheduler", 20)
    found = custom(euler, node("ExtendIntermediateSigmas", sigmas=["basic", 0], steps=2))
    assert (found.scheduler, found.steps, found.extra) == ("simple", 20, ((LEFT_OUT, "ExtendIntermediateSigmas"),))


def test_of_several_shifts_the_nearest_to_the_sampler_counts() -> None:
    first, second = (
        node("ModelSamplingAuraFlow", model=[name, 0], shift=value) for name, value in (("b", 5), ("model", 7))
    )
    assert with_model(changed=first, b=second) == replace(READ, extra=(("Shift", "5"),))
    first = node("ModelSamplingSD3", model=["b", 0], shift=3.0)
    assert with_model(changed=first, b=second) == READ


def test_a_patch_with_a_file_of_its_own_is_no_model() -> None:
    patch = node("LLLiteLoader", model=["model", 0], model_name="lines.safetensors", strength=1.0)
    assert with_model(changed=patch) == replace(READ, extra=((LEFT_OUT, "LLLiteLoader"),))


def test_a_guider_of_two_prompts_gives_the_first_and_is_named() -> None:
    guider = node(
        "DualCFGGuider", model=["model", 0], cond1=["positive", 0], cond2=["negative", 0], negative=["negative", 0],
        cfg_conds=4.0, cfg_cond2_negative=3.0,
    )  # fmt: skip
    nodes = {
        "sampler": node(
            "SamplerCustomAdvanced", noise=["noise", 0], guider=["guider", 0], sampler=["chosen", 0],
            sigmas=["schedule", 0], latent_image=["latent", 0],
        ),
        "noise": node("RandomNoise", noise_seed=5),
        "chosen": node("KSamplerSelect", sampler_name="euler"),
        "schedule": node("BasicScheduler", scheduler="simple", steps=20, denoise=1.0),
    }  # fmt: skip
    found = read(PARTS | nodes | {"guider": guider})
    assert found is not None and (found.prompt, found.cfg_scale) == ("1girl", 4.0)
    assert found.extra == ((LEFT_OUT, "DualCFGGuider"),)


@pytest.mark.parametrize(
    ("encoder", "named"),
    [
        (node("CLIPTextEncodeLumina2", user_prompt="cat", system_prompt="x"), "CLIPTextEncodeLumina2"),
        (
            node("BNK_CLIPTextEncodeAdvanced", text="1girl", weight_interpretation="A1111"),
            "BNK_CLIPTextEncodeAdvanced (weight_interpretation A1111)",
        ),
    ],
)
def test_an_encoder_that_takes_a_prompt_otherwise_is_named(encoder: dict[str, Any], named: str) -> None:
    encoder["inputs"]["clip"] = ["model", 1]
    found = read(PARTS | {"positive": encoder})
    assert found is not None and found.extra == ((LEFT_OUT, named),)


LINE = node("Text Random Line", text="red\nblue", seed=5)


@pytest.mark.parametrize(
    ("made_by", "prompt", "unknown"),
    [
        (node("Text Concatenate", linebreak_addition="false", text_a=["cat", 0], text_b=", hat"), "cat, hat", []),
        (node("Text Concatenate", linebreak_addition="true", text_a=["cat", 0], text_b="hat"), "cat\nhat", []),
        (node("JWStringConcat", b="hat", a=["cat", 0]), "cathat", []),
        (
            node("Text Concatenate", delimiter=", ", text_a=["cat", 0], text_b=["line", 0]),
            "cat, ",
            ["Text Random Line"],
        ),
        (
            node("Text Find and Replace Input", text=["cat", 0], find="a", replace=["line", 0]),
            "",
            ["Text Random Line", "Text Find and Replace Input"],
        ),
        (node("Text Find and Replace Input", text=["cat", 0], find="a", replace=["o", 0]), "cot", []),
        (node("Load Text File", file_path="x.txt"), "", ["Load Text File"]),
    ],
)
def test_texts_are_joined_without_a_delimiter_and_what_is_not_known_of_them_is_named(
    made_by: dict[str, Any], prompt: str, unknown: list[str]
) -> None:
    texts = {text: node("PrimitiveString", value=text) for text in ("cat", "o")}
    encoder = node("CLIPTextEncode", text=["made", 0], clip=["model", 1])
    found = read(PARTS | {"positive": encoder, "made": made_by, "line": LINE} | texts)
    assert found is not None and found.prompt == prompt
    assert [what for _, what in found.extra] == unknown


def test_trigger_words_are_in_front_of_the_text() -> None:
    words = {"__value__": [{"text": "ink", "active": True}, {"text": "no", "active": False}, {"text": "wash"}]}
    words["__value__"][2]["active"] = True
    encoder = node("Prompt (LoraManager)", text="cat", clip=["model", 1], trigger_words1=["toggle", 0])
    toggle = node("TriggerWord Toggle (LoraManager)", group_mode=True, toggle_trigger_words=words)
    assert read(PARTS | {"positive": encoder, "toggle": toggle}) == replace(READ, prompt="ink, wash, cat")


def test_a_prompt_combined_with_an_empty_one_is_read() -> None:
    graph = PARTS | {
        "sampler": node("KSampler", **PARTS["sampler"]["inputs"] | {"positive": ["both", 0]}),
        "both": node("ConditioningCombine", conditioning_1=["zero", 0], conditioning_2=["positive", 0]),
        "zero": node("ConditioningZeroOut", conditioning=["negative", 0]),
    }
    assert read(graph) == replace(READ, extra=((LEFT_OUT, "ConditioningZeroOut"),))


@pytest.mark.parametrize(
    ("stack", "loras", "named"),
    [
        (node("Lora Cycler (LoraManager)", cycler_config={"current_index": 1}), (), True),
        (node("CR Random LoRA Stack", lora_name_1="a.safetensors", model_weight_1=0.7, switch_1="On"), (), True),
        (
            node(
                "Lora Randomizer (LoraManager)",
                randomizer_config={"roll_mode": "fixed"},
                loras={"__value__": [{"name": "a", "strength": 0.7, "active": True}]},
            ),
            (("a", 0.7),),
            False,
        ),
        (node("Stack of Somebody", first="a.safetensors", power=0.7), (), True),
        (node("LoRA Stacker", lora_count=1, lora_name_1="None", lora_wt_1=1.0), (), False),
    ],
)
def test_a_stack_whose_loras_are_not_known_is_named(
    stack: dict[str, Any], loras: tuple[tuple[str, float], ...], named: bool
) -> None:
    loader = node("CR Apply LoRA Stack", model=["model", 0], switch="On", lora_stack=["stack", 0])
    extra = ((LEFT_OUT, stack["class_type"]),) if named else ()
    assert with_model(changed=loader, stack=stack) == replace(READ, loras=loras, extra=extra)
