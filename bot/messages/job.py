"""How a job looks in each of its states: every text and layout that a person sees of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import discord
from discord import ui

from bot.generation.spec import JobSpec
from bot.messages.buttons import cancel_button, image_rows
from bot.messages.details import summary
from bot.messages.layout import StaticLayout
from bot.messages.limits import MAX_ALT_TEXT_LENGTH
from bot.text.markdown import PROMPT_SHOWN, blockquote, truncate
from bot.text.translation import N_, say
from storage.images import Image
from storage.jobs import AlreadyAccepted, Job, OverQuota, TooManyWaiting

BAR_CELLS = 12
PREVIEW_NAME = "preview.jpg"
#: In front of a file's name it hides the file until it is clicked.
SPOILER = "SPOILER_"

ENGINE_LOST = N_("The engine broke down while drawing this, twice. Please try again with other settings.")
NOT_ALLOWED_ANY_MORE = N_("It may not be shown in this channel any more: {reason}")
JUDGED_UNFIT = N_("The finished picture does not fit this channel, so it is not shown.")
TOO_LARGE_FOR_DISCORD = N_("The picture is too large for Discord, even made smaller. Please ask for a smaller size.")
NOTHING_CAME = N_("Nothing came of this.")
DISCORD_REFUSED = N_("Discord did not take the picture. Please try again.")
MADE_SMALLER = N_("The PNG was too large for Discord, so this is a smaller WebP, without the settings inside.")
#: The reasons of ours that are written down; what else may stand there are the engine's own words, in English.
KNOWN_REASONS = {
    sentence: sentence for sentence in (NOTHING_CAME, ENGINE_LOST, JUDGED_UNFIT, TOO_LARGE_FOR_DISCORD, DISCORD_REFUSED)
}
GOES_ON = N_("I am being restarted; this goes on by itself in a moment")
NOT_CHARGED = N_("You were not charged.")


@dataclass(frozen=True)
class QueueStatus:
    """Where a job stands: how many are drawn before it, and when it will about be ready, if that can be told."""

    jobs_ahead: int
    ready_at: datetime | None


def queued(job: Job, status: QueueStatus | None = None) -> StaticLayout:
    text = ui.TextDisplay[Any](f"{blockquote(job.prompt, PROMPT_SHOWN)}\n-# {_queue_status_text(status)}")
    return StaticLayout(text, ui.ActionRow(cancel_button(job.id)))


def cancelled(job: Job) -> StaticLayout:
    return StaticLayout(
        ui.TextDisplay(f"{blockquote(job.prompt, PROMPT_SHOWN)}\n-# {say('Cancelled; nothing was charged.')}")
    )


def interruption_notice(job: Job) -> StaticLayout:
    text = ui.TextDisplay[Any](f"{blockquote(job.prompt, PROMPT_SHOWN)}\n-# {say(GOES_ON)}")
    return StaticLayout(text, ui.ActionRow(cancel_button(job.id)))


def _queue_status_text(status: QueueStatus | None) -> str:
    if status is None:
        return say("Waiting in line")
    if status.jobs_ahead == 0:
        stands = say("Next in line")
    elif status.jobs_ahead == 1:
        stands = say("Waiting in line, 1 job before it")
    else:
        stands = say("Waiting in line, {count} jobs before it", count=status.jobs_ahead)
    if status.ready_at is None:
        return stands
    return say("{stands}, ready about {when}", stands=stands, when=discord.utils.format_dt(status.ready_at, "R"))


def in_progress(job: Job, fraction: float, step: int, steps: int, preview: str | None = None) -> StaticLayout:
    """`fraction` of all of the job is done. `preview`: the name of the attached file that shows how it is coming on."""
    done = round(BAR_CELLS * fraction)
    bar = "▰" * done + "▱" * (BAR_CELLS - done)
    progress = say("Drawing {bar} step {step} of {steps}", bar=bar, step=step, steps=steps)
    view = StaticLayout(ui.TextDisplay(f"{blockquote(job.prompt, PROMPT_SHOWN)}\n-# {progress}"))
    if preview is not None:
        view.add_item(ui.MediaGallery(discord.MediaGalleryItem(f"attachment://{preview}", spoiler=job.spoiler)))
    return view.add_item(ui.ActionRow(cancel_button(job.id)))


def finished(
    job: Job, images: Sequence[Image], names: Sequence[str], parent_url: str | None, notes: str = ""
) -> StaticLayout:
    """Refers to the attachments by `names`. `parent_url`: the message of the image that it was made from."""
    spec = JobSpec.of(job)
    gallery: ui.MediaGallery[Any] = ui.MediaGallery(
        *(
            discord.MediaGalleryItem(
                f"attachment://{name}",
                description=truncate(image.prompt, MAX_ALT_TEXT_LENGTH) or None,
                spoiler=image.spoiler,
            )
            for name, image in zip(names, images, strict=True)
        )
    )
    caption = "\n".join([blockquote(job.prompt, PROMPT_SHOWN), f"-# {_caption(job, spec, images, parent_url)}"])
    view = StaticLayout(ui.TextDisplay(caption), gallery)
    if notes:
        view.add_item(ui.TextDisplay(f"-# {notes}"))
    for row in image_rows(job, spec):
        view.add_item(row)
    return view


def _caption(job: Job, spec: JobSpec, images: Sequence[Image], parent_url: str | None) -> str:
    parts = [f"<@{job.user_id}>"]
    if job.kind in KINDS:
        kind = say(KINDS[job.kind])
        parts.append(kind if parent_url is None else f"[{kind}]({parent_url})")
    parts.append(summary(spec))
    seeds = list(dict.fromkeys(image.seed for image in images))
    listed = ", ".join(str(seed) for seed in seeds)
    parts.append(say("seed {seed}", seed=listed) if len(seeds) == 1 else say("seeds {seeds}", seeds=listed))
    return " · ".join(parts)


#: What was done to the image that a job comes from, by the job's kind.
KINDS = {
    "reroll": N_("re-rolled"),
    "vary": N_("varied"),
    "upscale": N_("upscaled"),
    "edit": N_("edited"),
    "again": N_("drawn again"),
    "alone": N_("drawn alone"),
}


def failed(job: Job, reason: str) -> StaticLayout:
    """`reason` is in the person's language already; see `explain_reason`."""
    return StaticLayout(
        ui.TextDisplay(f"{blockquote(job.prompt, PROMPT_SHOWN)}\n<@{job.user_id}> {reason} {say(NOT_CHARGED)}")
    )


