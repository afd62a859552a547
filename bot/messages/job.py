"""How a job's message looks in each of its states: texts and layouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

import discord
from discord import ui

from bot.generation.recipe import STRONG, SUBTLE
from bot.generation.spec import JobSpec
from bot.messages.buttons import cancel_button, image_button, image_rows
from bot.messages.details import summary
from bot.messages.engine_notes import word_note
from bot.messages.layout import StaticLayout
from bot.messages.limits import MAX_ALT_TEXT_LENGTH
from bot.text.discord_clock import time_mention
from bot.text.formats import decimal
from bot.text.markdown import MAX_PROMPT_SHOWN, blockquote, inline, truncate
from bot.text.translation import N_, say, say_plural
from inference import InvalidRequest
from inference.editing.thin_mask import REDRAWS_NOTHING
from inference.process import EngineDied
from storage.images import Image
from storage.jobs import AlreadyAccepted, Job, OverQuota, TooManyWaiting

BAR_CELLS = 12
#: The maximum length of the notes under an image, in characters. *Info* shows all of them.
MAX_NOTES_SHOWN = 200
READY_SOON = timedelta(seconds=10)
PREVIEW_NAME = "preview.jpg"
#: Discord hides a file whose name begins with this until it is clicked.
SPOILER = "SPOILER_"

ENGINE_LOST = N_("Drawing this failed twice. Please try again with other settings.")
NOT_ALLOWED_ANY_MORE = N_("This can no longer be shown here: {reason}")
JUDGED_UNFIT = N_("The finished picture isn't allowed in this channel, so it isn't shown.")
TOO_LARGE_FOR_DISCORD = N_("The picture is too large for Discord, even when compressed. Try a smaller size.")
MODEL_REMOVED = N_("The model for this was removed before it was drawn. Please choose another one and try again.")
LORA_REMOVED = N_("A LoRA for this was removed before it was drawn. Please choose another one and try again.")
NOTHING_REDRAWN = N_("This mask would redraw nothing. Make its white parts wider, or its grey parts lighter.")
NOTHING_CAME = N_("This could not be generated.")
DISCORD_REFUSED = N_("Discord didn't accept the picture. Please try again.")
OUT_OF_REACH = N_("Discord didn't let me post the picture in the channel or send it as a private message.")
MADE_SMALLER = N_("The PNG was too large for Discord, so this is a smaller WebP with the same settings inside.")
CANCELLED_BY_MODERATOR = N_("This was cancelled by a moderator.")
DROPPED_BY_BLOCK = N_("This was cancelled because you can't draw here at the moment.")
DROPPED_BY_PAUSE = N_("This was cancelled because drawing is paused in this server.")
DROPPED_BY_OPERATOR = N_("This was cancelled because drawing is paused everywhere at the moment.")
DROPPED_BY_REMOVAL = N_("This was cancelled because I was removed from the server.")
NOT_IN_THIS_SERVER = N_("This bot only works in servers that its operator has chosen, and this isn't one of them.")
WAITED_TOO_LONG = N_("The model couldn't be loaded for hours, so this was not drawn. Please try again later.")
_ENGINE_REASONS = (
    NOTHING_CAME,
    WAITED_TOO_LONG,
    ENGINE_LOST,
    JUDGED_UNFIT,
    MODEL_REMOVED,
    LORA_REMOVED,
    NOTHING_REDRAWN,
)
_DELIVERY_REASONS = (TOO_LARGE_FOR_DISCORD, DISCORD_REFUSED, OUT_OF_REACH)
_MODERATOR_REASONS = (CANCELLED_BY_MODERATOR, DROPPED_BY_BLOCK, DROPPED_BY_PAUSE)
_OPERATOR_REASONS = (DROPPED_BY_OPERATOR, DROPPED_BY_REMOVAL, NOT_IN_THIS_SERVER)
#: The bot's own reasons by their stored form: the sentence, or that of an earlier release. Other stored reasons are
#: the engine's words, in English.
KNOWN_REASONS = {
    sentence: sentence for sentence in (*_ENGINE_REASONS, *_DELIVERY_REASONS, *_MODERATOR_REASONS, *_OPERATOR_REASONS)
} | {
    "Nothing came of this.": NOTHING_CAME,
    "The engine broke down while drawing this, twice. Please try again with other settings.": ENGINE_LOST,
    "The finished picture does not fit this channel, so it is not shown.": JUDGED_UNFIT,
    "The picture is too large for Discord, even made smaller. Please ask for a smaller size.": TOO_LARGE_FOR_DISCORD,
    "Discord did not take the picture. Please try again.": DISCORD_REFUSED,
    "The job's message, its channel and a private message were all out of reach.": OUT_OF_REACH,
    "This bot is only for the servers that its operator has chosen, and this one isn't among them.": NOT_IN_THIS_SERVER,
}
GOES_ON = N_("I'm restarting. Your job will resume automatically")
NOT_CHARGED = N_("You were not charged.")
SENT_IN_PRIVATE = N_("I sent the picture as a private message.")
COMES_IN_PRIVATE = N_(
    "Discord lets me update this message only for 15 minutes. After that, the picture comes as a private message, "
    "so please allow private messages from me."
)


class ModelState(Enum):
    LOADED = auto()
    LOADING = auto()
    #: Loading failed and is retried.
    UNAVAILABLE = auto()


@dataclass(frozen=True)
class QueueStatus:
    """A job's position in the queue, roughly when it will be ready, if known, and whether the model is loaded."""

    jobs_ahead: int
    ready_at: datetime | None
    model: ModelState = ModelState.LOADED


