"""From a pressed button under an image to a job request: re-roll, vary, draw one."""

from __future__ import annotations

from dataclasses import replace

from bot.components.base import AnimaInteraction, load_image
from bot.generation.compose import options_of_image, prompt_of_image
from bot.generation.options import Options
from bot.generation.spec import JobImage
from bot.jobs.acknowledgement.origin import Origin
from bot.jobs.submission import JobRequest
from bot.messages.replies import reply_privately
from bot.text.translation import N_, say

PROMPT_NOT_SAVED = N_("This prompt is no longer saved. Use `/anima imagine` instead.")


def reroll(image: JobImage) -> JobRequest:
    """The whole job again with new seeds; a comparison stays one."""
    return JobRequest(
        kind="reroll",
        prompt=image.job.prompt,
        options=replace(image.spec.options, seed=None, variation=None),
        parent=replace(image, index=0),
        comparison=image.spec.comparison,
    )


def repeat(image: JobImage) -> JobRequest:
    """The whole job again with its own seeds: the result is the same."""
    return JobRequest(
        kind="again",
        prompt=image.job.prompt,
        options=image.spec.options,
        parent=replace(image, index=0),
        repeats=image.spec,
    )


def draw_alone(image: JobImage) -> JobRequest:
    """One of a comparison's images by itself: the result is the same."""
    return edit(image, prompt_of_image(image.job.prompt, image.spec, image.index), _options(image), kind="alone")


def vary(image: JobImage, strength: float) -> JobRequest:
    """A variation of one image; `strength`: how much of its noise is new, from 0 to 1."""
    request = edit(image, prompt_of_image(image.job.prompt, image.spec, image.index), _options(image), kind="vary")
    return replace(request, variation=strength)


def edit(image: JobImage, prompt: str, options: Options, *, kind: str = "edit") -> JobRequest:
    """One image, drawn with another prompt or other options."""
    return JobRequest(kind=kind, prompt=prompt, options=options, parent=image)


async def acknowledge_prompt(interaction: AnimaInteraction, job_id: int) -> tuple[Origin, JobImage] | None:
    """Acknowledge a press on a button about a job's prompt, and load the job.

    None if it is no longer saved, or is another user's; the user is notified.
    """
    private = interaction.client.submitter.is_private(job_id)
    origin = await Origin.acknowledge(interaction, ephemeral=private)
    image = await load_image(interaction, job_id, owner_only=True)
    if image is None:
        await reply_privately(interaction, say(PROMPT_NOT_SAVED))
        return None
    return origin, image


async def draw_instead(origin: Origin, image: JobImage, request: JobRequest) -> None:
    """Submit a request that replaces an image's job, if that is still queued. If refused, the job stays."""
    client = origin.interaction.client
    if await client.submitter.submit(origin, replace(request, replaces=image.job)):
        await client.cancellation.replaced(image.job)


def _options(image: JobImage) -> Options:
    return options_of_image(image.spec, image.index)
