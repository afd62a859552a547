"""From an acknowledged interaction to a job in line: written to the database first, then put into the queue."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import discord

from bot import messages
from bot.jobs import Drawing, new_seed, waiting
from bot.queue import FairQueue
from storage.database import Database
from storage.jobs import Accepted, Allowance, NewJob

if TYPE_CHECKING:
    from bot.client import AnimaClient
    from inference import NativeSettings

TOKEN_LIFE = timedelta(minutes=15)


class Intake:
    def __init__(self, database: Database, queue: FairQueue) -> None:
        self._database = database
        self._queue = queue

    async def imagine(
        self,
        interaction: discord.Interaction[AnimaClient],
        acknowledgement: discord.InteractionCallbackResponse[Any] | None,
        prompt: str,
    ) -> None:
        native = await interaction.client.native_settings()
        width, height = native.sizes[0]
        drawing = Drawing(
            prompt=prompt,
            negative_prompt="worst quality, low quality, score_1, score_2, score_3, artist name",
            width=width,
            height=height,
            steps=native.steps,
            cfg_scale=native.cfg_scale,
            sampler=native.sampler,
            scheduler=native.scheduler,
            seeds=(new_seed(),),
        )
        await self._accept(interaction, acknowledgement, drawing, native, kind="imagine", prompt=prompt)

    async def reroll(
        self,
        interaction: discord.Interaction[AnimaClient],
        acknowledgement: discord.InteractionCallbackResponse[Any] | None,
        job_id: int,
    ) -> None:
        job = await self._database.jobs.get(job_id)
        if job is None:
            await interaction.edit_original_response(content=messages.NOT_REMEMBERED)
            return
        native = await interaction.client.native_settings()
        drawing = Drawing.of(job)
        drawing = replace(drawing, seeds=tuple(new_seed() for _ in drawing.seeds))
        await self._accept(interaction, acknowledgement, drawing, native, kind="reroll", prompt=job.prompt)

    async def _accept(
        self,
        interaction: discord.Interaction[AnimaClient],
        acknowledgement: discord.InteractionCallbackResponse[Any] | None,
        drawing: Drawing,
        native: NativeSettings,
        kind: str,
        prompt: str,
    ) -> None:
        if interaction.channel_id is None:
            await interaction.edit_original_response(content=messages.NO_CHANNEL)
            return
        new = NewJob(
            interaction_id=interaction.id,
            user_id=interaction.user.id,
            guild_id=interaction.guild_id,
            channel_id=interaction.channel_id,
            message_id=acknowledgement.message_id if acknowledgement is not None else None,
            kind=kind,
            cost=drawing.cost(native),
            prompt=prompt,
            negative_prompt=drawing.negative_prompt,
            parameters=drawing.as_json(),
            interaction_token=interaction.token,
            token_expires_at=interaction.created_at + TOKEN_LIFE,
            locale=str(interaction.locale),
        )
        match await self._database.jobs.accept(new, Allowance()):
            case Accepted(job):
                # Before the job is in line, so that this edit cannot come after the picture's.
                with suppress(discord.HTTPException):
                    await interaction.edit_original_response(view=messages.queued(job))
                self._queue.put(waiting(job))
            case refusal:
                await interaction.edit_original_response(content=messages.refusal(refusal))
