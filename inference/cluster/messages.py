"""The messages of an engine's host while it loads or draws. Its other messages are stages, images and errors."""

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
    """What `EngineClient.loaded_models` is from now on."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class HostStep:
    """A `Progress` that can be sent."""

    step: int
    steps: int
    images: tuple[int, ...]
    previews: tuple[Image.Image, ...]

    @classmethod
    def of(cls, progress: Progress) -> HostStep:
        return cls(progress.step, progress.steps, progress.pictures, tuple(progress.previews()))

    def progress(self) -> Progress:
        return Progress(self.step, self.steps, self.images, lambda: self.previews)
