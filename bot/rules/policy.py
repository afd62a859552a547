"""Decides who may draw what, where, and how much: pure functions of a server's settings.

`permit` is called when a job is accepted, before anything is saved. `check_text` is the part whose answer may change
before the picture is posted, because a channel can lose its age restriction; so delivery calls it again.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import discord

from bot.generation.recipe import Recipe
from bot.generation.spec import JobSpec
from bot.generation.typed.models import list_models
from bot.generation.values import MIN_CFG_SCALE
from bot.prompting import RECOMMENDED_PREFIX
from bot.rules.safety import asks_for_nsfw, blocked_words, minors_sexual
from bot.rules.server_settings import Access, ServerSettings
from bot.text.formats import decimal
from bot.text.markdown import inline
from bot.text.translation import N_, listed, say, say_plural
from inference import NativeSettings
from inference.prompt import parse_weights
from inference.request import MAX_SIDE, TOKEN_SIDE
from storage.jobs import Allowance
from storage.servers import BlockedUser

NO_MODELS: Mapping[str, NativeSettings] = MappingProxyType({})
MEGAPIXEL = 1024 * 1024
DEFAULT_MAX_STEPS = 50
MAX_REASON_LENGTH = 300
MAX_NAME_LENGTH = 60
MAX_NAMED = 3


@dataclass(frozen=True)
class Person:
    """`is_admin`: has Manage Server there. `is_blocked`: by the server or by the operator, see `Servers.block_of`."""

    user_id: int
    role_ids: frozenset[int] = frozenset()
    is_admin: bool = False
    is_blocked: bool = False

    @classmethod
    def of(cls, interaction: discord.Interaction[Any], block: BlockedUser | None) -> Person:
        """The user of an interaction. `block`: the result of `Servers.block_of` for them there."""
        user, permissions = interaction.user, interaction.permissions
        roles = role_ids(user) if isinstance(user, discord.Member) else []
        return cls(
            user_id=user.id,
            role_ids=frozenset(roles),
            is_admin=interaction.guild_id is not None and (permissions.manage_guild or permissions.administrator),
            is_blocked=block is not None,
        )


@dataclass(frozen=True)
class ChannelContext:
    """`guild_id` is None outside of servers. `above`: the channel of a thread, and the category it is in."""

    guild_id: int | None
    channel_id: int
    above: tuple[int, ...] = ()
    #: As set in Discord; a thread follows its channel.
    age_restricted: bool = False

    @classmethod
    def of(cls, interaction: discord.Interaction[Any]) -> ChannelContext:
        """The channel of an interaction. Raises ValueError if Discord does not name it."""
        if interaction.channel_id is None:
            raise ValueError("This interaction has no channel.")
        return cls._at(interaction.guild_id, interaction.channel_id, interaction.channel)

    @classmethod
    def of_channel(
        cls, guild_id: int | None, channel: discord.abc.Snowflake, parent: discord.abc.Snowflake | None = None
    ) -> ChannelContext:
        """The current state of a channel. `parent`: of a thread, if discord.py's cache does not have it."""
        return cls._at(guild_id, channel.id, channel, parent)

    @classmethod
    def _at(cls, guild_id: int | None, channel_id: int, channel: object, parent: object = None) -> ChannelContext:
        ruling = (channel.parent or parent) if isinstance(channel, discord.Thread) else channel
        above = [channel.parent_id] if isinstance(channel, discord.Thread) else []
        if isinstance(ruling, discord.abc.GuildChannel):
            above += [ruling.category_id] if ruling.category_id is not None else []
        return cls(
            guild_id=guild_id,
            channel_id=channel_id,
            above=tuple(above),
            age_restricted=ruling is not None and hasattr(ruling, "is_nsfw") and bool(ruling.is_nsfw()),
        )


