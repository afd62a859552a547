"""Registers the application's commands by Discord's rules, and finds those that users can see.

Source: "Application Commands" in Discord's documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bot.sandbox.model.clock import Snowflakes
from bot.sandbox.model.errors import JSON, UNKNOWN_COMMAND, ApiError, FormErrors, Path
from bot.sandbox.model.events import EventLog

SLASH, USER_MENU, MESSAGE_MENU = 1, 2, 3
MAX_OF_TYPE = {SLASH: 100, USER_MENU: 15, MESSAGE_MENU: 15}

SUBCOMMAND, GROUP, STRING, INTEGER, BOOLEAN, USER, CHANNEL, ROLE, MENTIONABLE, NUMBER, ATTACHMENT = range(1, 12)
WITH_CHOICES = {STRING, INTEGER, NUMBER}

MAX_OPTIONS = 25
MAX_CHOICES = 25
MAX_CHARACTERS = 8000
MAX_INTEGER = 2**53

_NAME = re.compile(r"[-_'\w]{1,32}")


class CommandRegistry:
    """The registered commands: the global ones (guild None) and those of single servers."""

    def __init__(self, application_id: int, snowflakes: Snowflakes, events: EventLog[Any, Any]) -> None:
        self._application_id = application_id
        self._snowflakes = snowflakes
        self._events = events
        self._registered: dict[int | None, list[JSON]] = {None: []}
        self.was_synced = False

    def of(self, guild_id: int | None) -> list[JSON]:
        """The commands registered for exactly this scope."""
        return self._registered.get(guild_id, [])

    def visible_in(self, guild_id: int | None) -> list[JSON]:
        """The commands users can see there: a server's own commands hide global ones of the same name and type."""
        own = self.of(guild_id) if guild_id is not None else []
        taken = {(command["name"], command["type"]) for command in own}
        return own + [c for c in self.of(None) if (c["name"], c["type"]) not in taken]

    def overwrite(self, guild_id: int | None, definitions: Any) -> list[JSON]:
        """Replaces all commands of a scope; raises ApiError with every complaint if one is invalid."""
        errors = FormErrors()
        definitions = definitions or []
        errors.check_type((), definitions, list, "BASE_TYPE_LIST", "lists")
        errors.raise_if_any()
        seen: set[tuple[str, int]] = set()
        for index, definition in enumerate(definitions):
            check_command(definition, (index,), errors)
            if not isinstance(definition, dict):
                continue
            key = (str(definition.get("name")), definition.get("type") or SLASH)
            if key in seen:
                complaint = "Application command names must be unique"
                errors.add((index, "name"), "APPLICATION_COMMANDS_DUPLICATE_NAME", complaint)
            seen.add(key)
        for kind, maximum in MAX_OF_TYPE.items():
            if sum(of_type == kind for _, of_type in seen) > maximum:
                errors.add((), "BASE_TYPE_MAX_LENGTH", f"At most {maximum} commands of type {kind} can be registered.")
        errors.raise_if_any()
        before = {(command["name"], command["type"]): command["id"] for command in self.of(guild_id)}
        self._registered[guild_id] = [self._serialize_command(d, guild_id, before) for d in definitions]
        self._tell()
        return self._registered[guild_id]

    def upsert(self, guild_id: int | None, definition: JSON) -> JSON:
        """Registers one command and keeps the others, except one with the same name and type, which it replaces."""
        key = (definition.get("name"), definition.get("type") or SLASH)
        others = [c for c in self.of(guild_id) if (c["name"], c["type"]) != key]
        return self.overwrite(guild_id, [*others, definition])[-1]

    def get(self, guild_id: int | None, id: int) -> JSON:
        for command in self.of(guild_id):
            if command["id"] == str(id):
                return command
        raise ApiError(UNKNOWN_COMMAND)

    def update(self, guild_id: int | None, id: int, changes: JSON) -> JSON:
        changed = self.get(guild_id, id) | changes
        rest = [command for command in self.of(guild_id) if command["id"] != str(id)]
        return self.overwrite(guild_id, [*rest, changed])[-1]

    def delete(self, guild_id: int | None, id: int) -> None:
        self._registered[guild_id].remove(self.get(guild_id, id))
        self._tell()

    def _tell(self) -> None:
        self.was_synced = True
        self._events.emit("commands_update", {"commands": [c for scope in self._registered.values() for c in scope]})

    def _serialize_command(self, definition: JSON, guild_id: int | None, before: dict[tuple[str, int], str]) -> JSON:
        kind = definition.get("type") or SLASH
        permissions = definition.get("default_member_permissions")
        command: JSON = {
            "id": before.get((definition["name"], kind)) or str(self._snowflakes.next()),
            "application_id": str(self._application_id),
            "version": str(self._snowflakes.next()),
            "type": kind,
            "name": definition["name"],
            "name_localizations": definition.get("name_localizations"),
            "description": definition.get("description") or "",
            "description_localizations": definition.get("description_localizations"),
            "default_member_permissions": None if permissions is None else str(permissions),
            "nsfw": bool(definition.get("nsfw")),
        }
        if kind == SLASH:
            command["options"] = [_serialize_option(option) for option in definition.get("options") or []]
        if guild_id is not None:
            return command | {"guild_id": str(guild_id)}
        in_dms = definition.get("dm_permission")
        command["dm_permission"] = True if in_dms is None else in_dms
        command["contexts"] = definition.get("contexts")
        command["integration_types"] = definition.get("integration_types") or [0]
        return command


