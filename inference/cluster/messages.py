"""Messages of an `EngineHost` while it loads or draws. Its other messages are stages, images and errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from inference.request import EngineDescription, Progress

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class HostLoaded:
    """The engine is loaded. `machine`: the name of the machine, for logs."""

    description: EngineDescription
    machine: str


@dataclass(frozen=True)
class HostModels:
    """The new value of `EngineClient.loaded_models`."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class HostStep:
    """A `Progress` that can be pickled: it holds the previews, not a function that makes them."""

    step: int
    steps: int
    images: tuple[int, ...]
    previews: tuple[Image.Image, ...]

    @classmethod
    def of(cls, progress: Progress) -> HostStep:
        return cls(progress.step, progress.steps, progress.pictures, tuple(progress.previews()))

    def progress(self) -> Progress:
        return Progress(self.step, self.steps, self.images, lambda: self.previews)
