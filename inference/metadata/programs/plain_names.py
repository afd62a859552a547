"""Reads programs that store values under plain names: Easy Diffusion, Hugging Face spaces, TensorArt, Mochi and others.

Values are untrusted; those of a wrong type are left out.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from inference.metadata.json_formats import Object, values
from inference.metadata.names import our_sampler_and_scheduler
from inference.metadata.parameters import Parameters, as_number, as_text, json_object, left_out_extra
from inference.metadata.programs.captions import CAPTION, labelled

_SIZE = re.compile(r"\(?(\d{1,5})\s*[x,\u00d7]\s*(\d{1,5})\)?")


@dataclass(frozen=True)
class _Format:
    """One program's names.

    key: the key of the text that holds the object; None if each value is a text of its own.
    required: names that distinguish the program from others.
    fields: the program's name for each field of `Parameters`; `size` is both sides in one.
    loras: the names of LoRAs' names and of their strengths.
    left_out: names of settings that changed the image but have no field here.
    """

    software: str
    key: str | None
    required: tuple[str, ...]
    fields: Mapping[str, str]
    loras: tuple[str, str] = ("", "")
    left_out: tuple[str, ...] = ()


def _fields(names: str) -> dict[str, str]:
    order = ("prompt", "negative_prompt", "width", "height", "seed", "steps", "cfg_scale", "sampler", "model", "size")
    return {field: name for field, name in zip(order, names.split("|"), strict=True) if name}


_DIFFUSERS = "prompt|negative_prompt|width|height|seed|num_inference_steps|guidance_scale"
_EASY = _fields(f"{_DIFFUSERS}|sampler_name|use_stable_diffusion_model|")
_EASY_SHOWN = _fields("Prompt|Negative Prompt|Width|Height|Seed|Steps|Guidance Scale|Sampler|Stable Diffusion model|")
_EASY_LORAS, _EASY_SHOWN_LORAS = ("use_lora_model", "lora_alpha"), ("LoRA model", "LoRA Strength")
_EASY_LEFT_OUT = ("use_controlnet_model", "use_hypernetwork_model", "use_upscale", "use_face_correction")
_EASY_SHOWN_LEFT_OUT = ("ControlNet model", "Hypernetwork model", "Use Upscaling", "Use Face Correction")
_SPACE = _fields(f"{_DIFFUSERS}|sampler|Model|resolution")
_MOCHI = _fields("Include in Image|Exclude from Image|||Seed|Steps|Guidance Scale|Scheduler|Model|Size")
_FORMATS = (
    *(
        _Format("Easy Diffusion", key, ("use_stable_diffusion_model",), _EASY, _EASY_LORAS, _EASY_LEFT_OUT)
        for key in ("parameters", "UserComment", None)
    ),
    _Format("Easy Diffusion", None, ("Stable Diffusion model",), _EASY_SHOWN, _EASY_SHOWN_LORAS, _EASY_SHOWN_LEFT_OUT),
    *(
        _Format("Hugging Face", key, ("num_inference_steps", "guidance_scale"), _SPACE, left_out=("use_upscaler",))
        for key in ("parameters", "UserComment")
    ),
    _Format(
        *("TensorArt", "generation_data", ("prompt", "cfgScale")),
        _fields("prompt|negativePrompt|width|height|seed|steps|cfgScale|samplerName||"),
    ),
    _Format(
        *("Stability Matrix", "parameters-json", ("PositivePrompt",)),
        _fields("PositivePrompt|NegativePrompt|Width|Height|Seed|Steps|CfgScale|Sampler|ModelName|"),
    ),
    _Format("Mochi Diffusion", CAPTION, ("Include in Image",), _MOCHI, left_out=("Upscaler", "Starting Image")),
)


def read(text: Mapping[str, str]) -> Parameters | None:
    """Reads the texts of a file; None if no program known here wrote them."""
    for form in _FORMATS:
        found = _found(text, form)
        if all(name in found for name in form.required):
            return _parameters(found, form)
    return None


def _found(text: Mapping[str, str], form: _Format) -> Object:
    if form.key is None:
        return dict(text)
    if form.key == CAPTION:
        return labelled(text.get(CAPTION, ""))
    return json_object(text.get(form.key, "").rstrip("\0")) or {}


def _parameters(found: Object, form: _Format) -> Parameters:
    names = dict(form.fields)
    size = _SIZE.fullmatch((as_text(found.get(names.pop("size", ""))) or "").strip())
    sampler, scheduler = our_sampler_and_scheduler(as_text(found.get(names.pop("sampler", ""))) or "")
    known = values(found, **names)
    if size is not None:
        known |= {"width": int(size[1]), "height": int(size[2])}
    models = list(_tensorart_models(found))
    return Parameters(
        **{"model": next((name for kind, name, _ in models if kind == "BASE_MODEL"), None), **known},
        sampler=sampler or None,
        scheduler=scheduler,
        loras=tuple([(name, weight) for kind, name, weight in models if kind == "LORA"] or _loras(found, *form.loras)),
        software=form.software,
        extra=left_out_extra(
            f"{name} {found[name] if isinstance(found[name], str | int | float) else ''}".strip()[:100]
            for name in form.left_out
            if found.get(name) not in (None, False, "", "None", "False", "none")
        ),
    )


def _loras(found: Object, names: str, weights: str) -> Iterator[tuple[str, float]]:
    """One LoRA, or lists of LoRAs, which may be given as texts."""
    pairs = zip(_listed(found.get(names)), _listed(found.get(weights)), strict=False)
    for name, weight in pairs:
        number = as_number(weight)
        if isinstance(name, str) and name not in ("", "None") and number is not None:
            yield name, number


def _listed(value: Any) -> list[Any]:
    if isinstance(value, str) and value.startswith("["):
        return [each.strip(" '\"") for each in value.strip("[]").split(",")]
    return value if isinstance(value, list) else [value]


def _tensorart_models(found: Object) -> Iterator[tuple[str, str, float]]:
    """Kind, name and weight of each model."""
    rows = found.get("models")
    base = found.get("baseModel")
    rows = [*(rows if isinstance(rows, list) else []), {"type": "BASE_MODEL", **base} if isinstance(base, dict) else {}]
    for row in rows:
        if isinstance(row, dict):
            name = next(filter(None, (as_text(row.get(key)) for key in ("label", "modelFileName"))), None)
            weight = as_number(row.get("weight"))
            if name is not None:
                yield as_text(row.get("type")) or "", name, 1.0 if weight is None else weight
