"""NovelAI's JSON."""

import json

from inference.metadata import Parameters, read
from tests.inference.metadata.examples import png, with_user_comment

COMMENT = {
    "prompt": "1girl, {smile}",
    "uc": "lowres",
    "steps": 28,
    "scale": 5.5,
    "seed": 3141592653,
    "width": 832,
    "height": 1216,
    "sampler": "k_euler_ancestral",
    "noise_schedule": "karras",
    "request_type": "PromptGenerateRequest",
}
PARAMETERS = Parameters(
    prompt="1girl, {smile}",
    negative_prompt="lowres",
    steps=28,
    cfg_scale=5.5,
    seed=3141592653,
    width=832,
    height=1216,
    sampler="euler_a",
    scheduler="karras",
    model="NovelAI Diffusion V4",
    software="NovelAI",
)


def picture(comment: object) -> bytes:
    return png(
        {
            "Title": "NovelAI generated image",
            "Description": "1girl",
            "Software": "NovelAI",
            "Source": "NovelAI Diffusion V4",
            "Comment": json.dumps(comment),
        }
    )


def test_a_picture_of_novelai_is_read() -> None:
    assert read(picture(COMMENT)) == PARAMETERS


def test_prompts_since_v4_have_a_part_for_each_character() -> None:
    v4_prompt = {"caption": {"base_caption": "2girls", "char_captions": [{"char_caption": "red hair"}, {}, None]}}
    v4_negative = {"caption": {"base_caption": "bad", "char_captions": None}}
    parameters = read(picture(COMMENT | {"v4_prompt": v4_prompt, "v4_negative_prompt": v4_negative}))
    assert parameters is not None
    assert (parameters.prompt, parameters.negative_prompt) == ("2girls, red hair", "bad")


def test_strength_counts_only_from_picture_to_picture() -> None:
    for request_type, denoise in [("Img2ImgRequest", 0.6), ("PromptGenerateRequest", 1.0)]:
        parameters = read(picture(COMMENT | {"strength": 0.6, "request_type": request_type}))
        assert parameters is not None and parameters.denoise == denoise


def test_a_webp_has_the_texts_in_its_user_comment() -> None:
    texts = {"Comment": json.dumps(COMMENT), "Software": "NovelAI", "Source": "NovelAI Diffusion V4"}
    for comment in (texts, COMMENT):
        parameters = read(with_user_comment("WEBP", b"ASCII\0\0\0" + json.dumps(comment).encode()))
        assert parameters is not None
        assert (parameters.prompt, parameters.seed, parameters.sampler) == ("1girl, {smile}", 3141592653, "euler_a")


def test_wrong_types_are_left_out() -> None:
    hostile = {name: [] for name in COMMENT} | {"uc": {}, "v4_prompt": 1, "v4_negative_prompt": {"caption": []}}
    assert read(picture(hostile)) == Parameters(
        prompt="1girl", width=8, height=8, model="NovelAI Diffusion V4", software="NovelAI"
    )


def test_another_programs_comment_is_not_taken_for_novelais() -> None:
    assert read(png({"Comment": json.dumps({"camera": "box"})})) is None


def test_a_description_alone_is_the_prompt_and_a_redrawn_part_is_named() -> None:
    found = read(png({"Software": "NovelAI", "Description": "cat"}))
    assert found is not None and (found.prompt, found.software) == ("cat", "NovelAI")
    comment = {"prompt": "cat", "uc": "", "request_type": "NativeInfillingRequest", "strength": 0.6}
    found = read(png({"Software": "NovelAI", "Comment": json.dumps(comment)}))
    assert found is not None and (found.denoise, found.extra) == (0.6, (("Left out", "mask"),))