def _serialize_option(option: JSON) -> JSON:
    written = {key: value for key, value in option.items() if value is not None}
    if "options" in written:
        written["options"] = [_serialize_option(inner) for inner in written["options"]]
    if written["type"] in (SUBCOMMAND, GROUP):
        written.pop("required", None)
    return written


def check_command(definition: Any, path: Path, errors: FormErrors) -> None:
    """Complains about everything Discord refuses in a command."""
    if not errors.check_type(path, definition, dict, "MODEL_TYPE_CONVERT", "objects"):
        return
    kind = definition.get("type") or SLASH
    if kind not in MAX_OF_TYPE:
        errors.add((*path, "type"), "BASE_TYPE_CHOICES", "Value must be one of (1, 2, 3).")
        return
    if kind == SLASH:
        _check_name(definition, path, errors)
        _check_description(definition, path, errors)
        _check_options(definition.get("options") or [], (*path, "options"), errors, depth=0)
    else:
        if errors.check_type((*path, "name"), definition.get("name"), str, "BASE_TYPE_REQUIRED", "strings"):
            errors.check_length((*path, "name"), definition["name"], 32, 1)
        if definition.get("description"):
            complaint = "Context menu commands cannot have description"
            errors.add((*path, "description"), "APPLICATION_COMMAND_CONTEXT_MENU_DESCRIPTION_INVALID", complaint)
        if definition.get("options"):
            complaint = "Context menu commands cannot have options"
            errors.add((*path, "options"), "APPLICATION_COMMAND_CONTEXT_MENU_OPTIONS_INVALID", complaint)
    if (total := characters(definition)) > MAX_CHARACTERS:
        complaint = f"Command exceeds maximum size ({MAX_CHARACTERS}): names, descriptions and values have {total}."
        errors.add(path, "APPLICATION_COMMAND_TOO_LARGE", complaint)


def characters(definition: JSON) -> int:
    """How many characters count towards MAX_CHARACTERS: names, descriptions (longest localisations) and values."""

    def longest(item: JSON, key: str) -> int:
        localised = (item.get(f"{key}_localizations") or {}).values()
        return max(len(text) for text in [str(item.get(key) or ""), *localised])

    total = longest(definition, "name") + longest(definition, "description")
    for choice in definition.get("choices") or []:
        total += longest(choice, "name") + len(str(choice.get("value", "")))
    return total + sum(characters(option) for option in definition.get("options") or [])


def _check_name(item: JSON, path: Path, errors: FormErrors) -> None:
    names: list[tuple[Path, Any]] = [((*path, "name"), item.get("name"))]
    names += [((*path, "name_localizations", k), v) for k, v in (item.get("name_localizations") or {}).items()]
    for at, name in names:
        if not errors.check_type(at, name, str, "BASE_TYPE_REQUIRED", "strings"):
            continue
        if not 1 <= len(name) <= 32:
            errors.add(at, "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 32 in length.")
        elif not _NAME.fullmatch(name) or name != name.lower():
            complaint = f"Command name is invalid: {name!r} may have lower-case letters, digits, - and _ only."
            errors.add(at, "APPLICATION_COMMAND_INVALID_NAME", complaint)


def _check_description(item: JSON, path: Path, errors: FormErrors) -> None:
    texts: list[tuple[Path, Any]] = [((*path, "description"), item.get("description"))]
    localised = (item.get("description_localizations") or {}).items()
    texts += [((*path, "description_localizations", key), value) for key, value in localised]
    for at, text in texts:
        if errors.check_type(at, text, str, "BASE_TYPE_REQUIRED", "strings") and not 1 <= len(text) <= 100:
            errors.add(at, "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 100 in length.")


def _check_options(options: Any, path: Path, errors: FormErrors, depth: int) -> None:
    if not errors.check_type(path, options, list, "BASE_TYPE_LIST", "lists"):
        return
    if len(options) > MAX_OPTIONS:
        errors.add(path, "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_OPTIONS} or fewer in length.")
    names: set[str] = set()
    optional_seen = False
    for index, option in enumerate(options):
        at = (*path, index)
        if not errors.check_type(at, option, dict, "MODEL_TYPE_CONVERT", "objects"):
            continue
        _check_option(option, at, errors, depth)
        if option.get("name") in names:
            complaint = "Option name already exists"
            errors.add((*at, "name"), "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS", complaint)
        names.add(str(option.get("name")))
        if option.get("required") and optional_seen:
            complaint = "Required options must be placed before non-required options"
            errors.add(at, "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", complaint)
        optional_seen = optional_seen or not option.get("required")
    kinds = [option.get("type") for option in options if isinstance(option, dict)]
    nested = [kind in (SUBCOMMAND, GROUP) for kind in kinds]
    if any(nested) and not all(nested):
        complaint = "Sub-command and sub-command group option types are mutually exclusive to all other types"
        errors.add(path, "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", complaint)


