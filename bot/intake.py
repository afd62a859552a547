"""From an acknowledged interaction to a job in line: permitted, written to the database, then put into the queue."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import discord

from bot import messages
from bot.jobs import Drawing, new_seed, waiting
from bot.policy import Permission, Person, Place, Refusal, Wording, may_be_explicit, permit
from bot.prompting import TagIndex, expand, final_prompts
from bot.queue import FairQueue
from bot.server_settings import Defaults, ServerSettings, settings_of
from storage.database import Database
from storage.jobs import Accepted, NewJob

if TYPE_CHECKING:
    from bot.client import AnimaClient
    from inference import NativeSettings

TOKEN_LIFE = timedelta(minutes=15)

Asked: TypeAlias = "discord.Interaction[AnimaClient]"
Acknowledgement: TypeAlias = "discord.InteractionCallbackResponse[Any] | None"


class Intake:
    def __init__(self, database: Database, queue: FairQueue) -> None:
        self._database = database
        self._queue = queue
        self._tags = TagIndex.load()

    async def imagine(self, interaction: Asked, acknowledgement: Acknowledgement, prompt: str) -> None:
        native = await interaction.client.native_settings()
        settings = await settings_of(self._database.servers, interaction.guild_id)
        drawing = _with_defaults(settings.defaults, native)
        await self._accept(interaction, acknowledgement, drawing, native, settings, kind="imagine", prompt=prompt)

    async def reroll(self, interaction: Asked, acknowledgement: Acknowledgement, job_id: int) -> None:
        job = await self._database.jobs.get(job_id)
        if job is None or not job.parameters:
            await _refuse(interaction, messages.NOT_REMEMBERED)
            return
        native = await interaction.client.native_settings()
        settings = await settings_of(self._database.servers, interaction.guild_id)
        drawing = Drawing.of(job)
        drawing = replace(drawing, seeds=tuple(new_seed() for _ in drawing.seeds))
        await self._accept(interaction, acknowledgement, drawing, native, settings, kind="reroll", prompt=job.prompt)

    async def permission(
        self, interaction: Asked, drawing: Drawing, native: NativeSettings, settings: ServerSettings, prompt: str
    ) -> Permission | Refusal:
        """Whether the person who asks may have `drawing` there; `prompt` is what they typed."""
        block = await self._database.servers.block_of(interaction.user.id, interaction.guild_id)
        person, place = Person.of(interaction, block), Place.of(interaction)
        return permit(settings, native, person, place, drawing, Wording((prompt,)))

    async def _accept(
        self,
        interaction: Asked,
        acknowledgement: Acknowledgement,
        drawing: Drawing,
        native: NativeSettings,
        settings: ServerSettings,
        kind: str,
        prompt: str,
    ) -> None:
        if interaction.channel_id is None:
            await _refuse(interaction, messages.NO_CHANNEL)
            return
        drawing = self._by_house_rules(drawing, settings, Place.of(interaction), prompt)
        permission = await self.permission(interaction, drawing, native, settings, prompt)
        if isinstance(permission, Refusal):
            await _refuse(interaction, permission.sentence)
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
        match await self._database.jobs.accept(new, permission.allowance):
            case Accepted(job):
                # Before the job is in line, so that this edit cannot come after the picture's.
                with suppress(discord.HTTPException):
                    await interaction.edit_original_response(view=messages.queued(job))
                self._queue.put(waiting(job))
            case refusal:
                await _refuse(interaction, messages.refusal(refusal))

    def _by_house_rules(self, drawing: Drawing, settings: ServerSettings, place: Place, prompt: str) -> Drawing:
        """The prompts as the engine gets them: wildcards chosen, the recommended tags added, the rating forced."""
        defaults = settings.defaults
        final = final_prompts(
            expand(prompt, drawing.seeds[0]),
            prefix=defaults.prefix if defaults.prefix_on else "",
            negative_prefix=defaults.negative if defaults.negative_on else "",
            age_restricted=may_be_explicit(settings, place),
            category_of=self._tags.category_of,
        )
        return replace(drawing, prompt=final.positive, negative_prompt=final.negative)


def _with_defaults(defaults: Defaults, native: NativeSettings) -> Drawing:
    """A drawing without prompts yet, as the server likes it and else as the model does."""
    width, height = defaults.size or native.sizes[0]
    return Drawing(
        prompt="",
        negative_prompt="",
        width=width,
        height=height,
        steps=defaults.steps or native.steps,
        cfg_scale=native.cfg_scale if defaults.cfg_scale is None else defaults.cfg_scale,
        sampler=defaults.sampler or native.sampler,
        scheduler=defaults.scheduler or native.scheduler,
        seeds=(new_seed(),),
    )


async def _refuse(interaction: Asked, sentence: str) -> None:
    """Tell the person alone: the answer that everybody would see is taken back first."""
    await interaction.delete_original_response()
    await interaction.followup.send(sentence, ephemeral=True)
