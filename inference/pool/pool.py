"""Keeps models on the device and in main memory as far as they fit, and moves the requested one to the device."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import torch

from inference.devices import empty_cache, is_out_of_memory
from inference.pool.placement import Placed, Placement, place
from inference.request import OutOfMemory

logger = logging.getLogger(__name__)

CPU = torch.device("cpu")


class Movable(Protocol):
    """A model whose weights can be moved. `inference.pool.diffusion_model.DiffusionModel` is one."""

    @property
    def size(self) -> int: ...
    def move_to(self, device: torch.device) -> None: ...
    def release(self) -> None: ...


Loaded = TypeVar("Loaded", bound=Movable)


class ModelPool(Generic[Loaded]):
    """The models that are loaded, by name.

    Models that leave a GPU go to main memory. If the device is the CPU, that is the same memory, so they are dropped.
    """

    def __init__(self, device: torch.device, free: Callable[[torch.device], int]) -> None:
        """`free`: bytes that can still be allocated for weights on the device or in main memory, less the reserve."""
        self._device = device
        self._free = free
        #: The most recently used is last.
        self._kept: dict[str, Loaded] = {}
        self._on_device: set[str] = set()

    @property
    def loaded(self) -> tuple[str, ...]:
        """The names of the models on the device, the one used last first."""
        return tuple(name for name in reversed(self._kept) if name in self._on_device)

    @property
    def in_memory(self) -> tuple[str, ...]:
        """The names of the models in main memory, the one used last first."""
        return tuple(name for name in reversed(self._kept) if name not in self._on_device)

    @torch.inference_mode(False)  # weights created in inference mode would make the blocks compile again
    def use(
        self, name: str, size: int, needed: int, load: Callable[[], Loaded], on_loading: Callable[[], None]
    ) -> Loaded:
        """Bring the model of this name to the device; others leave it if this model and generating need the room.

        size: bytes of its weights. needed: bytes for generating. load: reads it from its file. on_loading: called
        before anything slow. Raises what `load` raises, and OutOfMemory.
        """
        if name in self._on_device:
            self._kept[name] = self._kept.pop(name)
            self._apply(self._placement(name, size, needed), on_loading)
            return self._kept[name]
        on_loading()
        self._apply(self._placement(name, size, needed))
        try:
            return self._load_or_move(name, load)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if not self.release_idle(name):
                raise _too_large(name) from error
        try:
            return self._load_or_move(name, load)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise _too_large(name) from error

    def release_idle(self, used: str) -> bool:
        """Move all other models off the device. Returns whether there were any."""
        had_any = bool(self._on_device - {used})
        self._apply(self._placement(used, 0, None))
        return had_any

    def drop(self, name: str) -> None:
        """Forget a model whose file has changed or is gone. Unknown names are ignored."""
        if name in self._kept:
            self._evict(name, keep=False)
            self._release_memory()

    def _placement(self, wanted: str, size: int, needed: int | None) -> Placement:
        """`needed`: bytes for generating; None if the wanted model must be alone on the device."""
        others = [
            Placed(name, model.size, name in self._on_device)
            for name, model in reversed(self._kept.items())
            if name != wanted
        ]
        taken = sum(model.size for model in others if model.on_device)
        waiting = sum(model.size for model in others if not model.on_device)
        here = size if wanted in self._on_device else 0
        device_room = -1 if needed is None else self._free(self._device) + taken + here - needed
        memory_room = 0 if self._device.type == "cpu" else self._free(CPU) + waiting
        return place([Placed(wanted, size, wanted in self._on_device), *others], device_room, memory_room)

    def _apply(self, placement: Placement, on_loading: Callable[[], None] = lambda: None) -> None:
        """Move models, the least recently used first, after dropping those that no longer fit."""
        kept = {*placement.on_device, *placement.in_memory}
        dropped = [name for name in self._kept if name not in kept]
        evicted = [name for name in self._kept if name in self._on_device and name in placement.in_memory]
        if not dropped and not evicted:
            return
        on_loading()
        for name in dropped:
            self._evict(name, keep=False)
        for name in evicted:
            self._evict(name, keep=True)
        self._release_memory()

    def _evict(self, name: str, *, keep: bool) -> None:
        self._on_device.discard(name)
        if keep:
            logger.info("%s moves from the device to main memory", name)
            self._kept[name].move_to(CPU)
        else:
            logger.info("%s is removed from memory", name)
            self._kept.pop(name).release()

    def _load_or_move(self, name: str, load: Callable[[], Loaded]) -> Loaded:
        if name in self._kept:
            logger.info("%s moves from main memory to the device", name)
            model = self._kept.pop(name)
            try:
                model.move_to(self._device)
            except RuntimeError:
                model.release()  # some of its weights are moved, some are not
                raise
        else:
            model = load()
        self._kept[name] = model
        self._on_device.add(name)
        return model

    def _release_memory(self) -> None:
        """Free the GPU memory of removed weights, which PyTorch caches."""
        empty_cache(self._device)


def _too_large(name: str) -> OutOfMemory:
    return OutOfMemory(
        f"The device does not have enough memory for the model {name}. Choose another one, or stop other programs that "
        "use the device."
    )
