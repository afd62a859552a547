"""Writes the graph with which ComfyUI generates the same image: for its API, and for its page with positions and links.

The graph is that of ComfyUI's own Anima template, and uses only stock nodes:

    UNETLoader, LoraLoaderModelOnly … ───────────┐
    CLIPLoader ─ CLIPTextEncode, CLIPTextEncode ─┤
    EmptyLatentImage ────────────────────────────┴─ KSampler ─ VAEDecode ─ SaveImage

- ComfyUI uses a shift of 3 for Anima by itself, so no node sets it; ModelSamplingAuraFlow sets any other. CLIPLoader's
  type does not matter for this text encoder, which ComfyUI recognizes by its tensors; the template uses
  `stable_diffusion`.
- CheckpointLoaderSimple loads a model in the folder `checkpoints`, with the parts that the engine took from it.
- LoraLoader loads a LoRA that changes the text encoder too.
- An image made from another starts from LoadImage, ImageScale (Lanczos, cropped to the middle, as ours) and VAEEncode.
- SetLatentNoiseMask redraws a part. SolidMasks form the mask if it consists of rectangles; otherwise it is a file. A
  soft mask needs DifferentialDiffusion. ImageCompositeMasked blends the new part into the old image, with a mask whose
  edge GrowMask and ImageBlur soften like ours.
- KSampler lacks `beta57`, which is the scheduler of an extension (RES4LYF), and other shapes of `beta`.
  BetaSamplingScheduler has them (`beta57` is alpha 0.5 and beta 0.7), and SamplerCustom samples with it. SamplerCustom
  is also used with SamplerER_SDE, which has the settings of `er_sde`.
- ComfyUI's page treats `{a|b}` and `//` in a CLIPTextEncode's own text as wildcards and comments. A prompt with such
  marks comes from a PrimitiveStringMultiline, whose text the page does not change.
- No stock node blends two seeds. A note in the graph says so, and that a source image must be chosen.
"""

import re
from dataclasses import asdict, dataclass, field
from typing import Any

from inference.metadata.a1111 import stem
from inference.metadata.names import comfyui_sampler
from inference.metadata.parameters import ANIMA_SHIFT, Parameters, RedrawMask
from inference.prompt import embeddings

TEXT_ENCODER = "qwen_3_06b_base.safetensors"
VAE = "qwen_image_vae.safetensors"
SOURCE_IMAGE = "source.png"
MASK_IMAGE = "mask.png"
BETA57 = {"alpha": 0.5, "beta": 0.7}

_REWRITTEN_BY_FRONTEND = re.compile(r"[{}]|\\\||\\\Z|//|/\*")


@dataclass(frozen=True)
class NodeClass:
    """A stock node, with what ComfyUI's page needs to know.

    inputs: name to type, for inputs that can only be wired. widgets: names, in the page's order. outputs: types.
    column: where we place it, from left to right. height: in pixels.
    """

    inputs: dict[str, str]
    widgets: tuple[str, ...]
    outputs: tuple[str, ...]
    column: int
    height: int = 110


