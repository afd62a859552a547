"""What ComfyUI's nodes say by their inputs alone: samplers that are nodes, and LoRAs in loaders and stacks.

A LoRA is known by the forms of the inputs: one file and its strength; numbered files and strengths; rows of an object
or a list.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from inference.metadata.comfyui_graph import Node
from inference.metadata.names import our_sampler
from inference.metadata.parameters import as_number, as_text
from inference.solver_settings import ErSdeSettings

#: By class: the sampler's name and the settings with which it is that sampler. `noise_device` tells `_gpu` apart.
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
    "SamplerSEEDS2": ("seeds_2", {"solver_type": "phi_1", "eta": 1, "s_noise": 1, "r": 0.5}),
}

_NUMBERED = re.compile(r"lora_?(?:name)?_?(\d{1,3})(?:_name)?")
_STRENGTHS = (
    *("strength_{n}", "model_weight_{n}", "model_str_{n}", "lora_wt_{n}", "lora_strength_{n}", "lora_{n}_strength"),
    *("strength_model_{n}", "model_strength_{n}", "weight_{n}"),
)
_ONE = ("strength_model", "lora_model_strength", "model_strength", "strength", "lora_strength")
_OFF = {"off", "false", "none", "disabled"}


def sampler_of_node(node: Node) -> str | None:
    """Our name of the sampler that a node is, or None for another node.

    With other settings than the named sampler's it is the class and those settings, which is nobody's name.
    """
    if node.kind not in _NODES:
        return None
    if er_sde_of_node(node):
        return "er_sde"
    name, settings = _NODES[node.kind]
    changed = {key: node.inputs[key] for key, usual in settings.items() if node.inputs.get(key, usual) != usual}
    if changed:
        return f"{node.kind} ({', '.join(f'{key} {value}' for key, value in changed.items())})"
    return our_sampler(f"{name}_gpu" if node.inputs.get("noise_device") == "gpu" else name)


def er_sde_of_node(node: Node) -> ErSdeSettings | None:
    """The settings of a node of ER-SDE; None for another node, or one with settings that there are not."""
    if node.kind != "SamplerER_SDE":
        return None
    values = {field.name: node.inputs[field.name] for field in fields(ErSdeSettings) if field.name in node.inputs}
    settings = ErSdeSettings(**values)
    return None if settings.problem() else settings


def loras_of(inputs: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The active LoRAs of one node with the diffusion model's strengths, in the node's order.

    inputs: values, wires resolved where they lead to a constant.
    """
    yield from _single(inputs)
    yield from _numbered(inputs)
    for value in inputs.values():
        yield from _rows(value)


def _single(inputs: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    name = as_text(inputs.get("lora_name"))
    strength = next((as_number(inputs[key]) for key in _ONE if key in inputs), None)
    if _is_file(name) and strength is not None:
        yield name or "", strength


def _numbered(inputs: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    count = as_number(inputs.get("lora_count"))
    for key, value in inputs.items():
        match = _NUMBERED.fullmatch(key)
        if match is None or not isinstance(value, str) or not _is_file(value):
            continue
        number = match[1]
        on = inputs.get(f"switch_{number}", inputs.get(f"enabled_{number}", True))
        strengths = [as_number(inputs.get(form.format(n=number))) for form in _STRENGTHS]
        strength = next((each for each in strengths if each is not None), None)
        if strength is not None and _is_on(on) and (count is None or int(number) <= count):
            yield value, strength


def _rows(value: Any) -> Iterator[tuple[str, float]]:
    """A row of rgthree's Power Lora Loader, or LoRA Manager's list of them."""
    rows = value.get("__value__", [value]) if isinstance(value, dict) else value
    for row in rows if isinstance(rows, list) else []:
        if not isinstance(row, dict):
            continue
        name = as_text(row.get("lora")) or as_text(row.get("name"))
        strength = as_number(row.get("strength", row.get("strength_model")))
        on = row.get("on", row.get("active", row.get("enabled", "lora" not in row)))
        if _is_file(name) and strength is not None and _is_on(on):
            yield name or "", strength


def _is_file(name: str | None) -> bool:
    return bool(name) and str(name).casefold() != "none"


def _is_on(value: Any) -> bool:
    return value.casefold() not in _OFF if isinstance(value, str) else bool(value)
