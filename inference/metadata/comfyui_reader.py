"""Reads how an image was made off a ComfyUI graph, whoever drew the graph.

The graph is walked backwards: from what saves an image to the sampler that began it, from there along the wires to
text encoders, weights, size and seeds. Nodes are known by the names of their inputs rather than by their class, so that
extensions' nodes are understood where they keep to the customs. Graphs come from strangers: every walk is of limited
length, and nothing is taken for granted about a value's type.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from inference.metadata.comfyui_writer import BETA57, NODE_CLASSES
from inference.metadata.names import our_sampler, our_scheduler
from inference.metadata.parameters import Parameters, as_integer, as_number, as_text, json_object

_MAX_NODES = 5_000
_MAX_INPUTS = 100
#: Nodes along one walk.
_FARTHEST = 64

_TEXTS = ("text", "prompt", "text_g", "t5xxl", "text_l", "clip_l")
_CONSTANTS = ("value", "seed", "noise_seed", "int", "float", "number", "string", "text")
_MODEL_FILES = ("unet_name", "ckpt_name", "gguf_name", "model_name")
_LATENTS = ("latent_image", "latent", "samples", "pixels", "image")
# Values of classes that only the readers meet, in the order in which the page lists them.
_WIDGETS = {kind: node_class.widgets for kind, node_class in NODE_CLASSES.items()} | {
    "KSamplerAdvanced": (
        *("add_noise", "noise_seed", "control_after_generate", "steps", "cfg", "sampler_name", "scheduler"),
        *("start_at_step", "end_at_step", "return_with_leftover_noise"),
    ),
    "BasicScheduler": ("scheduler", "steps", "denoise"),
    "CFGGuider": ("cfg",),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "EmptySD3LatentImage": ("width", "height", "batch_size"),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
    "PrimitiveNode": ("value",),
    "RandomNoise": ("noise_seed", "control_after_generate"),
}


def read(text: Mapping[str, str]) -> Parameters | None:
    """What the `prompt` chunk, or else the `workflow` chunk, says; None if there is no graph with a sampler."""
    for nodes in _graphs(text):
        if len(nodes) <= _MAX_NODES and (parameters := _GraphWalk(nodes).parameters()):
            return parameters
    return None


@dataclass(frozen=True)
class _Link:
    node: str
    slot: int


@dataclass(frozen=True)
class _Node:
    kind: str
    inputs: dict[str, Any]

    def links(self, first: Iterable[str] = ()) -> list[_Link]:
        """What the node's inputs are wired to, those named first before the others."""
        order = dict.fromkeys([*first, *self.inputs])
        return [link for name in order if isinstance(link := self.inputs.get(name), _Link)]


Nodes = dict[str, _Node]


