"""Reads the JSON of programs other than ComfyUI and NovelAI: SwarmUI, Fooocus, InvokeAI, Draw Things.

Each reader gets an untrusted object and returns None if it is not its program's. `extra` names what changed the image
but has no field of its own.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from inference.metadata import a1111
from inference.metadata.names import our_sampler, our_scheduler
from inference.metadata.parameters import (
    SHIFT,
    Pairs,
    Parameters,
    as_integer,
    as_number,
    as_text,
    json_object,
    left_out_extra,
)
from inference.metadata.programs import draw_things as draw_things_names
from inference.metadata.programs import dream, invokeai_graph

Object = dict[str, Any]

_STRENGTH_FIRST = re.compile(r"(-?\d{1,3}(?:\.\d{1,6})?) - (.+)", re.DOTALL)
_SIZE = re.compile(r"\(?\s*(\d{1,6})\s*[x,]\s*(\d{1,6})\s*\)?")

# Each program's names of settings that changed the image but have no field here.
_SWARMUI_LEFT_OUT = (
    *(
        "refiner",
        "controlnet",
        "ipadapter",
        "stylemodel",
        "freeu",
        "seamless",
        "mask",
        "regional",
        "sigmam",
        "useinpaint",
    ),
    *(
        "zeronegative",
        "teacache",
        "easycache",
        "nunchakucache",
        "dynamicthreshold",
        "rescalecfg",
        "renormcfg",
        "usecfg",
    ),
    *(
        "usetcfg",
        "normalizedattention",
        "selfattention",
        "perturbedattention",
        "endsteps",
        "unsampler",
        "negativemodel",
    ),
    *("conditioningmultiplier", "negativeconditioning", "usereferenceonly", "promptimages", "initimagereset"),
    *("initimagenoise", "removebackground", "comfyuicustomworkflow", "pixeldecoder", "overrideprediction"),
    *("samplersigma", "samplerrho", "shiftedlatent", "seedvr"),
)
_FOOOCUS_LEFT_OUT = ("refiner_model", "freeu", "inpaint_engine_version", "styles", "prompt_expansion")
_INVOKEAI_LEFT_OUT = (
    *("refiner_model", "controlnets", "ipAdapters", "t2iAdapters", "ref_images", "regions", "hrf_enabled", "seamless_"),
    *("control_layers", "seed_variance", "z_image_seed_variance", "cfg_rescale_multiplier", "positive_style_prompt"),
    *("negative_style_prompt", "upscale_model", "upscale_initial_image", "tile_controlnet"),
)
#: Layers of InvokeAI's canvas that change an image.
_INVOKEAI_LAYERS = ("controlLayers", "regionalGuidance", "inpaintMasks", "referenceImages")
_DRAW_THINGS_LEFT_OUT = (
    *("control", "upscaler", "refiner", "hires_fix", "face_restoration", "tiled_diffusion", "tea_cache", "cfg_zero"),
    *("resolution_dependent_shift", "zero_negative_prompt", "stochastic_sampling_gamma"),
)
#: The same settings in the object `v2`, where newer versions store all settings.
_DRAW_THINGS_V2_LEFT_OUT = (
    "controls",
    "refinerModel",
    "hiresFix",
    "faceRestoration",
    "tiledDiffusion",
    "teaCache",
    "cfgZeroStar",
)
#: The start of a part of a SwarmUI prompt that is drawn later, or only in a part of the image.
_SWARMUI_PART = re.compile(r"<(?:segment|object|region|clear|extend|refiner|video|videoswap)\b[^<>]*>", re.IGNORECASE)
#: Tags that mean nothing for the image, or that mean the whole image.
_SWARMUI_NOTHING = re.compile(r"<(?:comment:[^<>]*|//[^<>]*|base)>", re.IGNORECASE)
_SWARMUI_TAG = re.compile(r"<[a-z]\w*(?:\[[^\[\]<>]*\])?(?::[^<>]*)?>", re.IGNORECASE)


def read(text: Mapping[str, str]) -> Parameters | None:
    """Reads JSON by any known program in a file's texts, or InvokeAI's older command; None if there is neither."""
    for found in _objects(text):
        for reader in _READERS:
            if parameters := reader(found):
                return parameters
    wired = invokeai_graph.metadata(text.get("invokeai_graph"))
    return dream.read(text) or (None if wired is None else invokeai(wired))


def values(found: Object, **keys: str) -> Object:
    """Reads fields of `Parameters` that all programs have. keys: the object's key for each field's name."""
    return {name: _CONVERSIONS[name](found.get(key)) for name, key in keys.items()}


def swarmui(found: Object) -> Parameters | None:
    inner = found.get("sui_image_params")
    if not isinstance(inner, dict):
        return None
    prompts = values(inner, prompt="prompt", negative_prompt="negativeprompt")
    prompt, parts = _swarmui_prompt(prompts["prompt"])
    negative_prompt, negative_parts = _swarmui_prompt(prompts["negative_prompt"])
    return Parameters(
        prompt=prompt,
        negative_prompt=negative_prompt,
        **values(inner, width="width", height="height", steps="steps", cfg_scale="cfgscale", seed="seed"),
        **values(inner, model="model"),
        vae=_some(inner.get("vae")),
        text_encoder=_some(inner.get("qwenmodel")),
        # The second names are from when these settings belonged to an extension.
        sampler=_named(our_sampler, inner.get("sampler") or inner.get("comfyuisampler")),
        scheduler=_named(our_scheduler, inner.get("scheduler") or inner.get("comfyuischeduler")),
        denoise=_denoise(as_number(inner.get("initimagecreativity"))),
        loras=tuple(_swarmui_loras(inner, prompts["prompt"])),
        variation_seed=as_integer(inner.get("variationseed")),
        variation_strength=as_number(inner.get("variationseedstrength")),
        software="SwarmUI",
        extra=(
            *_shift(inner.get("sigmashift")),
            *left_out_extra((*parts, *negative_parts)),
            *_left_out(inner, _SWARMUI_LEFT_OUT),
            *_confined(inner.get("lorasectionconfinement")),
            *_batch(inner.get("batchsize")),
        ),
    )


def fooocus(found: Object) -> Parameters | None:
    inner = {name.casefold().replace(" ", "_"): value for name, value in found.items()}
    cfg = next((name for name in ("guidance_scale", "cfg") if name in inner), None)
    if cfg is None or not ({"base_model", "performance", "adm_guidance"} & inner.keys()):
        return None
    width, height = _sides(inner.get("resolution"))
    return Parameters(
        **values(inner, prompt="prompt", negative_prompt="negative_prompt", steps="steps", cfg_scale=cfg),
        **values(inner, seed="seed", model="base_model"),
        width=width or as_integer(inner.get("width")),
        height=height or as_integer(inner.get("height")),
        sampler=_named(our_sampler, inner.get("sampler")),
        scheduler=_named(our_scheduler, inner.get("scheduler")),
        loras=tuple(dict([*_pairs(inner.get("loras")), *_combined(inner), *_numbered(inner)]).items()),
        software=as_text(inner.get("version")) or as_text(inner.get("software")) or "Fooocus",
        extra=_left_out(inner, _FOOOCUS_LEFT_OUT),
    )


def invokeai(found: Object) -> Parameters | None:
    if "positive_prompt" not in found or not ({"app_version", "generation_mode", "rand_device"} & found.keys()):
        return None
    name = as_text(found.get("scheduler")) or ""
    sampler = name.removesuffix("_k")
    cfg = "cfg_scale" if found.get("cfg_scale") is not None else "guidance_scale"
    mode = as_text(found.get("generation_mode")) or ""
    from_image = "img2img" in mode or "inpaint" in mode or "outpaint" in mode
    return Parameters(
        **values(found, prompt="positive_prompt", negative_prompt="negative_prompt", width="width", height="height"),
        **values(found, steps="steps", cfg_scale=cfg, seed="seed", model="model", vae="vae"),
        sampler=our_sampler(dream.SAMPLERS.get(sampler, sampler)) if sampler else None,
        scheduler="karras" if name.endswith("_k") else None,
        denoise=_denoise(as_number(found.get("strength"))) if from_image else 1.0,
        loras=tuple(_invokeai_loras(found.get("loras"))),
        text_encoder=_model_name(found.get("qwen3_encoder")),
        software=f"InvokeAI {as_text(found.get('app_version')) or ''}".strip(),
        extra=(
            *_shift(found.get("shift")),
            *_left_out(found, _INVOKEAI_LEFT_OUT),
            *_left_out(_layers(found, mode), _INVOKEAI_LAYERS),
        ),
    )


def draw_things(found: Object) -> Parameters | None:
    if not {"c", "uc", "scale", "sampler"} <= found.keys():
        return None
    width, height = _sides(found.get("size"))
    sampler, scheduler = draw_things_names.sampler_and_scheduler(as_text(found.get("sampler")) or "")
    settings = _object(found.get("v2"))
    loras = [[row.get("model"), row.get("weight")] for row in _rows(found.get("lora"))]
    return Parameters(
        **values(found, prompt="c", negative_prompt="uc", steps="steps", cfg_scale="scale", seed="seed", model="model"),
        width=width,
        height=height,
        sampler=sampler or None,
        scheduler=scheduler,
        denoise=_denoise(as_number(found.get("strength"))),
        loras=tuple(_pairs(loras)),
        software="Draw Things",
        extra=(
            *_shift(found.get("shift", settings.get("shift"))),
            *(_left_out(found, _DRAW_THINGS_LEFT_OUT) or _left_out(settings, _DRAW_THINGS_V2_LEFT_OUT)),
        ),
    )


def old_invokeai(found: Object) -> Parameters | None:
    """InvokeAI's `sd-metadata` before version 3. The negative prompt is in square brackets inside the prompt."""
    image = found.get("image")
    if not isinstance(image, dict) or "prompt" not in image:
        return None
    prompts = image["prompt"]
    rows = [as_text(row.get("prompt")) or "" for row in _rows(prompts)]
    prompt, negative_prompt = dream.prompts(as_text(prompts) or ", ".join(filter(None, rows)))
    sampler = (as_text(image.get("sampler")) or "").removeprefix("k_")
    return Parameters(
        prompt=prompt,
        negative_prompt=negative_prompt,
        **values(image, width="width", height="height", steps="steps", cfg_scale="cfg_scale", seed="seed"),
        sampler=our_sampler(dream.SAMPLERS.get(sampler, sampler)) if sampler else None,
        denoise=_denoise(as_number(image.get("strength"))) if image.get("type") == "img2img" else 1.0,
        model=as_text(found.get("model_weights")),
        software=f"InvokeAI {as_text(found.get('app_version')) or ''}".strip(),
        extra=_left_out(image, ("variations", "hires_fix", "seamless", "perlin", "threshold", "postprocessing")),
    )


