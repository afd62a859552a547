"""From an acknowledged interaction to a queued job: options resolved, permitted, written down, put into the queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import discord
from pydantic import ValidationError

from bot.components.base import AnimaInteraction, StaticLayout, reply_privately, send_followup
from bot.components.hint import PromptHint
from bot.generation.comparison import Comparison
from bot.generation.compose import (
    ModelInfo,
    comparison_recipes,
    options_of_image,
    prompt_of_image,
    recipes,
    repeat_recipes,
    resolve_options,
)
from bot.generation.errors import InvalidComparison, UnusableImage
from bot.generation.options import Options
from bot.generation.recipe import Recipe, new_seed, seeds_from
from bot.generation.source_image import prepare_source
from bot.generation.spec import JobSpec
from bot.jobs.progress import StatusMessages
from bot.jobs.queue import FairQueue
from bot.jobs.queue_entry import queued_job
from bot.messages import job as messages
from bot.messages.attachments import fetch, media_of, shown_in
from bot.ops.logs import about_its_job
from bot.prompting import TagIndex
from bot.rules.policy import (
    ChannelContext,
    Granted,
    Person,
    PolicyRefusal,
    TypedText,
    effective_limits,
    may_be_explicit,
    permit,
)
from bot.rules.server_settings import ServerSettings, settings_guild_id, settings_of
from bot.text.markdown import inline
from bot.text.translation import say
from storage.database import Database
from storage.jobs import Accepted, AlreadyAccepted, Job, NewJob, OverQuota

if TYPE_CHECKING:
    from bot.client import AnimaClient

logger = logging.getLogger(__name__)

TOKEN_LIFE = timedelta(minutes=15)
UPSCALE_DENOISE = 0.35
"""Enough to draw finer lines, too little to draw other things."""
UPSCALE_FACTORS = (2.0, 1.5)
"""The first that stays within the limits is taken."""

NO_CHANNEL = "Anima cannot see which channel this is, so there is nowhere to draw to. Try in another channel."
NO_SUCH_LORA = "There is no LoRA called “{name}” here. Choose one from those that are offered while you type."
LORA_GONE = "The LoRA “{name}” is not here any more, so this cannot be drawn as it was."
NO_TURBO = "There is no turbo LoRA here. Leave `turbo` away."
DRAW_ALONE_FIRST = "In a comparison it is too small for that. Draw it by itself first, and upscale what comes of it."
CANNOT_FETCH = "The picture's message is out of my reach, so it cannot be made larger."
CANNOT_BE_DRAWN = "One of these settings is out of bounds, so this cannot be drawn. Look at them again."
ALREADY_MAX_SIZE = "This picture is as large as pictures may be here."

Acknowledgement: TypeAlias = "discord.InteractionCallbackResponse[Any] | None"


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """What somebody wants drawn. `prompt` is what they typed.

    kind: what was done: imagine, reroll, vary, upscale, edit, again, compare or alone.
    said: with the command; what is left open comes from preferences and server.
    source: the PNG file of a picture to draw from.
    variation: how far from each seed's own noise.
    compared: what is varied from one picture to the next, all of one seed; it goes with no `source` or `variation`.
    as_before: what is to be drawn once more, picture by picture.
    aside: what is told to the person alone when it is in line.
    """

    kind: str
    prompt: str
    said: Options
    source: bytes | None = None
    parent_picture_id: int | None = None
    variation: float | None = None
    compared: Comparison | None = None
    as_before: JobSpec | None = None
    aside: str = ""


class Submitter:
    def __init__(
        self,
        database: Database,
        queue: FairQueue,
        status: StatusMessages,
        tags: TagIndex,
        refused: Callable[[str], None] = lambda rule: None,
    ) -> None:
        """`refused` is told what each wish that became no job ran against."""
        self._refused = refused
        self._database = database
        self._queue = queue
        self._status = status
        self._tags = tags

    async def answers_privately(self, interaction: AnimaInteraction, said: Options, preset: str | None = None) -> bool:
        """Whether the answer is for the person alone. Where that cannot be told in a moment, it is.

        preset: the name of one that lies below what was said.
        """
        if said.private is not None:
            return said.private
        try:
            async with asyncio.timeout(1.0):
                kept = await self.preset(interaction.user.id, preset)
                preferences = (kept or Options()).merged_over(await self.preferences(interaction.user.id))
                settings = await settings_of(self._database.servers, settings_guild_id(interaction))
        except TimeoutError:
            return True
        return bool(preferences.merged_over(settings.defaults.options()).private)

    async def preferences(self, user_id: int) -> Options:
        return remembered_options(await self._database.preferences.defaults(user_id))

    async def preset(self, user_id: int, name: str | None) -> Options | None:
        """None where the person has none of that name."""
        kept = None if name is None else await self._database.preferences.preset(user_id, name)
        return None if kept is None else remembered_options(kept)

    async def imagine(
        self,
        interaction: AnimaInteraction,
        acknowledgement: Acknowledgement,
        prompt: str,
        said: Options,
        image: discord.Attachment | None = None,
    ) -> None:
        try:
            source = await self._source(interaction, image)
        except UnusableImage as unusable:
            await reply_privately(interaction, str(unusable))
            return
        await self.accept(
            interaction, acknowledgement, JobRequest(kind="imagine", prompt=prompt, said=said, source=source)
        )

    async def reroll(
        self, interaction: AnimaInteraction, acknowledgement: Acknowledgement, job: Job, drawing: JobSpec
    ) -> None:
        said = replace(drawing.options, seed=None, variation=None)
        await self._once_more(interaction, acknowledgement, job, drawing, "reroll", said)

    async def vary(
        self,
        interaction: AnimaInteraction,
        acknowledgement: Acknowledgement,
        job: Job,
        drawing: JobSpec,
        index: int,
        strength: float,
    ) -> None:
        said = options_of_image(drawing, index)
        await self._carry_on(interaction, acknowledgement, job, drawing, "vary", said, index, variation=strength)

    async def draw_alone(
        self, interaction: AnimaInteraction, acknowledgement: Acknowledgement, job: Job, drawing: JobSpec, index: int
    ) -> None:
        """One of a comparison's pictures by itself: it comes out as it was."""
        await self._carry_on(
            interaction, acknowledgement, job, drawing, "alone", options_of_image(drawing, index), index
        )

    async def upscale(
        self, interaction: AnimaInteraction, acknowledgement: Acknowledgement, job: Job, drawing: JobSpec, index: int
    ) -> None:
        if drawing.comparison is not None:
            await reply_privately(interaction, say(DRAW_ALONE_FIRST))
            return
        recipe = drawing.recipes[index]
        model = await interaction.client.model()
        settings = await settings_of(self._database.servers, settings_guild_id(interaction))
        limits = effective_limits(settings, model.native)
        sizes = [_scaled(recipe, factor) for factor in UPSCALE_FACTORS]
        fitting = [size for size in sizes if max(size) <= limits.side and size[0] * size[1] <= limits.area]
        if not fitting:
            await reply_privately(interaction, say(ALREADY_MAX_SIZE))
            return
        try:
            source = await self._finished_picture(interaction, job, index)
        except UnusableImage as unusable:
            await reply_privately(interaction, str(unusable))
            return
        said = replace(options_of_image(drawing, index), size=fitting[0], denoise=UPSCALE_DENOISE, count=1)
        await self._carry_on(interaction, acknowledgement, job, drawing, "upscale", said, index, source=source)

    async def edit(
        self,
        interaction: AnimaInteraction,
        acknowledgement: Acknowledgement,
        job: Job,
        drawing: JobSpec,
        index: int,
        prompt: str,
        said: Options,
    ) -> None:
        await self._carry_on(interaction, acknowledgement, job, drawing, "edit", said, index, prompt=prompt)

    async def draw_again(
        self,
        interaction: AnimaInteraction,
        acknowledgement: Acknowledgement,
        prompt: str,
        said: Options,
        aside: str = "",
    ) -> None:
        """What a file says that it was made with, as exactly as it can be drawn here. `aside`: what cannot be."""
        await self.accept(interaction, acknowledgement, JobRequest(kind="again", prompt=prompt, said=said, aside=aside))

    async def same_again(
        self, interaction: AnimaInteraction, acknowledgement: Acknowledgement, job: Job, drawing: JobSpec
    ) -> None:
        """A job of ours once more, with its seeds: it comes out as it was."""
        known = (await interaction.client.model()).loras
        gone = [name for recipe in drawing.recipes for name, _ in recipe.loras if name not in known]
        if gone:
            await reply_privately(interaction, say(LORA_GONE, name=inline(gone[0], 100)))
            return
        wish = JobRequest(
            kind="again",
            prompt=job.prompt,
            said=drawing.options,
            source=await self._database.source_images.of_job(job.id),
            parent_picture_id=await self._picture_id(job, 0),
            as_before=drawing,
        )
        await self.accept(interaction, acknowledgement, wish)

    async def accept(self, interaction: AnimaInteraction, acknowledgement: Acknowledgement, wish: JobRequest) -> None:
        """Puts a wish in line, or tells the person privately why not."""
        if interaction.channel_id is None:
            await reply_privately(interaction, say(NO_CHANNEL))
            return
        model = await interaction.client.model()
        settings = await settings_of(self._database.servers, settings_guild_id(interaction))
        below = (await self.preferences(interaction.user.id)).merged_over(settings.defaults.options())
        options = resolve_options(wish.said, _with_known_loras(below, model), model)
        if (unknown := _unknown(options, wish.said, model)) is not None:
            await reply_privately(interaction, unknown)
            return
        try:
            # In a thread, as `permit`: for a prompt that is made to take long, both do.
            drawing = await asyncio.to_thread(
                self._drawing, wish, options, settings, ChannelContext.of(interaction), model
            )
        except InvalidComparison as mistake:
            await reply_privately(interaction, str(mistake))
            return
        typed = TypedText((wish.prompt, options.artist or ""), options.negative or "")
        permission = await self._permission(interaction, drawing, settings, model, typed)
        if isinstance(permission, PolicyRefusal):
            self._refused(permission.why.value)
            await reply_privately(interaction, permission.sentence)
            return
        try:
            Options.of(options.as_json())  # what could not be read back would be a job that nobody can draw
        except ValueError:
            logger.info("interaction %d: an option is out of bounds", interaction.id)
            await reply_privately(interaction, say(CANNOT_BE_DRAWN))
            return
        new = NewJob(
            interaction_id=interaction.id,
            user_id=interaction.user.id,
            guild_id=interaction.guild_id,
            channel_id=interaction.channel_id,
            message_id=acknowledgement.message_id if acknowledgement is not None else None,
            kind=wish.kind,
            cost=drawing.cost(model.native),
            prompt=wish.prompt,
            negative_prompt=options.negative or "",
            parameters=drawing.as_json(),
            parent_picture_id=wish.parent_picture_id,
            interaction_token=interaction.token,
            token_expires_at=interaction.created_at + TOKEN_LIFE,
            private=bool(options.private),
            spoiler=bool(options.spoiler),
            locale=str(interaction.locale),
        )
        match await self._database.jobs.accept(new, permission.allowance, wish.source):
            case Accepted(job):
                await self._put_in_line(interaction, job, wish.aside or self._hint(job))
            case refusal:
                if not isinstance(refusal, AlreadyAccepted):
                    self._refused("quota" if isinstance(refusal, OverQuota) else "waiting")
                await reply_privately(interaction, messages.refusal(refusal))

    async def _once_more(
        self,
        interaction: AnimaInteraction,
        acknowledgement: Acknowledgement,
        job: Job,
        drawing: JobSpec,
        kind: str,
        said: Options,
    ) -> None:
        """Draws the whole of a job again, a comparison as one."""
        compared = drawing.comparison
        await self._carry_on(
            interaction, acknowledgement, job, drawing, kind, said, prompt=job.prompt, compared=compared
        )

    async def _carry_on(
        self,
        interaction: AnimaInteraction,
        acknowledgement: Acknowledgement,
        job: Job,
        drawing: JobSpec,
        kind: str,
        said: Options,
        index: int = 0,
        *,
        prompt: str | None = None,
        source: bytes | None = None,
        variation: float | None = None,
        compared: Comparison | None = None,
    ) -> None:
        """Draws something that comes from one of a job's pictures."""
        wish = JobRequest(
            kind=kind,
            prompt=prompt_of_image(job.prompt, drawing, index) if prompt is None else prompt,
            said=said,
            source=source or await self._database.source_images.of_job(job.id),
            parent_picture_id=await self._picture_id(job, index),
            variation=variation,
            compared=compared,
        )
        await self.accept(interaction, acknowledgement, wish)

    def _drawing(
        self, wish: JobRequest, options: Options, settings: ServerSettings, place: ChannelContext, model: ModelInfo
    ) -> JobSpec:
        age_restricted = may_be_explicit(settings, place)
        house = settings.defaults.prompt_rules(self._tags, age_restricted=age_restricted)
        if wish.as_before is not None:
            recipes_again = repeat_recipes(wish.as_before, house)
            return replace(wish.as_before, recipes=recipes_again, options=options, age_restricted=age_restricted)
        seeds = seeds_from(options.seed, options.count or 1)
        if wish.compared is not None:
            made = comparison_recipes(wish.compared, wish.prompt, options, seeds[0], house, model)
            return JobSpec(recipes=made, options=options, age_restricted=age_restricted, comparison=wish.compared)
        if wish.variation is not None:
            seeds = seeds[:1] * len(seeds)
        made = recipes(wish.prompt, options, seeds, house, model, from_picture=wish.source is not None)
        if wish.variation is not None:
            made = tuple(
                replace(recipe, variation_seed=new_seed(), variation_strength=wish.variation) for recipe in made
            )
        return JobSpec(recipes=made, options=options, age_restricted=age_restricted)

    async def _permission(
        self,
        interaction: AnimaInteraction,
        drawing: JobSpec,
        settings: ServerSettings,
        model: ModelInfo,
        typed: TypedText,
    ) -> Granted | PolicyRefusal:
        block = await self._database.servers.block_of(interaction.user.id, interaction.guild_id)
        person, place = Person.of(interaction, block), ChannelContext.of(interaction)
        return await asyncio.to_thread(permit, settings, model.native, person, place, drawing, typed)

    @about_its_job
    async def _put_in_line(self, interaction: AnimaInteraction, job: Job, aside: str | StaticLayout | None) -> None:
        """`aside`: what to tell the person alone, once the job's message says something.

        Until then a follow-up would take the message's place, for everybody to see.
        """
        logger.info("in line: %s, %.2f credits", job.kind, job.cost)
        self._queue.put(queued_job(job))
        told = self._status.waits(job)
        if aside and told is not None and await asyncio.shield(told):
            with suppress(discord.HTTPException):
                await send_followup(interaction, aside)

    def _hint(self, job: Job) -> StaticLayout | None:
        """What in somebody's prompt Anima takes otherwise than they meant."""
        hinted = PromptHint.of(job, self._tags) if job.kind in ("imagine", "edit") else None
        return None if hinted is None else hinted.shown()

    async def _source(self, interaction: AnimaInteraction, image: discord.Attachment | None) -> bytes | None:
        if image is None:
            return None
        data = await fetch(interaction.client, image.url, image.size)
        return await asyncio.to_thread(prepare_source, data)

    async def _finished_picture(self, interaction: AnimaInteraction, job: Job, index: int) -> bytes:
        """The file of one of a job's pictures, from a message that shows it. Raises UnusableImage."""
        message = interaction.message
        if message is not None and message.id == job.message_id:
            media = media_of(message)
        elif message is not None and job.private:
            media, index = shown_in(message), 0  # that of who has picked it; what is private cannot be fetched
        else:
            message = await _message_of(interaction.client, job)
            media = media_of(message) if message is not None else []
        if index >= len(media):
            raise UnusableImage(say(CANNOT_FETCH))
        data = await fetch(interaction.client, media[index].url)
        return await asyncio.to_thread(prepare_source, data)

    async def _picture_id(self, job: Job, index: int) -> int | None:
        """Of the picture itself, or of the grid that it is in."""
        ids = {picture.index: picture.id for picture in await self._database.images.of_job(job.id)}
        return ids.get(index, ids.get(0))


