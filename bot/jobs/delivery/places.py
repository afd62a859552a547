"""The places that a job's images may go to, each with the rules that apply there now.

A channel can lose its age restriction while a job waits, and private messages have stricter rules than some servers.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import discord

from bot.generation.spec import JobSpec
from bot.jobs.delivery.refusals import UNKNOWN_CHANNEL
from bot.messages import job as messages
from bot.rules.image_policy import ImagePolicy, Verdict
from bot.rules.policy import ChannelContext, TypedText, check_text, may_be_explicit
from bot.rules.server_settings import load_server_settings
from bot.text.translation import say
from storage.database import Database
from storage.images import Render
from storage.jobs import Job


@dataclass(frozen=True)
class Judgement:
    """`refusal`: why a job's images may not be shown in a place, for its user. `hidden`: behind a spoiler.

    words_refused: its prompt may not be shown either.
    """

    refusal: str | None = None
    hidden: bool = False
    words_refused: bool = False


class Places:
    def __init__(self, client: discord.Client, database: Database, image_policy: ImagePolicy) -> None:
        self._client = client
        self._database = database
        self._image_policy = image_policy

    async def channel_of(self, job: Job) -> ChannelContext | None:
        """The channel of a job, as it is now. None: it no longer exists. Raises discord.HTTPException."""
        if job.guild_id is None:
            return ChannelContext(None, job.channel_id)
        if (channel := self._client.get_channel(job.channel_id)) is not None:
            return ChannelContext.of_channel(job.guild_id, channel)
        if self._client.get_guild(job.guild_id) is None:
            # The bot is not a member there and gets no updates, so the rules from when the job was accepted apply.
            return ChannelContext(
                job.guild_id, job.channel_id, age_restricted=await asyncio.to_thread(_was_age_restricted, job)
            )
        try:
            fetched = await self._client.fetch_channel(job.channel_id)  # for example an archived thread
        except discord.HTTPException as error:
            if error.code == UNKNOWN_CHANNEL:
                return None
            if error.status in (401, 403, 404):  # not visible, so the strictest rules apply
                return ChannelContext(job.guild_id, job.channel_id)
            raise
        return ChannelContext.of_channel(job.guild_id, fetched)

    def person_of(self, job: Job) -> ChannelContext:
        """A private message to the job's user."""
        return ChannelContext(None, job.user_id)

    async def judge(self, job: Job, place: ChannelContext, images: tuple[Render, ...] = ()) -> Judgement:
        """In the language that is spoken."""
        spec = JobSpec.of(job)
        settings = await load_server_settings(self._database.servers, self._settings_guild_id(spec, place))
        typed = TypedText((job.prompt, spec.options.artist or ""), job.negative_prompt)
        refusal = await asyncio.to_thread(check_text, settings, place, spec, typed)
        if refusal is not None:
            return Judgement(refusal=refusal.sentence, words_refused=True)
        if may_be_explicit(settings, place):
            return Judgement()
        verdict = self._image_policy.verdict(image.labels for image in images)
        if verdict is Verdict.REFUSED:
            return Judgement(refusal=say(messages.JUDGED_UNFIT))
        return Judgement(hidden=verdict is Verdict.HIDDEN)

    def _settings_guild_id(self, spec: JobSpec, place: ChannelContext) -> int | None:
        """The server whose admins' settings hold there: none where only the person installed the bot."""
        is_member = place.guild_id is not None and self._client.get_guild(place.guild_id) is not None
        is_own = spec.in_own_server or is_member  # jobs of earlier releases do not say which
        return place.guild_id if is_own else None


def _was_age_restricted(job: Job) -> bool:
    return JobSpec.of(job).age_restricted