def ruined_fooocus(found: Object) -> Parameters | None:
    if found.get("software") != "RuinedFooocus":
        return None
    rows = [as_text(row[0]) or "" for row in found.get("loras") or () if isinstance(row, list) and row]
    return Parameters(
        **values(found, prompt="Prompt", negative_prompt="Negative", width="width", height="height", steps="steps"),
        **values(found, cfg_scale="cfg", seed="seed", model="base_model_name"),
        sampler=_named(our_sampler, found.get("sampler_name")),
        scheduler=_named(our_scheduler, found.get("scheduler")),
        loras=tuple((match[2], float(match[1])) for row in rows if (match := _STRENGTH_FIRST.fullmatch(row))),
        software="RuinedFooocus",
    )


def civitai(text: Mapping[str, str]) -> Parameters | None:
    """Reads what Civitai's generator adds to its graphs, for graphs that cannot be read themselves."""
    graph = json_object(text.get("prompt")) or {}
    kept = text.get("extraMetadata") or graph.get("extraMetadata")
    found = kept if isinstance(kept, dict) else json_object(kept)
    if found is None or not as_text(found.get("prompt")):
        return None
    resources = (str(row.get("modelVersionId")) for row in _rows(found.get("resources")) if "modelVersionId" in row)
    return Parameters(
        **values(found, prompt="prompt", negative_prompt="negativePrompt", steps="steps", cfg_scale="cfgScale"),
        **values(found, seed="seed", width="width", height="height"),
        sampler=_named(our_sampler, found.get("sampler")),
        software="Civitai",
        # Models and LoRAs have only numbers there, so which is which is unknown.
        extra=left_out_extra(f"model version {number}" for number in resources),
    )


