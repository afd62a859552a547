"""Anima, from its files to an image: checkpoints, networks, samplers, LoRA, metadata, the engine.

from inference import Engine, GenerationRequest
engine = Engine.load("models")
engine.generate([GenerationRequest("1girl, smile", seed=7)])[0].image.save("smile.png")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference.request import (
    Cancelled,
    CheckpointError,
    EncodedImage,
    EngineClient,
    EngineDescription,
    GenerationRequest,
    GpuMemory,
    InvalidRequest,
    LoadedEngine,
    NativeSettings,
    NotFinite,
    OutOfMemory,
    Picture,
    Progress,
    Stage,
    Timings,
    TurboLora,
)

if TYPE_CHECKING:
    from inference.engine import Engine

__all__ = [
    "Cancelled",
    "CheckpointError",
    "EncodedImage",
    "Engine",
    "EngineClient",
    "EngineDescription",
    "GenerationRequest",
    "GpuMemory",
    "InvalidRequest",
    "LoadedEngine",
    "NativeSettings",
    "NotFinite",
    "OutOfMemory",
    "Picture",
    "Progress",
    "Stage",
    "Timings",
    "TurboLora",
]


def __getattr__(name: str) -> object:
    """Import the engine, and PyTorch with it, only when it is used: the bot's own process needs neither."""
    if name == "Engine":
        from inference.engine import Engine

        return Engine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
