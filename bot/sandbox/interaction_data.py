"""Checks options, selections and fields, and builds the data that Discord's client sends for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.sandbox.client_errors import ClientRefused, ImpossibleAction, file_too_large
from bot.sandbox.model import commands as slash
from bot.sandbox.model import components as ui
from bot.sandbox.model.attachments import Cdn, Upload
from bot.sandbox.model.errors import JSON
from bot.sandbox.model.serializers import interaction_channel_json, member_json, role_json, user_json
from bot.sandbox.model.world import Channel, Role, User, World


class DataBuilder:
    """Converts values to the form that is sent, and collects the objects they refer to (`resolved`)."""

    def __init__(self, world: World, cdn: Cdn, user: User, channel: Channel) -> None:
        self._world = world
        self._cdn = cdn
        self._user = user
        self._channel = channel
        self.resolved: JSON = {}

    def option(self, definition: JSON, value: object) -> JSON:
        kind, name = definition["type"], definition["name"]
        if choices := definition.get("choices"):
            chosen = next((c["value"] for c in choices if value in (c["name"], c["value"])), None)
            if chosen is None:
                names = [choice["name"] for choice in choices]
                raise ImpossibleAction(
                    "'{value}' is not a choice of the option '{option}'. Choose one of: {choices}.",
                    value=value,
                    option=name,
                    choices=", ".join(names),
                )
            return {"name": name, "type": kind, "value": chosen}
        return {"name": name, "type": kind, "value": self._value(definition, value)}

    def _value(self, definition: JSON, value: object) -> Any:
        kind, name = definition["type"], definition["name"]
        if kind == slash.STRING:
            _check_is(value, str, name)
            _check_length(str(value), definition.get("min_length"), definition.get("max_length") or 6000, name)
            return value
        if kind in (slash.INTEGER, slash.NUMBER):
            _check_is(value, int if kind == slash.INTEGER else (int, float), name)
            _check_range(value, definition.get("min_value"), definition.get("max_value"), name)
            return value
        if kind == slash.BOOLEAN:
            if not isinstance(value, bool):
                raise ImpossibleAction(
                    "The option '{option}' takes {kind}, not {value}.",
                    option=name,
                    kind="True, False",
                    value=repr(value),
                )
            return value
        if kind == slash.ATTACHMENT:
            _check_is(value, Upload, name)
            assert isinstance(value, Upload)
            return self._uploaded(value)
        allowed: dict[int, tuple[type, ...]] = {
            slash.USER: (User,),
            slash.CHANNEL: (Channel,),
            slash.ROLE: (Role,),
            slash.MENTIONABLE: (User, Role),
        }
        _check_is(value, allowed[kind], name)
        channel_types = definition.get("channel_types")
        if isinstance(value, Channel) and channel_types and value.type not in channel_types:
            raise ClientRefused(
                "The option '{option}' doesn't accept channels of type {type}.", option=name, type=value.type
            )
        return self._referred_to(value)

    def selected(self, select: JSON, values: Sequence[object]) -> list[str]:
        minimum, maximum = ui.value_limits(select)
        if not minimum <= len(values) <= maximum:
            raise ClientRefused(
                "{name} takes {min} to {max} values, not {count}.",
                name=select["custom_id"],
                min=minimum,
                max=maximum,
                count=len(values),
            )
        if "options" not in select:
            return [self._referred_to(value) for value in values]
        chosen = []
        for value in values:
            option = next((o for o in select["options"] if value in (o["value"], o["label"])), None)
            if option is None:
                labels = [option["label"] for option in select["options"]]
                raise ImpossibleAction(
                    "'{value}' is not an option of {name}. Choose one of: {choices}.",
                    value=value,
                    name=select["custom_id"],
                    choices=", ".join(labels),
                )
            chosen.append(str(option["value"]))
        return chosen

    def field(self, component: JSON, label: str, values: Mapping[str, object]) -> JSON:
        """One input of a modal as it is sent, with the given value or its current one."""
        kind, custom_id = component["type"], component["custom_id"]
        result: JSON = {"type": kind, "id": component["id"], "custom_id": custom_id}
        given = values.get(custom_id, values.get(label))
        defaults = self._defaults(component)
        if kind == ui.TEXT_INPUT:
            text = str(given if given is not None else component.get("value") or "")
            if text or component.get("required") is not False:
                _check_length(
                    text, max(1, component.get("min_length") or 1), component.get("max_length") or 4000, label
                )
            return result | {"value": text}
        if kind == ui.CHECKBOX:
            return result | {"value": bool(component.get("default")) if given is None else given}
        if kind == ui.RADIO_GROUP:
            as_select = component | {"max_values": 1, "min_values": 0 if component.get("required") is False else 1}
            chosen = self.selected(as_select, [given] if given is not None else defaults[:1])
            return result | {"value": chosen[0] if chosen else None}
        if kind == ui.FILE_UPLOAD:
            files = _as_list(given)
            minimum, maximum = ui.value_limits(component)
            if not minimum <= len(files) <= maximum:
                raise ClientRefused(
                    "'{name}' takes {min} to {max} files, not {count}.",
                    name=label,
                    min=minimum,
                    max=maximum,
                    count=len(files),
                )
            return result | {"values": [self._uploaded(file) for file in files if isinstance(file, Upload)]}
        return result | {"values": self.selected(component, _as_list(given) if given is not None else defaults)}

    def _defaults(self, component: JSON) -> list[object]:
        """The preselected values of a select or a group of checkboxes or radio buttons."""
        world, guild = self._world, self._channel.guild
        roles = {role.id: role for role in guild.roles} if guild else {}
        chosen: list[object] = [o["value"] for o in component.get("options") or [] if o.get("default")]
        for default in component.get("default_values") or []:
            id = int(default["id"])
            found = {"user": world.users.get(id), "role": roles.get(id), "channel": world.channel(id)}[default["type"]]
            chosen += [found] if found is not None else []
        return chosen

    def _uploaded(self, upload: Upload) -> str:
        if len(upload.data) > self._user.upload_limit:
            raise file_too_large(upload.filename, self._user.upload_limit)
        cdn = self._cdn
        attachment = cdn.keep(upload, self._channel.id)
        self.resolved.setdefault("attachments", {})[str(attachment.id)] = cdn.as_json(attachment, ephemeral=True)
        return str(attachment.id)

    def _referred_to(self, value: object) -> str:
        world = self._world
        if isinstance(value, User):
            for key, objects in resolved_user(self._world, value, self._channel).items():
                self.resolved.setdefault(key, {}).update(objects)
        elif isinstance(value, Role):
            self.resolved.setdefault("roles", {})[str(value.id)] = role_json(value)
        elif isinstance(value, Channel):
            written = interaction_channel_json(value, world, self._user)
            self.resolved.setdefault("channels", {})[str(value.id)] = written
        else:
            raise ImpossibleAction("{value} is neither a user nor a role nor a channel.", value=repr(value))
        return str(value.id)


def resolved_user(world: World, target: User, channel: Channel) -> JSON:
    """The objects of a user that an interaction in `channel` refers to."""
    resolved: JSON = {"users": {str(target.id): user_json(target)}}
    if channel.guild is not None and (member := channel.guild.members.get(target.id)):
        partial = {k: v for k, v in member_json(member).items() if k not in ("user", "deaf", "mute")}
        partial["permissions"] = str(int(world.permissions(target, channel)))
        resolved["members"] = {str(target.id): partial}
    return resolved


def _as_list(value: object) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _check_is(value: object, kinds: type | tuple[type, ...], name: str) -> None:
    if not isinstance(value, kinds) or isinstance(value, bool):
        wanted = ", ".join(k.__name__ for k in (kinds if isinstance(kinds, tuple) else (kinds,)))
        raise ImpossibleAction(
            "The option '{option}' takes {kind}, not {value}.", option=name, kind=wanted, value=repr(value)
        )


def _check_length(text: str, minimum: int | None, maximum: int, name: str) -> None:
    if not (minimum or 0) <= len(text) <= maximum:
        raise ClientRefused(
            "'{name}' takes {min} to {max} characters, not {count}.",
            name=name,
            min=minimum or 0,
            max=maximum,
            count=len(text),
        )


def _check_range(value: Any, minimum: float | None, maximum: float | None, name: str) -> None:
    if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
        raise ClientRefused(
            "The option '{option}' takes {min} to {max}, not {value}.",
            option=name,
            min=minimum,
            max=maximum,
            value=value,
        )
