"""A server's settings: types, defaults, and their JSON document in `storage.servers`.

A setting that was never changed is not in the document, so a better default reaches every server. Where a default
became stricter, a migration stored the old value for the servers that existed.
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
#: The largest area, as a multiple of the model's: 1.5 x 1.5 is 2.25.
TIMES_NATIVE = 2.4
#: Of upscales: twice 1.5 x 1.5, which nine tiles cover.
UPSCALED_TIMES_NATIVE = 5.2

#: Defaults outside of servers, where they differ from those of a server.
OUTSIDE: Mapping[str, Mapping[str, Any]] = {
    "quota": {"credits": CREDITS_OUTSIDE},
    "safety": {"always_safe": True},
}


TimesNative = Annotated[float, Field(gt=0, le=MAX_TIMES_NATIVE, allow_inf_nan=False)]
PrefixText = Annotated[str, Field(max_length=MAX_PREFIX_LENGTH)]
BlockedWord = Annotated[str, Field(min_length=1, max_length=MAX_BLOCKED_WORD_LENGTH)]


@dataclass(frozen=True)
class ServerDefaults:
    """What `/anima imagine` does where neither the person nor their preferences say. None: the model's default."""

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
    #: How much of a source image is redrawn.
    denoise: Denoise | None = None
    count: Count = 1
    turbo: bool = False
    fast: bool = False
    spoiler: bool = False
    private: bool = False
    #: A diffusion model; None: the operator's default.
    model: ModelName | None = None

    def options(self) -> Options:
        """As a layer of options, to lie below what a person says and prefers."""
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

        age_restricted: whether more than safe images may be drawn there. native: what the model recommends.
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
    """The most that a person may ask for. None: what suits the model, see `policy.effective_limits`."""

    #: Pixels of the longer side.
    side: Side | None = None
    #: Of 1024 x 1024 pixels each, as people mean it who say that 1024 x 1024 is one.
    megapixels: Annotated[float, Field(gt=0, le=MAX_SIDE**2 / 2**20, allow_inf_nan=False)] | None = None
    steps: Steps | None = None
    count: Count = MAX_IMAGES
    #: Jobs of one person in the queue.
    waiting: Annotated[int, Field(ge=1, le=MAX_WAITING)] = 8
    #: Pictures of one `/anima compare`; 0 switches it off.
    compared: Compared = 12
    #: The largest area if `megapixels` is unset, as a multiple of the model's; 2.25 is an upscale by 1.5.
    times_native: TimesNative = TIMES_NATIVE
    #: The same of upscales, which `megapixels` does not limit. None: UPSCALED_TIMES_NATIVE, or what holds for other
    #: images where an admin has changed that.
    upscaled_times_native: TimesNative | None = None

    @property
    def upscaled_or_default(self) -> float | None:
        """The largest upscale as a multiple of the model's area; None: what holds for other images."""
        if self.upscaled_times_native is None and self.megapixels is None and self.times_native == TIMES_NATIVE:
            return UPSCALED_TIMES_NATIVE
        return self.upscaled_times_native


@dataclass(frozen=True)
class Quota:
    """Credits in 24 hours. A person has the best of what everyone and what each of their roles has."""

    #: Everyone's; None is without limit.
    credits: Credits | None = 50.0
    roles: Mapping[Snowflake, Credits] = field(default_factory=dict)
    unlimited_roles: tuple[Snowflake, ...] = ()

    def of(self, role_ids: Collection[int]) -> float | None:
        """What a person with these roles may spend in 24 hours; None is without limit."""
        if self.credits is None or not set(role_ids).isdisjoint(self.unlimited_roles):
            return None
        return max(self.credits, *(credits for role, credits in self.roles.items() if role in role_ids), 0.0)


@dataclass(frozen=True)
class Access:
    """Where, who and with which models; empty is everywhere, everyone and all.

    A channel stands for its threads too, a category for its channels.
    """

    channels: tuple[Snowflake, ...] = ()
    roles: tuple[Snowflake, ...] = ()
    models: tuple[ModelName, ...] = ()

    def offers(self, models: Iterable[str]) -> tuple[str, ...]:
        """Those of the models that may be used."""
        return tuple(name for name in models if not self.models or name in self.models)


@dataclass(frozen=True)
class Safety:
    """Each channel follows its own age restriction on Discord, save where it is to be safe whatever that says."""

    #: In the whole server.
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
        """What `as_json` wrote; keys may be missing. Raises ValidationError, a ValueError, for wrong types."""
        return _SETTINGS.validate_json(json.dumps(dict(document)), strict=True)

    def as_json(self) -> dict[str, Any]:
        """What differs from the defaults: a key for each group of settings in which something does."""
        document: dict[str, Any] = _SETTINGS.dump_python(self, mode="json", exclude_defaults=True)
        return {key: value for key, value in document.items() if value != {}}

    def changes_to(self, new: ServerSettings) -> dict[str, Any]:
        """What `Servers.change` has to be given so that these settings become `new`."""
        before, after = self.as_json(), new.as_json()
        return {key: after.get(key) for key in before | after if before.get(key) != after.get(key)}


_SETTINGS = TypeAdapter(ServerSettings)


def settings_guild_id(interaction: discord.Interaction[Any]) -> int | None:
    """The server whose admins' settings hold: none in private, nor where only the person installed the bot."""
    return interaction.guild_id if interaction.is_guild_integration() else None


async def load_server_settings(servers: Servers, guild_id: int | None) -> ServerSettings:
    """A server's settings; outside of servers the operator's, which are kept under `EVERYWHERE`."""
    if guild_id is None:
        return outside_settings((await servers.settings(EVERYWHERE)).settings)
    everywhere, stored = await servers.settings_of(EVERYWHERE, guild_id)
    return replace(ServerSettings.of(stored.settings), operator_pause=everywhere.settings.get("operator_pause"))


def outside_settings(document: Mapping[str, Any]) -> ServerSettings:
    """The settings for private messages and user installs: those of a safe server, unless the operator changed them."""
    groups = {name: {**unless_set, **document.get(name, {})} for name, unless_set in OUTSIDE.items()}
    return ServerSettings.of({**document, **groups})


async def limit_outside_servers(servers: Servers, credits: float | EllipsisType | None, *, by: int) -> None:
    """Sets the operator's quota: credits a day of each user, None for no limit, ... if it is not set.

    Then it is CREDITS_OUTSIDE, or no limit in a database from before that default.
    """
    if credits is ...:
        stored = (await servers.settings(EVERYWHERE)).settings
        quota: dict[str, float | None] | None = {"credits": None} if stored.get("unlimited_unless_set") else None
    else:
        quota = {"credits": credits}
    await servers.change(EVERYWHERE, {"quota": quota}, by=by)
