"""Reads the JSON that NovelAI puts into an image's `Comment`."""

from collections.abc import Iterator, Mapping
from typing import Any

from inference.metadata.json_formats import values
from inference.metadata.names import our_sampler, our_scheduler
from inference.metadata.parameters import Parameters, as_number, as_text, json_object, left_out_extra

_REDRAWN = "NativeInfillingRequest"
_FROM_IMAGE = ("Img2ImgRequest", _REDRAWN)
#: Settings that change the image and do not exist here.
_LEFT_OUT = (
    *("cfg_rescale", "sm", "sm_dyn", "dynamic_thresholding", "skip_cfg_above_sigma"),
    *("reference_strength_multiple", "reference_strength", "director_reference_strengths", "controlnet_model"),
)


def read(text: Mapping[str, str]) -> Parameters | None:
    """Reads NovelAI's text chunks; None if they are not NovelAI's. Keeps its prompt markup (`{}`, `1.2::…::`)."""
    comment = json_object(text.get("Comment"))
    if comment is None and text.get("Software") == "NovelAI" and text.get("Description"):
        comment = {}
    if comment is None or not ({"uc", "v4_prompt"} & comment.keys() or text.get("Software") == "NovelAI"):
        return None
    sampler, scheduler = as_text(comment.get("sampler")), as_text(comment.get("noise_schedule"))
    denoise = as_number(comment.get("strength"))
    return Parameters(
        prompt=_caption(comment.get("v4_prompt")) or as_text(comment.get("prompt")) or text.get("Description", ""),
        negative_prompt=_caption(comment.get("v4_negative_prompt")) or as_text(comment.get("uc")) or "",
        **values(comment, width="width", height="height", steps="steps", cfg_scale="scale", seed="seed"),
        sampler=our_sampler(sampler) if sampler else None,
        scheduler=our_scheduler(scheduler) if scheduler else None,
        denoise=denoise if comment.get("request_type") in _FROM_IMAGE and denoise else 1.0,
        model=text.get("Source"),
        software=text.get("Software"),
        extra=left_out_extra(
            (
                *(f"{name} {comment[name]}"[:100] for name in _LEFT_OUT if comment.get(name)),
                *(("mask",) if comment.get("request_type") == _REDRAWN else ()),
                *_otherwise(comment),
            )
        ),
    )


def _otherwise(comment: Mapping[str, Any]) -> Iterator[str]:
    """Settings that change the image only with certain values."""
    noise, scale = as_number(comment.get("noise")), as_number(comment.get("uncond_scale"))
    if noise and comment.get("request_type") in _FROM_IMAGE:
        yield f"noise {noise:g}"
    if scale and scale != 1:
        yield f"uncond_scale {scale:g}"
    prompt = comment.get("v4_prompt")
    if isinstance(prompt, dict) and prompt.get("use_coords") is True and _captions(prompt.get("caption")):
        yield "use_coords"


def _captions(caption: Any) -> bool:
    """Whether there are prompts of characters."""
    return isinstance(caption, dict) and bool(caption.get("char_captions"))


def _caption(prompt: Any) -> str:
    """Since V4, a prompt consists of a base caption and one for each character; this joins them."""
    caption = prompt.get("caption") if isinstance(prompt, dict) else None
    if not isinstance(caption, dict):
        return ""
    parts = [caption.get("base_caption")]
    characters = caption.get("char_captions")
    if isinstance(characters, list):
        parts += [character.get("char_caption") for character in characters if isinstance(character, dict)]
    return ", ".join(part for part in parts if isinstance(part, str) and part)
