"""The buttons and menus in a job's messages; no other module knows what their custom_ids look like.

Buttons made here have no callback. `bot.components` has the handlers, which match custom_ids by the templates of this
module. A custom_id names a job, and an image by its index in the job, so it works after restarts and for images that
are months old. Posted messages keep these custom_ids forever: never change their format.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import discord
from discord import ui

from bot.generation.redraw.area import AROUND, CELLS, COLUMNS, EDGE, MIDDLE, ROWS, number_of
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
    "more": N_("More…"),
    "delete-for-good": N_("Delete for everyone"),
    "share": N_("Share"),
    "share-comparison": N_("Share the comparison"),
    "share-anyway": N_("Share it"),
    "gallery-again": N_("Draw again"),
    "redraw": N_("Redraw part…"),
    "redraw-transparent": N_("Redraw the transparent part"),
    "extend": N_("Extend…"),
    "zoom-out": N_("Zoom out 1.5x"),
    "zoom-out-far": N_("Zoom out 2x"),
    "pan-left": N_("Left"),
    "pan-right": N_("Right"),
    "pan-up": N_("Up"),
    "pan-down": N_("Down"),
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
    "share": "📤",
    "share-comparison": "📤",
    "share-anyway": "📤",
    "gallery-again": "🎲",
    "redraw": "🖌️",
    "redraw-transparent": "🖌️",
    "extend": "↔️",
    "pan-left": "◀️",
    "pan-right": "▶️",
    "pan-up": "🔼",
    "pan-down": "🔽",
}
#: Shorter labels, without emoji, so that more buttons fit into a row.
SHORT_LABELS: Mapping[str, str] = {
    "reroll": N_("Re-roll"),
    "vary-strongly": N_("Vary"),
    "upscale": N_("Upscale"),
    "edit": N_("Edit…"),
    "more": N_("More…"),
}
#: Actions with a button for each of several images, one row per action. Labels this short fit five to a row on a phone.
NUMBERED: Mapping[str, str] = {"upscale": N_("U{number}"), "vary-strongly": N_("V{number}")}
#: The buttons under a message with one image. The other actions are behind *More…* (`bot.components.more`).
SINGLE_ACTIONS = ("reroll", "upscale", "vary-strongly", "edit", "more")
#: The actions for one image of a comparison. Upscaling is not among them, because its images are too small.
CELL_ACTIONS = ("alone", "vary-subtly", "vary-strongly", "edit", "info")
#: The buttons under a comparison, below the menu of its images.
GRID_ACTIONS = ("reroll", "info", "delete")
#: The choice in the menu of columns and rows that clears all chosen cells.
CLEAR = "clear"
#: Buttons that Discord allows in a row.
ROW_LENGTH = 5

_JOB_ID = r"([0-9]{1,18})"
CANCEL_TEMPLATE = rf"anima:cancel:{_JOB_ID}"
FIXED_PROMPT_TEMPLATE = rf"anima:fixed:{_JOB_ID}"
EDIT_AGAIN_TEMPLATE = r"anima:edit-again:([0-9]{1,18})"
TRIGGER_WORDS_TEMPLATE = rf"anima:triggers:{_JOB_ID}"
PICK_TEMPLATE = rf"anima:pick:{_JOB_ID}"
MODERATE_TEMPLATE = rf"anima:moderate:(delete|block|both|unblock):{_JOB_ID}"
#: With the number of a share in `storage.gallery.shares`.
UNSHARE_TEMPLATE = r"anima:(unshare|unshare-for-good):([0-9]{1,18})"
DESCRIBE_TEMPLATE = r"anima:describe:([0-9]{1,18}):([0-9])"
DRAW_DESCRIPTION_TEMPLATE = r"anima:described-draw:([0-9]{1,18})"
EDIT_DESCRIPTION_TEMPLATE = r"anima:described-edit:([0-9]{1,18})"


def image_template(action: str) -> str:
    """The pattern of the custom_ids that `image_button` makes for an action."""
    return rf"anima:{action}:{_JOB_ID}:([0-9]{{1,2}})"


#: Two of them end with the number (`number_of`) of the cells that were already chosen.
REDRAW_TEMPLATES = {
    "cells": image_template("redraw-cells"),
    "lines": image_template("redraw-lines") + ":([0-9]{1,8})",
    "chosen": image_template("redraw-chosen") + ":([0-9]{1,8})",
}


def image_rows(job: Job, spec: JobSpec) -> list[ui.ActionRow[Any]]:
    """The buttons under a job's images: on a phone, at most two rows."""
    if len(spec.recipes) == 1:
        return [ui.ActionRow(*(short_button(action, job.id) for action in SINGLE_ACTIONS))]
    if spec.comparison is not None:
        return [ui.ActionRow(pick_select(job.id, spec)), action_row(GRID_ACTIONS, job.id)]
    upscale, vary = (
        [numbered_button(action, job.id, index) for index in range(len(spec.recipes))] for action in NUMBERED
    )
    reroll = ui.Button[Any](emoji=EMOJI["reroll"], custom_id=f"anima:reroll:{job.id}:0")
    return [ui.ActionRow(*upscale, reroll), ui.ActionRow(*vary, short_button("more", job.id))]


