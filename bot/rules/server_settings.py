"""A server's settings: types, defaults, and their JSON document in `storage.servers`.

A setting that was never changed is not in the document, so a better default applies to every server. When a default
became stricter, a migration stored the old value for existing servers.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import EllipsisType
from typing import Annotated, Any

import discord
from pydantic import Field, TypeAdapter

from bot.generation.compose import PromptRules
from bot.generation.options import Options
from bot.generation.values import (
    MAX_IMAGES,
    Artist,
    CfgScale,
    Compared,
    Count,
    Denoise,
    Loras,
    ModelName,
    Sampler,
    Scheduler,
    Side,
    Steps,
)
from bot.prompting import TagIndex
from bot.rules.setting_types import CREDITS_OUTSIDE, Credits, Snowflake
from inference import NativeSettings
from inference.request import MAX_SIDE
from inference.weights.modelspec import ANIMA
from storage.servers import EVERYWHERE, Servers

MAX_PREFIX_LENGTH = 1000
MAX_BLOCKED_WORDS = 300
MAX_BLOCKED_WORD_LENGTH = 60
MAX_WAITING = 500
MAX_TIMES_NATIVE = 64.0
#: The default of the largest area, as a multiple of the model's native area: allows 1.5 x 1.5 = 2.25.
TIMES_NATIVE = 2.4
#: The same for upscales: allows two upscales by 1.5, which nine tiles cover.
UPSCALED_TIMES_NATIVE = 5.2

#: Defaults outside of servers that differ from those of servers.
OUTSIDE: Mapping[str, Mapping[str, Any]] = {
    "quota": {"credits": CREDITS_OUTSIDE},
    "safety": {"always_safe": True},
}


TimesNative = Annotated[float, Field(gt=0, le=MAX_TIMES_NATIVE, allow_inf_nan=False)]
PrefixText = Annotated[str, Field(max_length=MAX_PREFIX_LENGTH)]
BlockedWord = Annotated[str, Field(min_length=1, max_length=MAX_BLOCKED_WORD_LENGTH)]


@dataclass(frozen=True)
class ServerDefaults:
    """Options of `/anima imagine` that neither the user nor their preferences set. None: the model's default."""

    #: Width and height in pixels.
    size: tuple[Side, Side] | None = None
    steps: Steps | None = None
    cfg_scale: CfgScale | None = None
    sampler: Sampler | None = None
    scheduler: Scheduler | None = None
    prefix_on: bool = True
    #: None: the model's recommended one.
    prefix: PrefixText | None = None
    negative_on: bool = True
    #: None: the model's recommended one.
    negative: PrefixText | None = None
    #: Whether negative prompts have an effect at CFG 1 too.
    nag: bool = True
    #: Names, separated by commas.
    artist: Artist = ""
    #: Each with its strength.
    loras: Loras = ()
    #: How strongly a source image is redrawn.
    denoise: Denoise | None = None
    count: Count = 1
    turbo: bool = False
    fast: bool = False
    spoiler: bool = False
    private: bool = False
    #: A diffusion model; None: the operator's default.
    model: ModelName | None = None

    def options(self) -> Options:
        """As a layer of options, below the command's and the user's preferences."""
        return Options(
            model=self.model,
            artist=self.artist or None,
            size=self.size,
            count=self.count,
            steps=self.steps,
            cfg_scale=self.cfg_scale,
            sampler=self.sampler,
            scheduler=self.scheduler,
            loras=self.loras or None,
            turbo=self.turbo,
            fast=self.fast,
            denoise=self.denoise,
            spoiler=self.spoiler,
            private=self.private,
        )

    def prompt_rules(self, tags: TagIndex, *, age_restricted: bool, native: NativeSettings = ANIMA) -> PromptRules:
        """What is added to every prompt.

        age_restricted: whether images there need not be safe. native: the model's recommended settings.
        """
        prefix = native.prefix if self.prefix is None else self.prefix
        negative = native.negative if self.negative is None else self.negative
        return PromptRules(
            tags=tags,
            prefix=prefix if self.prefix_on else "",
            negative=negative if self.negative_on else "",
            age_restricted=age_restricted,
            nag=self.nag,
        )


@dataclass(frozen=True)
class ServerLimits:
    """The most that a user may request. None: depends on the model, see `policy.effective_limits`."""

    #: Pixels of the longer side.
    side: Side | None = None
    #: A megapixel is 1024 x 1024 pixels here, as users count it.
    megapixels: Annotated[float, Field(gt=0, le=MAX_SIDE**2 / 2**20, allow_inf_nan=False)] | None = None
    steps: Steps | None = None
    count: Count = MAX_IMAGES
    #: Jobs of one user in the queue.
    waiting: Annotated[int, Field(ge=1, le=MAX_WAITING)] = 8
    #: Pictures of one `/anima compare`; 0 switches it off.
    compared: Compared = 12
    #: The largest area if `megapixels` is unset, as a multiple of the model's; 2.25 is an upscale by 1.5.
    times_native: TimesNative = TIMES_NATIVE
    #: The same for upscales, which `megapixels` does not limit. None: UPSCALED_TIMES_NATIVE, or the limit for other
    #: images if an admin has changed that.
    upscaled_times_native: TimesNative | None = None

    @property
    def upscaled_or_default(self) -> float | None:
        """The largest upscale as a multiple of the model's native area; None: the limit for other images."""
        if self.upscaled_times_native is None and self.megapixels is None and self.times_native == TIMES_NATIVE:
            return UPSCALED_TIMES_NATIVE
        return self.upscaled_times_native