def role_ids(member: discord.Member) -> list[int]:
    """The member's roles. `Member.roles` needs discord.py's cache, which is off if the bot is in many servers."""
    return [*member._roles, member.guild.id]


@dataclass(frozen=True)
class TypedText:
    """A user's text, before wildcards and prompt rules. `texts`: prompt, artists and everything else that is drawn."""

    texts: tuple[str, ...] = field(repr=False)
    negative: str = field(default="", repr=False)


@dataclass(frozen=True)
class EffectiveLimits:
    """The limits for one job. `area` is in pixels, `upscaled` the same for upscales."""

    side: int
    area: float
    upscaled: float
    steps: int
    count: int
    compared: int

    @property
    def for_upscales(self) -> EffectiveLimits:
        """The same for an upscale."""
        return replace(self, area=self.upscaled)


class RefusalReason(StrEnum):
    MINORS = "minors"
    BLOCKED = "blocked"
    PAUSED = "paused"
    PAUSED_EVERYWHERE = "paused_everywhere"
    CHANNEL = "channel"
    ROLE = "role"
    SIDE = "side"
    AREA = "area"
    STEPS = "steps"
    COUNT = "count"
    MODEL = "model"
    NO_MODEL = "no_model"
    COMPARING = "comparing"
    CFG_SCALE = "cfg_scale"
    BLOCKED_WORDS = "blocked_words"
    NSFW = "nsfw"
    NSFW_KEPT_SAFE = "nsfw_kept_safe"


#: An English sentence for each refusal, with what to do instead.
SENTENCES: Mapping[RefusalReason, str] = {
    RefusalReason.MINORS: N_("Sexual content involving minors is never allowed. Please ask for something else."),
    RefusalReason.BLOCKED: N_("You can't draw here at the moment. If you think that is a mistake, ask a server admin."),
    RefusalReason.PAUSED: N_(
        "Drawing is paused in this server. Try again later, or ask a server admin when it will resume."
    ),
    RefusalReason.PAUSED_EVERYWHERE: N_("Drawing is paused everywhere at the moment: {reason}"),
    RefusalReason.CHANNEL: N_("You can't draw in this channel. Try {channels}."),
    RefusalReason.ROLE: N_("You need one of these roles to draw here: {roles}. Ask a server admin."),
    RefusalReason.SIDE: N_(
        "{width}x{height} is too large. The longest side can be {limit} pixels here. Choose a smaller size."
    ),
    RefusalReason.AREA: N_(
        "{width}x{height} is too large. The limit here is {limit} MP, such as {side}x{side}. Choose a smaller size."
    ),
    RefusalReason.STEPS: N_("{steps} steps is too many. The limit here is {limit}."),
    RefusalReason.COUNT: N_("{count} pictures at once is too many. The limit here is {limit}."),
    RefusalReason.MODEL: N_("The model “{name}” can't be used here. Choose another one with `model`: {models}."),
    RefusalReason.NO_MODEL: N_(
        "None of the models that may be used here is still available. Please ask a server admin to choose others."
    ),
    RefusalReason.COMPARING: N_("Comparing is switched off here. Draw single pictures with `/anima imagine`."),
    RefusalReason.CFG_SCALE: N_(
        "CFG {cfg_scale} is too low. Below {limit}, the negative prompt would be drawn. Use {limit} or more."
    ),
}
#: The same for words of a prompt: singular and plural.
FORBIDDEN: Mapping[RefusalReason, tuple[str, str]] = {
    RefusalReason.BLOCKED_WORDS: N_(
        "This server blocks {terms}. Remove it and try again.",
        "This server blocks {terms}. Remove them and try again.",
    ),
    RefusalReason.NSFW: N_(
        "{terms} isn't allowed in this channel. Remove it, or use an age-restricted channel.",
        "{terms} aren't allowed in this channel. Remove them, or use an age-restricted channel.",
    ),
    RefusalReason.NSFW_KEPT_SAFE: N_(
        "Only safe pictures are allowed here, so {terms} isn't allowed. Remove it and try again.",
        "Only safe pictures are allowed here, so {terms} aren't allowed. Remove them and try again.",
    ),
}
NSFW_IN_PRIVATE = N_(
    "{terms} isn't allowed in private messages. Remove it, or use an age-restricted channel.",
    "{terms} aren't allowed in private messages. Remove them, or use an age-restricted channel.",
)