def rows_of(actions: Sequence[str], job_id: int, index: int = 0) -> list[ui.ActionRow[Any]]:
    """Any number of buttons, in as many rows as they need."""
    starts = range(0, len(actions), ROW_LENGTH)
    return [action_row(tuple(actions[start : start + ROW_LENGTH]), job_id, index) for start in starts]


def action_row(actions: tuple[str, ...], job_id: int, index: int = 0) -> ui.ActionRow[Any]:
    return ui.ActionRow(*(image_button(action, job_id, index) for action in actions))


def image_button(action: str, job_id: int, index: int = 0) -> ui.Button[Any]:
    """A button that does something with one of a job's images."""
    custom_id = f"anima:{action}:{job_id}:{index}"
    return ui.Button(label=say(LABELS[action]), emoji=EMOJI.get(action), custom_id=custom_id)


def short_button(action: str, job_id: int) -> ui.Button[Any]:
    """An `image_button` for the only image of a message, with a short label."""
    return ui.Button(label=say(SHORT_LABELS[action]), custom_id=f"anima:{action}:{job_id}:0")


def numbered_button(action: str, job_id: int, index: int) -> ui.Button[Any]:
    """An `image_button` for one of several images in a message, labelled with its number."""
    return ui.Button(label=say(NUMBERED[action], number=index + 1), custom_id=f"anima:{action}:{job_id}:{index}")


def pick_select(job_id: int, spec: JobSpec) -> ui.Select[Any]:
    """A menu to pick one of a job's images."""
    options = [discord.SelectOption(label=label, value=str(at)) for at, label in enumerate(image_labels(spec))]
    placeholder = say("Pick a picture…") if spec.comparison is not None else say("More for one picture…")
    return ui.Select(placeholder=placeholder, options=options, custom_id=f"anima:pick:{job_id}")


def image_labels(spec: JobSpec) -> list[str]:
    """The label of each of several images."""
    if spec.comparison is None:
        return [say("Picture {number}", number=number) for number in range(1, len(spec.recipes) + 1)]
    return [label[:MAX_CHOICE_LENGTH] for label in spec.comparison.labels]


def cells_select(job_id: int, index: int, chosen: Collection[str]) -> ui.Select[Any]:
    """Picks cells of the grid over an image."""
    options = [discord.SelectOption(label=cell, value=cell, default=cell in chosen) for cell in CELLS]
    custom_id = f"anima:redraw-cells:{job_id}:{index}"
    return ui.Select(placeholder=say("Cells…"), options=options, max_values=len(CELLS), custom_id=custom_id)


def lines_select(job_id: int, index: int, chosen: Collection[str]) -> ui.Select[Any]:
    """Adds groups of cells to the chosen ones, or clears them."""
    options = [
        discord.SelectOption(
            label=say("All but the middle"),
            value=AROUND,
            description=say("All cells but {cells}", cells=", ".join(MIDDLE)),
        ),
        discord.SelectOption(label=say("The edge"), value=EDGE, description=say("All outer cells")),
        *(discord.SelectOption(label=say("Column {name}", name=name), value=name) for name in COLUMNS),
        *(discord.SelectOption(label=say("Row {name}", name=name), value=name) for name in ROWS),
        discord.SelectOption(label=say("Clear all"), value=CLEAR),
    ]
    custom_id = f"anima:redraw-lines:{job_id}:{index}:{number_of(chosen)}"
    placeholder = say("The edge, whole columns or rows, clear…")
    return ui.Select(placeholder=placeholder, options=options, max_values=len(options), custom_id=custom_id)


