"""A stand-in for a Mac's GPU, as strict as PyTorch's documentation of MPS, on any machine.

A tensor says that it is on `mps:0` and is held on the CPU. Float64 does not exist there, not even on the way, and
nothing on the device may be calculated with a tensor that is not there, unless that is a single number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

NAME = "mps:0"
DEVICE = torch.device(NAME)
#: MPS has no kernels for these; PyTorch's words for float64.
MISSING = (torch.float64, torch.complex128)
NO_FLOAT64 = (
    "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64. Please use float32 "
    "instead."
)
#: Take a tensor from one device to another.
COPIES = ("aten::copy_", "aten::_to_copy", "__setitem__")


class MpsTensor(Tensor):
    """What `held` is on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> MpsTensor:
        made: MpsTensor = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(
        cls, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return calculate(function, args, kwargs or {})


class Shortcuts(TorchFunctionMode):
    """What needs a build for Macs before any dispatch mode hears of it: constants, indices, float(), tolist()."""

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        device = kwargs.get("device")
        if function in (torch.tensor, torch.as_tensor) and device is not None:
            made = args[0] if isinstance(args[0], Tensor) else function(*args, **kwargs | {"device": "cpu"})
            return made.to(device, kwargs.get("dtype") or made.dtype)
        if function in (Tensor.__float__, Tensor.tolist):
            return function(_held(args[0]))
        if function in (Tensor.__getitem__, Tensor.__setitem__) and isinstance(args[0], MpsTensor):
            _check(function.__name__, [each for each in args if isinstance(each, Tensor)], there=True)
            return _hold(function(*tree_map(_held, tuple(args))))
        return function(*args, **kwargs)


class StrictMps(TorchDispatchMode):
    """While it is entered there is the device; `calls` counts what it was given to do."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self._shortcuts = Shortcuts()

    def __enter__(self) -> Self:
        self._shortcuts.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._shortcuts.__exit__(*error)

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        flat, _ = tree_flatten((args, kwargs))
        self.calls += any(isinstance(each, MpsTensor) for each in flat)
        return calculate(function, args, kwargs)


def calculate(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Do on the CPU what belongs to the device, and hold the result there."""
    flat, _ = tree_flatten((args, kwargs))
    given = [each for each in flat if isinstance(each, Tensor)]
    to = next((each for each in flat if isinstance(each, torch.device)), None)
    here = any(isinstance(each, MpsTensor) for each in given)
    there = here if to is None else to.type == DEVICE.type
    if function._schema.name == "aten::copy_":
        there = isinstance(args[0], MpsTensor)
    if here or there:
        _check(function._schema.name, given, there)
    owners = {id(each.held): each for each in given if isinstance(each, MpsTensor)}
    result = function(*tree_map(_held, tuple(args)), **tree_map(_held, dict(kwargs)))
    if not there:
        return result
    return tree_map(lambda each: owners.get(id(each)) if id(each) in owners else _hold(each), result)


def _check(name: str, given: Sequence[Tensor], there: bool) -> None:
    if there and any(each.dtype in MISSING for each in given):
        raise TypeError(NO_FLOAT64)
    elsewhere = [each for each in given if not isinstance(each, MpsTensor) and each.dim() > 0]
    if elsewhere and len(elsewhere) < len(given) and name not in COPIES:
        raise RuntimeError(f"Expected all tensors to be on the same device, but {name} got cpu and {NAME}")


def _held(value: Any) -> Any:
    if isinstance(value, torch.device):
        return torch.device("cpu") if value.type == DEVICE.type else value
    return value.held if isinstance(value, MpsTensor) else value


def _hold(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    if value.dtype in MISSING:
        raise TypeError(NO_FLOAT64)
    return MpsTensor(value)


def cpu_generators(
    make: Callable[[int, torch.device], torch.Generator],
) -> Callable[[int, torch.device], torch.Generator]:
    """MPS's generator has numbers of its own; here the CPU's stand for them."""
    return lambda seed, _device: make(seed, torch.device("cpu"))
