"""LoRA files in every common format: merged into a model's weights, and removed again exactly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from inference.gpu.fused_projections import fuse_again
from inference.networks.float8 import ScaledRows, float8_layer
from inference.notes import Note, NoteCode, lora_note, make_note
from inference.request import CheckpointError
from inference.weights.headers.contents import description, unwrapped
from inference.weights.headers.header import check_header, system_fault
from inference.weights.headers.structure import is_leftover
from inference.weights.lora_changes import BESIDE, LENGTHS, Factors, HeaderAlphas, changed, is_whole, rank_of, split_key
from inference.weights.lora_depth import OtherDepth, block_numbers
from inference.weights.lora_layers import TEXT_ENCODER, LayerNames, means_text_encoder
from inference.weights.quantized import Quantization
from inference.weights.weights_file import WeightsFile


@dataclass(frozen=True)
class LeftOut:
    """Tensors of a LoRA file that change nothing."""

    keys: tuple[str, ...]
    reason: Note


#: The prefixes of layer names that ComfyUI knows for Anima.
_KNOWN_TO_COMFYUI = ("diffusion_model.", "lora_unet_", "lora_te", "text_encoders.")


@dataclass(frozen=True, eq=False)
class Lora:
    """The content of a LoRA file, with its tensors under the model's names."""

    path: Path
    #: The factors for each changed tensor, such as `blocks.0.mlp.layer1.weight` or `text_encoder.norm.weight`.
    factors: Mapping[str, Factors]
    left_out: tuple[LeftOut, ...]
    metadata: Mapping[str, str]
    #: Whether it has layers that ComfyUI ignores, because it does not know their names for Anima.
    comfyui_passes_over: bool = False

    @property
    def unmatched(self) -> tuple[str, ...]:
        """Keys of the file that change nothing."""
        return tuple(key for part in self.left_out for key in part.keys)

    @property
    def changes_text_encoder(self) -> bool:
        return any(name.startswith(TEXT_ENCODER) for name in self.factors)

    @property
    def notes(self) -> tuple[Note, ...]:
        """What a user of this LoRA should know, one note for each reason."""
        reasons: dict[Note, list[str]] = defaultdict(list)
        for part in self.left_out:
            reasons[part.reason] += part.keys
        return tuple(lora_note(self.path.stem, keys, reason) for reason, keys in reasons.items())

    @classmethod
    def read(cls, path: Path, transformer: nn.Module, text_encoder: nn.Module | None = None) -> Lora:
        """Raises CheckpointError if nothing in the file can be used, or if it was made for another number of blocks."""
        tensors, metadata = _read(path)
        names = LayerNames(transformer, text_encoder)
        sorted_keys = _SortedKeys.of(tensors, names)
        _refuse_control_networks(path, tensors, metadata)
        depth = len(getattr(transformer, "blocks", ()))
        try:
            moved = block_numbers(sorted_keys.layers, depth, metadata)
        except OtherDepth as error:
            raise CheckpointError(f"The LoRA file {path} cannot be used: {error}") from None
        networks = {"": transformer} | ({} if text_encoder is None else {TEXT_ENCODER: text_encoder})
        parameters = {
            prefix + name: parameter
            for prefix, network in networks.items()
            for name, parameter in network.named_parameters()
        }
        alphas = HeaderAlphas.read(metadata)
        factors: dict[str, Factors] = {}
        left_out = sorted_keys.unknown()
        for layer, parts in sorted_keys.known.items():
            for kind, changes in _by_parameter(parts, alphas).items():
                name = f"{_moved(layer, moved)}.{kind}"
                whole = {factor: tensor for factor, (_key, tensor) in changes.items()}
                if not set(whole) - BESIDE or _is_empty(whole):
                    factors.setdefault(name, {})  # an alpha alone or a rank of 0 is no error
                elif reason := _fault(name, whole, parameters.get(name)):
                    left_out.append(LeftOut(tuple(key for key, _tensor in changes.values() if key), reason))
                else:
                    factors[name] = whole
        if not factors:
            raise CheckpointError(f"The LoRA file {path} cannot be used: {_why_nothing(left_out, tensors)}")
        used = {name: change for name, change in factors.items() if change}
        passed_over = any(_comfyui_passes_over(parts[_LAYER][0]) for parts in sorted_keys.known.values())
        return cls(path, used, tuple(left_out), metadata, passed_over)


def _comfyui_passes_over(layer: str) -> bool:
    """Whether ComfyUI, as of August 2026, ignores a layer of this name in a LoRA file for Anima."""
    return not layer.startswith(_KNOWN_TO_COMFYUI) or "transformer_blocks" in layer


@dataclass(frozen=True)
class Network:
    """A part of the model that LoRA files change."""

    #: The prefix of its tensors' names in `Lora.factors`.
    prefix: str
    module: nn.Module
    checkpoint: WeightsFile
    #: Called before its weights change.
    on_change: Callable[[], None] = field(default=lambda: None)