def remembered_options(document: Any) -> Options:
    """What somebody once kept; what may not be said any longer is passed over."""
    try:
        return Options.of(document)
    except ValidationError as error:
        outdated = {each["loc"][0] for each in error.errors()}
        logger.info("of some kept options, %s are not valid any more, so they are passed over", outdated)
        return Options.of({name: value for name, value in document.items() if name not in outdated})


@about_its_job
async def _message_of(client: AnimaClient, job: Job) -> discord.Message | None:
    if job.message_id is None:
        return None
    try:
        return await client.get_partial_messageable(job.channel_id).fetch_message(job.message_id)
    except discord.HTTPException as error:
        logger.info("its message could not be fetched (%s)", error)
        return None


def _scaled(recipe: Recipe, factor: float) -> tuple[int, int]:
    return round(recipe.width * factor / 16) * 16, round(recipe.height * factor / 16) * 16


def _with_known_loras(below: Options, model: ModelInfo) -> Options:
    """Kept defaults may name files that are gone; nobody asked for those just now."""
    if below.loras is None:
        return below
    return replace(below, loras=tuple(each for each in below.loras if each[0] in model.loras))


def _unknown(options: Options, said: Options, model: ModelInfo) -> str | None:
    """What was asked for that is not there, in a sentence."""
    for name, _ in options.loras or ():
        if name not in model.loras:
            return say(NO_SUCH_LORA, name=inline(name, 100))
    if said.turbo and model.turbo is None and model.native.cfg_scale != 1:
        return say(NO_TURBO)
    return None
