"""What a server's admins can set: the bot's own shape of the JSON document that `storage.servers` keeps.

A setting that was never touched is not in the document, so a better default of ours reaches every server.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter

from bot.prompting import RECOMMENDED_NEGATIVE, RECOMMENDED_PREFIX
from bot.rules.safety import MIN_CFG_SCALE
from inference.request import MAX_CFG_SCALE, MAX_SIDE, MAX_STEPS, SAMPLERS, SCHEDULERS, SIDE_MULTIPLE
from storage.servers import EVERYWHERE, Servers

MAX_PICTURES = 4
"""Pictures of one job."""
MAX_COMPARED = 16
"""Pictures of one comparison."""
MIN_SIDE = 64
MIN_DENOISE = 0.05
MAX_HOUSE_TEXT_LENGTH = 1000
MAX_ARTISTS_LENGTH = 200
MAX_LORAS = 4
MAX_LORA_NAME_LENGTH = 100
MAX_LORA_STRENGTH = 10
MAX_BLOCKED_WORDS = 300
MAX_BLOCKED_WORD_LENGTH = 60
MAX_WAITING = 500
MAX_CREDITS = 1_000_000


def one_of(names: Sequence[str]) -> Callable[[str], str]:
    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"{name!r} is not known; it may be {', '.join(names)}")
        return name

    return check


Snowflake = Annotated[int, Field(ge=1, lt=2**63)]
Side = Annotated[int, Field(ge=MIN_SIDE, le=MAX_SIDE, multiple_of=SIDE_MULTIPLE)]
Steps = Annotated[int, Field(ge=1, le=MAX_STEPS)]
Count = Annotated[int, Field(ge=1, le=MAX_PICTURES)]
CfgScale = Annotated[float, Field(ge=MIN_CFG_SCALE, le=MAX_CFG_SCALE, allow_inf_nan=False)]
Denoise = Annotated[float, Field(ge=MIN_DENOISE, le=1, allow_inf_nan=False)]
Artist = Annotated[str, Field(max_length=MAX_ARTISTS_LENGTH)]
Compared = Annotated[int, Field(ge=0, le=MAX_COMPARED)]
LoraName = Annotated[str, Field(min_length=1, max_length=MAX_LORA_NAME_LENGTH)]
LoraStrength = Annotated[float, Field(ge=-MAX_LORA_STRENGTH, le=MAX_LORA_STRENGTH, allow_inf_nan=False)]
Loras = Annotated[tuple[tuple[LoraName, LoraStrength], ...], Field(max_length=MAX_LORAS)]
Sampler = Annotated[str, AfterValidator(one_of(SAMPLERS))]
Scheduler = Annotated[str, AfterValidator(one_of(SCHEDULERS))]
Credits = Annotated[float, Field(ge=0, le=MAX_CREDITS, allow_inf_nan=False)]
HouseText = Annotated[str, Field(max_length=MAX_HOUSE_TEXT_LENGTH)]
BlockedWord = Annotated[str, Field(min_length=1, max_length=MAX_BLOCKED_WORD_LENGTH)]


@dataclass(frozen=True)
class Defaults:
    """What `/anima imagine` does where neither the person nor their preferences say. None: as the model likes it."""

    size: tuple[Side, Side] | None = None
    """Width and height in pixels."""
    steps: Steps | None = None
    cfg_scale: CfgScale | None = None
    sampler: Sampler | None = None
    scheduler: Scheduler | None = None
    prefix_on: bool = True
    prefix: HouseText = RECOMMENDED_PREFIX
    negative_on: bool = True
    negative: HouseText = RECOMMENDED_NEGATIVE
    artist: Artist = ""
    """Names, separated by commas."""
    loras: Loras = ()
    """Each with its strength."""
    denoise: Denoise | None = None
    """How much of a picture to start from is drawn anew."""
    count: Count = 1
    turbo: bool = False
    spoiler: bool = False
    private: bool = False


@dataclass(frozen=True)
class Limits:
    """The most that a person may ask for. None: what suits the model, see `policy.effective_limits`."""

    side: Side | None = None
    """Pixels of the longer side."""
    megapixels: Annotated[float, Field(gt=0, le=MAX_SIDE**2 / 2**20, allow_inf_nan=False)] | None = None
    """Of 1024 x 1024 pixels each, as people mean it who say that 1024 x 1024 is one."""
    steps: Steps | None = None
    count: Count = MAX_PICTURES
    waiting: Annotated[int, Field(ge=1, le=MAX_WAITING)] = 50
    """Jobs of one person in the queue."""
    compared: Compared = 12
    """Pictures of one `/anima compare`; 0 switches it off."""


@dataclass(frozen=True)
class Quota:
    """Credits in 24 hours. A person has the best of what everyone and what each of their roles has."""

    credits: Credits | None = None
    """Everyone's; None is without limit."""
    roles: Mapping[Snowflake, Credits] = field(default_factory=dict)
    unlimited_roles: tuple[Snowflake, ...] = ()

    def of(self, role_ids: Collection[int]) -> float | None:
        """What a person with these roles may spend in 24 hours; None is without limit."""
        if self.credits is None or not set(role_ids).isdisjoint(self.unlimited_roles):
            return None
        return max(self.credits, *(credits for role, credits in self.roles.items() if role in role_ids), 0.0)


@dataclass(frozen=True)
class Access:
    """Where and who; empty is everywhere and everyone.

    A channel stands for its threads too, a category for its channels.
    """

    channels: tuple[Snowflake, ...] = ()
    roles: tuple[Snowflake, ...] = ()


@dataclass(frozen=True)
class Safety:
    """Each channel follows its own age restriction on Discord, save where it is to be safe whatever that says."""

    always_safe: bool = False
    """In the whole server."""
    safe_channels: tuple[Snowflake, ...] = ()
    blocked_words: Annotated[tuple[BlockedWord, ...], Field(max_length=MAX_BLOCKED_WORDS)] = ()


@dataclass(frozen=True)
class ServerSettings:
    defaults: Defaults = field(default_factory=Defaults)
    limits: Limits = field(default_factory=Limits)
    quota: Quota = field(default_factory=Quota)
    access: Access = field(default_factory=Access)
    safety: Safety = field(default_factory=Safety)
    paused: bool = False

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


async def limit_outside_servers(servers: Servers, credits: float | None, *, by: int) -> None:
    """Sets the operator's quota: credits a day of each person, None for no limit."""
    quota = ServerSettings(quota=Quota(credits)).as_json().get("quota")
    await servers.change(EVERYWHERE, {"quota": quota}, by=by)


async def settings_of(servers: Servers, guild_id: int | None) -> ServerSettings:
    """A server's settings; outside of servers the operator's, which are kept under `EVERYWHERE`."""
    stored = await servers.settings(EVERYWHERE if guild_id is None else guild_id)
    return ServerSettings.of(stored.settings)
