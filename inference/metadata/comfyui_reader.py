"""Reads parameters from a ComfyUI graph, whoever made it.

The graph is walked backwards: from what saves an image to the sampler that began it, from there along the wires to
text encoders, weights, size and seeds. Nodes are known by the names of their inputs rather than by their class, so that
extensions' nodes are understood where they keep to the customs. Graphs come from strangers: every walk is of limited
length, and nothing is taken for granted about a value's type.
"""

import math
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from inference.metadata.comfyui import strings
from inference.metadata.comfyui.changes import (
    changed_afterwards,
    changed_before,
    changes_conditioning,
    changes_model,
)
from inference.metadata.comfyui.schedule_length import steps_of_schedule
from inference.metadata.comfyui_graph import Link, Node, Nodes, graphs, without_unselected
from inference.metadata.comfyui_nodes import er_sde_of_node, holds_unknown_lora, is_off, loras_of, sampler_of_node
from inference.metadata.comfyui_writer import BETA57
from inference.metadata.names import our_sampler, our_scheduler
from inference.metadata.parameters import (
    ANIMA_SHIFT,
    BETA_SCHEDULE,
    LEFT_OUT,
    SHIFT,
    Pairs,
    Parameters,
    as_integer,
    as_number,
    as_text,
    er_sde_extra,
    left_out_extra,
)
from inference.prompt import embeddings

_MAX_NODES = 5_000
#: Nodes along one walk.
_FARTHEST = 64
_MAX_TEXTS = 200

#: What stands between joined texts.
_DELIMITERS = ("delimiter", "separator")
_PLACE = re.compile(r"(\w*?)_?(\d{1,4}|[a-z])")
_TEXTS = ("populated_text", "text", "prompt", "text_g", "t5xxl", "text_l", "clip_l")
_CONSTANTS = ("value", "seed", "noise_seed", "int", "float", "number", "string", "text")
#: What loaders call the parts of a checkpoint where others could stand.
_NO_FILES = ("Baked VAE", "None")
_MODEL_FILES = ("unet_name", "ckpt_name", "gguf_name", "model_name")
_LATENTS = ("latent_image", "latent", "samples", "pixels", "image")
#: Wires that carry the model, both conditionings, the latent and settings in one.
_PIPES = ("pipe", "basic_pipe")
#: Nodes that only hold such wires.
_CONTAINERS = re.compile(r"Context|^(?:To|From|Edit)\w*Pipe")
_SETTINGS = ("steps", "sigmas", "sampler", "sampler_name", "seed", "noise_seed", "guider", "cfg")
#: Inputs of a node that works a size out, unless their text is the first word.
_CUSTOM, _PRESETS = "custom", ("aspect_ratio", "resolution", "dimensions", "preset", "ratio", "size_selected")
_SIZE = re.compile(r"(\d{2,5}) ?x ?(\d{2,5})\b.*", re.DOTALL)
#: Nodes that do not change a schedule, and those that make one.
_KEEPS_SIGMAS = re.compile(r"Scheduler|ManualSigmas|^SplitSigmas|Reroute|Switch|Basic|^$")
_GUIDERS = re.compile(r"CFGGuider|BasicGuider|Reroute|.*Switch.*|")
_MAKES_SIGMAS = re.compile(r"Scheduler|ManualSigmas")
_BLOCK_WEIGHTS = "BlockWeight"


def read(text: Mapping[str, str]) -> Parameters | None:
    """Reads the `prompt` chunk, or else the `workflow` chunk; None if there is no graph with a sampler."""
    for nodes in graphs(text):
        if len(nodes) <= _MAX_NODES and (parameters := _GraphWalk(without_unselected(nodes)).parameters()):
            return parameters
    return None