_READERS: tuple[Callable[[Object], Parameters | None], ...] = (
    *(swarmui, fooocus, ruined_fooocus),
    *(invokeai, old_invokeai, draw_things),
)


def _objects(text: Mapping[str, str]) -> Iterator[Object]:
    """The JSON objects under the keys that these programs use."""
    for key in ("parameters", "invokeai_metadata", "sd-metadata", "Comment", "UserComment", "comment"):
        if found := json_object(text.get(key)):
            yield found


def _named(ours: Callable[[str], str], name: Any) -> str | None:
    return ours(name) if isinstance(name, str) and name else None


def _denoise(strength: float | None) -> float:
    return strength if strength is not None and 0 < strength < 1 else 1.0


def _some(name: Any) -> str | None:
    return name if isinstance(name, str) and name not in ("", "None", "Automatic") else None


def _sides(value: Any) -> tuple[int | None, int | None]:
    """Width and height from a text or a pair."""
    if isinstance(value, list) and len(value) == 2:
        return as_integer(value[0]), as_integer(value[1])
    size = _SIZE.fullmatch((as_text(value) or "").strip())
    return (int(size[1]), int(size[2])) if size else (None, None)


def _shift(value: Any) -> Pairs:
    shift = as_number(value)
    return () if shift is None else ((SHIFT, f"{shift:g}"),)


def _left_out(found: Object, prefixes: tuple[str, ...]) -> Pairs:
    """Settings that changed the image but are no fields of `Parameters`, as `name value`."""
    return left_out_extra(
        f"{name} {value if isinstance(value, str | int | float) else ''}".strip()[:100]
        for name, value in found.items()
        if name.startswith(prefixes) and value not in (None, False, 0, "", [], {}, "None", "false", "[]")
    )


