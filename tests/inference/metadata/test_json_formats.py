"""What programs write as JSON is read in all its forms, and what changed the image besides is named."""

import json

import pytest

from inference.metadata import LEFT_OUT, Parameters
from tests.inference.metadata.test_other_programs import read_texts


def swarmui(**values: object) -> Parameters:
    return read_texts(parameters=json.dumps({"sui_image_params": {"prompt": "cat", "model": "anima"} | values}))


def test_parts_of_a_swarmui_prompt_that_are_drawn_later_are_left_out_of_it() -> None:
    found = swarmui(prompt="cat, <embed:good> smile <segment:face,0.6,0.5> detailed face <object:0,0,1,1> hat")
    assert found.prompt == "cat,  smile"
    assert found.extra == (
        (LEFT_OUT, "<embed:good>"),
        (LEFT_OUT, "<segment:face,0.6,0.5> detailed face <object:0,0,1,1> hat"),
    )
    assert swarmui(prompt="cat <lora:style:0.8>, a < b > c").prompt == "cat , a < b > c"


def test_settings_of_swarmui_that_are_none_here_are_named() -> None:
    found = swarmui(refinerupscale=1.5, refinercontrolpercentage="0.2", controlnetmodel="", sigmashift=5, batchsize=1)
    assert found.extra == (("Shift", "5"), (LEFT_OUT, "refinerupscale 1.5"), (LEFT_OUT, "refinercontrolpercentage 0.2"))


@pytest.mark.parametrize("loras", [["a", "b"], "a,b"])
@pytest.mark.parametrize("weights", [["0.5", "1"], [0.5, 1], "0.5,1"])
def test_loras_of_swarmui_are_read_as_lists_and_as_texts(loras: object, weights: object) -> None:
    assert swarmui(loras=loras, loraweights=weights).loras == (("a", 0.5), ("b", 1.0))


def test_strength_and_variation_of_swarmui_are_read() -> None:
    found = swarmui(initimagecreativity=0.4, variationseed=9, variationseedstrength="0.3", scheduler="beta")
    assert (found.denoise, found.variation_seed, found.variation_strength) == (0.4, 9, 0.3)


FOOOCUS = {
    "prompt": "cat",
    "negative_prompt": "bad",
    "guidance_scale": 4.0,
    "resolution": "(832, 1216)",
    "steps": 30,
    "seed": "12",
    "sampler": "dpmpp_2m_sde_gpu",
    "scheduler": "karras",
    "base_model": "anima",
    "performance": "Speed",
    "version": "Fooocus v2.5.0",
}


@pytest.mark.parametrize(
    "loras",
    [
        {"loras": [["style", 0.5, "abcdef"]]},
        {"loras": [["style", 0.5]]},
        {"lora_combined_1": "style : 0.5", "lora_combined_2": "None : 1.0"},
        {"LoRA 1": "style : 0.5"},
    ],
)
def test_the_json_scheme_of_fooocus_is_read(loras: dict[str, object]) -> None:
    found = read_texts(parameters=json.dumps(FOOOCUS | loras), fooocus_scheme="fooocus")
    assert (found.prompt, found.width, found.height, found.seed, found.cfg_scale) == ("cat", 832, 1216, 12, 4.0)
    assert (found.sampler, found.scheduler, found.loras) == ("dpmpp_2m_sde_gpu", "karras", (("style", 0.5),))


def test_the_text_scheme_of_fooocus_is_read() -> None:
    text = (
        "cat\nNegative prompt: bad\nSteps: 30, Sampler: DPM++ 2M SDE, Scheduler: karras, Seed: 12, Size: 832x1216, "
        'CFG scale: 4, Sharpness: 2, Model: anima, Lora hashes: "style: abcdef, ink: 012345", '
        'Lora weights: "style: 0.5, ink: -1", Version: Fooocus v2.5.0'
    )
    found = read_texts(parameters=text, fooocus_scheme="a1111")
    assert (found.sampler, found.scheduler, found.software) == ("dpmpp_2m_sde_gpu", "karras", "Fooocus v2.5.0")
    assert (found.loras, found.lora_hashes) == (
        (("style", 0.5), ("ink", -1.0)),
        (("style", "abcdef"), ("ink", "012345")),
    )


def test_other_changes_by_invokeai_and_novelai_are_named() -> None:
    values = {
        "positive_prompt": "cat",
        "app_version": "6",
        "controlnets": [{"x": 1}],
        "hrf_enabled": False,
        "loras": [],
    }
    assert read_texts(invokeai_metadata=json.dumps(values)).extra == ((LEFT_OUT, "controlnets"),)
    comment = {"prompt": "cat", "uc": "", "cfg_rescale": 0.2, "sm": False, "reference_strength_multiple": [0.6]}
    assert read_texts(Comment=json.dumps(comment), Software="NovelAI").extra == (
        (LEFT_OUT, "cfg_rescale 0.2"),
        (LEFT_OUT, "reference_strength_multiple [0.6]"),
    )


def test_invokeais_files_before_version_3_are_read() -> None:
    image = {"prompt": [{"prompt": "cat [bad]", "weight": 1}], "steps": 50, "seed": 5, "sampler": "k_euler_a"}
    found = read_texts(**{"sd-metadata": json.dumps({"app_version": "2.3", "image": image})})
    assert (found.prompt, found.negative_prompt, found.seed, found.sampler) == ("cat", "bad", 5, "euler_a")
    image["prompt"] = "cat"
    assert read_texts(**{"sd-metadata": json.dumps({"image": image})}).prompt == "cat"


def test_a_relative_of_fooocus_is_read() -> None:
    values = {"Prompt": "cat", "Negative": "bad", "cfg": 4, "seed": 5, "sampler_name": "euler", "scheduler": "simple"}
    loras = {"loras": [["0.5 - ink.safetensors", "abc"], ["odd", "x"], 7]}
    found = read_texts(parameters=json.dumps(values | loras | {"software": "RuinedFooocus"}))
    assert (found.prompt, found.negative_prompt, found.cfg_scale) == ("cat", "bad", 4.0)
    assert found.loras == (("ink.safetensors", 0.5),)


def test_styles_that_changed_fooocus_prompt_are_named_and_a_size_may_be_a_pair() -> None:
    found = read_texts(parameters=json.dumps(FOOOCUS | {"resolution": [832, 1216], "styles": "['Fooocus V2']"}))
    assert (found.width, found.height, found.extra) == (832, 1216, ((LEFT_OUT, "styles ['Fooocus V2']"),))
    assert read_texts(parameters=json.dumps(FOOOCUS | {"styles": "[]"})).extra == ()


def test_swarmuis_word_for_no_vae_is_no_name() -> None:
    assert swarmui(vae="None").vae is None and swarmui(vae="anime.sft").vae == "anime.sft"


def test_shift_of_invokeai_is_read() -> None:
    assert (
        read_texts(invokeai_metadata=json.dumps({"positive_prompt": "cat", "app_version": "6", "shift": 5})).shift == 5
    )
