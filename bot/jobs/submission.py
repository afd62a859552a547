"""Turns an acknowledged interaction into a queued job: resolves options, checks rules, stores and queues the job."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

import aiohttp
import discord
from pydantic import ValidationError

from bot.generation.comparison import Comparison
from bot.generation.compose import (
    ModelInfo,
    PromptRules,
    comparison_recipes,
    recipes,
    repeat_recipes,
    resolve_options,
    unavailable,
    unavailable_in,
    with_fixed_settings,
    with_known_loras,
)
from bot.generation.errors import InvalidComparison
from bot.generation.options import Options, read_stored_options
from bot.generation.recipe import new_seed, seeds_from
from bot.generation.redraw.area import Area
from bot.generation.source_image import redraws_nothing, size_of, with_size_of_source
from bot.generation.spec import JobImage, JobSpec
from bot.generation.typed.validation_errors import describe_validation_errors
from bot.jobs.acknowledgement.answer_cache import AnswerCache
from bot.jobs.acknowledgement.origin import Interaction, Origin
from bot.jobs.delivery.outbox import retry_storage
from bot.jobs.delivery.progress import StatusMessages
from bot.jobs.model.choice import ModelChoice
from bot.jobs.queue import FairQueue
from bot.jobs.queue_entry import queued_job
from bot.messages import job as messages
from bot.messages.hint import PromptHint
from bot.messages.layout import StaticLayout
from bot.messages.limits import TOKEN_LIFETIME
from bot.messages.replies import refused_form, reply_privately, send_followup
from bot.messages.trigger_words import missing_trigger_words, trigger_words_layout
from bot.ops.logs import with_job_log_context
from bot.prompting import TagIndex
from bot.rules.policy import (
    ChannelContext,
    EffectiveLimits,
    Person,
    PolicyRefusal,
    RefusalReason,
    TypedText,
    effective_limits,
    may_be_explicit,
    pause_refusal,
    permit,
)
from bot.rules.server_settings import ServerSettings, load_server_settings, settings_guild_id
from bot.text.discord_clock import discord_clock
from bot.text.markdown import MAX_NAME_SHOWN, inline
from bot.text.translation import N_, say
from inference import NativeSettings
from storage.backend.errors import StorageUnavailable
from storage.database import Database
from storage.jobs import Accepted, Allowance, AlreadyAccepted, Job, NewJob, OverQuota
from storage.preferences import Draft
from storage.quotas import Account

logger = logging.getLogger(__name__)

#: Seconds that notes and hints wait for a job's message to show something, if Discord does not take its first edits.
FIRST_EDIT_TIMEOUT = 60.0

OTHER_MODEL = N_("The model “{name}” is no longer available, so “{other}” is used instead.")
NO_CHANNEL = N_("I can't tell which channel this is, so I can't post here. Try another channel.")


@dataclass(frozen=True, kw_only=True)
class JobRequest:
    """What a user asks to draw. `prompt` is what they typed.

    kind: imagine, reroll, vary, upscale, edit, again, compare, alone, redraw or extend.
    options: those set in the command; unset ones come from the user's preferences and the server.
    source: the PNG file of an image to draw from; None uses that of `parent`, if it has one, with its area.
    area: the part of the source to redraw; None for all of it.
    mask: the PNG file of a mask to store with the job; without an `area` it is only offered to the user.
    parent: the image that the request is about.
    variation: how far the noise departs from the seed's own.
    comparison: what varies from image to image, all with one seed; excludes `source` and `variation`.
    repeats: recipes to draw again, one for each image.
    note: shown only to the user once the job is queued.
    replaces: a job of the same user, cancelled with a refund if it is still queued when this one is accepted.
    draft: what was typed into the form; a refusal stores it and offers to reopen the form.
    """

    kind: str
    prompt: str
    options: Options
    source: bytes | None = None
    area: Area | None = None
    mask: bytes | None = field(default=None, repr=False)
    parent: JobImage | None = None
    variation: float | None = None
    comparison: Comparison | None = None
    repeats: JobSpec | None = None
    note: str = ""
    replaces: Job | None = None
    draft: Draft | None = None


@dataclass(frozen=True)
class _ResolvedRequest:
    """A request with everything that its user, its server and the models add to it.

    request: with its source file, and notes about changes. options: including those of the user and the server.
    """

    request: JobRequest
    options: Options
    choice: ModelChoice
    model: ModelInfo
    settings: ServerSettings
    place: ChannelContext


class _RequestRefused(Exception):
    """The message says why, in the user's language."""


