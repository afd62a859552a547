"""The `parameters` text of A1111's web UI, which Forge and other forks write too, and Civitai reads.

    1girl, smile <lora:turbo:0.8>
    Negative prompt: worst quality
    Steps: 30, Sampler: ER SDE, Schedule type: Simple, CFG scale: 4, Seed: 7, Size: 1024x1024, …

A value with a comma, a colon or a line break is written as a JSON string. Prompts are not: one that contains a line
like the second or third above is read only up to that line.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath, PureWindowsPath
from typing import Any

from inference.metadata.names import (
    automatic_scheduler,
    our_sampler_and_scheduler,
    our_scheduler,
    webui_sampler,
    webui_scheduler,
)
from inference.metadata.parameters import (
    BETA_SCHEDULE,
    LEFT_OUT,
    SHIFT,
    Pairs,
    Parameters,
    as_integer,
    as_number,
    as_text,
    json_object,
    left_out_extra,
)
from inference.metadata.programs import draw_things

_NEGATIVE = "Negative prompt:"
_MIN_SETTINGS = 3  # a line with fewer is part of a prompt, as the web UI has it
_MAX_SETTINGS = 500
#: Every program's settings have one of these. That tells them from a prompt, which may have colons too.
_USUAL = frozenset(
    ("Steps", "Sampler", "Seed", "Size", "CFG scale", "Guidance Scale", "Model", "Model hash", "Version")
)
#: Settings that programs write before the steps.
_FIRST = _USUAL | {"Schedule type", "Scheduler", "Clip skip", "Denoising strength", "VAE", "App", "ENSD", "Eta", "RNG"}
#: What programs write if there is no separate file.
_NO_FILES = ("None", "Automatic", "Default (model)")

_TAG = re.compile(r" ?<(\w+):([^<>]+)>")
_LORA_KINDS = {"lora", "lyco", "locon", "loha", "lokr"}
#: How the settings of a second pass (hires fix) begin; the last is from A1111 in 2022.
_SECOND_PASS = ("Hires upscale", "Hires resize", "First pass size")
_STRENGTHS = ("te=", "unet=")
_STEPS = re.compile(r"[\s,.]*\bSteps: \d+(?=,|\s*$)")
_NEGATIVE_WITHIN = re.compile(r"[\s,.]*\bNegative [Pp]rompt: ?")
_NEGATIVE_LINE = re.compile(r"\s*Negative [Pp]rompt: ?")
#: Line breaks that are still escaped as in JSON.
_ESCAPED_LINES = re.compile(r"\\n(?=Negative prompt: |Steps: \d)")
_QUOTED = re.compile(r'"(?:\\.|[^\\"])*+"', re.DOTALL)
_NAME = re.compile(r"\w[\w /-]{0,63}")
_SIZE = re.compile(r"(\d{1,6}) ?[x\u00d7] ?(\d{1,6})")
#: The most characters of a JSON value that are parsed, because long ones take long.
_MAX_JSON_LENGTH = 1 << 16
_JSON = json.JSONDecoder(parse_constant=lambda _: None)
#: The types of Civitai's resources that are LoRAs.
_CIVITAI_LORAS = ("lora", "locon", "lycoris", "dora", "loha", "lokr")


def write(parameters: Parameters) -> str:
    p = parameters
    tags = [f"<lora:{stem(name)}:{_plain(strength)}>" for name, strength in p.loras]
    settings = {
        "Steps": p.steps,
        "Sampler": p.sampler and webui_sampler(p.sampler),
        "Schedule type": p.scheduler and webui_scheduler(p.scheduler),
        "CFG scale": p.cfg_scale,
        "Seed": p.seed,
        "Size": f"{p.width}x{p.height}" if p.width and p.height else None,
        "Model hash": p.model_hash,
        "Model": p.model and stem(p.model),
        "Variation seed": p.variation_seed,
        "Variation seed strength": p.variation_strength,
        "Denoising strength": p.denoise if p.denoise < 1 or p.source_image else None,
        "Mask blur": p.mask and p.mask.seam,
        "Tiled Diffusion": "on" if p.tiled else None,
        "NAG": "on" if p.nag else None,
        # Forge's names for the files that a diffusion model alone does not bring.
        "Module 1": p.text_encoder and stem(p.text_encoder),
        "Module 2": p.vae and stem(p.vae),
        "Lora hashes": ", ".join(f"{stem(name)}: {digits}" for name, digits in p.lora_hashes),
        "Version": p.software,
    }
    extra = {name: ", ".join(value for its, value in p.extra if its == name) for name, _ in p.extra}
    settings |= {name: value for name, value in extra.items() if name not in settings}
    lines = [" ".join([p.prompt, *tags])]
    if p.negative_prompt:
        lines.append(f"{_NEGATIVE} {p.negative_prompt}")
    lines.append(
        ", ".join(f"{name}: {_quote(_plain(value))}" for name, value in settings.items() if value not in (None, ""))
    )
    return "\n".join(lines)


def read(text: str) -> Parameters | None:
    """Reads a `parameters` text, in time linear in its length. None if it has no line of settings."""
    lines = _lines(text)
    # The settings come last, but extensions have been seen to add lines after them.
    for end in range(len(lines) - 1, -1, -1):
        if (end == len(lines) - 1 or lines[end].startswith("Steps:")) and lines[end].count(":") >= _MIN_SETTINGS:
            before, line = _split_off_settings(lines[end])
            settings = dict(_settings(line))
            if len(settings) >= _MIN_SETTINGS and not _USUAL.isdisjoint(settings):
                return _parameters(*_prompts([*lines[:end], *before]), settings)
    return None


def read_prompts(text: str) -> tuple[str, str]:
    """The prompt and the negative prompt (after `Negative prompt:`) of a text without settings."""
    return _prompts(_lines(text))


def _lines(text: str) -> list[str]:
    text = text.replace("\r\n", "\n").strip("\ufeff \t\r\n\v\f\0")
    if "\n" not in text and _ESCAPED_LINES.search(text):
        text = text.replace("\\n", "\n")
    return text.split("\n")


def _split_off_settings(line: str) -> tuple[list[str], str]:
    """The prompts that precede the settings on their line, if a program dropped the line breaks, and the settings."""
    steps = _STEPS.search(line)
    before = line[: steps.start()] if steps else ""
    if steps is None or not before or _are_settings(before):
        return [], line
    negative = _NEGATIVE_WITHIN.search(before)
    found = [before] if negative is None else [before[: negative.start()], f"{_NEGATIVE} {before[negative.end() :]}"]
    return found, line[steps.start() :].lstrip(" ,.")


def _are_settings(text: str) -> bool:
    """Whether the text before the steps is settings, and not a prompt with colons."""
    first = text.partition(":")[0].strip()
    return bool(_NAME.fullmatch(first)) and not _FIRST.isdisjoint(name for name, _ in _settings(text))


def _prompts(lines: list[str]) -> tuple[str, str]:
    for i, line in enumerate(lines):
        if found := _NEGATIVE_LINE.match(line):
            negative = [line[found.end() :], *lines[i + 1 :]]
            return "\n".join(lines[:i]).strip("\n"), "\n".join(negative).strip("\n")
    return "\n".join(lines).strip("\n"), ""


def stem(name: str) -> str:
    """The name of a weights file as a web UI shows it: without folder and extension."""
    # ComfyUI on Windows separates folders with backslashes.
    last = PureWindowsPath(name).name
    return PurePath(last).stem if last.endswith((".safetensors", ".sft", ".gguf", ".ckpt", ".pt")) else last


def _parameters(prompt: str, negative_prompt: str, settings: dict[str, str]) -> Parameters:
    take = settings.pop
    size = _SIZE.fullmatch(take("Size", ""))
    operations = ""
    if settings.get("App") == "SD.Next":
        _rename_sdnext(settings)
        operations = settings.get("Operations", "")
    sampler_and_scheduler = our_sampler_and_scheduler
    if "Guidance Scale" in settings and "Seed Mode" in settings:
        prompt, negative_prompt = _rename_draw_things(settings, prompt)
        sampler_and_scheduler = draw_things.sampler_and_scheduler
    sampler, scheduler = sampler_and_scheduler(take("Sampler", ""))
    schedule_type = take("Schedule type", take("Scheduler", take("Schedule", "")))
    if schedule_type == "Automatic":
        schedule_type = scheduler or automatic_scheduler(sampler)
    denoise, hires_strength = _denoise(take("Denoising strength", None), settings)
    beta = _beta_schedule(settings) if schedule_type == "Beta" else ()
    loras, left_out = loras_of(prompt)
    left_out += left_out_extra(each for each in re.split(r"[;,]\s*", operations) if each not in _TOLD_OPERATIONS)
    left_out += left_out_extra(tag[0].strip() for tag in _TAG.finditer(negative_prompt))
    weights = take("Lora weights", "")  # Fooocus has no tags
    # Civitai's own generator has none either, and stores the names that its pages show.
    civitai_model, in_resources = _civitai_resources(settings)
    loras = loras or (*_lora_weights(weights), *in_resources, *_additional_networks(settings), *_saved_loras(settings))
    lora_hashes = tuple(_lora_hashes(take("Lora hashes", "")))
    left_out += () if in_resources else tuple(_without_strength(loras, lora_hashes, settings.get("Hashes", "")))
    # Forge lists text encoders and VAE in any order.
    modules = [take(name) for name in sorted(settings) if name.startswith("Module ")]
    vaes = [name for name in modules if name == "ae" or "vae" in name.casefold()]
    text_encoders = [name for name in modules if name not in vaes]
    known: dict[str, Any] = {
        "prompt": without_tags(prompt),
        "negative_prompt": without_tags(negative_prompt),
        "loras": loras,
        "width": int(size[1]) if size else None,
        "height": int(size[2]) if size else None,
        "steps": as_integer(take("Steps", None)),
        "cfg_scale": as_number(take("CFG scale", None)),
        "sampler": sampler or None,
        "scheduler": None if beta else our_scheduler(schedule_type) if schedule_type else scheduler,
        "seed": as_integer(take("Seed", None)),
        "denoise": denoise,
        "model": take("Model", None) or civitai_model,
        "model_hash": take("Model hash", None),
        "lora_hashes": lora_hashes,
        "text_encoder": next(iter(text_encoders), None) or take("TE", None),
        "vae": next(iter(vaes), None) or _file(take("VAE", None)),
        "variation_seed": as_integer(take("Variation seed", None)),
        "variation_strength": as_number(take("Variation seed strength", None)),
        "nag": take("NAG", None) == "on",
        "software": take("Version", None),
    }
    return Parameters(**known, extra=(*beta, *hires_strength, *settings.items(), *left_out))


#: SD.Next's operations that other settings show already.
_TOLD_OPERATIONS = ("txt2img", "img2img", "text2image", "image2image", "base", "hires", "detailer")
#: SD.Next's names, and A1111's names for the same. SD.Next calls the schedule type the sampler's sigma.
_SDNEXT_NAMES = {
    "Sampler sigma": "Schedule type",
    "Sampler shift": SHIFT,
    "Variation strength": "Variation seed strength",
    "Hires strength": "Hires denoising strength",
    "Hires scale": "Hires upscale",
    "UNet": "Model",
}


def _rename_sdnext(settings: dict[str, str]) -> None:
    """Gives SD.Next's settings A1111's names. Its samplers for rectified flow have no names of their own in A1111."""
    for theirs, usual in _SDNEXT_NAMES.items():
        if theirs in settings:
            settings[usual] = settings.pop(theirs)
    if sampler := settings.get("Sampler"):
        settings["Sampler"] = sampler.removesuffix(" FlowMatch").replace("DPM2++", "DPM++")
    settings["Version"] = f"{settings.pop('App')} {settings.get('Version', '')}".strip()


def _rename_draw_things(settings: dict[str, str], prompt: str) -> tuple[str, str]:
    """Gives Draw Things' settings A1111's names, and splits its prompts: the negative one starts with a dash."""
    settings["CFG scale"] = settings.pop("Guidance Scale")
    settings["Denoising strength"] = settings.pop("Strength", "")
    settings["Version"] = settings.get("Version", "Draw Things")
    rows = [name for name in settings if re.fullmatch(r"LoRA \d{1,3} Model", name)]
    weights = [(settings.pop(name), settings.pop(name.replace("Model", "Weight"), "1")) for name in rows]
    settings["Lora weights"] = ", ".join(f"{name}: {weight}" for name, weight in weights)
    lines = prompt.split("\n")
    dashed = next((i for i, line in enumerate(lines) if line.startswith("-")), len(lines))
    return "\n".join(lines[:dashed]), "\n".join(lines[dashed:]).removeprefix("-")


def _beta_schedule(settings: dict[str, str]) -> Pairs:
    """The shape of a Beta schedule; empty if it is the usual one."""
    alpha, beta = (as_number(settings.get(f"Beta schedule {name}", "0.6")) for name in ("alpha", "beta"))
    if alpha is None or beta is None or (alpha, beta) == (0.6, 0.6):
        return ()
    return ((BETA_SCHEDULE, f"alpha {alpha:g}, beta {beta:g}"),)


def _civitai_resources(settings: Mapping[str, str]) -> tuple[str | None, list[tuple[str, float]]]:
    """The model, and the LoRAs with their strengths."""
    model: str | None = None
    loras: list[tuple[str, float]] = []
    for row in _rows(settings.get("Civitai resources", "")):
        name = as_text(row.get("modelName")) or as_text(row.get("air"))
        kind = as_text(row.get("type")) or ""
        if name and kind == "checkpoint":
            model = model or name
        elif name and kind in _CIVITAI_LORAS:
            weight = as_number(row.get("weight"))
            loras.append((name, 1.0 if weight is None else weight))
    return model, loras


def _rows(text: str) -> list[dict[str, Any]]:
    try:
        rows = _JSON.decode(text)
    except (ValueError, RecursionError):
        return []
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _additional_networks(settings: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """LoRAs of an extension that is older than LoRA tags. `Weight A` is the diffusion model's strength."""
    if settings.get("AddNet Enabled") != "True":
        return
    for i in range(1, 6):
        name, weight = settings.get(f"AddNet Model {i}"), as_number(settings.get(f"AddNet Weight A {i}"))
        if name and name != "None" and weight is not None and settings.get(f"AddNet Module {i}") == "LoRA":
            yield name.partition("(")[0], weight


