"""The buttons and menus in a job's messages; no other module knows what their custom_ids look like.

A button made here only shows itself. What a press does stands in `bot.components`, whose handlers are found by the
templates of this module. A custom_id names a job, and an image by its place in the job; so it works after restarts and
for images of months ago. Messages that were posted once have these custom_ids for ever: never change their form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import discord
from discord import ui

from bot.generation.spec import JobSpec
from bot.messages.limits import MAX_CHOICE_LENGTH
from bot.text.translation import N_, say
from storage.jobs import Job

LABELS: Mapping[str, str] = {
    "reroll": N_("Re-roll"),
    "alone": N_("Draw this one"),
    "vary-subtly": N_("Vary (subtle)"),
    "vary-strongly": N_("Vary (strong)"),
    "upscale": N_("Upscale"),
    "edit": N_("Edit…"),
    "edit-all": N_("Edit…"),
    "info": N_("Info"),
    "save-as-preset": N_("Save as preset…"),
    "delete": N_("Delete"),
    "delete-for-good": N_("Delete for everyone"),
}
EMOJI: Mapping[str, str] = {
    "reroll": "🎲",
    "alone": "🖼️",
    "vary-subtly": "🌱",
    "vary-strongly": "🌳",
    "upscale": "🔍",
    "edit": "✏️",
    "edit-all": "✏️",
    "info": "📋",
    "save-as-preset": "💾",
    "delete": "🗑️",
}
#: Actions with a button for each image of a message with several; each has a row of buttons.
NUMBERED: Mapping[str, str] = {"upscale": N_("Upscale {number}"), "vary-strongly": N_("Vary {number}")}
#: What can be done with an image that has a message of its own.
IMAGE_ACTIONS = ("reroll", "vary-subtly", "vary-strongly", "upscale", "edit")
#: What can be done with one image of a comparison, which is too small to be upscaled.
CELL_ACTIONS = ("alone", "vary-subtly", "vary-strongly", "edit", "info")
#: Actions for a whole message: for its one image, for all of several, for a grid.
SINGLE_ACTIONS = ("info", "save-as-preset", "delete")
ALL_ACTIONS = ("reroll", "edit-all", *SINGLE_ACTIONS)
GRID_ACTIONS = ("reroll", "info", "delete")

_JOB_ID = r"([0-9]{1,18})"
CANCEL_TEMPLATE = rf"anima:cancel:{_JOB_ID}"
FIXED_PROMPT_TEMPLATE = rf"anima:fixed:{_JOB_ID}"
EDIT_AGAIN_TEMPLATE = r"anima:edit-again:([0-9]{1,18})"
TRIGGER_WORDS_TEMPLATE = rf"anima:triggers:{_JOB_ID}"
PICK_TEMPLATE = rf"anima:pick:{_JOB_ID}"
MODERATE_TEMPLATE = rf"anima:moderate:(delete|block|both|unblock):{_JOB_ID}"


def image_template(action: str) -> str:
    """Of the custom_ids of `image_button`."""
    return rf"anima:{action}:{_JOB_ID}:([0-9]{{1,2}})"


def image_rows(job: Job, spec: JobSpec) -> list[ui.ActionRow[Any]]:
    """What stands under a job's images."""
    if len(spec.recipes) == 1:
        return [action_row(IMAGE_ACTIONS, job.id), action_row(SINGLE_ACTIONS, job.id)]
    if spec.comparison is not None:
        return [ui.ActionRow(pick_select(job.id, spec)), action_row(GRID_ACTIONS, job.id)]
    numbered = [
        ui.ActionRow[Any](*(numbered_button(action, job.id, index) for index in range(len(spec.recipes))))
        for action in NUMBERED
    ]
    return [*numbered, action_row(ALL_ACTIONS, job.id), ui.ActionRow(pick_select(job.id, spec))]


def action_row(actions: tuple[str, ...], job_id: int, index: int = 0) -> ui.ActionRow[Any]:
    return ui.ActionRow(*(image_button(action, job_id, index) for action in actions))


def image_button(action: str, job_id: int, index: int = 0) -> ui.Button[Any]:
    """A button that does something with one of a job's images."""
    custom_id = f"anima:{action}:{job_id}:{index}"
    return ui.Button(label=say(LABELS[action]), emoji=EMOJI.get(action), custom_id=custom_id)


def numbered_button(action: str, job_id: int, index: int) -> ui.Button[Any]:
    """The same for one of several images in a message; the label has its number."""
    label = say(NUMBERED[action], number=index + 1)
    return ui.Button(label=label, emoji=EMOJI.get(action), custom_id=f"anima:{action}:{job_id}:{index}")


def pick_select(job_id: int, spec: JobSpec) -> ui.Select[Any]:
    """A menu to pick one of a job's images."""
    options = [discord.SelectOption(label=label, value=str(at)) for at, label in enumerate(image_labels(spec))]
    placeholder = say("Pick a picture…") if spec.comparison is not None else say("More for one picture…")
    return ui.Select(placeholder=placeholder, options=options, custom_id=f"anima:pick:{job_id}")


def image_labels(spec: JobSpec) -> list[str]:
    """What each of several images is called."""
    if spec.comparison is None:
        return [say("Picture {number}", number=number) for number in range(1, len(spec.recipes) + 1)]
    return [label[:MAX_CHOICE_LENGTH] for label in spec.comparison.labels]


def cancel_button(job_id: int) -> ui.Button[Any]:
    return ui.Button(label=say("Cancel"), style=discord.ButtonStyle.secondary, custom_id=f"anima:cancel:{job_id}")


#: What a moderator can do about a job's message and the person who asked for it.
MODERATION: Mapping[str, str] = {
    "delete": N_("Delete"),
    "block": N_("Block"),
    "both": N_("Delete and block"),
    "unblock": N_("Unblock"),
}


def moderation_button(action: str, job_id: int) -> ui.Button[Any]:
    style = discord.ButtonStyle.secondary if action == "unblock" else discord.ButtonStyle.danger
    return ui.Button(label=say(MODERATION[action]), style=style, custom_id=f"anima:moderate:{action}:{job_id}")


def report_row(job_id: int) -> ui.ActionRow[Any]:
    """The buttons under a report."""
    return ui.ActionRow(*(moderation_button(action, job_id) for action in ("delete", "block")))


def fixed_prompt_button(job_id: int) -> ui.Button[Any]:
    return ui.Button(label=say("Draw this instead"), custom_id=f"anima:fixed:{job_id}")


def edit_again_button(draft_id: int) -> ui.Button[Any]:
    """Reopens a refused form with what was typed."""
    return ui.Button(label=say("Edit again…"), emoji="✏️", custom_id=f"anima:edit-again:{draft_id}")


def shows_images_of(job_id: int, message: discord.Message) -> bool:
    """Whether the buttons under a message are those of this job's images."""
    ids = (
        child.custom_id or ""
        for row in message.components
        if isinstance(row, discord.ActionRow)
        for child in row.children
        if isinstance(child, discord.Button | discord.SelectMenu)
    )
    return any(re.fullmatch(rf"anima:[a-z-]+:{job_id}:[0-9]{{1,2}}", custom_id) for custom_id in ids)


def trigger_words_button(job_id: int) -> ui.Button[Any]:
    label = say("Add trigger words")
    return ui.Button(label=label, style=discord.ButtonStyle.primary, custom_id=f"anima:triggers:{job_id}")