class Submitter:
    def __init__(
        self,
        database: Database,
        queue: FairQueue,
        status: StatusMessages,
        tags: TagIndex,
        model: Callable[[], Awaitable[ModelInfo]],
        place_of: Callable[[Interaction], Awaitable[ChannelContext]],
        known: AnswerCache,
        accepted: Callable[[Interaction], None],
        refused: Callable[[str], None] = lambda rule: None,
        log_refusal: Callable[[Interaction, PolicyRefusal, str, bool], None] = lambda *refused: None,
    ) -> None:
        """`accepted` is called with each interaction that has become a job.

        `refused` is called with the rule that a refused request broke.
        `log_refusal` logs a refused request for moderators: what was typed, and whether it was private.
        """
        self._database = database
        self._queue = queue
        self._status = status
        self._tags = tags
        self._model = model
        self._place_of = place_of
        self._known = known
        self._accepted = accepted
        self._refused = refused
        self._log_refusal = log_refusal
        #: How often a user's data was erased: an erasure may delete a job before it is in the queue.
        self._erasures = 0
        database.privacy.watch_erasures(self._note_erasure)

    async def submit(self, origin: Origin, request: JobRequest) -> bool:
        """Queue the request, or tell the user privately why not. Returns whether it was accepted."""
        try:
            resolved = await self._resolve(origin.interaction, request)
            spec, allowance = await self._check(origin, resolved)
        except _RequestRefused as refusal:
            await self._refuse(origin.interaction, request, str(refusal))
            return False
        return await self._store(origin, resolved, spec, allowance)

    async def _resolve(self, interaction: Interaction, request: JobRequest) -> _ResolvedRequest:
        """Raises _RequestRefused."""
        if interaction.channel_id is None:
            raise _RequestRefused(say(NO_CHANNEL))
        models = await self._model()
        settings = await load_server_settings(self._database.servers, settings_guild_id(interaction))
        choice = ModelChoice.of(models, settings, await self.preferences(interaction.user.id))
        request = _with_known_model(request, choice)
        model, below = choice.model(request.options), with_known_loras(choice.defaults, models)
        options = resolve_options(request.options, below, model)
        missing = unavailable_in(request.repeats, model) if request.repeats is not None else None
        if (missing := missing or unavailable(options, request.options, model)) is not None:
            raise _RequestRefused(missing)
        if request.comparison is not None and request.parent is None:
            request = replace(request, comparison=with_fixed_settings(request.comparison, request.options, below))
        options, request = await self._sized(options, request, settings, model)
        request = await self._with_source(request)
        if await asyncio.to_thread(redraws_nothing, request.mask, request.area, options.size):
            raise _RequestRefused(say(messages.NOTHING_REDRAWN))
        return _ResolvedRequest(request, options, choice, model, settings, await self._place_of(interaction))

    async def _check(self, origin: Origin, resolved: _ResolvedRequest) -> tuple[JobSpec, Allowance]:
        """Raises _RequestRefused."""
        request, options = resolved.request, resolved.options
        try:
            # In a thread, like `permit`: a malicious prompt can make both slow.
            spec = await asyncio.to_thread(self._spec, resolved)
        except InvalidComparison as error:
            raise _RequestRefused(str(error)) from None
        typed = TypedText((request.prompt, options.artist or ""), options.negative or "")
        allowance = await self._permission(origin.interaction, resolved, spec, typed)
        if isinstance(allowance, PolicyRefusal):
            self._refused(allowance.reason.value)
            self._log_refusal(origin.interaction, allowance, "\n".join(typed.texts), origin.private)
            raise _RequestRefused(allowance.sentence)
        try:
            Options.of(options.as_json())
        except ValidationError as error:  # a job that cannot be read back could never be drawn
            logger.info("interaction %d: an option is out of range", origin.interaction.id)
            raise _RequestRefused(describe_validation_errors(error)) from None
        return replace(spec, usual_model=resolved.choice.usual.name, area=request.area), allowance

    async def _store(self, origin: Origin, resolved: _ResolvedRequest, spec: JobSpec, allowance: Allowance) -> bool:
        interaction, request, models = origin.interaction, resolved.request, resolved.choice.models
        cost = spec.cost(models.default.native, models.work_of)
        new = _new_job(origin, request, resolved.options, spec, cost, await self._parent_id(request))
        account = Account(new.user_id, settings_guild_id(interaction))
        replaces = None if request.replaces is None else request.replaces.id
        erasures = self._erasures
        answer = await self._database.jobs.accept(
            new, allowance, request.source, account=account, replaces=replaces, mask=request.mask
        )
        match answer:
            case Accepted(job):
                self._known.add_job(job.id, private=job.private)
                if (since := await self._refused_since(interaction)) is not None:
                    await self._cancel_refused(interaction, job, since)
                    return True
                self._accepted(interaction)
                if erasures == self._erasures or not await self._is_erased(job):
                    await self._enqueue(interaction, job, request, resolved.model)
                return True
            case AlreadyAccepted() as refusal:
                self._accepted(interaction)
                # The answer is that job's message, so it is not deleted.
                await send_followup(interaction, messages.refusal(refusal, in_server=account.guild_id is not None))
            case refusal:
                self._refused("quota" if isinstance(refusal, OverQuota) else "waiting")
                await self._refuse(
                    interaction, request, messages.refusal(refusal, in_server=account.guild_id is not None)
                )
        return False

    async def _refuse(self, interaction: Interaction, request: JobRequest, sentence: str) -> None:
        if request.draft is None:
            await reply_privately(interaction, sentence)
            return
        draft = request.draft
        draft_id = await self._database.preferences.save_draft(interaction.user.id, draft.form, draft.fields)
        await reply_privately(interaction, refused_form(sentence, draft_id))

    def refuse_blocked(self, interaction: Interaction) -> PolicyRefusal | None:
        """The refusal for a user who may not draw there, from memory; `submit` checks the database."""
        if not self._known.is_blocked(interaction.user.id, interaction.guild_id):
            return None
        self._refused(RefusalReason.BLOCKED.value)
        return PolicyRefusal(RefusalReason.BLOCKED)

    def answers_privately(self, interaction: Interaction, options: Options, preset: str | None = None) -> bool:
        """Whether only the user sees the answer, from memory. If that is not known yet: yes.

        preset: the name of the chosen preset, whose settings the options override.
        """
        return self._known.answers_privately(interaction, options, preset)

    def is_private(self, job_id: int) -> bool:
        """Whether only its user sees a job and what is made from its images; from memory."""
        return self._known.is_private(job_id)

    async def model_choice(self, interaction: Interaction, models: ModelInfo | None = None) -> ModelChoice:
        """Which models the user may choose there, and which one is used. `models`: if already known."""
        models = models or await self._model()
        settings = await load_server_settings(self._database.servers, settings_guild_id(interaction))
        return ModelChoice.of(models, settings, await self.preferences(interaction.user.id))

    async def limits(self, interaction: Interaction, native: NativeSettings) -> EffectiveLimits:
        """The limits of a request there, with a model of these native settings."""
        settings = await load_server_settings(self._database.servers, settings_guild_id(interaction))
        return effective_limits(settings, native)

    async def preferences(self, user_id: int) -> Options:
        return read_stored_options(await self._database.preferences.defaults(user_id))

    async def preset(self, user_id: int, name: str | None) -> Options | None:
        """A user's preset; None if they have none with that name."""
        kept = None if name is None else await self._database.preferences.preset(user_id, name)
        return None if kept is None else read_stored_options(kept)

    def _spec(self, resolved: _ResolvedRequest) -> JobSpec:
        """Slow. Raises InvalidComparison."""
        request, options, model, settings = resolved.request, resolved.options, resolved.model, resolved.settings
        age_restricted = may_be_explicit(settings, resolved.place)

        def rules_for(native: NativeSettings) -> PromptRules:
            return settings.defaults.prompt_rules(self._tags, age_restricted=age_restricted, native=native)

        rules = rules_for(model.native)
        if request.repeats is not None:
            repeated = repeat_recipes(request.repeats, rules)
            return replace(request.repeats, recipes=repeated, options=options, age_restricted=age_restricted)
        seeds = seeds_from(options.seed, options.count or 1)
        if (comparison := request.comparison) is not None:
            varied = comparison_recipes(comparison, request.prompt, options, seeds[0], rules_for, model)
            return JobSpec(recipes=varied, options=options, age_restricted=age_restricted, comparison=comparison)
        if request.variation is not None:
            seeds = seeds[:1] * len(seeds)
        made = recipes(request.prompt, options, seeds, rules, model, from_image=request.source is not None)
        if request.variation is not None:
            made = tuple(
                replace(recipe, variation_seed=new_seed(), variation_strength=request.variation) for recipe in made
            )
        return JobSpec(recipes=made, options=options, age_restricted=age_restricted)

    async def _permission(
        self, interaction: Interaction, resolved: _ResolvedRequest, spec: JobSpec, typed: TypedText
    ) -> Allowance | PolicyRefusal:
        block = await self._database.servers.block_of(interaction.user.id, interaction.guild_id)
        person, model = Person.of(interaction, block), resolved.model
        natives = {name: facts.native for name, facts in model.models.items()}
        return await asyncio.to_thread(
            permit, resolved.settings, model.native, person, resolved.place, spec, typed, natives
        )

    async def _refused_since(self, interaction: Interaction) -> PolicyRefusal | None:
        """A block or pause that came while a job was being accepted, and so may not have cancelled it."""
        with suppress(StorageUnavailable):  # it is queued already
            settings = await load_server_settings(self._database.servers, settings_guild_id(interaction))
            if (refusal := pause_refusal(settings)) is not None:
                return refusal
        return self.refuse_blocked(interaction)

    def _note_erasure(self, user_id: int) -> None:
        self._erasures += 1

    async def _is_erased(self, job: Job) -> bool:
        """Whether the user's data was erased after a job was accepted; its message says so already."""
        with suppress(StorageUnavailable):  # it is queued already
            return await self._database.jobs.get(job.id) is None
        return False

    async def _cancel_refused(self, interaction: Interaction, job: Job, refusal: PolicyRefusal) -> None:
        reason = messages.DROPPED_BY_BLOCK if refusal.reason is RefusalReason.BLOCKED else messages.DROPPED_BY_PAUSE
        if await retry_storage(lambda: self._database.jobs.cancel(job.id, None, reason)):
            await reply_privately(interaction, refusal.sentence)
            await self._database.jobs.mark_notified(job.id)

    async def _sized(
        self, options: Options, request: JobRequest, settings: ServerSettings, model: ModelInfo
    ) -> tuple[Options, JobRequest]:
        """The options with the shape of the source image, unless a size was given."""
        if request.source is None or request.kind != "imagine":
            return options, request
        source = await asyncio.to_thread(size_of, request.source)
        limits = effective_limits(settings, model.native)
        options, note = with_size_of_source(
            options, request.options, source, model.native, max_side=limits.side, area=limits.area
        )
        return options, replace(request, note="\n".join(filter(None, (request.note, note))))

    async def _with_source(self, request: JobRequest) -> JobRequest:
        if request.parent is None or request.source is not None:
            return request
        parent, files = request.parent, self._database.source_images
        area = request.area or parent.spec.area
        mask = request.mask
        if mask is None and area is not None and area.masked:
            mask = await files.mask_of_job(parent.job.id)
        return replace(request, source=await files.of_job(parent.job.id), area=area, mask=mask)

    async def _parent_id(self, request: JobRequest) -> int | None:
        """The id of the parent image itself, or of the grid that it is in."""
        if request.parent is None:
            return None
        ids = {image.index: image.id for image in await self._database.images.of_job(request.parent.job.id)}
        return ids.get(request.parent.index, ids.get(0))

    @with_job_log_context
    async def _enqueue(self, interaction: Interaction, job: Job, request: JobRequest, model: ModelInfo) -> None:
        """Queue a stored job. Send notes and hints to the user once the job's message shows something.

        Before that, Discord would turn a follow-up into that message, visible to everybody.
        """
        logger.info("queued: %s, %.2f credits", job.kind, job.cost)
        if job.id not in self._queue:  # it is, if the recovery found it among the unfinished jobs meanwhile
            self._queue.put(queued_job(job))
        first_edit = self._status.note_queued(job)
        asides = await self._followups(job, request, model)
        if not asides:
            return
        await asyncio.wait([first_edit], timeout=FIRST_EDIT_TIMEOUT)
        if first_edit.done() and first_edit.result():
            with suppress(discord.HTTPException, aiohttp.ClientError, OSError):
                for each in asides:
                    await send_followup(interaction, each)

    async def _followups(self, job: Job, request: JobRequest, model: ModelInfo) -> list[str | StaticLayout]:
        """Notes and hints for the user. Errors here are logged only, because the job is already queued."""
        try:
            hint = None
            if job.kind in ("imagine", "edit"):
                hint = await asyncio.to_thread(PromptHint.of, job, self._tags)
            # Trigger words are never added automatically.
            loras = request.options.loras if request.kind == "imagine" else None
            words = missing_trigger_words(job.prompt, loras or (), model)
            asides = (
                request.note,
                trigger_words_layout(job.id, words),
                messages.transparency_offer(job) if request.mask is not None and request.area is None else None,
                None if hint is None else hint.layout(),
            )
        except Exception:
            logger.exception("no notes and hints could be found")
            return [request.note] if request.note else []
        return [each for each in asides if each]