class _GraphWalk:
    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self._texts_left = _MAX_TEXTS

    def parameters(self) -> Parameters | None:
        sampler = self._first_sampler()
        if sampler is None:
            return None
        # In a custom sampler's graph the settings sit on nodes of their own.
        parts, changed = [sampler], list[str]()
        for name in ("noise", "guider", "sampler", "sigmas"):
            link = sampler.inputs.get(name)
            found = self._upstream(link, ["sigmas"]) if isinstance(link, Link) else []
            if name == "sigmas":
                changed += [node.kind for node in found if not _KEEPS_SIGMAS.search(node.kind)]
                found = [node for node in found if node.kind not in changed]
            elif name == "guider":
                changed += [node.kind for node in found if not _GUIDERS.fullmatch(node.kind)]
            parts += found
        pipe = _link(sampler, *_PIPES)
        parts += self._upstream(pipe, _PIPES)
        model, loras, changes = self._weights(next((p.inputs["model"] for p in parts if "model" in p.inputs), pipe))
        scheduler, schedule = self._scheduler(parts)
        prompts = {role: self._prompt(parts, role) for role in ("positive", "negative")}
        width, height, source_image, masks = self._latent(sampler)
        steps, denoise, partial = self._steps(sampler, parts, scheduler, dict(schedule).get(BETA_SCHEDULE))
        cfg_scale = as_number(self._setting(parts, "cfg", "cfg_conds"))
        without_cfg = any(part.kind == "BasicGuider" for part in parts)
        return Parameters(
            prompt=prompts["positive"].text,
            negative_prompt=prompts["negative"].text,
            width=width,
            height=height,
            steps=steps,
            cfg_scale=1.0 if without_cfg else cfg_scale,
            sampler=self._sampler(sampler, parts),
            scheduler=scheduler,
            seed=as_integer(self._setting(parts, "seed", "noise_seed")),
            denoise=denoise,
            loras=loras,
            model=model,
            text_encoder=self._anywhere("clip_name"),
            vae=self._anywhere("vae_name"),
            source_image=source_image,
            software="ComfyUI",
            extra=(
                *schedule,
                *self._er_sde(parts),
                *partial,
                *changes,
                *dict.fromkeys((*prompts["positive"].left_out, *prompts["negative"].left_out)),
                *left_out_extra((*changed, *masks, *changed_afterwards(self.nodes, self._ends(), sampler))),
                # ComfyUI puts an embedding's vectors there, if it has the file.
                *left_out_extra(embeddings(*(prompt.text for prompt in prompts.values()))),
            ),
        )

    def _sampler(self, sampler: Node, parts: list[Node]) -> str | None:
        if name := as_text(self._setting(parts, "sampler_name")):
            return our_sampler(name)
        if found := next(filter(None, (sampler_of_node(self._resolved(part)) for part in parts)), None):
            return found
        link = _link(sampler, "sampler")
        return self.nodes[link.node].kind or None if link else None

    def _er_sde(self, parts: list[Node]) -> Pairs:
        return next((er_sde_extra(found) for part in parts if (found := er_sde_of_node(self._resolved(part)))), ())

    def _resolved(self, node: Node) -> Node:
        return Node(node.kind, self._values(node))

    def _first_sampler(self) -> Node | None:
        """The sampler farthest from where images are saved, or else shown: later ones refine what it began."""
        samplers = [node for node in self._reachable(self._ends() or self.nodes) if _is_sampler(node)]
        return samplers[-1] if samplers else None

    def _ends(self) -> list[str]:
        """The nodes that save images, or else those that show them."""
        saved, shown = (
            [name for name, node in self.nodes.items() if word in node.kind] for word in ("Save", "Preview")
        )
        return saved or shown

    def _reachable(self, names: Iterable[str]) -> Iterator[Node]:
        queue = deque(names)
        seen = set(queue)
        while queue:
            node = self.nodes[queue.popleft()]
            yield node
            for link in node.links():
                if link.node not in seen:
                    seen.add(link.node)
                    queue.append(link.node)

    def _upstream(self, link: Link | None, preferred: Iterable[str], any_input: bool = False) -> list[Node]:
        """The chain of nodes from a wire on, always along the first of the preferred inputs that is wired."""
        chain: dict[str, Node] = {}
        while link is not None and link.node not in chain and len(chain) < _FARTHEST:
            node = chain[link.node] = self.nodes[link.node]
            wired = (
                node.links(preferred)
                if any_input
                else [wire for name in preferred if isinstance(wire := node.inputs.get(name), Link)]
            )
            link = wired[0] if wired else None
        return list(chain.values())

    def _setting(self, parts: list[Node], *names: str) -> Any:
        """The first value that one of the nodes has under one of the names, itself or wired from elsewhere."""
        for part in parts:
            for name in names:
                value = part.inputs.get(name)
                if isinstance(value, Link):
                    value = self._constant(value, names)
                if value is not None:
                    return value
        return None

    def _constant(self, link: Link, names: tuple[str, ...]) -> Any:
        for node in self._upstream(link, [*names, *_CONSTANTS], any_input=True):
            if names[0] in ("width", "height") and _works_size_out(node):
                return None
            for name in (*names, *_CONSTANTS):
                value = node.inputs.get(name)
                if isinstance(value, str | int | float):
                    return value
        return None

    def _steps(
        self, sampler: Node, parts: list[Node], scheduler: str | None, shape: str | None
    ) -> tuple[int | None, float, Pairs]:
        """Steps that were walked, the part of the whole schedule that they are, and what of it cannot be repeated."""
        steps = as_integer(self._setting(parts, "steps", "steps_total"))
        denoise = as_number(self._setting(parts, "denoise"))
        left_out = as_integer(self._setting(parts, "start_at_step"))
        split = self._split(sampler)
        if steps is None or (split is None and not left_out):
            return steps, 1.0 if denoise is None else denoise, ()
        in_schedule = steps_of_schedule(scheduler, steps, shape)
        if split is not None:
            node, high = split
            if node.kind == "SplitSigmasDenoise":
                denoise = as_number(self._setting([node], "denoise")) or 1.0
                left_out = in_schedule - round(in_schedule * denoise)
            else:
                left_out = as_integer(self._setting([node], "step"))
            if high and left_out:
                return steps, 1.0, (("Last step", str(left_out)),)
        if left_out is not None and 0 <= left_out < in_schedule and (left_out or in_schedule < steps):
            return in_schedule - left_out, _denoise(in_schedule - left_out, steps), ()
        return steps, 1.0 if denoise is None or split is not None else denoise, ()

    def _split(self, sampler: Node) -> tuple[Node, bool] | None:
        """The node that splits a sampler's sigmas, and whether the sampler has their first, noisy part."""
        link = sampler.inputs.get("sigmas")
        for _ in range(_FARTHEST):
            if not isinstance(link, Link):
                return None
            node = self.nodes[link.node]
            if node.kind in ("SplitSigmas", "SplitSigmasDenoise"):
                return node, link.slot == 0
            link = node.inputs.get("sigmas")
        return None

    def _scheduler(self, parts: list[Node]) -> tuple[str | None, Pairs]:
        """The scheduler, or what is known of one that has no name."""
        for part in parts:
            if part.kind == "BetaSamplingScheduler":
                shape = {key: as_number(self._setting([part], key)) for key in BETA57}
                name = "beta57" if shape == BETA57 else "beta" if set(shape.values()) == {0.6} else None
                described = ", ".join(f"{key} {value:g}" for key, value in shape.items() if value is not None)
                return name, () if name else (("Beta schedule", described),)
        if name := as_text(self._setting(parts, "scheduler")):
            return our_scheduler(name), ()
        return next((part.kind for part in parts if _MAKES_SIGMAS.search(part.kind)), None), ()

    def _weights(self, link: Any) -> tuple[str | None, tuple[tuple[str, float], ...], Pairs]:
        """The model's file, the LoRAs in the order in which they were applied, and what else changed the model."""
        loras: list[tuple[str, float]] = []
        changes: list[tuple[str, str]] = []
        shift: float | None = None
        file: str | None = None
        for node in self._upstream(link if isinstance(link, Link) else None, ["model"], any_input=True):
            found = [lora for stack in reversed(self._stacks(node)) for lora in loras_of(self._values(stack))]
            found = found or list(strings.tagged_loras(node.kind, self._values(node)))
            loras += reversed(found)
            for name in _MODEL_FILES[: -1 if isinstance(node.inputs.get("model"), Link) else None]:
                file = file or as_text(self._setting([node], name))
            if file is not None:
                break
            if "shift" in node.inputs:
                # The nearest to the sampler counts.
                shift = shift or as_number(self._setting([node], "shift"))
            elif _BLOCK_WEIGHTS in node.kind or (not found and self._may_change(node)):
                changes.append((LEFT_OUT, node.kind))
        shifted = () if shift in (None, ANIMA_SHIFT) else ((SHIFT, f"{shift:g}"),)
        return file, tuple(reversed(loras)), (*shifted, *changes)

    def _may_change(self, node: Node) -> bool:
        return changes_model(node) or ("lora" in node.kind.casefold() and holds_unknown_lora(self._values(node)))

    def _stacks(self, node: Node) -> list[Node]:
        """A loader and the stacks of LoRAs that lead to it, the nearest first."""
        if is_off(node.inputs):
            return []
        return [node, *self._upstream(_link(node, "lora_stack", "optional_lora_stack"), ["lora_stack"])]

    def _values(self, node: Node) -> dict[str, Any]:
        """A node's inputs, wired texts and numbers included."""
        return {
            name: self._constant(value, (name,)) if isinstance(value, Link) and name not in ("model", "clip") else value
            for name, value in node.inputs.items()
        }

    def _latent(self, sampler: Node) -> tuple[int | None, int | None, str | None, list[str]]:
        """Width and height where the latent says, the file of the image that it came from, and what changed it."""
        width = height = source_image = None
        start = next(iter(_latent_link(sampler)), None) or _link(sampler, *_PIPES)
        for node in self._upstream(start, (*_LATENTS, *_PIPES), any_input=True):
            sides = self._sides(node)
            width, height = width or sides[0], height or sides[1]
            source_image = source_image or as_text(node.inputs.get("image"))
        return width, height, source_image, list(changed_before(self._upstream(start, _LATENTS)))

    def _sides(self, node: Node) -> tuple[int | None, int | None]:
        """The width and the height of an empty latent, as far as its node says."""
        if size := _SIZE.fullmatch(as_text(node.inputs.get("resolution")) or ""):
            return int(size[1]), int(size[2])
        if _works_size_out(node):
            return None, None
        names = (("width", "empty_latent_width"), ("height", "empty_latent_height"))
        width, height = (as_integer(self._setting([node], *each)) for each in names)
        return width, height

    def _prompt(self, parts: list[Node], role: str) -> "_Prompt":
        """The text that the first text encoder on the way from a sampler's input holds, and those joined to it."""
        names = (role, "conditioning", "cond1") if role == "positive" else (role,)
        holder, start = next(((p, p.inputs[name]) for p in parts for name in names if name in p.inputs), (None, None))
        if isinstance(start, Link) and holder is not None and _loads(holder):
            start = self._text(start)
        if isinstance(start, str):
            return _Prompt(start)
        found: list[str] = []
        changes: list[str] = []
        stack = [start] if isinstance(start, Link) else []
        seen: set[str] = set()
        while stack and len(seen) < _FARTHEST:
            name = stack.pop().node
            if name in seen:
                continue
            seen.add(name)
            node = self.nodes[name]
            if node.kind == "ConditioningZeroOut":
                break
            text = self._encoded(node, role)
            if text is not None:
                found.append(text)
                changes += _weights_otherwise(node)
            elif unknown := self._unknown_text(node):
                changes.append(unknown)
            else:
                changes += [node.kind] if changes_conditioning(node) else []
                stack += reversed(_conditionings(node, role))
        return _Prompt(found[0] if found else "", left_out_extra((*found[1:], *changes)))

    def _encoded(self, node: Node, role: str) -> str | None:
        """The text that a node encodes, if it is a text encoder, or takes the prompts itself."""
        text = node.inputs.get(role)
        if isinstance(text, str):
            return text
        if isinstance(text, Link) and _loads(node):
            return self._text(text)
        if _encodes(node):
            texts = ((key, self._text(node.inputs.get(key))) for key in _TEXTS)
            found = next(((key, text) for key, text in texts if text is not None), None)
            return None if found is None else strings.prompt_text(node.kind, *found)
        return None

    def _unknown_text(self, node: Node) -> str | None:
        """The class of the node that makes the text that a text encoder gets."""
        link = _link(node, *_TEXTS) if _encodes(node) else None
        if link is None:
            has_text = "TextEncode" in node.kind or any(key in node.inputs for key in _TEXTS)
            return node.kind if _encodes(node) and has_text else None
        return self.nodes[link.node].kind or None

    def _text(self, value: Any) -> str | None:
        """A text, or the one that nodes along a wire hold, change or join."""
        source = self._source(value)
        return self._joined(source) if isinstance(source, Node) else source

    def _source(self, value: Any) -> "str | Node | None":
        """A text, or the node that joins texts, along a wire. All texts of a graph look at `_MAX_TEXTS` wires."""
        if not isinstance(value, Link):
            return as_text(value)
        self._texts_left -= 1
        for node in self._upstream(value, [*_TEXTS, *_CONSTANTS], any_input=True) if self._texts_left > 0 else ():
            if any(name in node.inputs for name in _DELIMITERS):
                return node
            if strings.knows(node.kind):
                base = strings.text_input(node.inputs)
                return strings.result(node.kind, self._values(node) | {base: self._text(node.inputs.get(base))})
            for key in (*_TEXTS, *_CONSTANTS):
                if isinstance(text := node.inputs.get(key), str):
                    return strings.prompt_text(node.kind, key, text)
        return None

    def _joined(self, node: Node) -> str:
        """What a node that concatenates texts gives. Joins of joins are followed with a stack."""
        pieces: list[str] = []
        stack: list[Any] = [node]
        for _ in range(_FARTHEST):
            if not stack:
                break
            item = stack.pop()
            source = item if isinstance(item, Node) else self._source(item)
            if not isinstance(source, Node):
                pieces.append(source or "")
                continue
            delimiter = next((text for name in _DELIMITERS if (text := as_text(source.inputs.get(name)))), "")
            parts: list[Any] = []
            for _name, value in _in_order(source.inputs):
                if value not in ("", "true", "false"):
                    parts += [delimiter, value] if parts else [value]
            stack += reversed(parts)
        return "".join(pieces)

    def _anywhere(self, name: str) -> str | None:
        found = (as_text(node.inputs.get(name)) for node in self.nodes.values())
        return next((file for file in found if file and file not in _NO_FILES), None)


