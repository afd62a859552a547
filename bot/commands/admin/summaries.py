"""Describes a server's settings, their changes, and mistakes in what was typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from bot.generation.typed import validation_errors
from bot.rules.policy import DEFAULT_MAX_STEPS
from bot.rules.server_settings import Access, Quota, Safety, ServerDefaults, ServerLimits
from bot.text.formats import decimal
from bot.text.markdown import inline
from bot.text.translation import N_, listed, say, say_plural
from storage.jobs import Statistics
from storage.schema import JobState
from storage.servers import AuditEntry

MAX_LINE_LENGTH = 350
MAX_NAMED = 5

#: What each setting is called in forms, in errors and in the log.
LABELS: Mapping[str, str] = {
    **validation_errors.LABELS,
    "turbo": N_("Turbo"),
    "fast": N_("Fast mode"),
    "prefix_on": N_("Add the prefix"),
    "prefix": N_("Prefix"),
    "negative_on": N_("Add the negative prompt"),
    "negative": N_("Negative prompt"),
    "nag": N_("Negative prompts at CFG 1"),
    "side": N_("Longest side"),
    "megapixels": N_("Megapixels"),
    "times_native": N_("Times the model's size"),
    "upscaled_times_native": N_("Upscales: times the model's size"),
    "waiting": N_("Queued jobs"),
    "compared": N_("Pictures per comparison"),
    "credits": N_("Credits per day"),
    "role": N_("Role"),
    "roles": N_("Roles"),
    "unlimited_roles": N_("Roles with no limit"),
    "channels": N_("Channels"),
    "models": N_("Models"),
    "always_safe": N_("Safe pictures everywhere"),
    "safe_channels": N_("Safe channels"),
    "blocked_words": N_("Words and phrases"),
    "person": N_("Person"),
    "reason": N_("Reason"),
}

#: What each group of settings is called in the log.
GROUPS: Mapping[str, str] = {
    "defaults": N_("Defaults"),
    "limits": N_("Limits"),
    "quota": N_("Quota"),
    "access": N_("Access"),
    "safety": N_("Safety"),
}

STATES: Mapping[JobState, str] = {
    JobState.QUEUED: N_("{count} queued"),
    JobState.RUNNING: N_("{count} being drawn"),
    JobState.RENDERED: N_("{count} being posted"),
    JobState.DELIVERED: N_("{count} posted"),
    JobState.CANCELLED: N_("{count} cancelled"),
    JobState.FAILED: N_("{count} failed"),
    JobState.REFUSED: N_("{count} refused"),
}

#: What is wrong with a value, by pydantic's names of its mistakes.
RULES: Mapping[str, str] = {
    "int_parsing": N_("**{field}** must be a whole number."),
    "float_parsing": N_("**{field}** must be a number."),
    "finite_number": N_("**{field}** must be a number."),
    "multiple_of": N_("**{field}** must be a multiple of {multiple_of}."),
    "greater_than": N_("**{field}** must be more than {gt}."),
    "greater_than_equal": N_("**{field}** must be {ge} or more."),
    "less_than_equal": N_("**{field}** must be {le} or less."),
    "string_too_short": N_("**{field}**: a name is missing."),
    "string_too_long": N_("**{field}** can have at most {max_length} characters."),
    "too_long": N_("**{field}** can have at most {max_length} entries."),
}
NOT_POSSIBLE = N_("**{field}** can't have that value.")


def of_defaults(defaults: ServerDefaults) -> str:
    own = {
        "size": of_size(defaults.size),
        "steps": defaults.steps,
        "cfg_scale": None if defaults.cfg_scale is None else f"{defaults.cfg_scale:g}",
        "sampler": defaults.sampler,
        "scheduler": defaults.scheduler,
    }
    said = [f"{say(LABELS[key])} {value}" for key, value in own.items() if value is not None]
    if defaults.model is not None:
        own["model"] = inline_or_empty(defaults.model, 60)
        said.insert(0, f"{say(LABELS['model'])} {own['model']}")
    if len(said) < len(own):
        said.append(say("otherwise the model's") if said else say("model default"))
    if defaults.artist:
        said.append(f"{say(LABELS['artist'])} {inline_or_empty(defaults.artist, 200)}")
    if defaults.loras:
        said.append(f"{say(LABELS['loras'])} {inline_or_empty(of_loras(defaults.loras), 300)}")
    if defaults.denoise is not None:
        said.append(f"{say(LABELS['denoise'])} {defaults.denoise:g}")
    said.append(_image_count(defaults.count))
    said += [say(LABELS[key]) for key in ("turbo", "fast", "spoiler", "private") if getattr(defaults, key)]
    return say(", ").join(said)


def of_size(size: tuple[int, int] | None) -> str | None:
    return "x".join(map(str, size)) if size else None


def of_loras(loras: Sequence[tuple[str, float]]) -> str:
    """In the format users type; a strength of 1 is omitted."""
    return ", ".join(name if strength == 1 else f"{name}:{strength:g}" for name, strength in loras)


def of_prefix(on: bool, text: str | None) -> str:
    """`text`: None for the model's recommended one."""
    if not on:
        return say("off")
    if text is None:
        return say("recommended for the model")
    return inline_or_empty(text, 500)