def _with_known_model(request: JobRequest, choice: ModelChoice) -> JobRequest:
    """The request with a model that exists.

    The model of an image or preset may have been removed; then the usual one is used, and the user is told. Images of
    earlier releases name no model, because there was only the default one.
    """
    known, name = choice.models.models, request.options.model
    if name is None and request.parent is not None:
        return replace(request, options=replace(request.options, model=choice.models.name or None))
    if name is None or name in known or request.repeats is not None:
        return request
    options = replace(request.options, model=None)
    if not known:
        return replace(request, options=options)
    instead = choice.model(options).name
    note = say(OTHER_MODEL, name=inline(name, MAX_NAME_SHOWN), other=inline(instead, MAX_NAME_SHOWN))
    return replace(request, options=options, note="\n".join(filter(None, (request.note, note))))


def _new_job(
    origin: Origin, request: JobRequest, options: Options, spec: JobSpec, cost: float, parent_id: int | None
) -> NewJob:
    interaction = origin.interaction
    assert interaction.channel_id is not None
    is_shared = interaction.guild_locale is not None and not origin.private
    spec = replace(
        spec,
        guild_locale=str(interaction.guild_locale) if is_shared else None,
        in_own_server=interaction.is_guild_integration(),
        by_token_only=not (interaction.is_guild_integration() or interaction.context.dm_channel),
    )
    return NewJob(
        interaction_id=interaction.id,
        user_id=interaction.user.id,
        guild_id=interaction.guild_id,
        channel_id=interaction.channel_id,
        message_id=origin.message_id,
        kind=request.kind,
        cost=cost,
        prompt=request.prompt,
        negative_prompt=options.negative or "",
        parameters=spec.as_json(),
        parent_picture_id=parent_id,
        interaction_token=interaction.token,
        token_expires_at=discord.utils.utcnow() + _token_left(interaction),
        private=origin.private,
        spoiler=bool(options.spoiler),
        locale=str(interaction.locale),
    )


def _token_left(interaction: Interaction) -> timedelta:
    """How long an interaction's token is still valid, at most: a request that was resumed is older than its job."""
    return min(TOKEN_LIFETIME, max(timedelta(), TOKEN_LIFETIME - discord_clock.age(interaction.id)))
