"""Every network and every whole picture agrees with the reference implementation."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from inference import Engine, GenerationRequest, Picture
from inference.networks.text_encoder import PromptTokenizer
from tests.golden import CASES, EXPECTED, FOLDER, NETWORK_TOLERANCE, PICTURE_TOLERANCE, REAL_TOKENS, relative_error


def numbered(kind: str) -> Any:
    return pytest.mark.parametrize("number", range(len(CASES[kind])))


def without_frame(name: str) -> torch.Tensor:
    return EXPECTED[name][:, :, 0]


@numbered("conditioning")
def test_tokens_are_the_references(engine: Engine, number: int) -> None:
    case = CASES["conditioning"][number]
    tokens = engine.text_encoder.tokenizer(case["prompt"])
    assert list(tokens.qwen_ids) == case["qwen_ids"]
    assert list(tokens.t5_ids) == case["t5_ids"]
    assert list(tokens.t5_weights) == case["t5_weights"]


@numbered("conditioning")
@torch.inference_mode()
def test_contexts_are_the_references_and_all_after_them_is_zero(engine: Engine, number: int) -> None:
    engine.use_loras(())
    context = engine.text_encoder.context(CASES["conditioning"][number]["prompt"], engine.transformer.llm_adapter)
    expected = EXPECTED[f"conditioning/{number}/context"][0]
    assert relative_error(context, expected[: len(context)]) < NETWORK_TOLERANCE
    assert not expected[len(context) :].any()


@numbered("velocity")
@torch.inference_mode()
def test_velocities_are_the_references_with_zero_rows_counted_instead_of_computed(engine: Engine, number: int) -> None:
    case = CASES["velocity"][number]
    engine.use_loras(())
    padded = EXPECTED[case["context"]][0]
    text = padded[: int(padded.any(dim=-1).sum())]
    for context in (padded, text):
        velocity = engine.transformer(
            without_frame(f"velocity/{number}/x"),
            torch.tensor([case["sigma"]]),
            engine.transformer.context([context] * case["batch"]),
        )
        assert relative_error(velocity, without_frame(f"velocity/{number}/v")) < NETWORK_TOLERANCE


@numbered("vae")
@torch.inference_mode()
def test_the_vae_decodes_and_encodes_as_the_reference(engine: Engine, number: int) -> None:
    decoded = engine.vae.decode(without_frame(f"vae/{number}/latent"))
    encoded = engine.vae.encode(without_frame(f"vae/{number}/picture"))
    assert relative_error(decoded, without_frame(f"vae/{number}/decoded")) < NETWORK_TOLERANCE
    assert relative_error(encoded, without_frame(f"vae/{number}/encoded")) < NETWORK_TOLERANCE


def draw(engine: Engine, case: dict[str, Any], **fields: Any) -> Picture:
    request = GenerationRequest(
        case["prompt"],
        case["negative"],
        width=case.get("width", 96),
        height=case.get("height", 64),
        steps=case["steps"],
        cfg_scale=case["cfg"],
        sampler=case["sampler"],
        scheduler=case["scheduler"],
        seed=case["seed"],
        loras=tuple((name, strength) for name, strength in case.get("loras", ())),
        denoise=case.get("denoise", 1.0),
    )
    return engine.generate([replace(request, **fields)])[0]


@numbered("images")
def test_whole_pictures_are_the_references(engine: Engine, number: int) -> None:
    picture = draw(engine, CASES["images"][number])
    assert relative_error(picture.latent, EXPECTED[f"images/{number}/latent"][0, :, 0]) < PICTURE_TOLERANCE
    levels = EXPECTED[f"images/{number}/decoded"][0, :, 0].add(1).div(2).clamp(0, 1).mul(255).to(torch.uint8)
    assert np.abs(np.array(picture.image, np.int16) - levels.permute(1, 2, 0).numpy()).max() <= 1


@numbered("images_lora")
def test_pictures_with_loras_are_the_references(engine: Engine, number: int) -> None:
    picture = draw(engine, CASES["images_lora"][number])
    assert relative_error(picture.latent, EXPECTED[f"images_lora/{number}/latent"][0, :, 0]) < PICTURE_TOLERANCE


@numbered("img2img_file")
def test_pictures_from_pictures_are_the_references(engine: Engine, number: int) -> None:
    case = CASES["img2img_file"][number]
    picture = draw(engine, case, image=Image.open(FOLDER / case["picture"]))
    assert relative_error(picture.latent, EXPECTED[f"img2img_file/{number}/latent"][0, :, 0]) < PICTURE_TOLERANCE


@numbered("lora")
@torch.inference_mode()
def test_every_dialect_of_a_lora_changes_adapter_and_transformer_as_the_reference(engine: Engine, number: int) -> None:
    case = CASES["lora"][number]
    expected_context = EXPECTED[f"lora/{number}/context"][0]
    for file in case["files"]:
        engine.use_loras([(file, case["strength"])])
        context = engine.text_encoder.context(case["prompt"], engine.transformer.llm_adapter)
        assert relative_error(context, expected_context[: len(context)]) < NETWORK_TOLERANCE
        velocity = engine.transformer(
            without_frame(case["x"]), torch.tensor([case["sigma"]]), engine.transformer.context([expected_context])
        )
        assert relative_error(velocity, without_frame(f"lora/{number}/v")) < NETWORK_TOLERANCE


@numbered("lokr")
@torch.inference_mode()
def test_a_lokr_changes_the_transformer_as_the_reference(engine: Engine, number: int) -> None:
    case = CASES["lokr"][number]
    engine.use_loras([(case["file"], case["strength"])])
    context = engine.transformer.context([EXPECTED[case["context"]][0]])
    velocity = engine.transformer(without_frame(case["x"]), torch.tensor([case["sigma"]]), context)
    assert relative_error(velocity, without_frame(f"lokr/{number}/v")) < NETWORK_TOLERANCE


@pytest.mark.parametrize("number", range(len(REAL_TOKENS)))
def test_the_real_tokenizers_give_the_references_tokens(number: int) -> None:
    folder = FOLDER.parent.parent.parent / "shared" / "tokenizers"
    if not folder.is_dir():
        pytest.skip("the real tokenizers are not in this repository; they are looked for in ../shared/tokenizers")
    case = REAL_TOKENS[number]
    tokens = PromptTokenizer(folder / "qwen", folder / "t5")(case["prompt"])
    assert list(tokens.qwen_ids) == case["qwen_ids"]
    assert list(tokens.t5_ids) == case["t5_ids"]
    assert list(tokens.t5_weights) == case["t5_weights"]