def of_names(settings: Sequence[str]) -> str:
    """Some settings by what they are called in the panel."""
    return say(", ").join(say(LABELS[name]) for name in settings)


def of_limits(limits: ServerLimits) -> str:
    said = []
    if limits.side is not None:
        said.append(say("up to {count} pixels per side", count=limits.side))
    if limits.megapixels is not None:
        said.append(say("up to {count} MP", count=decimal(limits.megapixels)))
    else:
        said.append(say("{count} times the model's default size", count=decimal(limits.times_native)))
    if (upscaled := limits.upscaled_or_default) is not None:
        said.append(say("upscales up to {count} times the model's default size", count=decimal(upscaled)))
    steps = limits.steps or DEFAULT_MAX_STEPS
    return say(", ").join(
        [
            *said,
            say_plural("{count} step", "{count} steps", steps),
            say("{pictures} at once", pictures=_image_count(limits.count)),
            say_plural("{count} queued job per person", "{count} queued jobs per person", limits.waiting),
            say("{pictures} per comparison", pictures=_image_count(limits.compared))
            if limits.compared
            else say("comparisons off"),
        ]
    )


def of_everyone(credits: float | None) -> str:
    """The quota of those who have none of their own; None is no limit."""
    if credits is None:
        return say("Everyone: no limit")
    return say_plural(
        "Everyone: {credits} credit per day",
        "Everyone: {credits} credits per day",
        credits,
        credits=decimal(credits),
    )


def of_quota(quota: Quota) -> str:
    everyone = of_everyone(quota.credits)
    if quota.credits is None:
        return everyone
    own = len(quota.roles) + len(quota.unlimited_roles)
    if not own:
        return everyone
    roles = say_plural("{count} role with its own quota", "{count} roles with their own quota", own)
    return f"{everyone}{say(', ')}{roles}"


def of_access(access: Access) -> str:
    who = _mentions("<@&{}>", access.roles) or say("everyone")
    said = say("{who} in {channels}", who=who, channels=_mentions("<#{}>", access.channels) or say("all channels"))
    if not access.models:
        return said
    names = listed((inline(name, 60) for name in access.models), MAX_NAMED)
    return f"{said}{say(', ')}{say('models: {names}', names=names)}"


def of_safety(safety: Safety) -> str:
    if safety.always_safe:
        return say("safe pictures only")
    by_channel = say("follows each channel's age restriction")
    kept = _mentions("<#{}>", safety.safe_channels)
    return f"{by_channel}{say(', ')}{say('always safe: {channels}', channels=kept)}" if kept else by_channel


def of_statistics(statistics: Statistics) -> str:
    said = [
        _image_count(statistics.images),
        say_plural("{count} credit", "{count} credits", statistics.credits),
        say_plural("{count} person", "{count} people", statistics.people),
        *(say(STATES[state], count=count) for state, count in statistics.jobs.items()),
    ]
    if statistics.median_wait is not None and statistics.median_drawing is not None:
        wait, drawing = statistics.median_wait.total_seconds(), statistics.median_drawing.total_seconds()
        said.append(
            say(
                "usually {wait} s in the queue and {drawing} s to draw",
                wait=decimal(wait, digits=0),
                drawing=decimal(drawing, digits=0),
            )
        )
    return say(", ").join(said)