def message_locale(job: Job) -> str:
    """The language of a job's message: the server's if everybody there sees it, else the user's.

    Jobs of earlier releases did not store the server's language.
    """
    shared = job.parameters.get("guild_locale")
    return shared if isinstance(shared, str) and not job.private else job.locale


def queued(job: Job, status: QueueStatus | None = None, note: str = "") -> StaticLayout:
    """`note`: another line to show while the job waits."""
    text = ui.TextDisplay[Any](_under_prompt(job, _queue_status_text(status), note))
    return StaticLayout(text, ui.ActionRow(cancel_button(job.id)))


def cancelled(job: Job, *, by_moderator: bool = False) -> StaticLayout:
    said = say("Cancelled. You were not charged.")
    if by_moderator:
        said = say("Cancelled by a moderator. {person} was not charged.", person=f"<@{job.user_id}>")
    return StaticLayout(ui.TextDisplay(_under_prompt(job, said)))


def _under_prompt(job: Job, *lines: str) -> str:
    """A job's prompt with small lines below it."""
    return "\n".join([blockquote(job.prompt, MAX_PROMPT_SHOWN), *(f"-# {line}" for line in lines if line)])


def moved(job: Job, url: str | None, *, quoted: bool = True) -> StaticLayout:
    """For the message of a job whose images are in another one. `url`: that message; None if it is a private message.

    quoted: whether the prompt may be shown.
    """
    where = say(SENT_IN_PRIVATE) if url is None else say("The picture is in {link}.", link=url)
    return StaticLayout(ui.TextDisplay(_under_prompt(job, where) if quoted else f"-# {where}"))


def interruption_notice(job: Job) -> StaticLayout:
    text = ui.TextDisplay[Any](f"{blockquote(job.prompt, MAX_PROMPT_SHOWN)}\n-# {say(GOES_ON)}")
    return StaticLayout(text, ui.ActionRow(cancel_button(job.id)))


def _queue_status_text(status: QueueStatus | None) -> str:
    if status is None:
        return say("In queue")
    if status.jobs_ahead == 0:
        stands = say("Next in queue")
    else:
        stands = say_plural("In queue, {count} job ahead", "In queue, {count} jobs ahead", status.jobs_ahead)
    if status.model is ModelState.LOADING:
        return say("{stands}. The model is loading.", stands=stands)
    if status.model is ModelState.UNAVAILABLE:
        return say("{stands}. The model can't be loaded right now. Your job waits until it can.", stands=stands)
    return ready_text(stands, status.ready_at)


def ready_text(stands: str, ready_at: datetime | None) -> str:
    """A job's position, and when it will be ready. If that is very soon, no time is shown: it would be in the past."""
    if ready_at is None:
        return stands
    if ready_at < discord.utils.utcnow() + READY_SOON:
        return say("{stands}, ready soon", stands=stands)
    return say("{stands}, should be ready {when}", stands=stands, when=time_mention(ready_at, "R"))


def in_progress(
    job: Job, fraction: float, step: int, steps: int, preview: str | None = None, note: str = ""
) -> StaticLayout:
    """`fraction`: how much of the whole job is done. `preview`: the name of the attached preview file."""
    done = round(BAR_CELLS * fraction)
    bar = "▰" * done + "▱" * (BAR_CELLS - done)
    progress = say("Drawing {bar} step {step} of {steps}", bar=bar, step=step, steps=steps)
    view = StaticLayout(ui.TextDisplay(_under_prompt(job, progress, note)))
    if preview is not None:
        view.add_item(ui.MediaGallery(discord.MediaGalleryItem(f"attachment://{preview}", spoiler=job.spoiler)))
    return view.add_item(ui.ActionRow(cancel_button(job.id)))


def finished(
    job: Job, images: Sequence[Image], names: Sequence[str], parent_url: str | None, notes: str = ""
) -> StaticLayout:
    """`names`: the attached files, one per image. `parent_url`: the message of the image that it was made from."""
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
    caption = "\n".join([blockquote(job.prompt, MAX_PROMPT_SHOWN), f"-# {_caption(job, spec, images, parent_url)}"])
    view = StaticLayout(ui.TextDisplay(caption), gallery)
    if notes := "\n".join(f"-# {note}" for note in (notes, _engine_notes(images)) if note):
        view.add_item(ui.TextDisplay(notes))
    for row in image_rows(job, spec):
        view.add_item(row)
    return view


def _engine_notes(images: Sequence[Image]) -> str:
    """The engine's notes about what could not be applied, as many as fit."""
    notes = dict.fromkeys(word_note(note) for image in images for note in image.notes)
    return f"⚠️ {inline(' '.join(notes), MAX_NOTES_SHOWN)}" if notes else ""