@dataclass(frozen=True)
class PolicyRefusal:
    """`terms`: the forbidden words, if the refusal is about words. `in_private`: outside of servers."""

    reason: RefusalReason
    details: Mapping[str, Any] = field(default_factory=dict, repr=False)
    terms: tuple[str, ...] = field(default=(), repr=False)
    in_private: bool = False

    @property
    def sentence(self) -> str:
        """The answer to the user. Roles and channels are mentions, which notify nobody in a private answer."""
        if self.reason not in FORBIDDEN:
            shown = {
                name: decimal(value) if isinstance(value, float) else value for name, value in self.details.items()
            }
            return say(SENTENCES[self.reason], **shown)
        in_private = self.in_private and self.reason is RefusalReason.NSFW
        quoted = [say("“{term}”", term=term) for term in self.terms]
        named = listed(quoted, MAX_NAMED)
        return say_plural(*(NSFW_IN_PRIVATE if in_private else FORBIDDEN[self.reason]), len(quoted), terms=named)


def permit(
    settings: ServerSettings,
    native: NativeSettings,
    person: Person,
    channel: ChannelContext,
    spec: JobSpec,
    typed: TypedText,
    natives: Mapping[str, NativeSettings] = NO_MODELS,
) -> Allowance | PolicyRefusal:
    """Whether a user may draw this there, and how much they may spend and queue.

    settings: of the server, or the operator's outside of servers; from `server_settings.load_server_settings`.
    native: settings of the job's model. natives: those of all models by name, because recipes may name other models.
    spec: final; its prompts have wildcards expanded and prompt rules applied.
    """
    refusals = (
        _minors_refusal(spec, typed),
        access_refusal(settings, person, channel),
        _model_refusal(settings.access, spec, natives),
        _size_refusal(settings, native, spec, natives),
        check_text(settings, channel, spec, typed),
    )
    refusal = next((refusal for refusal in refusals if refusal is not None), None)
    if refusal is not None:
        return refusal
    return Allowance(credits=settings.quota.of(person.role_ids), waiting=settings.limits.waiting)


def check_text(
    settings: ServerSettings, channel: ChannelContext, spec: JobSpec, typed: TypedText
) -> PolicyRefusal | None:
    """The refusal because of a request's text, if any: minors, CFG below MIN_CFG_SCALE, blocked words, or NSFW."""
    minors = _minors_refusal(spec, typed)
    if minors is not None:
        return minors
    cfg_scale = min(recipe.cfg_scale for recipe in spec.recipes)
    if cfg_scale < MIN_CFG_SCALE:
        return PolicyRefusal(RefusalReason.CFG_SCALE, {"cfg_scale": cfg_scale, "limit": MIN_CFG_SCALE})
    words = _blocked_words(settings, spec, typed)
    if words:
        return PolicyRefusal(RefusalReason.BLOCKED_WORDS, terms=words)
    if may_be_explicit(settings, channel):
        return None
    terms = asks_for_nsfw(*_drawn_texts(spec, typed), negative=_negative_text(spec, typed))
    if terms:
        reason = RefusalReason.NSFW_KEPT_SAFE if channel.age_restricted else RefusalReason.NSFW
        return PolicyRefusal(reason, terms=tuple(terms), in_private=channel.guild_id is None)
    return None


def may_be_explicit(settings: ServerSettings, channel: ChannelContext) -> bool:
    """Whether the channel is age-restricted and the server's settings do not keep it safe."""
    kept_safe = settings.safety.always_safe or _is_any_channel_of(channel, settings.safety.safe_channels)
    return channel.age_restricted and not kept_safe


