"""Reads what programs other than ComfyUI and NovelAI write as JSON: SwarmUI, Fooocus, InvokeAI, Draw Things.

Each reader gets an untrusted object and says None where it is not its program's.
"""

import html
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from inference.metadata.names import our_sampler, our_sampler_and_scheduler, our_scheduler
from inference.metadata.parameters import Parameters, as_integer, as_number, as_text, json_object

Object = dict[str, Any]

#: InvokeAI's names that differ by more than the suffix `_k`, which means the schedule "karras".
_INVOKEAI_SAMPLERS = {
    "kdpm_2": "dpm_2",
    "kdpm_2_a": "dpm_2_ancestral",
    "unipc": "uni_pc",
    "dpmpp_2s": "dpmpp_2s_ancestral",
}
_SIZE = re.compile(r"\(?\s*(\d{1,6})\s*[x,]\s*(\d{1,6})\s*\)?")
_XMP_COMMENT = re.compile(r"<exif:UserComment>(.*?)</exif:UserComment>", re.DOTALL)
_TAGS = re.compile(r"<[^<>]*>")


def read(text: Mapping[str, str]) -> Parameters | None:
    """What the texts of a file say as JSON, whichever program wrote them; None if it is none of those known here."""
    for found in _objects(text):
        for reader in _READERS:
            if parameters := reader(found):
                return parameters
    return None


def swarmui(found: Object) -> Parameters | None:
    values = found.get("sui_image_params")
    if not isinstance(values, dict):
        return None
    sampler, scheduler = as_text(values.get("sampler")), as_text(values.get("scheduler"))
    creativity = as_number(values.get("initimagecreativity"))
    shift = as_number(values.get("sigmashift"))
    return Parameters(
        prompt=as_text(values.get("prompt")) or "",
        negative_prompt=as_text(values.get("negativeprompt")) or "",
        width=as_integer(values.get("width")),
        height=as_integer(values.get("height")),
        steps=as_integer(values.get("steps")),
        cfg_scale=as_number(values.get("cfgscale")),
        sampler=our_sampler(sampler) if sampler else None,
        scheduler=our_scheduler(scheduler) if scheduler else None,
        seed=as_integer(values.get("seed")),
        denoise=_denoise(creativity),
        loras=tuple(_named_weights(values.get("loras"), values.get("loraweights"))),
        model=as_text(values.get("model")),
        vae=as_text(values.get("vae")),
        variation_seed=as_integer(values.get("variationseed")),
        variation_strength=as_number(values.get("variationseedstrength")),
        software="SwarmUI",
        extra=() if shift is None else (("Shift", f"{shift:g}"),),
    )


def fooocus(found: Object) -> Parameters | None:
    values = {name.casefold().replace(" ", "_"): value for name, value in found.items()}
    if "guidance_scale" not in values or not ({"base_model", "performance", "adm_guidance"} & values.keys()):
        return None
    size = _SIZE.fullmatch((as_text(values.get("resolution")) or "").strip())
    sampler, scheduler = as_text(values.get("sampler")), as_text(values.get("scheduler"))
    return Parameters(
        prompt=as_text(values.get("prompt")) or "",
        negative_prompt=as_text(values.get("negative_prompt")) or "",
        width=int(size[1]) if size else None,
        height=int(size[2]) if size else None,
        steps=as_integer(values.get("steps")),
        cfg_scale=as_number(values.get("guidance_scale")),
        sampler=our_sampler(sampler) if sampler else None,
        scheduler=our_scheduler(scheduler) if scheduler else None,
        seed=as_integer(values.get("seed")),
        loras=tuple(_pairs(values.get("loras"))),
        model=as_text(values.get("base_model")),
        software=as_text(values.get("version")) or "Fooocus",
    )