class MergedLoras:
    """Keeps one set of LoRA files merged into the weights of a model, or of a part of it.

    A merge always starts from the checkpoint's tensors, so earlier merges leave no trace.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks
        self._weights = {
            network.prefix + name: (weight, network, name)
            for network in networks
            for name, weight in network.module.named_parameters()
        }
        self._merged: tuple[tuple[Lora, float], ...] | None = ()
        #: The names of the tensors that differ from the checkpoint's.
        self._touched: set[str] = set()

    @torch.inference_mode(False)  # blocks would be compiled again for inference tensors
    def set(self, loras: Sequence[tuple[Lora, float]]) -> None:
        """Merge exactly these LoRAs, each with its strength. An empty sequence removes all."""
        loras = tuple((lora, strength) for lora, strength in loras if strength != 0)
        if loras == self._merged:
            return
        wanted = {key for lora, _ in loras for key in lora.factors} & self._weights.keys()
        touched = self._touched | wanted
        for network in self._networks:
            if any(self._weights[key][1] is network for key in touched):
                network.on_change()
        self._merged, self._touched = None, touched  # if a merge fails half-way, the next one repairs it
        for key in touched:
            weight, network, name = self._weights[key]
            changes = [(lora.factors[key], strength) for lora, strength in loras if key in lora.factors]
            layer = float8_layer(network.module, name)
            rows = network.checkpoint.scaled_rows(name) if layer is not None and not changes else None
            if layer is not None and rows is not None:
                layer.hold(rows)
                continue
            tensor = _with(changes, network.checkpoint.tensor(name), weight.device)
            if layer is not None:
                layer.hold(ScaledRows.of(tensor.to(weight.device)))
            else:
                weight.data = tensor.to(weight.device, weight.dtype)
        for network in self._networks:
            fuse_again(network.module)
        self._merged, self._touched = loras, wanted


def _with(changes: Sequence[tuple[Factors, float]], tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor with each change at its strength, float32 on the device; unchanged if there are no changes."""
    if changes:
        tensor = tensor.to(device, torch.float32)
    for factors, strength in changes:
        tensor = changed(tensor, factors, strength)
    return tensor


def _read(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    try:
        check_header(path)
        with safe_open(path, framework="pt") as file:
            keys, metadata = file.keys(), file.metadata() or {}
            quantization = Quantization(frozenset(keys), metadata, file.get_tensor)
            if fault := quantization.form.fault():
                raise CheckpointError(f"The LoRA file {path} cannot be used: {fault}")
            # Copied, because on Windows a file that is still mapped can be neither replaced nor deleted.
            plain = (key for key in keys if not quantization.form.belongs_beside(key))
            return {key: _plain(path, quantization, key).clone() for key in plain}, metadata
    except CheckpointError:
        raise
    except (SafetensorError, OSError, ValueError) as error:
        if (why := system_fault(error)) is not None:
            raise CheckpointError(f"The LoRA file {path} cannot be opened: {why}") from error
        raise CheckpointError(
            f"The LoRA file {path} cannot be read as safetensors ({error}). Delete it and download it again."
        ) from error


def _plain(path: Path, quantization: Quantization, key: str) -> Tensor:
    """A tensor of the file, multiplied by its scale if it is quantised."""
    tensor = quantization.get(key)
    if tensor.numel() <= 1 or (tensor.dtype.itemsize > 1 and not tensor.dtype.is_floating_point):
        return tensor  # such as an alpha, which may be an integer
    try:
        return quantization.plain(key)
    except (RuntimeError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"The LoRA file {path} cannot be used: tensor {key} cannot be converted from its quantised form ({error})."
        ) from error


#: A factor's key in the file, empty if it comes from the header, and its tensor.
_Factor = tuple[str, Tensor]


@dataclass(frozen=True)
class _SortedKeys:
    """The keys of a LoRA file, by the model's layers that they change."""

    known: Mapping[str, Mapping[str, _Factor]]
    #: All layer names in the file, including those of layers that the model does not have.
    layers: frozenset[str]
    without_layer: tuple[str, ...]
    without_factor: tuple[str, ...]

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], names: LayerNames) -> _SortedKeys:
        known: dict[str, dict[str, _Factor]] = defaultdict(dict)
        layers, without_layer, without_factor = set(), [], []
        for key, tensor in tensors.items():
            if is_leftover(key, ()):
                continue
            layer, factor = split_key(key)
            layer = unwrapped(layer)
            layers.add(layer)
            name = names.find(layer)
            if factor is None:
                without_factor.append(key)
            elif name is None:
                without_layer.append(key)
            elif factor in known[name]:  # of a second adapter, or under a second name of the layer
                without_factor.append(key)
            else:
                known[name][factor] = (key, tensor)
                known[name].setdefault(_LAYER, (layer, tensor))
        return cls(known, frozenset(layers), tuple(without_layer), tuple(without_factor))

    def unknown(self) -> list[LeftOut]:
        of_other_encoders = tuple(key for key in self.without_layer if means_text_encoder(key))
        of_others = tuple(key for key in self.without_layer if key not in set(of_other_encoders))
        return [
            LeftOut(keys, reason)
            for keys, reason in (
                (of_others, make_note(NoteCode.OTHER_LAYERS)),
                (of_other_encoders, make_note(NoteCode.OTHER_TEXT_ENCODER)),
                (self.without_factor, make_note(NoteCode.UNKNOWN_KIND)),
            )
            if keys
        ]