NODE_CLASSES = {
    "UNETLoader": NodeClass({}, ("unet_name", "weight_dtype"), ("MODEL",), 0),
    "CheckpointLoaderSimple": NodeClass({}, ("ckpt_name",), ("MODEL", "CLIP", "VAE"), 0, 130),
    "CLIPLoader": NodeClass({}, ("clip_name", "type", "device"), ("CLIP",), 0, 140),
    "VAELoader": NodeClass({}, ("vae_name",), ("VAE",), 0, 90),
    "LoadImage": NodeClass({}, ("image", "upload"), ("IMAGE", "MASK"), 0, 320),
    "PrimitiveStringMultiline": NodeClass({}, ("value",), ("STRING",), 0, 200),
    "Note": NodeClass({}, ("text",), (), 0, 160),
    "LoraLoaderModelOnly": NodeClass({"model": "MODEL"}, ("lora_name", "strength_model"), ("MODEL",), 1),
    "LoraLoader": NodeClass(
        {"model": "MODEL", "clip": "CLIP"}, ("lora_name", "strength_model", "strength_clip"), ("MODEL", "CLIP"), 1, 140
    ),
    "ModelSamplingAuraFlow": NodeClass({"model": "MODEL"}, ("shift",), ("MODEL",), 1, 90),
    "EmptyLatentImage": NodeClass({}, ("width", "height", "batch_size"), ("LATENT",), 1, 140),
    "ImageScale": NodeClass({"image": "IMAGE"}, ("upscale_method", "width", "height", "crop"), ("IMAGE",), 1, 160),
    "ImageToMask": NodeClass({"image": "IMAGE"}, ("channel",), ("MASK",), 1, 90),
    "ThresholdMask": NodeClass({"mask": "MASK"}, ("value",), ("MASK",), 1, 90),
    "SolidMask": NodeClass({}, ("value", "width", "height"), ("MASK",), 0, 140),
    "MaskComposite": NodeClass({"destination": "MASK", "source": "MASK"}, ("x", "y", "operation"), ("MASK",), 1, 160),
    "SetLatentNoiseMask": NodeClass({"samples": "LATENT", "mask": "MASK"}, (), ("LATENT",), 2, 80),
    "DifferentialDiffusion": NodeClass({"model": "MODEL"}, ("strength",), ("MODEL",), 1, 90),
    "GrowMask": NodeClass({"mask": "MASK"}, ("expand", "tapered_corners"), ("MASK",), 2, 110),
    "MaskToImage": NodeClass({"mask": "MASK"}, (), ("IMAGE",), 2, 60),
    "ImageBlur": NodeClass({"image": "IMAGE"}, ("blur_radius", "sigma"), ("IMAGE",), 2, 110),
    "ImageCompositeMasked": NodeClass(
        {"destination": "IMAGE", "source": "IMAGE", "mask": "MASK"}, ("x", "y", "resize_source"), ("IMAGE",), 4, 160
    ),
    "VAEEncode": NodeClass({"pixels": "IMAGE", "vae": "VAE"}, (), ("LATENT",), 1, 80),
    "CLIPTextEncode": NodeClass({"clip": "CLIP"}, ("text",), ("CONDITIONING",), 2, 220),
    "KSamplerSelect": NodeClass({}, ("sampler_name",), ("SAMPLER",), 2, 90),
    "SamplerER_SDE": NodeClass({}, ("solver_type", "max_stage", "eta", "s_noise"), ("SAMPLER",), 2, 160),
    "BasicScheduler": NodeClass({"model": "MODEL"}, ("scheduler", "steps", "denoise"), ("SIGMAS",), 2, 140),
    "BetaSamplingScheduler": NodeClass({"model": "MODEL"}, ("steps", "alpha", "beta"), ("SIGMAS",), 2, 140),
    "SplitSigmas": NodeClass({"sigmas": "SIGMAS"}, ("step",), ("SIGMAS", "SIGMAS"), 2, 100),
    "KSampler": NodeClass(
        {"model": "MODEL", "positive": "CONDITIONING", "negative": "CONDITIONING", "latent_image": "LATENT"},
        ("seed", "control_after_generate", "steps", "cfg", "sampler_name", "scheduler", "denoise"),
        ("LATENT",),
        3,
        300,
    ),
    "SamplerCustom": NodeClass(
        {
            "model": "MODEL",
            "positive": "CONDITIONING",
            "negative": "CONDITIONING",
            "sampler": "SAMPLER",
            "sigmas": "SIGMAS",
            "latent_image": "LATENT",
        },
        ("add_noise", "noise_seed", "control_after_generate", "cfg"),
        ("LATENT", "LATENT"),
        3,
        300,
    ),
    "VAEDecode": NodeClass({"samples": "LATENT", "vae": "VAE"}, (), ("IMAGE",), 4, 80),
    "SaveImage": NodeClass({"images": "IMAGE"}, ("filename_prefix",), (), 5, 400),
}
# Widgets that only the page has, with the values that generate the same image.
_FRONTEND_ONLY_WIDGETS = {"control_after_generate": "fixed", "upload": "image"}
_FRONTEND_ONLY_NODES = {"Note"}


@dataclass(frozen=True)
class _Output:
    node: int
    slot: int = 0


@dataclass(frozen=True)
class _GraphNode:
    number: int
    kind: str
    links: dict[str, _Output]
    values: dict[str, Any]


@dataclass
class Graph:
    nodes: list[_GraphNode] = field(default_factory=list)

    def add(self, kind: str, **inputs: Any) -> _Output:
        links = {name: value for name, value in inputs.items() if isinstance(value, _Output)}
        values = {name: value for name, value in inputs.items() if name not in links}
        self.nodes.append(_GraphNode(len(self.nodes) + 1, kind, links, values))
        return _Output(len(self.nodes))