def effective_limits(settings: ServerSettings, native: NativeSettings | None) -> EffectiveLimits:
    """A server's limits, with the model's for those not set. `native`: None while no model is known."""
    limits = settings.limits
    model_area = math.inf if native is None else math.prod(native.sizes[0])
    area = limits.times_native * model_area if limits.megapixels is None else limits.megapixels * MEGAPIXEL
    upscaled = limits.upscaled_or_default
    return EffectiveLimits(
        side=limits.side or MAX_SIDE,
        area=area,
        upscaled=area if upscaled is None else upscaled * model_area,
        steps=limits.steps or max(DEFAULT_MAX_STEPS, 0 if native is None else native.steps),
        count=limits.count,
        compared=limits.compared,
    )


def exceeded_limits(
    limits: EffectiveLimits,
    *,
    size: tuple[int, int] | None = None,
    steps: int | None = None,
    count: int | None = None,
) -> tuple[RefusalReason, ...]:
    """The limits that these values exceed. `count`: of single images, not of a comparison."""
    width, height = size or (0, 0)
    exceeded = {
        RefusalReason.SIDE: max(width, height) > limits.side,
        RefusalReason.AREA: width * height > limits.area,
        RefusalReason.STEPS: (steps or 0) > limits.steps,
        RefusalReason.COUNT: (count or 0) > limits.count,
    }
    return tuple(reason for reason, is_exceeded in exceeded.items() if is_exceeded)


def defaults_beyond_limits(settings: ServerSettings, native: NativeSettings | None) -> list[str]:
    """The names of a server's defaults that exceed its limits, so that requests which use them are refused."""
    limits, defaults = effective_limits(settings, native), settings.defaults
    asked = {"size": defaults.size, "steps": defaults.steps, "count": defaults.count}
    return [name for name, value in asked.items() if exceeds(limits, name, value)]


def exceeds(limits: EffectiveLimits, option: str, value: Any) -> bool:
    """Whether the value of the option with this name exceeds the limits; None does not."""
    return option in ("size", "steps", "count") and bool(exceeded_limits(limits, **{option: value}))


def _minors_refusal(spec: JobSpec, typed: TypedText) -> PolicyRefusal | None:
    found = minors_sexual(*_drawn_texts(spec, typed), negative=_negative_text(spec, typed))
    return PolicyRefusal(RefusalReason.MINORS) if found else None


def access_refusal(settings: ServerSettings, person: Person, channel: ChannelContext) -> PolicyRefusal | None:
    """The refusal if a user may not draw there at all."""
    if person.is_blocked:
        return PolicyRefusal(RefusalReason.BLOCKED)
    if (paused := pause_refusal(settings)) is not None:
        return paused
    access = settings.access
    if access.channels and not _is_any_channel_of(channel, access.channels):
        return PolicyRefusal(
            RefusalReason.CHANNEL, {"channels": listed((f"<#{channel}>" for channel in access.channels), MAX_NAMED)}
        )
    if access.roles and not person.is_admin and person.role_ids.isdisjoint(access.roles):
        return PolicyRefusal(RefusalReason.ROLE, {"roles": listed((f"<@&{role}>" for role in access.roles), MAX_NAMED)})
    return None


def pause_refusal(settings: ServerSettings) -> PolicyRefusal | None:
    """The refusal if the operator or the server's admins have paused the bot."""
    if settings.operator_pause is not None:
        return PolicyRefusal(
            RefusalReason.PAUSED_EVERYWHERE, {"reason": inline(settings.operator_pause, MAX_REASON_LENGTH)}
        )
    return PolicyRefusal(RefusalReason.PAUSED) if settings.paused else None