def invokeai(found: Object) -> Parameters | None:
    if "positive_prompt" not in found or not ({"app_version", "generation_mode", "rand_device"} & found.keys()):
        return None
    name = as_text(found.get("scheduler")) or ""
    sampler = name.removesuffix("_k")
    mode = as_text(found.get("generation_mode")) or ""
    from_image = "img2img" in mode or "inpaint" in mode or "outpaint" in mode
    model = found.get("model")
    return Parameters(
        prompt=as_text(found.get("positive_prompt")) or "",
        negative_prompt=as_text(found.get("negative_prompt")) or "",
        width=as_integer(found.get("width")),
        height=as_integer(found.get("height")),
        steps=as_integer(found.get("steps")),
        cfg_scale=as_number(found.get("cfg_scale")),
        sampler=our_sampler(_INVOKEAI_SAMPLERS.get(sampler, sampler)) if sampler else None,
        scheduler="karras" if name.endswith("_k") else None,
        seed=as_integer(found.get("seed")),
        denoise=_denoise(as_number(found.get("strength"))) if from_image else 1.0,
        loras=tuple(_invokeai_loras(found.get("loras"))),
        model=_model_name(model),
        vae=_model_name(found.get("vae")),
        software=f"InvokeAI {as_text(found.get('app_version')) or ''}".strip(),
    )


def draw_things(found: Object) -> Parameters | None:
    if not {"c", "uc", "scale", "sampler"} <= found.keys():
        return None
    size = _SIZE.fullmatch(as_text(found.get("size")) or "")
    sampler, scheduler = our_sampler_and_scheduler(as_text(found.get("sampler")) or "")
    shift = as_number(found.get("shift"))
    rows = found.get("lora")
    loras = [(row.get("model"), row.get("weight")) for row in _rows(rows)]
    return Parameters(
        prompt=as_text(found.get("c")) or "",
        negative_prompt=as_text(found.get("uc")) or "",
        width=int(size[1]) if size else None,
        height=int(size[2]) if size else None,
        steps=as_integer(found.get("steps")),
        cfg_scale=as_number(found.get("scale")),
        sampler=sampler or None,
        scheduler=scheduler,
        seed=as_integer(found.get("seed")),
        denoise=_denoise(as_number(found.get("strength"))),
        loras=tuple(_pairs([list(pair) for pair in loras])),
        model=as_text(found.get("model")),
        software="Draw Things",
        extra=() if shift is None else (("Shift", f"{shift:g}"),),
    )


_READERS: tuple[Callable[[Object], Parameters | None], ...] = (swarmui, fooocus, invokeai, draw_things)


def _objects(text: Mapping[str, str]) -> Iterator[Object]:
    """The JSON objects where these programs put them."""
    for key in ("parameters", "invokeai_metadata", "sd-metadata", "fooocus_scheme", "Comment", "UserComment"):
        if found := json_object(text.get(key)):
            yield found
    if comment := _XMP_COMMENT.search(text.get("XML:com.adobe.xmp", "")):
        unescaped = html.unescape(_TAGS.sub("", comment[1])).strip()
        if found := json_object(unescaped):
            yield found


def _denoise(strength: float | None) -> float:
    return strength if strength is not None and 0 < strength < 1 else 1.0


def _named_weights(names: Any, weights: Any) -> Iterator[tuple[str, float]]:
    names, weights = (value if isinstance(value, list) else [] for value in (names, weights))
    for i, name in enumerate(names):
        weight = as_number(weights[i]) if i < len(weights) else 1.0
        if isinstance(name, str) and weight is not None:
            yield name, weight


def _pairs(rows: Any) -> Iterator[tuple[str, float]]:
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, list) and len(row) == 2 and isinstance(row[0], str):
            weight = as_number(row[1])
            if weight is not None:
                yield row[0], weight


def _rows(value: Any) -> Iterator[Object]:
    yield from (row for row in (value if isinstance(value, list) else []) if isinstance(row, dict))


def _invokeai_loras(rows: Any) -> Iterator[tuple[str, float]]:
    for row in _rows(rows):
        name, weight = _model_name(row.get("model") or row.get("lora")), as_number(row.get("weight"))
        if name and weight is not None:
            yield name, weight


def _model_name(value: Any) -> str | None:
    if isinstance(value, dict):
        return as_text(value.get("name")) or as_text(value.get("model_name"))
    return as_text(value)
