"""The places that a job's images may go to, each with the rules that apply there now.

A channel can lose its age restriction while a job waits, and private messages have stricter rules than some servers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import discord

from bot.generation.spec import JobSpec
from bot.jobs.servers.lookup import ServerLookup
from bot.messages import job as messages
from bot.rules.image_policy import ImagePolicy, Verdict
from bot.rules.policy import ChannelContext, TypedText, check_text, may_be_explicit
from bot.rules.server_settings import ServerSettings, load_server_settings
from bot.text.translation import say
from storage.database import Database
from storage.images import Image
from storage.jobs import Job


@dataclass(frozen=True)
class Judgement:
    """Whether and how a job may be shown in a place.

    refusal: why its images may not be shown there, as a sentence for its user. hidden: they go behind a spoiler.
    words_refused: its prompt may not be shown either. may_be_explicit: the place allows more than safe images.
    """

    refusal: str | None = None
    hidden: bool = False
    words_refused: bool = False
    may_be_explicit: bool = False


class Places:
    def __init__(self, servers: ServerLookup, database: Database, image_policy: ImagePolicy) -> None:
        self._servers = servers
        self._database = database
        self._image_policy = image_policy

    async def channel_of(self, job: Job) -> ChannelContext | None:
        """A job's channel as it is now; None if it no longer exists. Raises discord.HTTPException."""
        if job.guild_id is None:
            return ChannelContext(None, job.channel_id)
        if (known := self._servers.known_place(job.guild_id, job.channel_id)) is not None:
            return known
        if (accepted := await self._accepted_context(job, job.guild_id)) is not None:
            return accepted
        try:
            return await self._servers.place(job.guild_id, job.channel_id)  # for example an archived thread
        except discord.HTTPException as error:
            if error.status in (401, 403, 404):  # not visible, so the strictest rules apply
                return ChannelContext(job.guild_id, job.channel_id)
            raise

    async def _accepted_context(self, job: Job, guild_id: int) -> ChannelContext | None:
        """The channel with the rules from when the job was accepted; None if the current rules must be fetched."""
        if self._servers.is_cached and await self._servers.is_member(guild_id):
            return None
        try:
            spec = await asyncio.to_thread(JobSpec.of, job)
        except ValueError:  # the job will fail anyway, because it cannot be read
            return ChannelContext(guild_id, job.channel_id)
        if spec.age_restricted and not self._servers.is_cached and await self._is_own(spec, guild_id):
            return None  # a channel that was not age-restricted has the strictest rules already, so it needs no request
        # Here the rules cannot have become stricter, or the bot is not a member and cannot look them up.
        return ChannelContext(guild_id, job.channel_id, age_restricted=spec.age_restricted)

    def person_of(self, job: Job) -> ChannelContext:
        """A private message to the job's user."""
        return ChannelContext(None, job.user_id)

    async def judge(self, job: Job, place: ChannelContext, images: Iterable[Image] = ()) -> Judgement:
        """Apply a place's rules to a job and its images. The refusal is in the current language."""
        spec = JobSpec.of(job)
        settings = await self._settings_in(place, spec)
        typed = TypedText((job.prompt, spec.options.artist or ""), job.negative_prompt)
        refusal = await asyncio.to_thread(check_text, settings, place, spec, typed)
        if refusal is not None:
            return Judgement(refusal=refusal.sentence, words_refused=True)
        if may_be_explicit(settings, place):
            return Judgement(may_be_explicit=True)
        verdict = self._image_policy.verdict(image.labels or {} for image in images)
        if verdict is Verdict.REFUSED:
            return Judgement(refusal=say(messages.JUDGED_UNFIT))
        return Judgement(hidden=verdict is Verdict.HIDDEN)

    async def takes_previews(self, job: Job) -> bool:
        """Whether unfinished images may be shown in a job's channel: not if it became safe after the job was accepted.

        Raises discord.HTTPException, StorageUnavailable, ValueError.
        """
        spec = await asyncio.to_thread(JobSpec.of, job)
        if not spec.age_restricted:
            return True
        place = await self.channel_of(job)
        return place is not None and may_be_explicit(await self._settings_in(place, spec), place)

    async def _settings_in(self, place: ChannelContext, spec: JobSpec) -> ServerSettings:
        is_own = place.guild_id is not None and await self._is_own(spec, place.guild_id)
        return await load_server_settings(self._database.servers, place.guild_id if is_own else None)

    async def _is_own(self, spec: JobSpec, guild_id: int) -> bool:
        """Whether the server admins' settings apply. They do not apply to user installs.

        Raises discord.HTTPException.
        """
        # Jobs of earlier releases do not store `in_own_server`.
        return spec.in_own_server or await self._servers.is_member(guild_id)
