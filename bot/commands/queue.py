"""`/anima queue`: the queue, your place in it, the estimated wait; and cancelling your unfinished jobs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import discord
from discord import app_commands, ui

from bot.client import AnimaClient
from bot.commands.tree import OPEN_TO_BLOCKED
from bot.components.base import AnimaInteraction, Component, JobComponent, defer_privately, defer_update
from bot.components.cancel import cancel_job
from bot.messages.details import describe_job, job_url, message_url
from bot.messages.job import ready_text
from bot.messages.layout import StaticLayout
from bot.text.markdown import inline
from bot.text.translation import say, say_plural
from storage.jobs import Job
from storage.schema import JobState

MAX_JOBS_SHOWN = 9
MAX_PROMPT_SHOWN = 100


@app_commands.command(description="See the queue and your place in it, or cancel your jobs", extras=OPEN_TO_BLOCKED)
async def queue(interaction: AnimaInteraction) -> None:
    await defer_privately(interaction)
    await interaction.edit_original_response(view=await _overview(interaction))


class CancelInOverview(JobComponent, template=r"anima:queue:cancel:([0-9]{1,18})"):
    """Cancels one job, and shows what is left."""

    open_to_blocked = True

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_update(interaction)
        outcome, _ = await cancel_job(interaction, await interaction.client.database.jobs.get(self.job_id))
        await interaction.edit_original_response(view=await _overview(interaction, outcome))


class RefreshQueue(Component, template=r"anima:queue"):
    open_to_blocked = True

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await defer_update(interaction)
        await interaction.edit_original_response(view=await _overview(interaction))


async def _overview(interaction: AnimaInteraction, outcome: str = "") -> StaticLayout:
    client = interaction.client
    mine = await client.database.jobs.live_of(interaction.user.id)
    in_hand = (await client.database.jobs.summary()).live[JobState.RUNNING]
    waiting = len(client.queue)
    lines = [outcome, _totals(waiting, in_hand)]
    if not mine and (waiting or in_hand):
        lines.append(say("You have no jobs in the queue."))
    if len(mine) > MAX_JOBS_SHOWN:
        lines.append(say("Showing the first {shown} of your {jobs} jobs.", jobs=len(mine), shown=MAX_JOBS_SHOWN))
    view = StaticLayout(ui.TextDisplay("\n".join(line for line in lines if line)))
    for job in mine[:MAX_JOBS_SHOWN]:
        words = f"**{inline(job.prompt, MAX_PROMPT_SHOWN)}**\n-# {await _kind(client, job)} · {_status(client, job)}"
        view.add_item(ui.Section(words, accessory=_cancel_button(job.id)))
    look_again: ui.Button[Any] = ui.Button(label=say("Refresh"), emoji="🔄", custom_id="anima:queue")
    return view.add_item(ui.ActionRow(look_again))


async def _kind(client: AnimaClient, job: Job) -> str:
    """What a job is, and where its message is."""
    parent_id = job.parent_picture_id
    source = None if parent_id is None else await client.database.images.get(parent_id)
    kind = describe_job(job, message_url(client, source))
    link = job_url(client, job)
    return kind if link is None else f"{kind} · [{say('message')}]({link})"


def _cancel_button(job_id: int) -> ui.Button[Any]:
    custom_id = f"anima:queue:cancel:{job_id}"
    return ui.Button(label=say("Cancel"), style=discord.ButtonStyle.danger, custom_id=custom_id)


def _totals(waiting: int, in_hand: int) -> str:
    if not waiting and not in_hand:
        return say("The queue is empty. `/anima imagine` draws a picture.")
    return say("{jobs} in the queue, {in_hand} being drawn.", jobs=_count(waiting), in_hand=in_hand)


def _status(client: AnimaClient, job: Job) -> str:
    position = client.queue.position(job.id)
    if job.state is JobState.RENDERED:
        return say("Drawn, posting now")
    if position is None:
        stands = say("Drawing now")
    elif position.jobs_ahead == 0:
        stands = say("Next in queue")
    else:
        stands = say("{jobs} ahead", jobs=_count(position.jobs_ahead))
    seconds = client.workers.forecast.seconds_until_drawn(job.id)
    ready_at = None if seconds is None else discord.utils.utcnow() + timedelta(seconds=seconds)
    return ready_text(stands, ready_at)


def _count(jobs: int) -> str:
    return say_plural("{count} job", "{count} jobs", jobs)


HANDLERS = (CancelInOverview, RefreshQueue)
