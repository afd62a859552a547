"""Describes images for users: checks rules and quota, runs the tagger, and charges for the result.

The charge is made when the description exists, under the interaction's id: a failed request costs nothing, and a
request that is repeated after a restart is not charged twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, Self

from bot.generation.errors import UserError
from bot.generation.sizes import Size
from bot.generation.source_image import size_of
from bot.jobs.acknowledgement.origin import Interaction
from bot.jobs.delivery.outbox import retry_storage
from bot.jobs.submission import NO_CHANNEL
from bot.messages.job import refusal
from bot.prompting.described import SAFETY, TagThresholds, described_prompt, likely_tags
from bot.rules.permitted_tags import permitted_tags
from bot.rules.policy import ChannelContext, Person, access_refusal, may_be_explicit
from bot.rules.server_settings import ServerSettings, load_server_settings, settings_guild_id
from bot.text.translation import N_, say
from inference.tagging.process import TaggerLost
from inference.tagging.tag_list import TaggerError, TagGuess
from storage.database import Database
from storage.jobs import OverQuota
from storage.quotas import Account, Usage

logger = logging.getLogger(__name__)

#: Credits of one description.
COST = 0.1
#: How many users may have an image waiting or being processed at the same time.
MAX_WAITING = 8
#: The form name of the draft that stores a description for the buttons under it. Drafts are kept for a day.
DRAFT = "anima:description"

OFF = N_("Describing pictures is switched off.")
BROKEN = N_("I can't describe pictures at the moment. Nothing was charged, so please try again later.")
BUSY = N_("Too many pictures are waiting to be described. Nothing was charged, so please try again in a minute.")
ONE_AT_A_TIME = N_("Your other picture is still being described. Try again when that is done.")
NOTHING_FOUND = N_("I found nothing in that picture that may be drawn here, so nothing was charged.")


class CannotDescribe(UserError):
    """An image was not described, and nothing was charged."""


class ImageTagger(Protocol):
    """Says what an image shows. Its methods block."""

    def guesses(self, png: bytes) -> list[TagGuess]:
        """Returns the most probable tag first. Raises TaggerError, TaggerLost."""

    def stop(self) -> None:
        """Stop; it cannot be used afterwards."""


@dataclass(frozen=True)
class Description:
    """left_out: how many tags may not be drawn there. size: of the image, in pixels. id: of the stored draft."""

    prompt: str = field(repr=False)
    left_out: int
    size: Size
    id: int = 0

    def as_json(self) -> Mapping[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "id"}

    @classmethod
    def of(cls, stored: Mapping[str, Any], id: int) -> Self:
        width, height = stored["size"]
        return cls(stored["prompt"], stored["left_out"], (width, height), id)


class Describer:
    def __init__(
        self,
        database: Database,
        tagger: ImageTagger | None,
        thresholds: TagThresholds,
        place_of: Callable[[Interaction], Awaitable[ChannelContext]],
        refused: Callable[[str], None] = lambda rule: None,
    ) -> None:
        """`tagger`: None if the operator has set none. `refused` is called with the rule that a request broke."""
        self._database = database
        self._tagger = tagger
        self._thresholds = thresholds
        self._place_of = place_of
        self._refused = refused
        self._asking: set[int] = set()
        self._turn = asyncio.Lock()

    @property
    def is_on(self) -> bool:
        return self._tagger is not None

    async def describe(self, interaction: Interaction, load: Callable[[], Awaitable[bytes]]) -> Description:
        """Describe an image and charge for it. `load` gives its PNG file, made by `prepare_source`.

        Raises UserError if nothing was charged. If the answer cannot be shown, call `refund`.
        """
        if self._tagger is None:
            raise CannotDescribe(say(OFF))
        if interaction.channel_id is None:
            raise CannotDescribe(say(NO_CHANNEL))
        with self._reserve(interaction.user.id):
            settings = await load_server_settings(self._database.servers, settings_guild_id(interaction))
            place = await self._place_of(interaction)
            limit = await self._permission(interaction, settings, place)
            await self._check_room(interaction, limit)
            png = await load()
            guesses = await self._guesses(self._tagger, png)
            described = await asyncio.to_thread(self._described, guesses, settings, place, png)
            stored = await self._database.preferences.save_draft(interaction.user.id, DRAFT, described.as_json())
            usage = await self._database.quotas.charge(interaction.id, _account(interaction), COST, limit)
            if usage is not None:
                raise self._over_quota(interaction, usage, limit)
        return Description.of(described.as_json(), stored)

    async def refund(self, interaction: Interaction) -> None:
        """Undo the charge for a description that its user never saw."""
        await retry_storage(lambda: self._database.quotas.undo_charge(interaction.id))

    async def stored(self, user_id: int, id: int) -> Description | None:
        """A description of the last day; None if it is not that user's, or no longer stored."""
        draft = await self._database.preferences.draft(user_id, id)
        return None if draft is None or draft.form != DRAFT else Description.of(draft.fields, id)

    async def close(self) -> None:
        if self._tagger is not None:
            await asyncio.to_thread(self._tagger.stop)

    @contextmanager
    def _reserve(self, user_id: int) -> Iterator[None]:
        """Raises CannotDescribe if the user, or too many others, have an image in progress already."""
        if user_id in self._asking:
            raise CannotDescribe(say(ONE_AT_A_TIME))
        if len(self._asking) >= MAX_WAITING:
            raise CannotDescribe(say(BUSY))
        self._asking.add(user_id)
        try:
            yield
        finally:
            self._asking.discard(user_id)

    async def _permission(
        self, interaction: Interaction, settings: ServerSettings, place: ChannelContext
    ) -> float | None:
        """The user's credits per day there; None without a limit. Raises CannotDescribe."""
        block = await self._database.servers.block_of(interaction.user.id, interaction.guild_id)
        person = Person.of(interaction, block)
        if (forbidden := access_refusal(settings, person, place)) is not None:
            self._refused(forbidden.reason.value)
            raise CannotDescribe(forbidden.sentence)
        return settings.quota.of(person.role_ids)

    async def _check_room(self, interaction: Interaction, limit: float | None) -> None:
        usage = await self._database.quotas.lacks_room(interaction.id, _account(interaction), COST, limit)
        if usage is not None:
            raise self._over_quota(interaction, usage, limit)

    def _over_quota(self, interaction: Interaction, usage: Usage, limit: float | None) -> CannotDescribe:
        assert limit is not None
        self._refused("quota")
        reason = OverQuota.of(usage, COST, limit)
        return CannotDescribe(refusal(reason, in_server=settings_guild_id(interaction) is not None))

    async def _guesses(self, tagger: ImageTagger, png: bytes) -> list[TagGuess]:
        async with self._turn:
            try:
                return await asyncio.to_thread(tagger.guesses, png)
            except (TaggerError, TaggerLost) as error:
                logger.error("%s", error)
                raise CannotDescribe(say(BROKEN)) from error

    def _described(
        self, guesses: list[TagGuess], settings: ServerSettings, place: ChannelContext, png: bytes
    ) -> Description:
        """Slow. Raises CannotDescribe if no tag is left."""
        believed = likely_tags(guesses, self._thresholds, with_safety=may_be_explicit(settings, place))
        permitted = set(permitted_tags(settings, place, [tag.in_prompt for tag in believed]))
        tags = [tag for tag in believed if tag.in_prompt in permitted]
        if all(tag.name in SAFETY.values() for tag in tags):  # how safe an image is does not say what it shows
            raise CannotDescribe(say(NOTHING_FOUND))
        return Description(described_prompt(tags), len(believed) - len(tags), size_of(png))


def _account(interaction: Interaction) -> Account:
    return Account(interaction.user.id, settings_guild_id(interaction))