def _object(value: Any) -> Object:
    return value if isinstance(value, dict) else {}


def _layers(found: Object, mode: str) -> Object:
    """The canvas' active layers. A canvas has a mask even if nothing was redrawn, so masks count only for painting."""
    layers = _object(found.get("canvas_v2_metadata"))
    on = {
        kind: [row for row in _rows(rows) if row.get("isEnabled") is not False and row.get("is_enabled") is not False]
        for kind, rows in layers.items()
    }
    return on if "paint" in mode else {kind: rows for kind, rows in on.items() if kind != "inpaintMasks"}


def _batch(value: Any) -> Pairs:
    """Names a batch's size, because each image has only a slice of the noise from the batch's seed."""
    number = as_integer(value)
    return left_out_extra([f"batchsize {number}"]) if number is not None and number > 1 else ()


def _confined(value: Any) -> Pairs:
    """Names LoRAs that were used only in parts of an image."""
    where = value if isinstance(value, list) else (as_text(value) or "").split(",")
    confined = any(as_integer(each) not in (None, 0, -1) for each in where)
    return left_out_extra([f"lorasectionconfinement {', '.join(map(str, where))}"[:100]]) if confined else ()


def _swarmui_loras(found: Object, prompt: str) -> list[tuple[str, float]]:
    """The LoRAs from the settings, and those from tags that are still in the prompt."""
    loras = list(_named_weights(found.get("loras"), found.get("loraweights")))
    names = {name for name, _ in loras}
    whole = prompt[: part.start()] if (part := _SWARMUI_PART.search(prompt)) else prompt
    return [*loras, *(lora for lora in a1111.loras_of(whole, model_first=True)[0] if lora[0] not in names)]


def _swarmui_prompt(prompt: str) -> tuple[str, tuple[str, ...]]:
    """The prompt for the whole image, and the parts and tags left out of it, which mean something else."""
    prompt = _SWARMUI_NOTHING.sub("", prompt)
    part = _SWARMUI_PART.search(prompt)
    whole, later = (prompt, "") if part is None else (prompt[: part.start()], prompt[part.start() :])
    tags = [match[0] for match in _SWARMUI_TAG.finditer(whole) if not match[0].casefold().startswith("<lora")]
    return _SWARMUI_TAG.sub("", whole).strip(), tuple(each for each in (*tags, later.strip()) if each)


def _combined(found: Object) -> Iterator[tuple[str, float]]:
    """LoRAs in Fooocus' other forms: `lora_combined_1` or `LoRA 1` with the value `name : 0.5`."""
    for key, value in found.items():
        if re.fullmatch(r"lora_(?:combined_)?\d{1,2}", key) and isinstance(value, str):
            name, colon, weight = value.rpartition(" : ")
            number = as_number(weight)
            if colon and number is not None and name.strip() != "None":
                yield name.strip(), number


def _numbered(found: Object) -> Iterator[tuple[str, float]]:
    """LoRAs of Fooocus-MRE: the file is `l1`, the strength `w1`."""
    for key, value in found.items():
        if re.fullmatch(r"l\d{1,2}", key) and _some(value):
            weight = as_number(found.get(f"w{key[1:]}"))
            yield value, 1.0 if weight is None else weight


def _named_weights(names: Any, weights: Any) -> Iterator[tuple[str, float]]:
    names, weights = (
        value if isinstance(value, list) else value.split(",") if isinstance(value, str) and value else []
        for value in (names, weights)
    )
    for i, name in enumerate(names):
        weight = as_number(weights[i]) if i < len(weights) else 1.0
        if isinstance(name, str) and weight is not None:
            yield name, weight


def _pairs(rows: Any) -> Iterator[tuple[str, float]]:
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, list) and len(row) >= 2 and isinstance(row[0], str):  # Fooocus adds a hash
            weight = as_number(row[1])
            if weight is not None:
                yield row[0], weight


def _rows(value: Any) -> Iterator[Object]:
    yield from (row for row in (value if isinstance(value, list) else []) if isinstance(row, dict))


def _invokeai_loras(rows: Any) -> Iterator[tuple[str, float]]:
    for row in _rows(rows):
        name, weight = _model_name(row.get("model") or row.get("lora")), as_number(row.get("weight"))
        on = row.get("is_enabled", row.get("isEnabled", True))
        if name and weight is not None and on is not False:
            yield name, weight


def _model_name(value: Any) -> str | None:
    if isinstance(value, dict):
        return as_text(value.get("name")) or as_text(value.get("model_name"))
    return as_text(value)


_CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {
    "prompt": lambda value: as_text(value) or "",
    "negative_prompt": lambda value: as_text(value) or "",
    "width": as_integer,
    "height": as_integer,
    "steps": as_integer,
    "cfg_scale": as_number,
    "seed": as_integer,
    "model": _model_name,
    "vae": _model_name,
}