class _GraphWalk:
    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes

    def parameters(self) -> Parameters | None:
        sampler = self._first_sampler()
        if sampler is None:
            return None
        # In a custom sampler's graph the settings sit on nodes of their own.
        parts = [sampler]
        for name in ("noise", "guider", "sampler", "sigmas"):
            link = sampler.inputs.get(name)
            parts += self._upstream(link, ["sigmas"]) if isinstance(link, _Link) else []
        model, loras = self._weights(next((p.inputs["model"] for p in parts if "model" in p.inputs), None))
        width, height, source_image = self._latent(sampler)
        steps, denoise = self._steps(parts)
        sampler_name = as_text(self._setting(parts, "sampler_name"))
        cfg_scale = as_number(self._setting(parts, "cfg"))
        without_cfg = any(part.kind == "BasicGuider" for part in parts)
        return Parameters(
            prompt=self._prompt(parts, "positive"),
            negative_prompt=self._prompt(parts, "negative"),
            width=width,
            height=height,
            steps=steps,
            cfg_scale=1.0 if without_cfg else cfg_scale,
            sampler=our_sampler(sampler_name) if sampler_name else None,
            scheduler=self._scheduler(parts),
            seed=as_integer(self._setting(parts, "seed", "noise_seed")),
            denoise=denoise,
            loras=loras,
            model=model,
            text_encoder=self._anywhere("clip_name"),
            vae=self._anywhere("vae_name"),
            source_image=source_image,
            software="ComfyUI",
        )

    def _first_sampler(self) -> _Node | None:
        """The sampler farthest from where images are saved: later ones refine what it began."""
        outputs = [name for name, node in self.nodes.items() if "Save" in node.kind or "Preview" in node.kind]
        samplers = [node for node in self._reachable(outputs or self.nodes) if _is_sampler(node)]
        return samplers[-1] if samplers else None

    def _reachable(self, names: Iterable[str]) -> Iterator[_Node]:
        queue = deque(names)
        seen = set(queue)
        while queue:
            node = self.nodes[queue.popleft()]
            yield node
            for link in node.links():
                if link.node not in seen:
                    seen.add(link.node)
                    queue.append(link.node)

    def _upstream(self, link: _Link | None, preferred: Iterable[str], any_input: bool = False) -> list[_Node]:
        """The chain of nodes from a wire on, always along the first of the preferred inputs that is wired."""
        chain: dict[str, _Node] = {}
        while link is not None and link.node not in chain and len(chain) < _FARTHEST:
            node = chain[link.node] = self.nodes[link.node]
            wired = (
                node.links(preferred)
                if any_input
                else [wire for name in preferred if isinstance(wire := node.inputs.get(name), _Link)]
            )
            link = wired[0] if wired else None
        return list(chain.values())

    def _setting(self, parts: list[_Node], *names: str) -> Any:
        """The first value that one of the nodes has under one of the names, itself or wired from elsewhere."""
        for part in parts:
            for name in names:
                value = part.inputs.get(name)
                if isinstance(value, _Link):
                    value = self._constant(value, names)
                if value is not None:
                    return value
        return None

    def _constant(self, link: _Link, names: tuple[str, ...]) -> Any:
        for node in self._upstream(link, [*names, *_CONSTANTS], any_input=True):
            for name in (*names, *_CONSTANTS):
                value = node.inputs.get(name)
                if isinstance(value, str | int | float):
                    return value
        return None

    def _steps(self, parts: list[_Node]) -> tuple[int | None, float]:
        """Steps that were walked, and the part of the whole schedule that they are."""
        steps = as_integer(self._setting(parts, "steps"))
        denoise = as_number(self._setting(parts, "denoise"))
        left_out = as_integer(self._setting(parts, "start_at_step"))
        if any(part.kind == "SplitSigmas" for part in parts):
            left_out = as_integer(self._setting(parts, "step"))
        if steps and left_out and 0 < left_out < steps:
            return steps - left_out, _denoise(steps - left_out, steps)
        return steps, 1.0 if denoise is None else denoise

    def _scheduler(self, parts: list[_Node]) -> str | None:
        name = as_text(self._setting(parts, "scheduler"))
        for part in parts:
            if part.kind == "BetaSamplingScheduler":
                return "beta57" if all(part.inputs.get(key) == value for key, value in BETA57.items()) else "beta"
        return our_scheduler(name) if name else None

    def _weights(self, link: Any) -> tuple[str | None, tuple[tuple[str, float], ...]]:
        """The model's file, and the LoRAs in the order in which they were applied."""
        loras: list[tuple[str, float]] = []
        for node in self._upstream(link if isinstance(link, _Link) else None, ["model"], any_input=True):
            loras += reversed(list(self._loras(node)))
            for name in _MODEL_FILES:
                if file := as_text(self._setting([node], name)):
                    return file, tuple(reversed(loras))
        return None, tuple(reversed(loras))

    def _loras(self, node: _Node) -> Iterator[tuple[str, float]]:
        name = as_text(self._setting([node], "lora_name"))
        strength = as_number(self._setting([node], "strength_model", "strength"))
        if name and strength is not None:
            yield name, strength
        for row in node.inputs.values():  # rgthree's Power Lora Loader has a row for each
            if isinstance(row, dict) and row.get("on") and isinstance(row.get("lora"), str):
                strength = as_number(row.get("strength"))
                if strength is not None:
                    yield row["lora"], strength

    def _latent(self, sampler: _Node) -> tuple[int | None, int | None, str | None]:
        """Width and height where the latent says, and the file of the image that it came from."""
        width = height = source_image = None
        for node in self._upstream(next(iter(_latent_link(sampler)), None), _LATENTS, any_input=True):
            width = width or as_integer(self._setting([node], "width"))
            height = height or as_integer(self._setting([node], "height"))
            source_image = source_image or as_text(node.inputs.get("image"))
        return width, height, source_image

    def _prompt(self, parts: list[_Node], role: str) -> str:
        """The text that the first text encoder on the way from a sampler's input holds."""
        names = (role, "conditioning") if role == "positive" else (role,)
        start = next((part.inputs[name] for part in parts for name in names if name in part.inputs), None)
        if isinstance(start, str):
            return start
        stack = [start] if isinstance(start, _Link) else []
        seen: set[str] = set()
        while stack and len(seen) < _FARTHEST:
            name = stack.pop().node
            if name in seen:
                continue
            seen.add(name)
            node = self.nodes[name]
            if node.kind == "ConditioningZeroOut":
                return ""
            text = node.inputs.get(role)
            if isinstance(text, str):  # a loader of an extension that takes the prompts itself
                return text
            if "TextEncode" in node.kind or "clip" in node.inputs:
                for key in _TEXTS:
                    if (found := self._text(node.inputs.get(key))) is not None:
                        return found
            stack += reversed(node.links([role, "conditioning", "conditioning_1", "conditioning_to"]))
        return ""

    def _text(self, value: Any) -> str | None:
        """A text, or the one that nodes along a wire hold or join."""
        if not isinstance(value, _Link):
            return as_text(value)
        for node in self._upstream(value, [*_TEXTS, *_CONSTANTS], any_input=True):
            if "delimiter" in node.inputs:
                return self._joined(node)
            for key in (*_TEXTS, *_CONSTANTS):
                if isinstance(text := node.inputs.get(key), str):
                    return text
        return None

    def _joined(self, node: _Node) -> str:
        """What a node that concatenates texts gives. Joins of joins are followed with a stack of what is to come."""
        pieces: list[str] = []
        stack: list[Any] = [node]
        for _ in range(_FARTHEST):
            if not stack:
                break
            item = stack.pop()
            if isinstance(item, str):
                pieces.append(item)
                continue
            inputs = (self.nodes[item.node] if isinstance(item, _Link) else item).inputs
            delimiter = as_text(inputs.get("delimiter")) or ""
            parts: list[Any] = []
            for name, value in inputs.items():
                if name != "delimiter" and isinstance(value, str | _Link) and value not in ("", "true", "false"):
                    parts += [delimiter, value] if parts else [value]
            stack += reversed(parts)
        return "".join(pieces)

    def _anywhere(self, name: str) -> str | None:
        found = (as_text(node.inputs.get(name)) for node in self.nodes.values())
        return next(filter(None, found), None)


