"""Reads single ComfyUI nodes: samplers that are nodes, and LoRAs in loaders and stacks.

LoRAs are recognized by the form of the inputs: one file and its strength, numbered files and strengths, or rows of an
object or a list.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from inference.metadata.comfyui_graph import Node
from inference.metadata.names import our_sampler
from inference.metadata.parameters import as_number, as_text, json_list
from inference.solver_settings import ErSdeSettings

#: By class: the sampler's name, and the settings with which the node is that sampler. `noise_device` decides on `_gpu`.
_NODES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "SamplerER_SDE": ("er_sde", {"solver_type": "ER-SDE", "max_stage": 3, "eta": 1, "s_noise": 1}),
    "SamplerEulerAncestral": ("euler_ancestral", {"eta": 1, "s_noise": 1}),
    "SamplerEulerAncestralCFGPP": ("euler_ancestral_cfg_pp", {"eta": 1, "s_noise": 1}),
    "SamplerEulerCFGpp": ("euler_cfg_pp", {"version": "regular"}),
    "SamplerDPMPP_2M_SDE": ("dpmpp_2m_sde", {"solver_type": "midpoint", "eta": 1, "s_noise": 1}),
    "SamplerDPMPP_3M_SDE": ("dpmpp_3m_sde", {"eta": 1, "s_noise": 1}),
    "SamplerDPMPP_SDE": ("dpmpp_sde", {"eta": 1, "s_noise": 1, "r": 0.5}),
    "SamplerDPMPP_2S_Ancestral": ("dpmpp_2s_ancestral", {"eta": 1, "s_noise": 1}),
    "SamplerDPMAdaptative": (
        "dpm_adaptive",
        {"order": 3, "rtol": 0.05, "atol": 0.0078, "h_init": 0.05, "pcoeff": 0, "icoeff": 1, "dcoeff": 0}
        | {"accept_safety": 0.81, "eta": 0, "s_noise": 1},
    ),
    "SamplerLMS": ("lms", {"order": 4}),
    "SamplerSASolver": (
        "sa_solver",
        {"eta": 1, "sde_start_percent": 0.2, "sde_end_percent": 0.8, "s_noise": 1}
        | {"predictor_order": 3, "corrector_order": 4, "simple_order_2": False},
    ),
    "SamplerSEEDS2": ("seeds_2", {"solver_type": "phi_1", "eta": 1, "s_noise": 1, "r": 0.5}),
}

_NUMBERED = re.compile(r"lora_?(?:name)?_?(\d{1,3})(?:_name)?")
#: Names of numbered LoRAs' strengths: the diffusion model's, and those of a stack's simple mode.
_OF_MODEL = (
    *("strength_{n}", "model_weight_{n}", "model_str_{n}", "lora_{n}_model_strength", "strength_model_{n}"),
    *("model_strength_{n}", "lora_strength_{n}"),
)
_SIMPLE = ("lora_wt_{n}", "lora_{n}_strength", "weight_{n}")
_MODES, _COUNTS = ("input_mode", "mode"), ("lora_count", "num_loras")
_ONE = ("strength_model", "lora_model_strength", "model_strength", "model_weight", "strength", "lora_strength")
_OF_ROW = ("strength", "strength_model", "model_strength", "strengthModel", "weight", "model_weight")
_OFF = {"off", "false", "none", "disabled", "no"}
#: Inputs that switch a whole node on, and one that bypasses it.
_ON, _BYPASS = ("toggle", "switch", "enabled"), "bypass"
_FILE = re.compile(r".*\.(?:safetensors|sft)", re.IGNORECASE | re.DOTALL)
_CHOOSES = re.compile(r"(?i:random|cycle).*(?i:lora|stack)|(?i:lora).*(?i:random|cycle)")
_MAX_JSON = 1 << 16


def sampler_of_node(node: Node) -> str | None:
    """Our name of the sampler that a node is, or None for another node.

    If its settings differ from the named sampler's, returns the class and those settings, which no sampler is named.
    """
    if node.kind not in _NODES:
        return None
    if er_sde_of_node(node):
        return "er_sde"
    name, settings = _NODES[node.kind]
    name += "_pece" if node.inputs.get("use_pece") is True else ""
    changed = {key: node.inputs[key] for key, usual in settings.items() if node.inputs.get(key, usual) != usual}
    if changed:
        return f"{node.kind} ({', '.join(f'{key} {value}' for key, value in changed.items())})"
    return our_sampler(f"{name}_gpu" if node.inputs.get("noise_device") == "gpu" else name)


def er_sde_of_node(node: Node) -> ErSdeSettings | None:
    """The settings of an ER-SDE node; None for another node, or one with invalid settings."""
    if node.kind != "SamplerER_SDE":
        return None
    values = {field.name: node.inputs[field.name] for field in fields(ErSdeSettings) if field.name in node.inputs}
    settings = ErSdeSettings(**values)
    return None if settings.problem() else settings


def loras_of(inputs: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The active LoRAs of one node with the diffusion model's strengths, in the node's order.

    inputs: values, with wires replaced by the constants that they lead to.
    """
    if is_off(inputs):
        return
    yield from _single(inputs)
    yield from _numbered(inputs)
    for value in inputs.values():
        yield from _rows(value)