def image_graph(parameters: Parameters) -> Graph:
    """The graph that generates the image. `parameters` must be complete, see `files.png_text`."""
    p = parameters
    g = Graph()
    model, clip, vae = _loaded(g, p)
    for name, strength in p.loras:
        if name in p.text_encoder_loras:
            strengths = {"strength_model": strength, "strength_clip": strength}
            model = g.add("LoraLoader", model=model, clip=clip, lora_name=_file(name), **strengths)
            clip = _Output(model.node, slot=1)
        else:
            model = g.add("LoraLoaderModelOnly", model=model, lora_name=_file(name), strength_model=strength)
    if p.shift != ANIMA_SHIFT:
        model = g.add("ModelSamplingAuraFlow", model=model, shift=p.shift)
    if p.mask is not None and p.mask.soft:
        model = g.add("DifferentialDiffusion", model=model, strength=1.0)
    source = _source(g, p)
    mask = None if p.mask is None or source is None else _mask(g, p, p.mask)
    start = {
        "model": model,
        "positive": g.add("CLIPTextEncode", clip=clip, text=_text(g, p.prompt)),
        "negative": g.add("CLIPTextEncode", clip=clip, text=_text(g, p.negative_prompt)),
        "latent_image": _latent(g, p, vae, source, mask),
    }
    drawn = _sampled(g, p, **start) if _shape(p) is None and p.er_sde is None else _sampled_by_nodes(g, p, **start)
    image = g.add("VAEDecode", samples=drawn, vae=vae)
    if p.mask is not None and source is not None and mask is not None:
        image = g.add(
            "ImageCompositeMasked",
            destination=source,
            source=image,
            mask=_softened(g, mask, p.mask.seam),
            x=0,
            y=0,
            resize_source=False,
        )
    g.add("SaveImage", images=image, filename_prefix="Anima")
    if notes := _notes(p):
        g.add("Note", text="\n".join(notes))
    return g


def _loaded(g: Graph, p: Parameters) -> tuple[_Output, _Output, _Output]:
    """The outputs with the model, the text encoder and the VAE; the last two may be in the model's file."""
    if p.all_in_one:
        model = g.add("CheckpointLoaderSimple", ckpt_name=_file(p.model))
    else:
        model = g.add("UNETLoader", unet_name=_file(p.model), weight_dtype="default")
    if p.all_in_one and p.text_encoder == p.model:
        clip = _Output(model.node, slot=1)
    else:
        clip = g.add(
            "CLIPLoader", clip_name=_file(p.text_encoder or TEXT_ENCODER), type="stable_diffusion", device="default"
        )
    if p.all_in_one and p.vae == p.model:
        return model, clip, _Output(model.node, slot=2)
    return model, clip, g.add("VAELoader", vae_name=_file(p.vae or VAE))


def api(graph: Graph) -> dict[str, Any]:
    """The content of the `prompt` chunk: what the server runs."""
    return {
        str(node.number): {
            "class_type": node.kind,
            "inputs": node.values | {name: [str(link.node), link.slot] for name, link in node.links.items()},
        }
        for node in graph.nodes
        if node.kind not in _FRONTEND_ONLY_NODES
    }