def _denoise(walked: int, steps: int) -> float:
    """The part of a schedule that is walked; `int(walked / denoise)` gives the schedule's steps back."""
    denoise = walked / steps
    return denoise if int(walked / denoise) == steps else math.nextafter(denoise, 0)


def _is_sampler(node: _Node) -> bool:
    return bool(_latent_link(node)) and any(isinstance(node.inputs.get(name), _Link) for name in ("positive", "guider"))


def _latent_link(node: _Node) -> list[_Link]:
    return [link for name in _LATENTS[:2] if isinstance(link := node.inputs.get(name), _Link)]


def _graphs(text: Mapping[str, str]) -> Iterator[Nodes]:
    if prompt := json_object(text.get("prompt")):
        yield _api_graph(prompt)
    if page := json_object(text.get("workflow")):
        yield _page_graph(page)
        definitions = page.get("definitions")
        subgraphs = definitions.get("subgraphs") if isinstance(definitions, dict) else None
        for subgraph in subgraphs if isinstance(subgraphs, list) else []:
            if isinstance(subgraph, dict):
                yield _page_graph(subgraph)


def _api_graph(prompt: dict[str, Any]) -> Nodes:
    nodes = {name: node for name, node in prompt.items() if isinstance(node, dict)}

    def value(raw: Any) -> Any:
        if not isinstance(raw, list):
            return raw
        is_link = len(raw) == 2 and isinstance(raw[0], str | int) and isinstance(raw[1], int) and str(raw[0]) in nodes
        return _Link(str(raw[0]), raw[1]) if is_link else None

    return {
        name: _Node(
            as_text(node.get("class_type")) or "",
            {key: value(raw) for key, raw in islice(inputs.items(), _MAX_INPUTS)}
            if isinstance(inputs := node.get("inputs"), dict)
            else {},
        )
        for name, node in nodes.items()
    }


def _page_graph(page: dict[str, Any]) -> Nodes:
    entries = page.get("nodes")
    by_name = {
        str(entry["id"]): entry
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, dict) and isinstance(entry.get("id"), str | int)
    }
    links = dict(_page_links(page.get("links"), by_name))
    return {name: _page_node(entry, links) for name, entry in by_name.items()}


def _page_links(links: Any, nodes: Mapping[str, Any]) -> Iterator[tuple[str, _Link]]:
    for link in links if isinstance(links, list) else []:
        if isinstance(link, dict):  # in subgraphs
            link = [link.get(key) for key in ("id", "origin_id", "origin_slot")]
        if isinstance(link, list) and len(link) >= 3 and str(link[1]) in nodes and isinstance(link[2], int):
            yield str(link[0]), _Link(str(link[1]), link[2])


def _page_node(entry: dict[str, Any], links: Mapping[str, _Link]) -> _Node:
    kind = as_text(entry.get("type")) or ""
    sockets = entry.get("inputs")
    sockets = sockets[:_MAX_INPUTS] if isinstance(sockets, list) else []
    sockets = [socket for socket in sockets if isinstance(socket, dict)]
    wired = {
        socket["name"]: links[str(socket.get("link"))]
        for socket in sockets
        if isinstance(socket.get("name"), str) and str(socket.get("link")) in links
    }
    if entry.get("mode") in (2, 4):  # muted or bypassed: wires lead through, values do not count
        return _Node("", wired)
    return _Node(kind, dict(_widgets(kind, sockets, entry.get("widgets_values"))) | wired)


def _widgets(kind: str, sockets: list[dict[str, Any]], values: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(values, dict):
        yield from islice(values.items(), _MAX_INPUTS)
    elif isinstance(values, list):
        widgets = [socket["widget"] for socket in sockets if isinstance(socket.get("widget"), dict)]
        names = _WIDGETS.get(kind) or [widget["name"] for widget in widgets if isinstance(widget.get("name"), str)]
        queue = deque(values)
        for name in names or ("value",):
            if not queue:
                return
            yield name, queue.popleft()
            # The page keeps what happens to a seed after each image as a value of its own, without a socket.
            if name in ("seed", "noise_seed") and kind not in _WIDGETS and queue and isinstance(queue[0], str):
                queue.popleft()
