"""The images that fake engines return, with real metadata."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image

from inference import GenerationRequest, Picture, Timings
from inference.metadata import Parameters


def drawn(
    request: GenerationRequest, model: str, image: Image.Image | None = None, labels: Mapping[str, float] | None = None
) -> Picture:
    """The result for `request`. Without `image`, one in a colour that depends on the seed."""
    return Picture(
        image
        or Image.new("RGB", (request.width, request.height), (request.seed % 256, request.seed // 256 % 256, 128)),
        None,  # type: ignore[arg-type]
        request,
        Timings(0.0, 0.0, 0.0),
        Parameters(
            prompt=request.prompt,
            negative_prompt=request.negative_prompt,
            width=request.width,
            height=request.height,
            steps=request.steps,
            cfg_scale=request.cfg_scale,
            sampler=request.sampler,
            scheduler=request.scheduler,
            seed=request.seed,
            model=model,
        ),
        labels or {},
    )
