"""One safetensors file of a model: its keys without prefixes, its tensors without quantisation, and loading them."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from inference.networks.float8 import ScaledRows, float8_layer
from inference.request import CheckpointError
from inference.weights.folders import SUFFIXES, is_piece
from inference.weights.headers.contents import DIFFUSERS_VAE_MARK, TEXT_ENCODER_MARK, VAE_MARK, keys_of
from inference.weights.headers.diffusion_models import why_not_opened, why_unreadable
from inference.weights.headers.header import check_header
from inference.weights.headers.structure import is_leftover, shapes_fault
from inference.weights.quantized import Quantization
from inference.weights.vae_names import released_names

logger = logging.getLogger(__name__)

#: Qwen3's embedding, and the end of its head's key, whose tensor may be the same.
EMBEDDING, HEAD = "embed_tokens.weight", "lm_head.weight"

Convert = Callable[[str, Tensor], Tensor | None]


class WeightsFile:
    """One safetensors file, memory-mapped, as the tensors of one network under the released file's names.

    Prefixes that some programs put before the keys are removed, diffusers' names of a VAE are translated, and 8-bit
    weights are converted to plain ones.
    """

    def __init__(self, path: Path, mark: str) -> None:
        """Open `path` and find the prefix from the key that ends in `mark`. Raises CheckpointError."""
        self.path = path
        if path.suffix.lower() not in SUFFIXES or is_piece(path):
            raise CheckpointError(f"{path} {why_not_opened(path)}")
        try:
            check_header(path)
            self._file = safe_open(path, framework="pt")
        except FileNotFoundError:
            raise CheckpointError(f"There is no file {path}. Run `anima download`, or fix the name.") from None
        except (SafetensorError, OSError, ValueError) as error:
            raise CheckpointError(why_unreadable(path, error)) from error
        self._keys = frozenset(self._file.keys())
        names = self._named(mark)
        #: Whether it contains the key that distinguishes this kind of file from others.
        self.is_marked = names is not None
        form = self._quantization.form
        self._names = {name: key for name, key in (names or {}).items() if not form.belongs_beside(key)}

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {name: tuple(self._file.get_slice(key).get_shape()) for name, key in self._names.items()}

    @cached_property
    def metadata(self) -> Mapping[str, str]:
        return self._file.metadata() or {}

    def loaded_bytes(self, dtype: torch.dtype) -> int:
        """Bytes of its weights once they are loaded in a dtype. Too many for a video VAE, which is loaded in part."""
        return sum(math.prod(shape) for shape in self.shapes.values()) * dtype.itemsize

    def fault(self) -> str | None:
        """Why its tensors cannot be read, as the end of a sentence; None if they can."""
        return self._quantization.form.fault()

    def tensor(self, key: str) -> Tensor:
        """The tensor on the CPU; memory-mapped if it is not quantised, and read-only by convention."""
        with self._turning_back(key):
            return self._quantization.plain(self._names[key])

    def scaled_rows(self, key: str) -> ScaledRows | None:
        """The tensor without conversion, if it is a matrix in float8_e4m3fn, with or without scales; else None."""
        with self._turning_back(key):
            return self._quantization.scaled_rows(self._names[key])

    @contextmanager
    def _turning_back(self, key: str) -> Iterator[None]:
        """A context for reading a tensor that may be quantised. Any error in it becomes a CheckpointError."""
        try:
            yield
        except (RuntimeError, ValueError, TypeError) as error:
            raise CheckpointError(
                f"{self.path}: tensor {key} cannot be converted from its quantised form ({error}). Use the plain "
                "version in bfloat16."
            ) from error

    @cached_property
    def _quantization(self) -> Quantization:
        return Quantization(self._keys, self.metadata, self._file.get_tensor)

    def _named(self, mark: str) -> Mapping[str, str] | None:
        """Maps the names of the network's tensors to the file's keys; None if there is no such network in it."""
        keys = self._file.keys()  # in order
        names = keys_of(mark, keys)
        if names is None and mark == VAE_MARK and (names := keys_of(DIFFUSERS_VAE_MARK, keys)) is not None:
            released = released_names(names)
            return {released[name]: key for name, key in names.items()}
        return self._with_tied_embedding(names) if names is not None and mark == TEXT_ENCODER_MARK else names

    def _with_tied_embedding(self, names: Mapping[str, str]) -> Mapping[str, str]:
        """Add the embedding if it is the same tensor as the language model's head: safetensors writes only the first of
        two names."""
        heads = [key for key in self._keys if key.endswith(HEAD)]
        return names if EMBEDDING in names or len(heads) != 1 else {**names, EMBEDDING: heads[0]}


@contextmanager
def reading_sizes_off(file: WeightsFile) -> Iterator[None]:
    """A context for reading a model's sizes off a file's shapes. Any error in it becomes a CheckpointError."""
    try:
        yield
    except CheckpointError:
        raise
    except (LookupError, ArithmeticError, ValueError, TypeError, RuntimeError) as error:
        raise CheckpointError(
            f"{file.path}: its tensors do not have the shapes of this kind of model ({type(error).__name__}: {error}). "
            "The file belongs to another model or is damaged; choose a file made for Anima."
        ) from error


def load_module(
    module: nn.Module,
    file: WeightsFile,
    device: torch.device,
    dtype: torch.dtype,
    convert: Convert = lambda _key, tensor: tensor,
    ignored: tuple[str, ...] = (),
) -> None:
    """Load the tensors of `file` into `module`, built on the meta device, one by one, to `device` and `dtype`.

    A tensor that already has the wanted dtype and device stays memory-mapped. `convert` turns a tensor of the file
    into one of the module, or None if it is not needed. It is not called for matrices that are kept in 8 bits.
    Raises CheckpointError.
    """
    if fault := misfit(module, file, convert, ignored):
        raise CheckpointError(f"{file.path}: {fault}")
    wanted = module.state_dict()
    state: dict[str, Tensor] = {}
    leftovers = 0
    for key in file.shapes:
        if is_leftover(key, wanted):
            leftovers += 1
        elif key.startswith(ignored):
            continue
        elif (layer := float8_layer(module, key)) is not None:
            rows = (file.scaled_rows(key) or ScaledRows.of(file.tensor(key))).to(device)
            _refuse_what_is_no_number(file, key, rows.values, rows.scale)
            state[key], layer.scale = rows.values, rows.scale
        elif (tensor := convert(key, file.tensor(key))) is not None:
            state[key] = tensor.to(device, dtype)
            _refuse_what_is_no_number(file, key, state[key])
    if leftovers:
        logger.info("%s: %d tensors left over from training are ignored.", file.path.name, leftovers)
    module.load_state_dict(state, assign=True)
    module.requires_grad_(False).eval().to(device)


def misfit(
    module: nn.Module,
    file: WeightsFile,
    convert: Convert = lambda _key, tensor: tensor,
    ignored: tuple[str, ...] = (),
) -> str | None:
    """Why `file` does not hold the tensors of `module`, judged by its header, in a sentence; None if it does."""
    if fault := file.fault():
        return fault
    wanted = {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}
    found: dict[str, tuple[int, ...]] = {}
    for key, shape in file.shapes.items():
        if key.startswith(ignored) or is_leftover(key, wanted):
            continue
        tensor = convert(key, torch.empty(shape, device="meta"))
        if tensor is not None:
            found[key] = tuple(tensor.shape)
    return shapes_fault(wanted, found)


def _refuse_what_is_no_number(file: WeightsFile, key: str, *tensors: Tensor) -> None:
    if not all(_is_finite(tensor) for tensor in tensors):
        raise CheckpointError(
            f"{file.path}: tensor {key} contains values that are not numbers (NaN or infinity). "
            "The file is damaged or was converted badly; download it again."
        )


def _is_finite(tensor: Tensor) -> bool:
    low, high = torch.aminmax(tensor) if tensor.dtype.itemsize > 1 else torch.aminmax(tensor.float())
    return bool(torch.isfinite(low) and torch.isfinite(high))