def _saved_loras(settings: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """LoRAs in the form of ComfyUI nodes that write A1111's text."""
    for i in range(_MAX_SETTINGS):
        name = settings.get(f"Lora_{i} Model name")
        if name is None:
            return
        weight = as_number(settings.get(f"Lora_{i} Strength model"))
        if weight is not None and name not in _NO_FILES:
            yield name, weight


def _without_strength(loras: Iterable[tuple[str, float]], lora_hashes: Pairs, hashes: str) -> Pairs:
    """LoRAs that have only a hash, but no strength."""
    known = {stem(name).casefold() for name, _ in loras}
    names = [name for name, _ in lora_hashes]
    names += [name.partition(":")[2] for name in json_object(hashes) or () if name.casefold().startswith("lora:")]
    return left_out_extra(f"LoRA {name}" for name in dict.fromkeys(names) if stem(name).casefold() not in known)


def _file(name: str | None) -> str | None:
    return None if name in _NO_FILES else name


def _denoise(value: str | None, settings: Mapping[str, str]) -> tuple[float, Pairs]:
    """The strength of image-to-image. If there are settings of a second pass, it is that pass's and goes to `extra`."""
    strength = as_number(value)
    if any(name.startswith(_SECOND_PASS) for name in settings):
        return 1.0, () if value is None else (("Hires denoising strength", value),)
    return strength if strength is not None and 0 < strength <= 1 else 1.0, ()


def _settings(line: str) -> Iterator[tuple[str, str]]:
    """The `name: value` pairs of the last line. Each colon is searched for only once, so that no line takes long."""
    at = 0
    for _ in range(_MAX_SETTINGS):
        colon = line.find(":", at)
        if colon < 0:
            return
        name = line[at:colon].rpartition(",")[2].strip()
        start = colon + 1
        while start < len(line) and line[start] == " ":
            start += 1
        end = line.find(",", _end_of_quoted(line, start))
        end = len(line) if end < 0 else end
        if _NAME.fullmatch(name):
            yield name, _unquote(line[start:end].strip())
        at = end + 1


def _end_of_quoted(line: str, start: int) -> int:
    """The end of a value that is a JSON string, list or object; `start` for any other value."""
    if quoted := _QUOTED.match(line, start):
        return quoted.end()
    if line[start : start + 1] in ("[", "{"):
        try:
            return start + _JSON.raw_decode(line[start : start + _MAX_JSON_LENGTH])[1]
        except (ValueError, RecursionError):
            return start
    return start


def loras_of(prompt: str, *, model_first: bool = False) -> tuple[tuple[tuple[str, float], ...], Pairs]:
    """The LoRAs of a prompt's tags, and, for `Parameters.extra`, the tags that mean something else or cannot be read.

    `<lora:name:0.5:0.9>` or `<lora:name:te=0.5:unet=0.9>`: the first strength is the text encoder's, the second the
    diffusion model's, which defaults to the first. Other arguments, such as strengths of blocks, go to `extra`.

    model_first: whether the first is the diffusion model's, as in SwarmUI and ComfyUI's extensions.
    """
    loras: list[tuple[str, float]] = []
    left_out: list[tuple[str, str]] = []
    for tag in _TAG.finditer(prompt):
        name, *arguments = tag[2].split(":")
        strength = _strength(arguments, model_first) if tag[1].casefold() in _LORA_KINDS else None
        if strength is None:
            left_out.append((LEFT_OUT, tag[0].strip()))
        else:
            loras.append((name, strength))
            others = [each for each in arguments if "=" in each and not each.startswith(_STRENGTHS)]
            left_out += [(LEFT_OUT, f"{each} (LoRA {name})"[:100]) for each in others]
    return tuple(loras), tuple(left_out)


def without_tags(prompt: str) -> str:
    """A prompt without `<lora:…>` and other tags, and without the space before each."""
    return _TAG.sub("", prompt)


def _strength(arguments: list[str], model_first: bool) -> float | None:
    named = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    in_order = [argument for argument in arguments if "=" not in argument]
    first = named.get("te", in_order[0] if in_order else "1")
    return as_number(named.get("unet", in_order[1] if len(in_order) > 1 and not model_first else first))


def _lora_weights(value: str) -> Iterator[tuple[str, float]]:
    for name, weight in _lora_hashes(value):
        if (number := as_number(weight)) is not None:
            yield name, number


def _lora_hashes(value: str) -> Pairs:
    pairs = (part.rpartition(":") for part in value.split(","))
    return tuple((name.strip(), digits.strip()) for name, _, digits in pairs if name)


def _quote(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if any(mark in value for mark in ',:\n"') else value


def _unquote(value: str) -> str:
    if value.startswith('"'):
        try:
            text = json.loads(value)
        except ValueError:
            return value
        return text if isinstance(text, str) else value
    return value


def _plain(value: object) -> str:
    """Numbers without unnecessary digits: `4` for 4.0."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)
