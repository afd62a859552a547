"""Why an image came out as NaN or infinity."""

from __future__ import annotations

from collections.abc import Sequence

from inference.prompt import parse_weights
from inference.request import GenerationRequest

#: A prompt's weights beyond this are assumed to cause NaN images.
USUAL_WEIGHT = 100.0


def why_not_finite(requests: Sequence[GenerationRequest]) -> str:
    """What to try, in a sentence for the user."""
    texts = [text for request in requests for text in (request.prompt, request.negative_prompt)]
    heaviest = max((weight for text in texts for _, weight in parse_weights(text)), key=abs)
    if abs(heaviest) > USUAL_WEIGHT:
        return (
            f"The picture contains values that are not numbers: the weight {heaviest:g} in a prompt is too large. "
            "Usual weights are from 0 to 2."
        )
    return (
        "The picture contains values that are not numbers. Try dtype float32, a lower cfg_scale or lower LoRA "
        "strengths."
    )