def _check_option(option: JSON, path: Path, errors: FormErrors, depth: int) -> None:
    kind = option.get("type")
    _check_name(option, path, errors)
    _check_description(option, path, errors)
    if not isinstance(kind, int) or kind not in range(1, 12):
        errors.add((*path, "type"), "BASE_TYPE_CHOICES", "Value must be one of (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11).")
        return
    if kind in (SUBCOMMAND, GROUP):
        deepest = 0 if kind == GROUP else 1
        if depth > deepest:
            complaint = "Commands nest at most as command, group, subcommand."
            errors.add((*path, "type"), "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", complaint)
            return
        inner = option.get("options") or []
        _check_options(inner, (*path, "options"), errors, depth + 1 if kind == GROUP else 2)
        if kind == GROUP and any(isinstance(i, dict) and i.get("type") != SUBCOMMAND for i in inner):
            complaint = "A group holds subcommands only."
            errors.add((*path, "options"), "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", complaint)
        return
    _check_choices(option, path, errors)
    if kind == STRING:
        minimum, maximum = option.get("min_length"), option.get("max_length")
        if minimum is not None and not 0 <= minimum <= 6000:
            errors.add((*path, "min_length"), "NUMBER_TYPE_MAX", "Must be between 0 and 6000.")
        if maximum is not None and not max(1, minimum or 0) <= maximum <= 6000:
            errors.add((*path, "max_length"), "NUMBER_TYPE_MAX", "Must be between 1 and 6000 and not below min_length.")
    low, high = option.get("min_value"), option.get("max_value")
    if (low is not None or high is not None) and kind not in (INTEGER, NUMBER):
        complaint = "Only numbers have min_value and max_value."
        errors.add(path, "APPLICATION_COMMAND_OPTION_MIN_MAX_INVALID", complaint)
    elif low is not None and high is not None and low > high:
        errors.add((*path, "min_value"), "NUMBER_TYPE_MAX", "min_value is above max_value.")


def _check_choices(option: JSON, path: Path, errors: FormErrors) -> None:
    choices = option.get("choices")
    if option.get("autocomplete") and (choices or option["type"] not in WITH_CHOICES):
        complaint = "Autocomplete is for strings and numbers without choices."
        errors.add((*path, "autocomplete"), "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_INVALID", complaint)
    if not choices:
        return
    at = (*path, "choices")
    if option["type"] not in WITH_CHOICES:
        errors.add(at, "APPLICATION_COMMAND_OPTIONS_CHOICES_INVALID", "Only strings and numbers have choices.")
        return
    check_choices(choices, option["type"], at, errors)


def check_choices(choices: Any, kind: int, path: Path, errors: FormErrors) -> None:
    """Complains about what Discord refuses in choices, whether registered or sent for an autocomplete."""
    if not errors.check_type(path, choices, list, "BASE_TYPE_LIST", "lists"):
        return
    if len(choices) > MAX_CHOICES:
        errors.add(path, "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_CHOICES} or fewer in length.")
    names: set[str] = set()
    for index, choice in enumerate(choices):
        at = (*path, index)
        if not errors.check_type(at, choice, dict, "MODEL_TYPE_CONVERT", "objects"):
            continue
        if errors.check_type((*at, "name"), choice.get("name"), str, "BASE_TYPE_REQUIRED", "strings"):
            errors.check_length((*at, "name"), choice["name"], 100, 1)
        if choice.get("name") in names:
            complaint = "Option choice name already exists"
            errors.add((*at, "name"), "APPLICATION_COMMAND_OPTIONS_CHOICE_NAME_ALREADY_EXISTS", complaint)
        names.add(str(choice.get("name")))
        _check_choice_value(choice.get("value"), kind, (*at, "value"), errors)


def _check_choice_value(value: Any, kind: int, path: Path, errors: FormErrors) -> None:
    if kind == STRING:
        if errors.check_type(path, value, str, "STRING_TYPE_CONVERT", "strings"):
            errors.check_length(path, value, 100)
    elif kind == INTEGER:
        if errors.check_type(path, value, int, "NUMBER_TYPE_COERCE", "integers") and abs(value) > MAX_INTEGER:
            errors.add(path, "NUMBER_TYPE_MAX", "Must be between -2^53 and 2^53.")
    else:
        errors.check_type(path, value, (int, float), "NUMBER_TYPE_COERCE", "numbers")


def slash_names(commands: list[JSON]) -> Iterator[tuple[str, JSON, list[JSON]]]:
    """Yields each slash command users can type: full name, command, and options down to the subcommand."""

    def down(name: str, command: JSON, trail: list[JSON]) -> Iterator[tuple[str, JSON, list[JSON]]]:
        options = (trail[-1] if trail else command).get("options") or []
        nested = [option for option in options if option["type"] in (SUBCOMMAND, GROUP)]
        if not nested:
            yield name, command, trail
        for option in nested:
            yield from down(f"{name} {option['name']}", command, [*trail, option])

    for command in commands:
        if command["type"] == SLASH:
            yield from down(command["name"], command, [])
