"""Reads parameters from any ComfyUI graph.

The graph is walked backwards: from the node that saves an image to the image's first sampler, and from there along the
wires to text encoders, weights, size and seeds. Nodes are recognized by the names of their inputs rather than by their
class, so that extensions' nodes are understood if they use the usual names. Graphs are untrusted: every walk is limited
in length, and no type of a value is assumed.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inference.metadata.comfyui import strings
from inference.metadata.comfyui.changes import (
    changed_afterwards,
    changed_before,
    changed_encoder,
    changed_noise,
    changed_sampling,
    changes_conditioning,
    changes_model,
)
from inference.metadata.comfyui.image_origin import ImageOrigin, find_origin, latent_link
from inference.metadata.comfyui.schedule_length import steps_of_schedule
from inference.metadata.comfyui.texts import SEPARATE_TEXTS, TEXTS, Texts, encodes, maker
from inference.metadata.comfyui.wires import MAX_WALK, PIPES, Wires, computes_size, link_of, preset_size
from inference.metadata.comfyui_graph import Link, Node, Nodes, graphs, without_unselected
from inference.metadata.comfyui_nodes import (
    er_sde_of_node,
    holds_unknown_lora,
    is_off,
    is_random,
    loras_of,
    sampler_of_node,
)
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

#: What loaders write instead of a file name for the checkpoint's own parts.
_NO_FILES = ("Baked VAE", "None")
_MODEL_FILES = ("unet_name", "ckpt_name", "gguf_name", "model_name")
_LATENTS = ("latent_image", "latent", "samples", "pixels", "image")
#: Nodes' names for the conditionings of the prompt and the negative prompt.
_ROLES: Mapping[str, tuple[str, ...]] = {"positive": ("positive", "pos"), "negative": ("negative", "neg")}
_SIZE = re.compile(r"(\d{2,5}) ?x ?(\d{2,5})\b.*", re.DOTALL)
#: Nodes that make a schedule or pass it on unchanged.
_KEEPS_SIGMAS = re.compile(r"Scheduler|ManualSigmas|^SplitSigmas|Reroute|Switch|Basic|^(?:Get|Set)Node|^$")
_HOLDS_SAMPLER = re.compile(r"Context|Pipe|pipe|Reroute|Switch|^(?:Get|Set)Node|^$")
_GUIDERS = re.compile(r"CFGGuider|BasicGuider|Reroute|.*Switch.*|[GS]etNode|")
_MAKES_SIGMAS = re.compile(r"Scheduler|ManualSigmas")
_BLOCK_WEIGHTS = "BlockWeight"
#: Nodes that limit a prompt to a part of the image or of the steps.
_LIMITS = re.compile(r"Area|Mask|TimestepRange|Regional")


def read(text: Mapping[str, str], size: tuple[int, int] | None = None) -> Parameters | None:
    """Reads the `prompt` chunk, or else the `workflow` chunk; None if there is no graph with a sampler.

    size: the image's width and height, which tell it from other images that the graph saves.
    """
    for nodes, is_page in graphs(text):
        if len(nodes) <= _MAX_NODES:
            walk = _GraphWalk(without_unselected(nodes), is_page)
            if parameters := walk.parameters(size):
                return parameters
    return None


class _GraphWalk:
    def __init__(self, nodes: Nodes, is_page: bool) -> None:
        self.nodes = nodes
        self.is_page = is_page
        self.wires = Wires(nodes)
        self.texts = Texts(self.wires)

    def parameters(self, size: tuple[int, int] | None) -> Parameters | None:
        origin = find_origin(self.nodes, size or (None, None), lambda node: self._latent(node)[:2])
        if origin is None:
            return None
        sampler = origin.sampler
        # A custom sampler gets its settings from separate nodes.
        parts, changed = [sampler], list[str]()
        for name in ("noise", "guider", "sampler", "sigmas"):
            link = sampler.inputs.get(name)
            found = self.wires.upstream(link, ["sigmas", "sampler"]) if isinstance(link, Link) else []
            if name == "sigmas":
                changed += [node.kind for node in found if not _KEEPS_SIGMAS.search(node.kind)]
                found = [node for node in found if node.kind not in changed]
            elif name == "sampler":
                # A node that wraps a sampler samples differently from it.
                changed += [
                    node.kind for node in found if "sampler" in node.inputs and not _HOLDS_SAMPLER.search(node.kind)
                ]
                found = found[-1:]
            elif name == "guider":
                changed += [node.kind for node in found if not _GUIDERS.fullmatch(node.kind)]
            parts += found
        pipe = link_of(sampler, *PIPES)
        parts += self.wires.upstream(pipe, PIPES)
        model, loras, changes = self._weights(next((p.inputs["model"] for p in parts if "model" in p.inputs), pipe))
        scheduler, schedule = self._scheduler(parts)
        prompts = {role: self._prompt(parts, role) for role in ("positive", "negative")}
        width, height, source_image, before = self._latent(sampler)
        steps, denoise, partial = self._steps(origin, parts, scheduler, dict(schedule).get(BETA_SCHEDULE))
        scripts = self.wires.upstream(link_of(sampler, "script"), ["script"])
        changed += [*changed_sampling(self._resolved(sampler), map(self._resolved, scripts))]
        changed += [*changed_noise(sampler, parts, self._latents(sampler)), *changed_before(before)]
        changed += self._computed(parts)
        changed += changed_afterwards(map(self._resolved, origin.later))
        changed += [f"one of {origin.others + 1} images of its graph"] if origin.others else []
        cfg_scale = as_number(self.wires.setting(parts, "cfg", "cfg_conds"))
        sampler_name = self._sampler(sampler, parts)
        sampler_known = sampler_name or self.wires.computed(parts, "sampler_name")
        changed += [] if sampler_known else [sampler.kind]
        without_cfg = any(part.kind == "BasicGuider" for part in parts)
        return Parameters(
            prompt=prompts["positive"].text,
            negative_prompt=prompts["negative"].text,
            width=width,
            height=height,
            steps=steps,
            cfg_scale=1.0 if without_cfg else cfg_scale,
            sampler=sampler_name,
            scheduler=scheduler,
            seed=as_integer(self.wires.setting(parts, "seed", "noise_seed")),
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
                *left_out_extra(changed),
                # ComfyUI applied these embeddings if it had the files; we do not.
                *left_out_extra(embeddings(*(prompt.text for prompt in prompts.values()))),
            ),
        )

    def _sampler(self, sampler: Node, parts: list[Node]) -> str | None:
        if name := as_text(self.wires.setting(parts, "sampler_name")):
            return our_sampler(name)
        if found := next(filter(None, (sampler_of_node(self._resolved(part)) for part in parts)), None):
            return found
        chain = self.wires.upstream(link_of(sampler, "sampler"), ())
        return chain[-1].kind or None if chain else None

    def _er_sde(self, parts: list[Node]) -> Pairs:
        return next((er_sde_extra(found) for part in parts if (found := er_sde_of_node(self._resolved(part)))), ())

    def _resolved(self, node: Node) -> Node:
        return Node(node.kind, self.wires.values(node))

    def _steps(
        self, origin: ImageOrigin, parts: list[Node], scheduler: str | None, shape: str | None
    ) -> tuple[int | None, float, Pairs]:
        """The steps that were taken, their part of the whole schedule (denoise), and what of it cannot be repeated."""
        steps = as_integer(self.wires.setting(parts, "steps", "steps_total"))
        denoise = as_number(self.wires.setting(parts, "denoise"))
        left_out = as_integer(self.wires.setting(parts, "start_at_step"))
        split = self._split(origin.sampler)
        end = as_integer(self.wires.setting([origin.last], "end_at_step"))
        partial = (("Last step", str(end)),) if steps is not None and end is not None and end < steps else ()
        if steps is None or (split is None and not left_out):
            return steps, 1.0 if denoise is None else denoise, partial
        in_schedule = steps_of_schedule(scheduler, steps, shape)
        if split is not None:
            node, high = split
            if node.kind == "SplitSigmasDenoise":
                denoise = as_number(self.wires.setting([node], "denoise")) or 1.0
                left_out = in_schedule - round(in_schedule * denoise)
            else:
                left_out = as_integer(self.wires.setting([node], "step"))
            if high and left_out:
                return steps, 1.0, (("Last step", str(left_out)),)
        if left_out is not None and 0 <= left_out < in_schedule and (left_out or in_schedule < steps):
            return in_schedule - left_out, _denoise(in_schedule - left_out, steps), partial
        return steps, 1.0 if denoise is None or split is not None else denoise, partial

    def _split(self, sampler: Node) -> tuple[Node, bool] | None:
        """The node that splits a sampler's sigmas, and whether the sampler gets the first, noisy part."""
        link = sampler.inputs.get("sigmas")
        for _ in range(MAX_WALK):
            if not isinstance(link, Link):
                return None
            node = self.nodes[link.node]
            if node.kind in ("SplitSigmas", "SplitSigmasDenoise"):
                return node, link.slot == 0
            link = node.inputs.get("sigmas")
        return None

    def _scheduler(self, parts: list[Node]) -> tuple[str | None, Pairs]:
        """The scheduler's name, or what is known of a scheduler without a name."""
        for part in parts:
            if part.kind == "BetaSamplingScheduler":
                shape = {key: as_number(self.wires.setting([part], key)) for key in BETA57}
                name = "beta57" if shape == BETA57 else "beta" if set(shape.values()) == {0.6} else None
                described = ", ".join(f"{key} {value:g}" for key, value in shape.items() if value is not None)
                return name, () if name else (("Beta schedule", described),)
        if name := as_text(self.wires.setting(parts, "scheduler")):
            return our_scheduler(name), ()
        return next((part.kind for part in parts if _MAKES_SIGMAS.search(part.kind)), None), ()

    def _weights(self, link: Any) -> tuple[str | None, tuple[tuple[str, float], ...], Pairs]:
        """The model's file, the LoRAs in the order in which they were applied, and what else changed the model."""
        loras: list[tuple[str, float]] = []
        changes: list[tuple[str, str]] = []
        shift: float | None = None
        file: str | None = None
        for node in self.wires.upstream(
            link if isinstance(link, Link) else None, ["model", "opt_model"], any_input=True
        ):
            found, unknown = self._loras(self._stacks(node))
            changes += left_out_extra(unknown)
            if not found:
                tagged, left_out = strings.tagged_loras(node.kind, self.wires.values(node))
                found = list(tagged)
                changes += left_out
            loras += reversed(found)
            for name in _MODEL_FILES[: -1 if isinstance(node.inputs.get("model"), Link) else None]:
                file = file or as_text(self.wires.setting([node], name))
            if file is not None:
                break
            if "shift" in node.inputs:
                # The shift nearest to the sampler counts.
                shift = shift or as_number(self.wires.setting([node], "shift"))
            elif _BLOCK_WEIGHTS in node.kind or (not found and self._may_change(node)):
                changes.append((LEFT_OUT, node.kind))
        shifted = () if shift in (None, ANIMA_SHIFT) else ((SHIFT, f"{shift:g}"),)
        return file, tuple(reversed(loras)), (*shifted, *changes)

    def _loras(self, stacks: list[Node]) -> tuple[list[tuple[str, float]], list[str]]:
        """The LoRAs of a loader and of the stacks that lead to it, and the stacks whose LoRAs are not known."""
        found: list[tuple[str, float]] = []
        unknown: list[str] = []
        for place, stack in reversed(list(enumerate(stacks))):
            values = self.wires.values(stack)
            loras = [] if is_random(stack.kind, values) else list(loras_of(values))
            found += loras
            # The first is the loader itself, which may have LoRAs in other forms.
            if not loras and (is_random(stack.kind, values) or (place > 0 and holds_unknown_lora(values))):
                unknown.append(stack.kind)
        return found, unknown

    def _may_change(self, node: Node) -> bool:
        return changes_model(node) or ("lora" in node.kind.casefold() and holds_unknown_lora(self.wires.values(node)))

    def _stacks(self, node: Node) -> list[Node]:
        """A loader and the stacks of LoRAs that lead to it, the nearest first; empty if it is switched off."""
        if is_off(node.inputs):
            return []
        return [node, *self.wires.upstream(link_of(node, "lora_stack", "optional_lora_stack"), ["lora_stack"])]

    def _latent(self, sampler: Node) -> tuple[int | None, int | None, str | None, list[Node]]:
        """The latent's width and height if known, the file of its source image, and the nodes that lead to it."""
        width = height = source_image = None
        start = latent_link(sampler) or link_of(sampler, *PIPES)
        for node in self._latents(sampler):
            sides = self._sides(node)
            width, height = width or sides[0], height or sides[1]
            source_image = source_image or as_text(node.inputs.get("image"))
        return width, height, source_image, self.wires.upstream(start, _LATENTS)

    def _latents(self, sampler: Node) -> list[Node]:
        """The nodes that lead to a sampler's latent, also along wires that carry other things too (pipes)."""
        start = latent_link(sampler) or link_of(sampler, *PIPES)
        return self.wires.upstream(start, (*_LATENTS, *PIPES), any_input=True)

    def _computed(self, parts: list[Node]) -> list[str]:
        """Settings whose values are unknown because a node computes them."""
        named = (("seed", "noise_seed"), ("steps",), ("cfg",), ("denoise",), ("sampler_name",), ("scheduler",))
        kinds = ((names[0], self.wires.computed(parts, *names)) for names in named)
        return [f"{name} ({kind})"[:100] for name, kind in kinds if kind]

    def _sides(self, node: Node) -> tuple[int | None, int | None]:
        """The width and the height of an empty latent, as far as its node shows them."""
        if size := _SIZE.fullmatch(as_text(node.inputs.get("resolution")) or ""):
            return int(size[1]), int(size[2])
        if computes_size(node):
            return preset_size(node)
        names = (("width", "empty_latent_width"), ("height", "empty_latent_height"))
        width, height = (as_integer(self.wires.setting([node], *each)) for each in names)
        return width, height

    def _prompt(self, parts: list[Node], role: str) -> "_Prompt":
        """The text of the first text encoder that leads to a sampler's input, and other texts joined to it."""
        names = (*_ROLES[role], "conditioning", "cond1") if role == "positive" else _ROLES[role]
        holder, start = next(((p, p.inputs[name]) for p in parts for name in names if name in p.inputs), (None, None))
        if isinstance(start, Link) and holder is not None and _loads(holder):
            start = self.texts.text(start)
        if isinstance(start, str):
            ways = _weights_otherwise(holder) if holder is not None and _loads(holder) else []
            return _Prompt(start, left_out_extra((*self.texts.take_unknown(), *ways)))
        found: list[str] = []
        in_part: list[str] = []
        changes: list[str] = []
        zeroed = ""
        stack = [(start, found)] if isinstance(start, Link) else []
        seen: set[str] = set()
        while stack and len(seen) < MAX_WALK:
            link, texts = stack.pop()
            if link.node in seen:
                continue
            seen.add(link.node)
            node = self.nodes[link.node]
            if node.kind == "ConditioningZeroOut":
                zeroed = node.kind
                continue
            text = self._encoded(node, role)
            if text is not None and self.is_page and isinstance(node.inputs.get("text"), str):
                text, chosen = strings.rewritten_by_frontend(text)
                changes += chosen
            unknown = self.texts.take_unknown()
            changes += unknown
            if text is not None:
                texts.append(text)
                changes += self._other_texts(node, text)
                changes += _weights_otherwise(node)
                changes += changed_encoder(self.wires.upstream(link_of(node, "clip", "opt_clip"), ["clip", "opt_clip"]))
            elif encodes(node) and (unknown or _has_text(node)):
                changes += [] if unknown else [maker(node, self.wires) or node.kind]
            else:
                conditionings = _conditionings(node, role)
                # This is a switch whose choice is not known.
                leads_nowhere = "witch" in node.kind and not conditionings
                changes += [node.kind] if changes_conditioning(node) or leads_nowhere else []
                texts = in_part if _LIMITS.search(node.kind) else texts
                stack += ((link, texts) for link in reversed(conditionings))
        found += in_part  # these count only if there are no others
        # If there is no text, ConditioningZeroOut only means that there is no negative prompt.
        changes += [zeroed] if found and zeroed else []
        return _Prompt(found[0] if found else "", left_out_extra((*found[1:], *changes, *self.texts.take_unknown())))

    def _encoded(self, node: Node, role: str) -> str | None:
        """The text that a node encodes, if it is a text encoder or takes the prompts itself; else None."""
        text = node.inputs.get(role)
        if isinstance(text, str):
            return text
        if isinstance(text, Link) and _loads(node):
            return self.texts.text(text)
        if encodes(node) and not strings.unknown(node.kind):
            for key in TEXTS:
                if (text := self.texts.text(node.inputs.get(key))) is not None:
                    text = strings.prompt_text(node.kind, key, text)
                    return None if text is None else self.texts.with_triggers(node, text)
        return None

    def _other_texts(self, node: Node, text: str) -> list[str]:
        """The texts that are not the prompt, if a node has a separate text for each of a model's encoders."""
        others = dict.fromkeys(self.texts.text(node.inputs.get(key)) for key in SEPARATE_TEXTS)
        return [each for each in others if each and each != text]

    def _anywhere(self, name: str) -> str | None:
        found = (as_text(node.inputs.get(name)) for node in self.nodes.values())
        return next((file for file in found if file and file not in _NO_FILES), None)