def is_off(inputs: Mapping[str, Any]) -> bool:
    """Whether a node is switched off: it passes its input on, and ignores the stacks that lead to it."""
    return inputs.get(_BYPASS) is True or any(
        isinstance(inputs.get(name), bool | str) and not _is_on(inputs[name]) for name in _ON
    )


def is_random(kind: str, inputs: Mapping[str, Any]) -> bool:
    """Whether a stack chooses its LoRAs at random for each image, and the graph does not say which."""
    config = inputs.get("randomizer_config")
    kept = isinstance(config, dict) and config.get("roll_mode") == "fixed"
    return bool(_CHOOSES.search(kind)) and not kept


def holds_unknown_lora(inputs: Mapping[str, Any]) -> bool:
    """Whether a node names a file in an unknown form, and so may have applied it."""
    return not is_off(inputs) and any(
        isinstance(value, str) and _FILE.fullmatch(value) and not _has_strength(key, inputs)
        for key, value in inputs.items()
    )


def _has_strength(key: str, inputs: Mapping[str, Any]) -> bool:
    """Whether the file under this key is one that `loras_of` can read, even if it is switched off."""
    if numbered := _NUMBERED.fullmatch(key):
        return any(form.format(n=numbered[1]) in inputs for form in (*_OF_MODEL, *_SIMPLE))
    return key == "lora_name"


def _single(inputs: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    name = as_text(inputs.get("lora_name"))
    strength = next((as_number(inputs[key]) for key in _ONE if key in inputs), None)
    if _is_file(name) and strength is not None:
        yield name or "", strength


def _numbered(inputs: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    count = next((as_number(inputs[name]) for name in _COUNTS if name in inputs), None)
    simple = any(inputs.get(name) == "simple" for name in _MODES)
    forms = (*_SIMPLE, *_OF_MODEL) if simple else (*_OF_MODEL, *_SIMPLE)
    matches = [match for key in inputs if (match := _NUMBERED.fullmatch(key))]
    for match in sorted(matches, key=lambda match: int(match[1])):  # a graph lists wired inputs last
        value, number = inputs[match[0]], match[1]
        if not isinstance(value, str) or not _is_file(value):
            continue
        switches = (inputs.get(f"{name}_{number}") for name in ("switch", "enabled", "lora"))
        on = next((each for each in switches if isinstance(each, bool) or (each is not None and each != value)), True)
        strengths = [as_number(inputs.get(form.format(n=number))) for form in forms]
        strength = next((each for each in strengths if each is not None), None)
        if strength is not None and _is_on(on) and (count is None or int(number) <= count):
            yield value, strength


def _rows(value: Any) -> Iterator[tuple[str, float]]:
    """A row of rgthree's Power Lora Loader, or LoRA Manager's list of rows; some nodes store the list as JSON."""
    if isinstance(value, str):
        value = json_list(value) if len(value) <= _MAX_JSON else []
    rows = value.get("__value__", [value]) if isinstance(value, dict) else value
    for row in rows if isinstance(rows, list) else []:
        if not isinstance(row, dict):
            continue
        name = next(filter(None, (as_text(row.get(key)) for key in ("lora", "lora_name", "name"))), None)
        strength = next((as_number(row[key]) for key in _OF_ROW if key in row), None)
        on = row.get("on", row.get("active", row.get("enabled", "lora" not in row)))
        if _is_file(name) and strength is not None and _is_on(on):
            yield name or "", strength


def _is_file(name: str | None) -> bool:
    return bool(name) and str(name).casefold() != "none"


def _is_on(value: Any) -> bool:
    return value.casefold() not in _OFF if isinstance(value, str) else bool(value)
