"""The `parameters` text of A1111's web UI, which Forge and its relatives write and Civitai reads.

    1girl, smile <lora:turbo:0.8>
    Negative prompt: worst quality
    Steps: 30, Sampler: ER SDE, Schedule type: Simple, CFG scale: 4, Seed: 7, Size: 1024x1024, …

A value with a comma, a colon or a line break in it is written as a JSON string. The prompts are not: one that has a
line like the others' in it comes back cut there.
"""

import json
import re
from collections.abc import Iterator
from pathlib import PurePath, PureWindowsPath
from typing import Any

from inference.metadata.names import our_sampler_and_scheduler, our_scheduler, webui_sampler, webui_scheduler
from inference.metadata.parameters import Pairs, Parameters, as_integer, as_number

_NEGATIVE = "Negative prompt:"
_FEWEST_SETTINGS = 3  # a line with fewer is part of a prompt, as the web UI has it
_MAX_SETTINGS = 500

_LORA_TAG = re.compile(r" ?<lora:([^:<>]+)(?::([^:<>]*))?(?::[^<>]*)?>")
_QUOTED = re.compile(r'"(?:\\.|[^\\"])*+"', re.DOTALL)
_NAME = re.compile(r"\w[\w /-]{0,63}")
_SIZE = re.compile(r"(\d{1,6})x(\d{1,6})")


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
        # Forge's names for the files that a diffusion model alone does not bring.
        "Module 1": p.text_encoder and stem(p.text_encoder),
        "Module 2": p.vae and stem(p.vae),
        "Lora hashes": ", ".join(f"{stem(name)}: {digits}" for name, digits in p.lora_hashes),
        "Version": p.software,
    }
    settings |= {name: value for name, value in p.extra if name not in settings}
    lines = [" ".join([p.prompt, *tags])]
    if p.negative_prompt:
        lines.append(f"{_NEGATIVE} {p.negative_prompt}")
    lines.append(
        ", ".join(f"{name}: {_quoted(_plain(value))}" for name, value in settings.items() if value not in (None, ""))
    )
    return "\n".join(lines)


def read(text: str) -> Parameters | None:
    """What a `parameters` text says, in time linear in its length. None for one without a line of settings."""
    lines = text.strip().split("\n")
    # The settings come last, but extensions have been seen to add lines after them.
    for end in range(len(lines) - 1, -1, -1):
        if (end == len(lines) - 1 or lines[end].startswith("Steps:")) and lines[end].count(":") >= _FEWEST_SETTINGS:
            settings = dict(_settings(lines[end]))
            if len(settings) >= _FEWEST_SETTINGS:
                return _parameters(*read_prompts(lines[:end]), settings)
    return None


def read_prompts(lines: list[str]) -> tuple[str, str]:
    """The prompt, and from the line that begins with `Negative prompt:` on the negative one."""
    for i, line in enumerate(lines):
        if line.startswith(_NEGATIVE):
            negative = [line.removeprefix(_NEGATIVE).removeprefix(" "), *lines[i + 1 :]]
            return "\n".join(lines[:i]), "\n".join(negative)
    return "\n".join(lines), ""


def stem(name: str) -> str:
    """The name of a file of weights as a web UI shows it: without folder and ending."""
    # A backslash separates folders where ComfyUI runs on Windows.
    last = PureWindowsPath(name).name
    return PurePath(last).stem if last.endswith((".safetensors", ".sft", ".gguf", ".ckpt", ".pt")) else last


def _parameters(prompt: str, negative_prompt: str, settings: dict[str, str]) -> Parameters:
    take = settings.pop
    size = _SIZE.fullmatch(take("Size", ""))
    sampler, scheduler = our_sampler_and_scheduler(take("Sampler", ""))
    schedule_type = take("Schedule type", "")
    denoise = as_number(take("Denoising strength", None))
    # Forge lists text encoders and VAE in any order.
    modules = [take(name) for name in sorted(settings) if name.startswith("Module ")]
    vaes = [name for name in modules if name == "ae" or "vae" in name.casefold()]
    text_encoders = [name for name in modules if name not in vaes]
    known: dict[str, Any] = {
        "prompt": _LORA_TAG.sub("", prompt),
        "negative_prompt": _LORA_TAG.sub("", negative_prompt),
        "loras": tuple(_loras(prompt)),
        "width": int(size[1]) if size else None,
        "height": int(size[2]) if size else None,
        "steps": as_integer(take("Steps", None)),
        "cfg_scale": as_number(take("CFG scale", None)),
        "sampler": sampler or None,
        "scheduler": our_scheduler(schedule_type) if schedule_type else scheduler,
        "seed": as_integer(take("Seed", None)),
        "denoise": 1.0 if denoise is None else denoise,
        "model": take("Model", None),
        "model_hash": take("Model hash", None),
        "lora_hashes": tuple(_lora_hashes(take("Lora hashes", ""))),
        "text_encoder": next(iter(text_encoders), None),
        "vae": next(iter(vaes), None) or take("VAE", None),
        "variation_seed": as_integer(take("Variation seed", None)),
        "variation_strength": as_number(take("Variation seed strength", None)),
        "software": take("Version", None),
    }
    return Parameters(**known, extra=tuple(settings.items()))


def _settings(line: str) -> Iterator[tuple[str, str]]:
    """The `name: value` pairs of the last line. A colon is looked for once, so that no line takes long."""
    at = 0
    for _ in range(_MAX_SETTINGS):
        colon = line.find(":", at)
        if colon < 0:
            return
        name = line[at:colon].rpartition(",")[2].strip()
        start = colon + 1
        while start < len(line) and line[start] == " ":
            start += 1
        blockquote = _QUOTED.match(line, start)
        end = line.find(",", blockquote.end() if blockquote else start)
        end = len(line) if end < 0 else end
        if _NAME.fullmatch(name):
            yield name, _unquoted(line[start:end].strip())
        at = end + 1


def _loras(prompt: str) -> Iterator[tuple[str, float]]:
    for tag in _LORA_TAG.finditer(prompt):
        strength = as_number(tag[2]) if tag[2] else 1.0
        if strength is not None:
            yield tag[1], strength


def _lora_hashes(value: str) -> Pairs:
    pairs = (part.rpartition(":") for part in value.split(","))
    return tuple((name.strip(), digits.strip()) for name, _, digits in pairs if name)


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if any(mark in value for mark in ',:\n"') else value


def _unquoted(value: str) -> str:
    if value.startswith('"'):
        try:
            text = json.loads(value)
        except ValueError:
            return value
        return text if isinstance(text, str) else value
    return value


def _plain(value: object) -> str:
    """Numbers without needless digits: `4` for 4.0."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)