@dataclass(frozen=True)
class _Prompt:
    """left_out: what one prompt cannot repeat, such as texts that were joined to it as conditionings."""

    text: str
    left_out: Pairs = ()


def _conditionings(node: Node, role: str) -> list[Link]:
    if (own := link_of(node, *_ROLES[role])) is not None:  # such a node may carry the other role too
        return [own]
    return node.links([role, "conditioning", "conditioning_1", "conditioning_to"])


def _denoise(walked: int, steps: int) -> float:
    """The denoise for this many steps of a schedule, rounded such that `int(walked / denoise)` is `steps` again."""
    denoise = walked / steps
    return denoise if int(walked / denoise) == steps else math.nextafter(denoise, 0)


def _has_text(node: Node) -> bool:
    return "TextEncode" in node.kind or any(key in node.inputs for key in TEXTS)


def _weights_otherwise(node: Node) -> list[str]:
    """Names the settings of an encoder that uses weights in prompts, or layers, differently from ComfyUI's own."""
    names = [name for name in node.inputs if name.endswith("weight_interpretation") or name == "parser"]
    ways = ((name, as_text(node.inputs[name])) for name in names)
    skipped = as_integer(node.inputs.get("clip_skip"))
    layers = [f"{node.kind} (clip_skip {skipped})"] if skipped is not None and skipped < -1 else []
    return layers + [f"{node.kind} ({name} {way})"[:100] for name, way in ways if way and not way.startswith("comfy")]


def _loads(node: Node) -> bool:
    return any(name in node.inputs for name in _MODEL_FILES)