#: The key under which a layer's parts also hold the layer's name in the file.
_LAYER = "layer"


def _by_parameter(parts: Mapping[str, _Factor], alphas: HeaderAlphas) -> Mapping[str, Mapping[str, _Factor]]:
    """The factors of a layer's weight and of its bias, with the header's alpha if there is no tensor for it."""
    weight = {name: part for name, part in parts.items() if name not in (_LAYER, "diff_b", "up_bias")}
    rank = rank_of({name: tensor for name, (_key, tensor) in weight.items()})
    if rank and "alpha" not in weight:
        alpha = alphas.alpha(parts[_LAYER][0], rank)
        if alpha is not None:
            weight["alpha"] = ("", torch.tensor(alpha))
    bias = {"bias": {"diff": parts["diff_b"]}} if "diff_b" in parts else {}
    if "up_bias" in parts:  # PEFT adds this bias to the product, so it is scaled like that
        key, tensor = parts["up_bias"]
        scale = weight["alpha"][1].float() / rank if rank and "alpha" in weight else torch.ones(())
        bias["bias"] = {"diff": (key, tensor.float() * scale.flatten()[:1])}
    return ({"weight": weight} if weight else {}) | bias


def _moved(layer: str, numbers: Mapping[int, int]) -> str:
    parts = layer.split(".")
    if numbers and parts[0] == "blocks":
        parts[1] = str(numbers.get(int(parts[1]), int(parts[1])))
    return ".".join(parts)


def _is_empty(factors: Factors) -> bool:
    return any(tensor.numel() == 0 for name, tensor in factors.items() if name not in BESIDE)


def _fault(name: str, factors: Factors, weight: Tensor | None) -> Note | None:
    """Why a change cannot be used; None if it can."""
    if weight is None:
        return make_note(NoteCode.NO_SUCH_TENSOR, tensor=name)
    for factor, tensor in factors.items():
        if not torch.isfinite(tensor.float()).all():
            return make_note(NoteCode.NOT_NUMBERS, factor=factor, tensor=name)
    if not is_whole(factors):
        return make_note(NoteCode.INCOMPLETE, tensor=name, factors=", ".join(sorted(factors)))
    if not _fits(factors, weight):
        return make_note(NoteCode.OTHER_SHAPE, tensor=name, shape=str(list(weight.shape)))
    return None


def _fits(factors: Factors, weight: Tensor) -> bool:
    shapes = {factor: tensor.to("meta") for factor, tensor in factors.items() if factor != "alpha"}
    if "alpha" in factors and factors["alpha"].numel() != 1:
        return False
    if "reshape_weight" in factors and tuple(factors["reshape_weight"].tolist()) != tuple(weight.shape):
        return False
    if any(shapes[name].numel() not in weight.shape for name in LENGTHS if name in shapes):
        return False
    try:
        unwritten = torch.empty(weight.shape, dtype=torch.float32, device="meta")
        return changed(unwritten, shapes, 1.0).shape == weight.shape
    except NotImplementedError:
        raise  # a RuntimeError too, but one that says nothing about the file
    except (RuntimeError, IndexError, ValueError):
        return False


#: Reasons that, if there are no others for a file, mean that it was made for another model.
_OF_ANOTHER_MODEL = (
    *(NoteCode.OTHER_LAYERS, NoteCode.OTHER_TEXT_ENCODER),
    *(NoteCode.UNKNOWN_KIND, NoteCode.NO_SUCH_TENSOR),
)


def _why_nothing(left_out: Sequence[LeftOut], tensors: Iterable[str]) -> str:
    """The end of the sentence about a file that cannot be used at all."""
    named = [part.reason for part in left_out if part.reason.code not in _OF_ANOTHER_MODEL]
    if named:
        return named[0]
    keys = list(tensors)
    if not keys:
        return "it contains no tensors. Download it again."
    if all(means_text_encoder(key) for key in keys):
        return (
            f"it changes only a text encoder that is not this model's (its keys look like {keys[0]}). "
            "Choose a LoRA made for Anima."
        )
    if any(split_key(key)[1] is not None for key in keys):
        return (
            f"it fits no layer of this model (its keys look like {keys[0]}). It was made for another model; choose one "
            "made for Anima."
        )
    if (content := description(keys)) is not None:
        return f"it contains {content}, not a LoRA. Move it to the folder for such files."
    return f"it is not a LoRA of a supported kind (its keys look like {keys[0]})."


def _refuse_control_networks(path: Path, tensors: Iterable[str], metadata: Mapping[str, str]) -> None:
    if any(key.startswith("lllite") for key in (*tensors, *metadata)):
        raise CheckpointError(
            f"The file {path} is a ControlNet-LLLite, not a LoRA. It needs a control image, which is not supported. "
            "Move it out of the LoRA folder."
        )