def of_entry(entry: AuditEntry) -> str:
    """A line of the log."""
    who = f"<@{entry.actor_id}>" if entry.actor_id is not None else say("Someone")
    whom = f"<@{entry.subject_id}>" if entry.subject_id is not None else say("someone")
    match entry.what:
        case "block" if entry.after:
            said = say("{who} blocked {whom}: {reason}", who=who, whom=whom, reason=inline_or_empty(entry.after, 200))
        case "block":
            said = say("{who} blocked {whom}", who=who, whom=whom)
        case "unblock":
            said = say("{who} unblocked {whom}", who=who, whom=whom)
        case "delete":
            said = say("{who} deleted a picture by {whom}", who=who, whom=whom)
        case "cancel":
            said = say("{who} cancelled a job by {whom}", who=who, whom=whom)
        case "unshare":
            said = say("{who} removed a picture by {whom} from the gallery", who=who, whom=whom)
        case "gallery_channel_id" if isinstance(entry.after, int):
            said = say("{who} set the gallery to {channel}", who=who, channel=f"<#{entry.after}>")
        case "gallery_channel_id":
            said = say("{who} removed the gallery", who=who)
        case "log_channel_id" if isinstance(entry.after, int):
            said = say("{who} set the log channel to {channel}", who=who, channel=f"<#{entry.after}>")
        case "log_channel_id":
            said = say("{who} removed the log channel", who=who)
        case "paused" if entry.after:
            said = say("{who} paused drawing", who=who)
        case "paused":
            said = say("{who} resumed drawing", who=who)
        case what:
            group = say(GROUPS[what]) if what in GROUPS else inline_or_empty(what, 30)
            difference = _difference(entry.before, entry.after)
            said = say("{who} changed **{what}**: {difference}", who=who, what=group, difference=difference)
    return f"- {relative_time(entry.at)} {said}"


def describe_errors(error: ValidationError, key: str = "") -> str:
    """A sentence for each, with the name that the field has in the form: that of `key`, or of what is wrong."""
    return " ".join(_describe_error(str(each["type"]), key or str(each["loc"][0]), each) for each in error.errors())


def _describe_error(kind: str, key: str, error: Mapping[str, Any]) -> str:
    field = say(LABELS[key]) if key in LABELS else inline_or_empty(key, 30)
    bounds = {
        name: decimal(value) if isinstance(value, float) else value for name, value in error.get("ctx", {}).items()
    }
    if kind not in RULES:
        return say(NOT_POSSIBLE, field=field)
    return say(RULES[kind], field=field, **bounds)


def _difference(before: Any, after: Any) -> str:
    """The keys in which two groups of settings differ; what is not there is our default."""
    old, new = (value if isinstance(value, dict) else {} for value in (before, after))
    keys = [key for key in old | new if old.get(key) != new.get(key)]
    changes = (f"{_name(key)} {_value(old.get(key))} → {_value(new.get(key))}" for key in keys)
    return inline_or_empty(say(", ").join(changes), MAX_LINE_LENGTH)


def _name(key: str) -> str:
    return say(LABELS[key]) if key in LABELS else key


def _value(value: Any) -> str:
    match value:
        case None:
            return say("default")
        case bool():
            return say("on") if value else say("off")
        case list():
            return " ".join(map(_value, value)) or say("none")
        case dict():
            return " ".join(f"{key}: {each:g}" for key, each in value.items()) or say("none")
        case float():
            return f"{value:g}"
    return str(value)


def relative_time(at: datetime) -> str:
    return f"<t:{int(at.timestamp())}:R>"


def inline_or_empty(text: str, max_length: int) -> str:
    """Somebody's words in a line, and nothing where there are none."""
    return inline(text, max_length) if text.strip() else ""


def _image_count(count: int) -> str:
    return say_plural("{count} picture", "{count} pictures", count)


def _mentions(form: str, ids: Sequence[int]) -> str:
    return listed((form.format(id) for id in ids), MAX_NAMED)