def _model_refusal(access: Access, spec: JobSpec, models: Collection[str]) -> PolicyRefusal | None:
    """The refusal if a recipe's model may not be used. A recipe without a name uses the only model."""
    offered = access.offers(models)
    refused = next(
        (recipe.model for recipe in spec.recipes if recipe.model in models and recipe.model not in offered), None
    )
    if refused is None:
        return None
    if not offered:
        return PolicyRefusal(RefusalReason.NO_MODEL)
    named = {"name": inline(refused, MAX_NAME_LENGTH), "models": list_models(offered)}
    return PolicyRefusal(RefusalReason.MODEL, named)


def _size_refusal(
    settings: ServerSettings, native: NativeSettings, spec: JobSpec, natives: Mapping[str, NativeSettings]
) -> PolicyRefusal | None:
    limits = effective_limits(settings, native)
    if spec.comparison is not None and limits.compared == 0:
        return PolicyRefusal(RefusalReason.COMPARING)
    for recipe in spec.recipes:
        own = effective_limits(settings, natives.get(recipe.model, native))
        if spec.options.upscaled:
            own = own.for_upscales
        exceeded = exceeded_limits(own, size=(recipe.width, recipe.height), steps=recipe.steps)
        if exceeded:
            return PolicyRefusal(exceeded[0], _details(exceeded[0], own, recipe))
    count, limit = len(spec.recipes), limits.count if spec.comparison is None else limits.compared
    if count > limit:
        return PolicyRefusal(RefusalReason.COUNT, {"count": count, "limit": limit})
    return None


def _details(exceeded: RefusalReason, limits: EffectiveLimits, recipe: Recipe) -> dict[str, Any]:
    """The values in a refusal's sentence."""
    size = {"width": recipe.width, "height": recipe.height}
    match exceeded:
        case RefusalReason.SIDE:
            return {**size, "limit": limits.side}
        case RefusalReason.AREA:
            side = math.isqrt(int(limits.area)) // TOKEN_SIDE * TOKEN_SIDE
            return {**size, "limit": round(limits.area / MEGAPIXEL, 2), "side": side}
    return {"steps": recipe.steps, "limit": limits.steps}


def _blocked_words(settings: ServerSettings, spec: JobSpec, typed: TypedText) -> tuple[str, ...]:
    """The server's blocked words that the user asked for. Words of the server's or model's prefix do not count."""
    words = settings.safety.blocked_words
    asked = (*typed.texts, *_names_of_loras(spec), *_negatively_weighted(typed.negative))
    prefix = settings.defaults.prefix
    in_prefix = blocked_words(RECOMMENDED_PREFIX if prefix is None else prefix, words)
    not_in_prefix = [word for word in words if word not in in_prefix]
    found = [word for text in asked for word in blocked_words(text, words)]
    found += [word for text in _prompts(spec) for word in blocked_words(text, not_in_prefix)]
    return tuple(dict.fromkeys(found))


def _drawn_texts(spec: JobSpec, typed: TypedText) -> tuple[str, ...]:
    return (*typed.texts, *_prompts(spec), *_names_of_loras(spec))


def _negative_text(spec: JobSpec, typed: TypedText) -> str:
    return "\n".join(dict.fromkeys([typed.negative, *(recipe.negative_prompt for recipe in spec.recipes)]))


def _prompts(spec: JobSpec) -> tuple[str, ...]:
    return tuple(dict.fromkeys(recipe.prompt for recipe in spec.recipes))


def _names_of_loras(spec: JobSpec) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for recipe in spec.recipes for name, _ in recipe.loras))


def _negatively_weighted(negative: str) -> Iterator[str]:
    """The texts with a negative weight in the negative prompt, because these are drawn."""
    return (text for text, weight in parse_weights(negative) if weight < 0)


def _is_any_channel_of(channel: ChannelContext, channels: tuple[int, ...]) -> bool:
    return not {channel.channel_id, *channel.above}.isdisjoint(channels)