def _caption(job: Job, spec: JobSpec, images: Sequence[Image], parent_url: str | None) -> str:
    parts = [f"<@{job.user_id}>"]
    if (kind := describe_kind(job, spec)) is not None:
        parts.append(kind if parent_url is None else f"[{kind}]({parent_url})")
    parts.append(summary(spec))
    seeds = list(dict.fromkeys(image.seed for image in images))
    listed = ", ".join(str(seed) for seed in seeds)
    parts.append(say("seed {seed}", seed=listed) if len(seeds) == 1 else say("seeds {seeds}", seeds=listed))
    return " · ".join(parts)


def describe_kind(job: Job, spec: JobSpec) -> str | None:
    """What a job does with its source image; None if there is none."""
    if job.kind not in KINDS:
        return None
    kind, strength = say(KINDS[job.kind]), spec.recipes[0].variation_strength
    if job.kind != "vary":
        return kind
    shown = decimal(strength)
    if strength in STRENGTHS:
        shown = f"{say(STRENGTHS[strength])}, {shown}"
    return f"{kind} ({shown})"


#: What a job did with its source image, by kind of job.
KINDS = {
    "reroll": N_("re-rolled"),
    "vary": N_("varied"),
    "upscale": N_("upscaled"),
    "edit": N_("edited"),
    "again": N_("drawn again"),
    "alone": N_("from a comparison"),
    "redraw": N_("redrawn in part"),
    "extend": N_("extended"),
}
#: The name of each variation strength.
STRENGTHS: Mapping[float, str] = {SUBTLE: N_("subtle"), STRONG: N_("strong")}


def transparency_offer(job: Job) -> StaticLayout:
    """Says what happened to the transparent parts of an uploaded image, and offers to redraw them."""
    words = say(
        "Your picture has transparent parts, so I put it on a white background. To draw something there "
        "instead, press the button:"
    )
    return StaticLayout(ui.TextDisplay(words), ui.ActionRow(image_button("redraw-transparent", job.id)))


def failed(job: Job, reason: str, *, quoted: bool = True) -> StaticLayout:
    """`reason`: in the user's language, see `explain_reason`. `quoted`: whether the prompt may be shown."""
    lines = [blockquote(job.prompt, MAX_PROMPT_SHOWN)] if quoted else []
    return StaticLayout(ui.TextDisplay("\n".join([*lines, f"<@{job.user_id}> {reason} {say(NOT_CHARGED)}"])))


def reason_of(error: Exception) -> str:
    """The reason to store for a job whose images the engine could not draw."""
    if isinstance(error, EngineDied):
        return ENGINE_LOST
    if str(error) == REDRAWS_NOTHING:
        return NOTHING_REDRAWN
    if isinstance(error, InvalidRequest):  # its text begins with the field; the files existed when the job was accepted
        return {"model": MODEL_REMOVED, "loras": LORA_REMOVED}.get(str(error).partition(":")[0], str(error))
    return str(error)


def explain_reason(reason: str) -> str:
    """A stored failure reason, in the reader's language."""
    return say(KNOWN_REASONS[reason]) if reason in KNOWN_REASONS else reason


def refusal(reason: AlreadyAccepted | TooManyWaiting | OverQuota, *, in_server: bool) -> str:
    match reason:
        case AlreadyAccepted():
            return say("This is already being drawn.")
        case TooManyWaiting(waiting=waiting, limit=limit):
            return say_plural(
                "You already have {waiting} job queued (limit {limit}). Try again when it is done.",
                "You already have {waiting} jobs queued (limit {limit}). Try again when one is done.",
                waiting,
                waiting=waiting,
                limit=limit,
            )
        case OverQuota(limit=0):
            return no_credits(in_server=in_server)
        case OverQuota(spent=spent, cost=cost, limit=limit, room_at=datetime() as room_at):
            return say_plural(
                "This costs {cost} credit. You have used {spent} of {limit} in the last 24 hours. "
                "You can draw it {when}.",
                "This costs {cost} credits. You have used {spent} of {limit} in the last 24 hours. "
                "You can draw it {when}.",
                cost,
                cost=decimal(cost),
                spent=decimal(spent),
                limit=decimal(limit),
                when=time_mention(room_at, "R"),
            )
        case OverQuota(cost=cost, limit=limit):
            return say_plural(
                "This costs {cost} credit. Your limit is {limit} in 24 hours. "
                "Try fewer pictures, fewer steps or a smaller size.",
                "This costs {cost} credits. Your limit is {limit} in 24 hours. "
                "Try fewer pictures, fewer steps or a smaller size.",
                cost,
                cost=decimal(cost),
                limit=decimal(limit),
            )


def no_credits(*, in_server: bool) -> str:
    """For users with a limit of 0."""
    if in_server:
        return say("You have no credits in this server. Ask a server admin.")
    return say("The bot's operator switched off drawing in private messages. Use me in a server.")


def file_name(job_id: int, index: int) -> str:
    return f"anima-{job_id}-{index + 1}.png"