def redraw_cells_button(job_id: int, index: int, chosen: Collection[str]) -> ui.Button[Any]:
    """Opens the form that redraws the chosen cells."""
    custom_id = f"anima:redraw-chosen:{job_id}:{index}:{number_of(chosen)}"
    style = discord.ButtonStyle.primary
    return ui.Button(label=say("Redraw this part…"), emoji=EMOJI["redraw"], style=style, custom_id=custom_id)


def cancel_button(job_id: int) -> ui.Button[Any]:
    return ui.Button(label=say("Cancel"), style=discord.ButtonStyle.secondary, custom_id=f"anima:cancel:{job_id}")


#: What a moderator can do about a job's message and its user.
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
    """Whether a message has the buttons of this job's images."""
    return any(re.fullmatch(rf"anima:[a-z-]+:{job_id}:[0-9]{{1,2}}", custom_id) for custom_id in custom_ids_in(message))


def gallery_row(job_id: int, index: int, share_id: int) -> ui.ActionRow[Any]:
    """The buttons under an image in a gallery."""
    remove: ui.Button[Any] = ui.Button(label=say("Remove…"), emoji="🗑️", custom_id=f"anima:unshare:{share_id}")
    return ui.ActionRow(*(image_button(action, job_id, index) for action in ("gallery-again", "info")), remove)


def confirm_unshare_button(share_id: int) -> ui.Button[Any]:
    label = say("Remove from the gallery")
    return ui.Button(label=label, style=discord.ButtonStyle.danger, custom_id=f"anima:unshare-for-good:{share_id}")


def is_gallery_post(share_id: int, message: discord.Message) -> bool:
    """Whether a message has the buttons of this gallery post."""
    return f"anima:unshare:{share_id}" in custom_ids_in(message)


def job_id_in(message: discord.Message) -> int | None:
    """The job that a message of the bot shows, by its buttons; None if they name none."""
    template = rf"anima:(?:(?:{'|'.join(LABELS)}):{_JOB_ID}:[0-9]{{1,2}}|cancel:{_JOB_ID})"
    for custom_id in custom_ids_in(message):
        if (match := re.fullmatch(template, custom_id)) is not None:
            return int(match[1] or match[2])
    return None


def custom_ids_in(message: discord.Message) -> list[str]:
    """The custom_ids of a message's buttons and menus."""
    return [
        child.custom_id or ""
        for row in message.components
        if isinstance(row, discord.ActionRow)
        for child in row.children
        if isinstance(child, discord.Button | discord.SelectMenu)
    ]


def trigger_words_button(job_id: int) -> ui.Button[Any]:
    label = say("Add trigger words")
    return ui.Button(label=label, style=discord.ButtonStyle.primary, custom_id=f"anima:triggers:{job_id}")


def describe_row(draft_id: int, count: int) -> ui.ActionRow[Any]:
    """A button for each of the images that a draft remembers; with several, the label has its number."""
    labels = [say("Describe")] if count == 1 else [say("Describe {number}", number=at) for at in range(1, count + 1)]
    return ui.ActionRow(
        *(
            ui.Button(label=label, emoji="🏷️", custom_id=f"anima:describe:{draft_id}:{index}")
            for index, label in enumerate(labels)
        )
    )


def described_row(draft_id: int) -> ui.ActionRow[Any]:
    """The buttons under a description."""
    draw, edit = f"anima:described-draw:{draft_id}", f"anima:described-edit:{draft_id}"
    return ui.ActionRow(
        ui.Button(label=say("Draw this"), style=discord.ButtonStyle.primary, custom_id=draw),
        ui.Button(label=say("Edit…"), emoji="✏️", custom_id=edit),
    )
