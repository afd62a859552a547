"""How a job looks in each of its states: every text and layout that a person sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import discord
from discord import ui

from bot.components import RerollButton
from bot.interactions import Layout
from bot.jobs import Drawing
from bot.quoting import cut, quoted
from storage.jobs import AlreadyAccepted, Job, OverQuota, TooManyWaiting
from storage.pictures import Picture

PROMPT_SHOWN = 1000
BAR_CELLS = 12


def queued(job: Job) -> Layout:
    return Layout(ui.TextDisplay(f"{quoted(job.prompt, PROMPT_SHOWN)}\n-# Waiting in line"))


def drawing(job: Job, step: int, steps: int) -> Layout:
    done = round(BAR_CELLS * step / steps)
    bar = "▰" * done + "▱" * (BAR_CELLS - done)
    return Layout(ui.TextDisplay(f"{quoted(job.prompt, PROMPT_SHOWN)}\n-# Drawing {bar} {step}/{steps}"))


def finished(job: Job, pictures: Sequence[Picture]) -> Layout:
    """Refers to the attachments by the pictures' file names."""
    drawing = Drawing.of(job)
    gallery: ui.MediaGallery[Any] = ui.MediaGallery(
        *(
            discord.MediaGalleryItem(
                f"attachment://{picture.file_name}", description=cut(picture.prompt, 1024), spoiler=picture.spoiler
            )
            for picture in pictures
        )
    )
    settings = f"{drawing.width}x{drawing.height}, {drawing.steps} steps, CFG {drawing.cfg_scale:g}, {drawing.sampler}"
    seeds = ", ".join(str(picture.seed) for picture in pictures)
    caption = f"{quoted(job.prompt, PROMPT_SHOWN)}\n-# <@{job.user_id}> · {settings} · seed {seeds}"
    buttons: ui.ActionRow[Any] = ui.ActionRow(RerollButton(job.id))
    return Layout(ui.TextDisplay(caption), gallery, buttons)


def failed(job: Job, reason: str) -> Layout:
    return Layout(
        ui.TextDisplay(f"{quoted(job.prompt, PROMPT_SHOWN)}\n<@{job.user_id}> {reason} You were not charged.")
    )


def refusal(why: AlreadyAccepted | TooManyWaiting | OverQuota) -> str:
    match why:
        case AlreadyAccepted():
            return "This is being drawn already."
        case TooManyWaiting(waiting=waiting, limit=limit):
            return f"You have {waiting} pictures waiting, and {limit} is the most. Try again when one is done."
        case OverQuota(spent=spent, limit=limit):
            return f"You have used {spent:.1f} of your {limit:.0f} credits of the last 24 hours. Try again later."


def file_name(job_id: int, index: int) -> str:
    return f"anima-{job_id}-{index + 1}.png"


ENGINE_LOST = "The engine broke down while drawing this, twice. Please try again with other settings."
NOT_REMEMBERED = "This button belongs to a picture that is not remembered any more."
NO_CHANNEL = "Anima cannot see which channel this is, so there is nowhere to draw to. Try in another channel."
