"""`/anima queue`: what waits, where you stand, about how long; and a way to cancel yours, in whatever state it is."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import discord
from discord import app_commands, ui

from bot.components.base import AnimaInteraction, Component, StaticLayout
from bot.components.cancel import cancel_own
from bot.text.markdown import inline
from bot.text.translation import say
from storage.jobs import Job
from storage.schema import JobState

if TYPE_CHECKING:
    from bot.client import AnimaClient

JOBS_SHOWN = 9
PROMPT_SHOWN = 100


@app_commands.command(description="What waits to be drawn, where you stand, and a way to cancel yours")
async def queue(interaction: AnimaInteraction) -> None:
    await interaction.response.defer(ephemeral=True)
    await interaction.edit_original_response(view=await _overview(interaction))


class CancelButton(Component, template=r"anima:queue:cancel:([0-9]{1,18})"):
    """Cancels one job, and shows what is left."""

    def __init__(self, job_id: int) -> None:
        custom_id = f"anima:queue:cancel:{job_id}"
        super().__init__(ui.Button(label=say("Cancel"), style=discord.ButtonStyle.danger, custom_id=custom_id))
        self.job_id = job_id

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await interaction.response.defer()
        outcome = await cancel_own(interaction, await interaction.client.database.jobs.get(self.job_id))
        await interaction.edit_original_response(view=await _overview(interaction, outcome))


class LookAgainButton(Component, template=r"anima:queue"):
    def __init__(self) -> None:
        super().__init__(ui.Button(label=say("Look again"), emoji="🔄", custom_id="anima:queue"))

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await interaction.response.defer()
        await interaction.edit_original_response(view=await _overview(interaction))


async def _overview(interaction: AnimaInteraction, outcome: str = "") -> StaticLayout:
    client = interaction.client
    mine = await client.database.jobs.live_of(interaction.user.id)
    in_hand = (await client.database.jobs.line()).live[JobState.RUNNING]
    lines = [outcome, _line_as_a_whole(len(client.queue), in_hand)]
    if not mine:
        lines.append(say("None of yours is among them. `/anima imagine` draws one."))
    if len(mine) > JOBS_SHOWN:
        lines.append(say("Of your {jobs}, these are the first {shown}.", jobs=len(mine), shown=JOBS_SHOWN))
    view = StaticLayout(ui.TextDisplay("\n".join(line for line in lines if line)))
    for job in mine[:JOBS_SHOWN]:
        words = f"**{inline(job.prompt, PROMPT_SHOWN)}**\n-# {_where_it_stands(client, job)}"
        view.add_item(ui.Section(words, accessory=CancelButton(job.id)))
    return view.add_item(ui.ActionRow(LookAgainButton()))


def _line_as_a_whole(waiting: int, in_hand: int) -> str:
    if not waiting and not in_hand:
        return say("Nothing waits and nothing is being drawn.")
    return say("{jobs} waiting in line, {in_hand} being drawn.", jobs=_count(waiting), in_hand=in_hand)


def _where_it_stands(client: AnimaClient, job: Job) -> str:
    place = client.queue.place(job.id)
    if job.state is JobState.RENDERED:
        return say("Drawn, and on its way to you")
    if place is None:
        stands = say("Being drawn now")
    elif place.jobs_ahead == 0:
        stands = say("Next in line")
    else:
        stands = say("{jobs} before it", jobs=_count(place.jobs_ahead))
    seconds = client.worker.seconds_until_drawn(job)
    if seconds is None:
        return stands
    ready = discord.utils.format_dt(discord.utils.utcnow() + timedelta(seconds=seconds), "R")
    return say("{stands}, ready about {when}", stands=stands, when=ready)


def _count(jobs: int) -> str:
    return say("1 job") if jobs == 1 else say("{count} jobs", count=jobs)


COMPONENTS = (CancelButton, LookAgainButton)