@dataclass(frozen=True)
class Quota:
    """Credits in 24 hours. A user gets the highest of everyone's quota and those of their roles."""

    #: Everyone's; None: no limit.
    credits: Credits | None = 50.0
    roles: Mapping[Snowflake, Credits] = field(default_factory=dict)
    unlimited_roles: tuple[Snowflake, ...] = ()

    def of(self, role_ids: Collection[int]) -> float | None:
        """The credits that a user with these roles may spend in 24 hours; None: no limit."""
        if self.credits is None or not set(role_ids).isdisjoint(self.unlimited_roles):
            return None
        return max(self.credits, *(credits for role, credits in self.roles.items() if role in role_ids), 0.0)


@dataclass(frozen=True)
class Access:
    """Where, who and with which models; empty means everywhere, everyone and all.

    A channel includes its threads, a category its channels.
    """

    channels: tuple[Snowflake, ...] = ()
    roles: tuple[Snowflake, ...] = ()
    models: tuple[ModelName, ...] = ()

    def offers(self, models: Iterable[str]) -> tuple[str, ...]:
        """The given models that may be used."""
        return tuple(name for name in models if not self.models or name in self.models)


@dataclass(frozen=True)
class Safety:
    """Channels follow their age restriction on Discord; these settings keep channels safe in spite of it."""

    #: Keeps the whole server safe.
    always_safe: bool = False
    safe_channels: tuple[Snowflake, ...] = ()
    blocked_words: Annotated[tuple[BlockedWord, ...], Field(max_length=MAX_BLOCKED_WORDS)] = ()


@dataclass(frozen=True)
class ServerSettings:
    defaults: ServerDefaults = field(default_factory=ServerDefaults)
    limits: ServerLimits = field(default_factory=ServerLimits)
    quota: Quota = field(default_factory=Quota)
    access: Access = field(default_factory=Access)
    safety: Safety = field(default_factory=Safety)
    paused: bool = False
    #: Where refusals, deletions, blocks, reports and failures are posted, for moderators.
    log_channel_id: Snowflake | None = None
    #: Where members share images.
    gallery_channel_id: Snowflake | None = None
    #: Why the operator paused everything, or None; not a setting of servers.
    operator_pause: str | None = None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> ServerSettings:
        """Reads the JSON of `as_json`; keys may be missing. Raises ValidationError, a ValueError, for wrong types."""
        return _SETTINGS.validate_json(json.dumps(dict(document)), strict=True)

    def as_json(self) -> dict[str, Any]:
        """Only the values that differ from the defaults, with a key for each group that has any."""
        document: dict[str, Any] = _SETTINGS.dump_python(self, mode="json", exclude_defaults=True)
        return {key: value for key, value in document.items() if value != {}}

    def changes_to(self, new: ServerSettings) -> dict[str, Any]:
        """The argument for `Servers.change` that turns these settings into `new`."""
        before, after = self.as_json(), new.as_json()
        return {key: after.get(key) for key in before | after if before.get(key) != after.get(key)}


_SETTINGS = TypeAdapter(ServerSettings)


def settings_guild_id(interaction: discord.Interaction[Any]) -> int | None:
    """The server whose settings apply; None in private messages, and where only the user has installed the bot."""
    return interaction.guild_id if interaction.is_guild_integration() else None


async def load_server_settings(servers: Servers, guild_id: int | None) -> ServerSettings:
    """A server's settings; outside of servers the operator's, which are stored under `EVERYWHERE`."""
    if guild_id is None:
        return outside_settings((await servers.settings(EVERYWHERE)).settings)
    everywhere, stored = await servers.settings_of(EVERYWHERE, guild_id)
    return replace(ServerSettings.of(stored.settings), operator_pause=everywhere.settings.get("operator_pause"))


def outside_settings(document: Mapping[str, Any]) -> ServerSettings:
    """The settings for private messages and user installs: always safe and with CREDITS_OUTSIDE, unless changed."""
    groups = {name: {**unless_set, **document.get(name, {})} for name, unless_set in OUTSIDE.items()}
    return ServerSettings.of({**document, **groups})


async def limit_outside_servers(servers: Servers, credits: float | EllipsisType | None, *, by: int) -> None:
    """Stores the operator's quota: credits per day for each user; None: no limit; ...: not set.

    If it is not set, it is CREDITS_OUTSIDE, or no limit in a database from before that default.
    """
    if credits is ...:
        stored = (await servers.settings(EVERYWHERE)).settings
        quota: dict[str, float | None] | None = {"credits": None} if stored.get("unlimited_unless_set") else None
    else:
        quota = {"credits": credits}
    await servers.change(EVERYWHERE, {"quota": quota}, by=by)