def explain_reason(reason: str) -> str:
    """What was written down of why a job came to nothing, for the person who asked for it."""
    return say(KNOWN_REASONS[reason]) if reason in KNOWN_REASONS else reason


def refusal(reason: AlreadyAccepted | TooManyWaiting | OverQuota) -> str:
    match reason:
        case AlreadyAccepted():
            return say("This is being drawn already.")
        case TooManyWaiting(waiting=waiting, limit=limit):
            return say(
                "You have {waiting} pictures waiting, and {limit} is the most. Try again when one is done.",
                waiting=waiting,
                limit=limit,
            )
        case OverQuota(spent=spent, cost=cost, limit=limit, room_at=datetime() as room_at):
            return say(
                "That would cost {cost} credits, and you have used {spent} of your {limit} of the last 24 hours. "
                "There will be room for it {when}.",
                cost=f"{cost:.1f}",
                spent=f"{spent:.1f}",
                limit=f"{limit:g}",
                when=discord.utils.format_dt(room_at, "R"),
            )
        case OverQuota(cost=cost, limit=limit):
            return say(
                "That would cost {cost} credits, more than the {limit} you have for 24 hours. Ask for fewer pictures, "
                "fewer steps or a smaller size.",
                cost=f"{cost:.1f}",
                limit=f"{limit:g}",
            )


def file_name(job_id: int, index: int) -> str:
    return f"anima-{job_id}-{index + 1}.png"