@dataclass(frozen=True)
class _Prompt:
    """left_out: texts that were joined to it as conditionings, which one prompt cannot repeat."""

    text: str
    left_out: Pairs = ()


def _conditionings(node: Node, role: str) -> list[Link]:
    if (own := _link(node, role)) is not None:  # beside the other role's
        return [own]
    return node.links([role, "conditioning", "conditioning_1", "conditioning_to"])


def _link(node: Node, *names: str) -> Link | None:
    return next((link for name in names if isinstance(link := node.inputs.get(name), Link)), None)


def _denoise(walked: int, steps: int) -> float:
    """The part of a schedule that is walked; `int(walked / denoise)` gives the schedule's steps back."""
    denoise = walked / steps
    return denoise if int(walked / denoise) == steps else math.nextafter(denoise, 0)


def _in_order(inputs: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Inputs by the number or letter at the end of their names: a graph lists those last that are wired."""
    texts = {name: value for name, value in inputs.items() if isinstance(value, str | Link) and name not in _DELIMITERS}
    places = {name: match for name in texts if (match := _PLACE.fullmatch(name))}
    if len(places) < len(texts) or len({match[1] for match in places.values()}) > 1:
        return list(texts.items())
    return sorted(texts.items(), key=lambda of: (len(places[of[0]][2]), places[of[0]][2]))


def _encodes(node: Node) -> bool:
    return "TextEncode" in node.kind or "clip" in node.inputs


def _weights_otherwise(node: Node) -> list[str]:
    """What is known of an encoder that takes prompts' weights in another way than ComfyUI's own."""
    ways = ((name, as_text(node.inputs.get(name))) for name in ("weight_interpretation", "parser"))
    return [f"{node.kind} ({name} {way})"[:100] for name, way in ways if way and not way.startswith("comfy")]


def _loads(node: Node) -> bool:
    return any(name in node.inputs for name in _MODEL_FILES)


def _works_size_out(node: Node) -> bool:
    presets = (as_text(node.inputs.get(name)) for name in _PRESETS)
    swapped = str(node.inputs.get("swap_dimensions", "Off")).casefold() in ("on", "true")
    return swapped or any(text and not text.casefold().startswith(_CUSTOM) for text in presets)


def _is_sampler(node: Node) -> bool:
    if "ampler" in node.kind and _link(node, *_PIPES):
        return any(name in node.inputs for name in (*_SETTINGS, "image_output"))
    if _CONTAINERS.search(node.kind) or not any(name in node.inputs for name in _SETTINGS):
        return False
    return bool(_latent_link(node)) and any(isinstance(node.inputs.get(name), Link) for name in ("positive", "guider"))


def _latent_link(node: Node) -> list[Link]:
    return [link for name in _LATENTS[:2] if isinstance(link := node.inputs.get(name), Link)]
