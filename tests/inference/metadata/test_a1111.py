"""The text of A1111, Forge and Civitai, written and read."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.metadata import Parameters, a1111
from inference.metadata.names import comfyui_sampler, our_sampler, our_scheduler, webui_sampler, webui_scheduler
from inference.request import SAMPLERS, SCHEDULERS
from tests.effort import bounded_effort
from tests.inference.metadata.examples import EXAMPLE


def test_the_text_is_the_one_that_web_uis_write() -> None:
    parameters = replace(
        EXAMPLE,
        loras=(("style/turbo.safetensors", 0.8), ("hat.safetensors", -1.0)),
        lora_hashes=(("turbo.safetensors", "aaaaaaaaaaaa"), ("hat.safetensors", "bbbbbbbbbbbb")),
        text_encoder="qwen_3_06b_base.safetensors",
        vae="qwen_image_vae.safetensors",
        variation_seed=9,
        variation_strength=0.25,
        denoise=0.5,
        extra=(("Note", "a, b"),),
    )
    assert a1111.write(parameters).split("\n") == [
        "masterpiece, 1girl, (chibi:2), re:zero, smile <lora:turbo:0.8> <lora:hat:-1>",
        "Negative prompt: worst quality, low quality",
        "Steps: 30, Sampler: Euler a, Schedule type: Simple, CFG scale: 4.5, Seed: 1234567890123, Size: 832x1216, "
        "Model hash: 0123456789, Model: anima-base-v1.0, Variation seed: 9, Variation seed strength: 0.25, "
        "Denoising strength: 0.5, Module 1: qwen_3_06b_base, Module 2: qwen_image_vae, "
        'Lora hashes: "turbo: aaaaaaaaaaaa, hat: bbbbbbbbbbbb", Version: Anima Bot 1.0, Note: "a, b"',
    ]


def test_a_text_of_the_web_ui_is_read() -> None:
    text = (
        "masterpiece, 1girl, <lora:hat:0.7>,\nsmile\n"
        "Negative prompt: lowres,\nbad anatomy\n"
        "Steps: 20, Sampler: DPM++ 2M SDE, Schedule type: Karras, CFG scale: 7, Seed: 42, "
        'Face restoration: "Code, Former", Size: 512x768, Model hash: abcdef1234, Model: any, '
        'Denoising strength: 0.4, Clip skip: 2, Lora hashes: "hat: 0123456789ab", TI hashes: "x: 1\\"2", '
        "Version: v1.10.1"
    )
    assert a1111.read(text) == Parameters(
        prompt="masterpiece, 1girl,,\nsmile",
        negative_prompt="lowres,\nbad anatomy",
        steps=20,
        sampler="dpmpp_2m_sde_gpu",
        scheduler="karras",
        cfg_scale=7.0,
        seed=42,
        width=512,
        height=768,
        model="any",
        model_hash="abcdef1234",
        denoise=0.4,
        loras=(("hat", 0.7),),
        lora_hashes=(("hat", "0123456789ab"),),
        software="v1.10.1",
        extra=(("Face restoration", "Code, Former"), ("Clip skip", "2"), ("TI hashes", 'x: 1"2')),
    )


def test_older_names_of_sampler_and_scheduler_are_split() -> None:
    parameters = a1111.read("a\nSteps: 20, Sampler: DPM++ 2M Karras, Seed: 1")
    assert parameters is not None and (parameters.sampler, parameters.scheduler) == ("dpmpp_2m", "karras")


def test_lines_after_the_settings_do_not_hide_them() -> None:
    parameters = a1111.read("a\nSteps: 20, Sampler: Euler, Seed: 1\nTemplate: {a|b}")
    assert parameters is not None and (parameters.prompt, parameters.seed) == ("a", 1)


def test_a_picture_without_a_prompt_is_read() -> None:
    parameters = a1111.read("\nSteps: 20, Sampler: Euler, Seed: 1")
    assert parameters is not None and (parameters.prompt, parameters.steps) == ("", 20)


@pytest.mark.parametrize("text", ["", "1girl, smile", "1girl\nNegative prompt: bad", "a: b, c: d", "1girl\n::::"])
def test_a_text_without_settings_gives_none(text: str) -> None:
    assert a1111.read(text) is None


def test_unknown_values_are_kept_and_unreadable_ones_left_out() -> None:
    parameters = a1111.read(
        "a\nSteps: many, Sampler: Restart, Seed: 1e9, Size: 5, CFG scale: nan, Denoising strength: x"
    )
    assert parameters == Parameters(prompt="a", sampler="Restart")


PLAIN = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="<>"), max_size=20)


@given(PLAIN, PLAIN, st.integers(0, 2**64 - 1), st.floats(0, 100), PLAIN.filter(bool))
def test_ordinary_prompts_and_any_values_come_back(
    prompt: str, negative_prompt: str, seed: int, cfg_scale: float, software: str
) -> None:
    parameters = replace(
        EXAMPLE, prompt=prompt, negative_prompt=negative_prompt, seed=seed, cfg_scale=cfg_scale, software=software
    )
    assert a1111.read(a1111.write(parameters)) == replace(parameters, model="anima-base-v1.0")


@given(st.text() | st.text(st.sampled_from('Steps: ,"\\\n<lora>ab1')))
def test_every_text_is_read_or_refused(text: str) -> None:
    a1111.read(text)
    a1111.read(f"{text}\nSteps: {text}, Sampler: {text}, {text}: 1, Size: {text}, Lora hashes: {text}")


@pytest.mark.parametrize(
    "line",
    [
        *("a" * 10**6, "a:" * 500_000, 'a:"' * 300_000, '"' * 10**6, ":" * 10**6, " " * 10**6, "a: b, " * 160_000),
        *("<lora:" * 160_000, "Steps:\n" * 140_000, 'a:"\\' * 250_000, "Negative prompt:\n" * 60_000),
        *('a:["b:[", ' * 100_000, "a:[[" * 250_000, "a: [" + "1, " * 300_000, 'a:[{"b":[{' * 90_000),
    ],
    ids=lambda line: line[:6],
)
def test_a_megabyte_is_read_at_once(line: str) -> None:
    with bounded_effort(200):
        a1111.read(line)
        a1111.read(f"{line}\nSteps: 1, Sampler: Euler, Seed: 1, {line}")


@pytest.mark.parametrize("ours", SAMPLERS)
def test_every_sampler_has_a_name_in_both_programs_and_is_known_by_it(ours: str) -> None:
    assert our_sampler(webui_sampler(ours)) == our_sampler(comfyui_sampler(ours)) == ours
    assert webui_sampler(ours) != ours


@pytest.mark.parametrize("ours", SCHEDULERS)
def test_every_scheduler_has_a_name_and_is_known_by_it(ours: str) -> None:
    assert our_scheduler(webui_scheduler(ours)) == our_scheduler(ours) == ours
    assert webui_scheduler(ours) != ours


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("Euler a", "euler_a"),
        ("ER SDE", "er_sde"),
        ("DPM++ 2M SDE", "dpmpp_2m_sde_gpu"),
        ("euler_ancestral", "euler_a"),
        ("k_euler_ancestral", "euler_a"),
        ("dpmpp_2m_sde", "dpmpp_2m_sde"),
        ("SA-Solver-PECE", "sa_solver_pece"),
        ("DPM++ 2S Ancestral", "dpmpp_2s_ancestral"),
        ("Euler Ancestral CFG++", "euler_ancestral_cfg_pp"),
        ("Res Multistep a", "res_multistep_ancestral"),
        ("DPM++ 3M SDE GPU", "dpmpp_3m_sde_gpu"),
        ("Heun++", "heunpp2"),
        ("never heard of", "never heard of"),
    ],
)
def test_samplers_are_known_by_the_names_of_other_programs(name: str, ours: str) -> None:
    assert our_sampler(name) == ours


SDNEXT = """1girl, smile <lora:style:0.8>
Negative prompt: bad
Steps: 20, Size: 832x1216, Sampler: DPM2++ 2M FlowMatch, Seed: 12345, CFG scale: 4.5, App: SD.Next, Version: 0c7038e, \
Pipeline: AnimaPipeline, TE: qwen_3_06b_base, UNet: anima-base-v1.0, Operations: txt2img; hires, Model: anima, \
Variation seed: 7, Variation strength: 0.25, Hires upscaler: Latent, Hires scale: 2.0, Hires strength: 0.3, \
Embeddings: easynegative, Sampler sigma: karras, Sampler shift: 5"""


def test_a_text_of_sdnext_is_read() -> None:
    found = a1111.read(SDNEXT)
    assert found is not None
    assert found == Parameters(
        prompt="1girl, smile",
        negative_prompt="bad",
        width=832,
        height=1216,
        steps=20,
        cfg_scale=4.5,
        sampler="dpmpp_2m",
        scheduler="karras",
        seed=12345,
        loras=(("style", 0.8),),
        model="anima-base-v1.0",
        text_encoder="qwen_3_06b_base",
        variation_seed=7,
        variation_strength=0.25,
        software="SD.Next 0c7038e",
        extra=found.extra,
    )
    assert found.shift == 5.0
    assert {"Hires upscale": "2.0", "Hires denoising strength": "0.3", "Embeddings": "easynegative"}.items() <= dict(
        found.extra
    ).items()


def test_sdnexts_image_to_image_has_its_strength() -> None:
    text = "1girl\nNegative prompt: \nSteps: 20, Size: 64x64, Sampler: Euler FlowMatch, Seed: 1, CFG scale: 1.0, "
    found = a1111.read(text + "App: SD.Next, Version: 1, Operations: img2img, Denoising strength: 0.4")
    assert found is not None
    assert (found.denoise, found.sampler, found.negative_prompt) == (0.4, "euler", "")
    assert ("Left out", "img2img") not in found.extra
    found = a1111.read(text + "App: SD.Next, Version: 1, Operations: img2img; inpaint, Denoising strength: 0.4")
    assert found is not None and ("Left out", "inpaint") in found.extra


@pytest.mark.parametrize(
    ("name", "sampler", "scheduler"),
    [
        ("DPM++ 2M SDE SGM Uniform", "dpmpp_2m_sde_gpu", "sgm_uniform"),
        ("er_sde_simple", "er_sde", "simple"),
        ("res_multistep_sgm_uniform", "res_multistep", "sgm_uniform"),
        ("Euler a Karras", "euler_a", "karras"),
        ("dpmpp_2m_sde", "dpmpp_2m_sde", None),
        ("Somebody Karras", "Somebody Karras", None),
    ],
)
def test_a_sampler_and_a_scheduler_in_one_name_are_taken_apart(name: str, sampler: str, scheduler: str | None) -> None:
    found = a1111.read(f"cat\nSteps: 20, Sampler: {name}, Seed: 1")
    assert found is not None and (found.sampler, found.scheduler) == (sampler, scheduler)


def test_values_in_json_are_whole_and_hide_nothing_that_follows() -> None:
    hashes = '{"model": "abc", "lora:foo": "def"}'
    found = a1111.read(f"cat\nSteps: 20, Seed: 1, Hashes: {hashes}, Broken: [1, 2, Version: ComfyUI")
    assert found is not None and (found.software, found.extra[0]) == ("ComfyUI", ("Hashes", hashes))


def test_loras_of_civitais_generator_and_of_additional_networks_are_read() -> None:
    resources = (
        '[{"type":"checkpoint","modelName":"Anima"},{"type":"lora","weight":0.8,"modelName":"Ink, Wash"},'
        '{"type":"lora","air":"urn:air:anima:lora:civitai:1@2"},{"type":"embed","modelName":"x"},7]'
    )
    found = a1111.read(
        f"cat\nSteps: 20, Sampler: Euler a, Seed: 1, Civitai resources: {resources}, Civitai metadata: {{}}"
    )
    assert found is not None and found.model == "Anima"
    assert found.loras == (("Ink, Wash", 0.8), ("urn:air:anima:lora:civitai:1@2", 1.0))
    networks = "AddNet Enabled: True, AddNet Module 1: LoRA, AddNet Model 1: ink(0123), AddNet Weight A 1: 0.8"
    found = a1111.read(f"cat\nSteps: 20, Sampler: Euler a, Seed: 1, {networks}, AddNet Weight B 1: 0.5")
    assert found is not None and found.loras == (("ink", 0.8),)


def test_the_shape_of_a_beta_schedule_is_read() -> None:
    settings = "Steps: 20, Schedule type: Beta, Seed: 1, Beta schedule alpha: "
    found = a1111.read(f"cat\n{settings}0.9, Beta schedule beta: 0.3")
    assert found is not None and (found.scheduler, found.beta) == (None, (0.9, 0.3))
    found = a1111.read(f"cat\n{settings}0.6, Beta schedule beta: 0.6")
    assert found is not None and (found.scheduler, found.beta) == ("beta", None)


def test_a_text_of_draw_things_is_read() -> None:
    found = a1111.read(
        "cat\n-bad,\nworse\nSteps: 30, Sampler: Euler A, Guidance Scale: 4.5, Seed: 5, Size: 832x1216, "
        "Model: anima.ckpt, Strength: 0.7, Seed Mode: Scale Alike, LoRA 1 Model: foo.ckpt, LoRA 1 Weight: 0.6"
    )
    assert found is not None
    assert (found.prompt, found.negative_prompt, found.cfg_scale) == ("cat", "bad,\nworse", 4.5)
    assert (found.denoise, found.loras, found.software) == (0.7, (("foo.ckpt", 0.6),), "Draw Things")


def test_tags_in_the_negative_prompt_are_named() -> None:
    found = a1111.read("cat\nNegative prompt: bad <lora:x:1>\nSteps: 20, Sampler: Euler, Seed: 1")
    assert found is not None and (found.negative_prompt, found.loras) == ("bad", ())
    assert found.extra == (("Left out", "<lora:x:1>"),)