def workflow(graph: Graph) -> dict[str, Any]:
    """The content of the `workflow` chunk: what the page shows when the file is dropped on it (its format 0.4)."""
    wires: list[list[Any]] = []
    for node in graph.nodes:
        for slot, (name, kind) in enumerate(_workflow_inputs(node).items()):
            source = node.links[name]
            wires.append([len(wires) + 1, source.node, source.slot, node.number, slot, kind])
    places = _places(graph)
    return {
        "last_node_id": len(graph.nodes),
        "last_link_id": len(wires),
        "nodes": [_workflow_node(node, wires, *places[node.number]) for node in graph.nodes],
        "links": wires,
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def _text(g: Graph, prompt: str) -> str | _Output:
    return g.add("PrimitiveStringMultiline", value=prompt) if _REWRITTEN_BY_FRONTEND.search(prompt) else prompt


def _source(g: Graph, p: Parameters) -> _Output | None:
    """The image that this one was made from, scaled to this one's size; None if there is none."""
    if not p.source_image and p.denoise == 1:
        return None
    return _scaled(g, p, g.add("LoadImage", image=p.source_image or SOURCE_IMAGE), "lanczos")


def _scaled(g: Graph, p: Parameters, image: _Output, method: str) -> _Output:
    return g.add("ImageScale", image=image, upscale_method=method, width=p.width, height=p.height, crop="center")


def _latent(g: Graph, p: Parameters, vae: _Output, source: _Output | None, mask: _Output | None) -> _Output:
    if source is None:
        return g.add("EmptyLatentImage", width=p.width, height=p.height, batch_size=1)
    latent = g.add("VAEEncode", pixels=source, vae=vae)
    return latent if mask is None else g.add("SetLatentNoiseMask", samples=latent, mask=mask)


def _mask(g: Graph, p: Parameters, mask: RedrawMask) -> _Output:
    if not mask.boxes:
        method = "bilinear" if mask.soft else "nearest-exact"
        image = _scaled(g, p, g.add("LoadImage", image=mask.image or MASK_IMAGE), method)
        whole = g.add("ImageToMask", image=image, channel="red")
        return whole if mask.soft else g.add("ThresholdMask", mask=whole, value=0.5)
    whole = g.add("SolidMask", value=0.0, width=p.width, height=p.height)
    for left, top, width, height in mask.boxes:
        part = g.add("SolidMask", value=1.0, width=width, height=height)
        whole = g.add("MaskComposite", destination=whole, source=part, x=left, y=top, operation="add")
    return whole


def _softened(g: Graph, mask: _Output, seam: int) -> _Output:
    if not seam:
        return mask
    inner = g.add("MaskToImage", mask=g.add("GrowMask", mask=mask, expand=-seam, tapered_corners=False))
    return g.add("ImageToMask", image=g.add("ImageBlur", image=inner, blur_radius=seam, sigma=1.0), channel="red")


def _sampled(g: Graph, p: Parameters, **start: _Output) -> _Output:
    return g.add(
        "KSampler",
        **start,
        seed=p.seed,
        steps=p.steps,
        cfg=p.cfg_scale,
        sampler_name=_sampler_name(p),
        scheduler=p.scheduler,
        denoise=p.denoise,
    )


def _sampler_name(p: Parameters) -> str:
    """The sampler; `euler` replaces `ddim` if there is a mask, because ComfyUI's `ddim` has other noise outside it."""
    return "euler" if p.sampler == "ddim" and p.mask is not None else comfyui_sampler(p.sampler or "")


def _shape(p: Parameters) -> dict[str, float] | None:
    """Alpha and beta of a schedule that needs BetaSamplingScheduler; None for other schedules."""
    if p.scheduler == "beta57":
        return BETA57
    return None if p.beta is None else dict(zip(BETA57, p.beta, strict=True))


def _sampled_by_nodes(g: Graph, p: Parameters, **start: _Output) -> _Output:
    """Samples with a sampler or a schedule that KSampler lacks."""
    sampler = (
        g.add("KSamplerSelect", sampler_name=_sampler_name(p))
        if p.er_sde is None
        else g.add("SamplerER_SDE", **asdict(p.er_sde))
    )
    sigmas = (
        g.add("BasicScheduler", model=start["model"], scheduler=p.scheduler, steps=p.steps, denoise=p.denoise)
        if _shape(p) is None
        else _beta_sigmas(g, p, start["model"])
    )
    return g.add(
        "SamplerCustom", **start, sampler=sampler, sigmas=sigmas, add_noise=True, noise_seed=p.seed, cfg=p.cfg_scale
    )


def _beta_sigmas(g: Graph, p: Parameters, model: _Output) -> _Output:
    steps = p.steps or 0
    whole_steps = int(steps / p.denoise) if p.denoise <= 0.9999 else steps
    sigmas = g.add("BetaSamplingScheduler", model=model, steps=whole_steps, **(_shape(p) or {}))
    if whole_steps > steps:
        return _Output(g.add("SplitSigmas", sigmas=sigmas, step=_steps_left_out(p)).node, slot=1)
    return sigmas


def _steps_left_out(p: Parameters) -> int:
    """How many sigmas of the whole schedule come before the used ones; computed, as the schedule may drop repeats."""
    from inference.sampling.schedules import sigmas  # imports torch, which reading and writing do not need otherwise

    alpha, beta = (_shape(p) or BETA57).values()
    steps = p.steps or 0
    whole = sigmas("beta", int(steps / p.denoise), beta=(alpha, beta))
    return len(whole) - len(sigmas("beta", steps, denoise=p.denoise, beta=(alpha, beta)))


def _notes(p: Parameters) -> list[str]:
    notes = []
    if p.source_image or p.denoise < 1:
        notes.append(
            "This picture was made from another one. Choose that one in the node that loads an image. ComfyUI drops "
            "transparency, while transparent parts are white here. It decodes JPEG and WebP with another library."
        )
    if p.mask is not None and not p.mask.boxes:
        notes.append(
            f"Only a part of it was redrawn. Choose the mask in the node that loads {p.mask.image or MASK_IMAGE}: the "
            "white part is redrawn."
        )
    if p.tiled:
        notes.append(
            "It was drawn in overlapping tiles. ComfyUI has no built-in node for that, so this graph draws it in one "
            "piece."
        )
    if p.variation_seed is not None and p.variation_strength:
        notes.append(
            f"The noise was a blend of two seeds: {p.variation_strength:g} of seed {p.variation_seed}. ComfyUI has no "
            "built-in node for that, so this graph draws the unblended picture."
        )
    if p.loras_without_comfyui:
        notes.append(
            f"ComfyUI does not know the names of the layers in {', '.join(p.loras_without_comfyui)} (key not loaded), "
            "so this graph draws the picture without that LoRA."
        )
    if named := embeddings(p.prompt, p.negative_prompt):
        notes.append(
            f"The picture was drawn without {', '.join(named)}. ComfyUI uses an embedding if it has a file with that "
            "name."
        )
    if p.fast:
        notes.append(
            "The picture was drawn in fast mode, which skips blocks in some steps. ComfyUI has no built-in node "
            "for that, so this graph draws the picture in full."
        )
    if p.nag:
        notes.append(
            "The negative prompt was applied with normalized attention guidance in the cross-attentions. ComfyUI has "
            "no built-in node for that, so this graph draws the picture without the negative prompt."
        )
    return notes


def _file(name: str | None) -> str:
    name = name or ""
    return name if stem(name) != name.replace("\\", "/").rpartition("/")[2] else f"{name}.safetensors"


def _workflow_inputs(node: _GraphNode) -> dict[str, str]:
    """The node's wired inputs, name to type, in the page's order: sockets first, then widgets turned into sockets."""
    sockets = NODE_CLASSES[node.kind].inputs
    return sockets | {name: "STRING" for name in node.links if name not in sockets}


def _workflow_node(node: _GraphNode, wires: list[list[Any]], x: int, y: int) -> dict[str, Any]:
    kind = NODE_CLASSES[node.kind]
    inputs = []
    for slot, (name, type_) in enumerate(_workflow_inputs(node).items()):
        wire = next(wire[0] for wire in wires if wire[3:5] == [node.number, slot])
        widget = {} if name in kind.inputs else {"widget": {"name": name}}
        inputs.append({"name": name, "type": type_, "link": wire} | widget)
    outputs = [
        {
            "name": type_,
            "type": type_,
            "slot_index": slot,
            "links": [wire[0] for wire in wires if wire[1:3] == [node.number, slot]],
        }
        for slot, type_ in enumerate(kind.outputs)
    ]
    return {
        "id": node.number,
        "type": node.kind,
        "pos": [x, y],
        "size": [_NODE_WIDTH, kind.height],
        "flags": {},
        "order": node.number - 1,
        "mode": 0,
        "inputs": inputs,
        "outputs": outputs,
        "properties": {"Node name for S&R": node.kind},
        # A wired widget still has a place in the list.
        "widgets_values": [node.values.get(name, _FRONTEND_ONLY_WIDGETS.get(name, "")) for name in kind.widgets],
    }


_NODE_WIDTH = 330
_GAP = 50


def _places(graph: Graph) -> dict[int, tuple[int, int]]:
    """Positions of the nodes, which are stacked in columns."""
    filled: dict[int, int] = {}
    places = {}
    for node in graph.nodes:
        kind = NODE_CLASSES[node.kind]
        y = filled.get(kind.column, 0)
        places[node.number] = (kind.column * (_NODE_WIDTH + _GAP), y)
        filled[kind.column] = y + kind.height + _GAP
    return places
