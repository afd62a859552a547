"""Keeps the text encoder and the VAE, which are used only briefly, in main memory between uses if memory is tight."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import nn

from inference.devices import empty_cache
from inference.request import Offloading

logger = logging.getLogger(__name__)

CPU = torch.device("cpu")


class Offloader:
    """Moves networks to the device when they are used, and off it when their memory is needed.

    "never": they stay on the device. "always": they leave it whenever something else runs. "auto": they leave it if too
    little memory is free; after the device has run out of memory once, as with "always". On devices without memory of
    their own they stay.
    """

    def __init__(
        self,
        mode: Offloading,
        device: torch.device,
        free: Callable[[], int],
        move: Callable[[nn.Module, torch.device], object] = nn.Module.to,
    ) -> None:
        """free: allocatable bytes of the device, less the reserve. move: moves a network to a device."""
        self.mode: Offloading = "never" if device.type in ("cpu", "mps") else mode
        self._device = device
        self._free = free
        self._move = move
        self._sizes: dict[nn.Module, int] = {}
        #: The most recently used is last.
        self._on_device: list[nn.Module] = []

    def place_for(self, size: int) -> torch.device:
        """Where to load a network that needs this many bytes for its weights and for computing."""
        fits = self.mode == "never" or (self.mode == "auto" and self._free() >= size)
        return self._device if fits else CPU

    def add(self, part: nn.Module, where: torch.device) -> None:
        """Manage a network that is loaded on the device `where`."""
        self._sizes[part] = sum(parameter.nbytes for parameter in part.parameters())
        if where == self._device:
            self._on_device.append(part)

    def to_device(self, part: nn.Module, needed: int = 0) -> None:
        """Move a network to the device, with `needed` bytes free besides it."""
        if self.mode == "never":
            return
        if part in self._on_device:
            self._on_device.remove(part)
            self._on_device.append(part)
            self.make_room(needed, part)
            return
        self.make_room(needed + self._sizes[part], part)
        self._move_to(part, self._device)
        self._on_device.append(part)

    def make_room(self, needed: int, staying: nn.Module | None = None) -> None:
        """Move networks except `staying` off the device until `needed` bytes are free, least recently used first."""
        if self.mode == "never":
            return
        for part in [part for part in self._on_device if part is not staying]:
            if self.mode == "auto" and self._free() >= needed:
                return
            self._offload(part)

    def offload_always(self) -> bool:
        """Switch from "auto" to "always", after the device ran out of memory. Returns False in other modes."""
        if self.mode != "auto":
            return False
        logger.info("The device is low on memory. From now on, text encoder and VAE stay in main memory between uses.")
        self.mode = "always"
        self.make_room(0)
        return True

    def _offload(self, part: nn.Module) -> None:
        self._on_device.remove(part)
        self._move_to(part, CPU)
        empty_cache(self._device)

    def _move_to(self, part: nn.Module, where: torch.device) -> None:
        with torch.inference_mode(False):
            try:
                self._move(part, where)
            except RuntimeError:
                self._move(part, CPU)  # some of its weights may have been moved
                raise
