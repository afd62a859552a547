"""What Discord's own client does for a user: finds the command, checks the options, fills in what it sends."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.sandbox.model import commands as slash
from bot.sandbox.model import components as ui
from bot.sandbox.model.attachments import Cdn, Upload
from bot.sandbox.model.errors import JSON
from bot.sandbox.model.interactions import MODAL, Interaction
from bot.sandbox.model.messages import Message, Messages
from bot.sandbox.model.permissions import Permissions
from bot.sandbox.model.serializers import context_of, interaction_channel_json, member_json, role_json, user_json
from bot.sandbox.model.world import Channel, Role, User, World


class ClientRefused(Exception):
    """Discord's client would not let this user do this; the sentence says why. The bot never hears of it."""


@dataclass(frozen=True)
class Choice:
    """One line that an autocomplete offers."""

    name: str
    value: str | int | float


@dataclass(frozen=True)
class ClientModal:
    """A form that the bot opened for a user."""

    custom_id: str
    title: str
    components: tuple[JSON, ...]
    interaction: Interaction

    @classmethod
    def of(cls, interaction: Interaction) -> ClientModal:
        """The form that the bot opened in answer to `interaction`."""
        assert interaction.callback is not None and interaction.callback.type == MODAL
        data = interaction.callback.data
        components = tuple(ui.serialize(data["components"], lambda media: media))
        return cls(data["custom_id"], data["title"], components, interaction)

    def inputs(self) -> list[tuple[str, JSON]]:
        """Every input with the label users see above it, from top to bottom."""
        found = []
        for _, component in ui.walk(list(self.components)):
            if component["type"] == ui.LABEL:
                found.append((component["label"], component["component"]))
            elif component["type"] == ui.TEXT_INPUT and component.get("label"):
                found.append((component["label"], component))
        return found


class UserClient:
    """Builds the `data` of interactions as Discord's client does, or raises ClientRefused."""

    def __init__(self, world: World, messages: Messages, commands: slash.CommandRegistry, cdn: Cdn) -> None:
        self._world = world
        self._messages = messages
        self._commands = commands
        self._cdn = cdn

    def visible_commands(self, user: User, channel: Channel) -> list[JSON]:
        """The commands that the client shows this user in `channel`: in its picker and its menus."""
        return [
            command
            for command in self._commands.visible_in(channel.guild.id if channel.guild else None)
            if self._why_unusable(user, channel, command) is None
        ]

    def slash(self, user: User, channel: Channel, name: str, options: Mapping[str, object]) -> JSON:
        """The data of a slash command; `name` is all words, as in "anima imagine"."""
        command, trail = self._find(user, channel, name)
        definitions = (trail[-1] if trail else command).get("options") or []
        self._check_names(name, definitions, options)
        builder = _DataBuilder(self, user, channel)
        filled = []
        for definition in definitions:
            if definition["name"] in options:
                filled.append(builder.option(definition, options[definition["name"]]))
            elif definition.get("required"):
                raise ClientRefused(f"/{name} needs the option '{definition['name']}'.")
        return _slash_data(command, trail, filled, builder.resolved)

    def autocomplete(
        self, user: User, channel: Channel, name: str, option: str, typed: str, options: Mapping[str, object]
    ) -> tuple[JSON, int]:
        """The data sent while `typed` stands in `option`, and the option's type."""
        command, trail = self._find(user, channel, name)
        definitions = (trail[-1] if trail else command).get("options") or []
        self._check_names(name, definitions, {**options, option: typed})
        builder = _DataBuilder(self, user, channel)
        filled: list[JSON] = []
        focused_type = slash.STRING
        for definition in definitions:
            if definition["name"] == option:
                if not definition.get("autocomplete"):
                    raise ClientRefused(f"The option '{option}' of /{name} has no autocomplete.")
                focused_type = definition["type"]
                filled.append({"name": option, "type": focused_type, "value": typed, "focused": True})
            elif definition["name"] in options:
                filled.append(builder.option(definition, options[definition["name"]]))
        return _slash_data(command, trail, filled, builder.resolved), focused_type

    def menu(self, user: User, channel: Channel, target: Message | User, name: str) -> JSON:
        """The data of a context menu's command on a message or a user."""
        kind = slash.MESSAGE_MENU if isinstance(target, Message) else slash.USER_MENU
        visible = self._commands.visible_in(channel.guild.id if channel.guild else None)
        command = next((c for c in visible if c["type"] == kind and c["name"] == name), None)
        if command is None:
            names = [c["name"] for c in visible if c["type"] == kind]
            raise ClientRefused(f"There is no such entry '{name}' in the menu, only {names}.")
        self._check_usable(user, channel, command)
        resolved: JSON
        if isinstance(target, Message):
            self.check_can_see(user, target)
            resolved = {"messages": {str(target.id): self._messages.as_json(target)}}
        else:
            resolved = self._resolved_user(target, channel)
        data = {"id": command["id"], "name": name, "type": kind, "target_id": str(target.id), "resolved": resolved}
        return data | ({"guild_id": str(channel.guild.id)} if channel.guild else {})

    def button(self, user: User, message: Message, label: str | None, custom_id: str | re.Pattern[str] | None) -> JSON:
        """The data of a press on the button with this label (or emoji) or custom_id."""
        self.check_can_see(user, message)
        buttons = [c for c in message.inputs() if c["type"] == ui.BUTTON]
        button = _find_component(buttons, label, custom_id)
        if button.get("disabled"):
            raise ClientRefused(f"The button {_describe(button)} is disabled.")
        if "custom_id" not in button:
            raise ClientRefused(f"The button {_describe(button)} opens a link; the bot does not hear of it.")
        return {
            "component_type": ui.BUTTON,
            "custom_id": button["custom_id"],
            "id": self._component_id(message, button),
        }

    def selection(
        self, user: User, message: Message, custom_id: str | re.Pattern[str], values: Sequence[object]
    ) -> JSON:
        """The data of a choice in a select menu."""
        self.check_can_see(user, message)
        select = _find_component([c for c in message.inputs() if c["type"] in ui.SELECTS], None, custom_id)
        if select.get("disabled"):
            raise ClientRefused(f"The menu {select['custom_id']} is disabled.")
        builder = _DataBuilder(self, user, message.channel)
        chosen = builder.selected(select, values)
        data = {"component_type": select["type"], "custom_id": select["custom_id"], "values": chosen}
        data["id"] = self._component_id(message, select)
        return data | ({"resolved": builder.resolved} if select["type"] != ui.STRING_SELECT else {})

    def modal(self, user: User, modal: ClientModal, values: Mapping[str, object]) -> JSON:
        """The data of a submitted form; `values` by custom_id or by label, what is left out stays as it is."""
        if modal.interaction.user != user:
            raise ClientRefused(f"The form '{modal.title}' is open for {modal.interaction.user.username} only.")
        known = {key for label, field in modal.inputs() for key in (label, field["custom_id"])}
        if unknown := sorted(set(values) - known):
            raise ClientRefused(f"The form '{modal.title}' has no fields {unknown}, only {sorted(known)}.")
        builder = _DataBuilder(self, user, modal.interaction.channel)

        def submitted(component: JSON) -> JSON:
            result: JSON = {"type": component["type"], "id": component["id"]}
            if component["type"] == ui.ACTION_ROW:
                return result | {"components": [submitted(inner) for inner in component["components"]]}
            if component["type"] == ui.LABEL:
                inner = component["component"]
                return result | {"component": builder.field(inner, component["label"], values)}
            if component["type"] == ui.TEXT_DISPLAY:
                return result
            return builder.field(component, component.get("label") or "", values)

        data: JSON = {"custom_id": modal.custom_id, "components": [submitted(c) for c in modal.components]}
        return data | ({"resolved": builder.resolved} if builder.resolved else {})

    def check_can_see(self, user: User, message: Message) -> None:
        if self._messages.get(message.id) is None:
            raise ClientRefused(f"The message {message.id} is gone.")
        if message.visible_to not in (None, user):
            raise ClientRefused(f"Only {message.visible_to.username if message.visible_to else ''} sees that message.")
        if not self._world.permissions(user, message.channel) & Permissions.VIEW_CHANNEL:
            raise ClientRefused(f"{user.username} does not see #{message.channel.name}.")

    def _find(self, user: User, channel: Channel, name: str) -> tuple[JSON, list[JSON]]:
        visible = self._commands.visible_in(channel.guild.id if channel.guild else None)
        everything = {full: (command, trail) for full, command, trail in slash.slash_names(visible)}
        if name not in everything:
            raise ClientRefused(f"There is no command /{name}; registered are {sorted(everything)}.")
        command, trail = everything[name]
        self._check_usable(user, channel, command)
        return command, trail

    def _check_usable(self, user: User, channel: Channel, command: JSON) -> None:
        if (why := self._why_unusable(user, channel, command)) is not None:
            raise ClientRefused(why)

    def _why_unusable(self, user: User, channel: Channel, command: JSON) -> str | None:
        world, name = self._world, command["name"]
        allowed = world.permissions(user, channel)
        where = f"#{channel.name}" if channel.name else "this private channel"
        if not allowed & Permissions.VIEW_CHANNEL:
            return f"{user.username} does not see {where}."
        if channel.guild is not None and not allowed & Permissions.USE_APPLICATION_COMMANDS:
            return f"{user.username} may not use commands in {where}."
        needed = command.get("default_member_permissions")
        if channel.guild is not None and needed is not None:
            in_guild = world.guild_permissions(user, channel.guild)
            if not in_guild & Permissions.ADMINISTRATOR and (int(needed) == 0 or int(needed) & ~in_guild):
                return f"{user.username} does not have the permissions to see the command '{name}'."
        installs = command.get("integration_types") or [0]
        by_server = world.bot_is_in(channel) and 0 in installs
        by_user = user.id in world.installed_by and 1 in installs
        if not by_server and not by_user:
            return f"The command '{name}' is installed neither in {where} nor to {user.username}."
        contexts = command.get("contexts")
        if contexts is None:
            contexts = [0, 1, 2] if command.get("dm_permission", True) else [0]
        if context_of(channel) not in contexts:
            return f"The command '{name}' is not offered in {where} (contexts {contexts})."
        if command.get("nsfw") and not (channel.parent or channel).nsfw:
            return f"The command '{name}' is for age-restricted channels only."
        return None

    def _check_names(self, name: str, definitions: list[JSON], options: Mapping[str, object]) -> None:
        known = [definition["name"] for definition in definitions]
        if unknown := sorted(set(options) - set(known)):
            raise ClientRefused(f"/{name} has no options {unknown}, only {known}.")

    def _component_id(self, message: Message, component: JSON) -> int:
        for _, written in ui.walk(self._messages.as_json(message)["components"]):
            if written.get("custom_id") == component["custom_id"]:
                return int(written["id"])
        raise AssertionError("Every component of a message has a number.")

    def _resolved_user(self, target: User, channel: Channel) -> JSON:
        resolved: JSON = {"users": {str(target.id): user_json(target)}}
        if channel.guild is not None and (member := channel.guild.members.get(target.id)):
            partial = {k: v for k, v in member_json(member).items() if k not in ("user", "deaf", "mute")}
            partial["permissions"] = str(int(self._world.permissions(target, channel)))
            resolved["members"] = {str(target.id): partial}
        return resolved


class _DataBuilder:
    """Turns values into what is sent, and gathers the objects they refer to (`resolved`)."""

    def __init__(self, client: UserClient, user: User, channel: Channel) -> None:
        self._client = client
        self._user = user
        self._channel = channel
        self.resolved: JSON = {}

    def option(self, definition: JSON, value: object) -> JSON:
        kind, name = definition["type"], definition["name"]
        if choices := definition.get("choices"):
            chosen = next((c["value"] for c in choices if value in (c["name"], c["value"])), None)
            if chosen is None:
                names = [choice["name"] for choice in choices]
                raise ClientRefused(f"'{value}' is no choice of the option '{name}', only {names}.")
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
                raise ClientRefused(f"The option '{name}' takes True or False, not {value!r}.")
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
            raise ClientRefused(f"The option '{name}' takes no channel of type {value.type}.")
        return self._referred_to(value)

    def selected(self, select: JSON, values: Sequence[object]) -> list[str]:
        least, most = ui.value_limits(select)
        if not least <= len(values) <= most:
            raise ClientRefused(f"{select['custom_id']} takes {least} to {most} values, not {len(values)}.")
        if "options" not in select:
            return [self._referred_to(value) for value in values]
        chosen = []
        for value in values:
            option = next((o for o in select["options"] if value in (o["value"], o["label"])), None)
            if option is None:
                labels = [option["label"] for option in select["options"]]
                raise ClientRefused(f"'{value}' is no option of {select['custom_id']}, only {labels}.")
            chosen.append(str(option["value"]))
        return chosen

    def field(self, component: JSON, label: str, values: Mapping[str, object]) -> JSON:
        """One input of a modal as it is sent: with the given value, or with what stands in it."""
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
            least, most = ui.value_limits(component)
            if not least <= len(files) <= most:
                raise ClientRefused(f"'{label}' takes {least} to {most} files, not {len(files)}.")
            return result | {"values": [self._uploaded(file) for file in files if isinstance(file, Upload)]}
        return result | {"values": self.selected(component, _as_list(given) if given is not None else defaults)}

    def _defaults(self, component: JSON) -> list[object]:
        """What is chosen in a select or a group of boxes as it comes."""
        world, guild = self._client._world, self._channel.guild
        roles = {role.id: role for role in guild.roles} if guild else {}
        chosen: list[object] = [o["value"] for o in component.get("options") or [] if o.get("default")]
        for default in component.get("default_values") or []:
            id = int(default["id"])
            found = {"user": world.users.get(id), "role": roles.get(id), "channel": world.channel(id)}[default["type"]]
            chosen += [found] if found is not None else []
        return chosen

    def _uploaded(self, upload: Upload) -> str:
        if len(upload.data) > self._user.upload_limit:
            raise ClientRefused(f"{upload.filename} has {len(upload.data)} bytes, more than {self._user.upload_limit}.")
        cdn = self._client._cdn
        attachment = cdn.keep(upload, self._channel.id)
        self.resolved.setdefault("attachments", {})[str(attachment.id)] = cdn.as_json(attachment, ephemeral=True)
        return str(attachment.id)

    def _referred_to(self, value: object) -> str:
        world = self._client._world
        if isinstance(value, User):
            for key, objects in self._client._resolved_user(value, self._channel).items():
                self.resolved.setdefault(key, {}).update(objects)
        elif isinstance(value, Role):
            self.resolved.setdefault("roles", {})[str(value.id)] = role_json(value)
        elif isinstance(value, Channel):
            written = interaction_channel_json(value, world, self._user)
            self.resolved.setdefault("channels", {})[str(value.id)] = written
        else:
            raise ClientRefused(f"{value!r} is neither a user nor a role nor a channel.")
        return str(value.id)


def _slash_data(command: JSON, trail: list[JSON], filled: list[JSON], resolved: JSON) -> JSON:
    options = filled
    for level in reversed(trail):
        options = [{"name": level["name"], "type": level["type"], "options": options}]
    data: JSON = {"id": command["id"], "name": command["name"], "type": slash.SLASH, "options": options}
    if "guild_id" in command:
        data["guild_id"] = command["guild_id"]
    return data | ({"resolved": resolved} if resolved else {})


def _find_component(found: list[JSON], label: str | None, custom_id: str | re.Pattern[str] | None) -> JSON:
    if label is None and custom_id is None:
        raise ClientRefused("Say which component is meant: by label or by custom_id.")
    matching = [component for component in found if _is_named(component, label, custom_id)]
    if len(matching) != 1:
        there = ", ".join(map(_describe, found)) or "none"
        how_many = "None" if not matching else f"{len(matching)}"
        raise ClientRefused(f"{how_many} of the components is {label or custom_id!r}; there are: {there}.")
    return matching[0]


def _is_named(component: JSON, label: str | None, custom_id: str | re.Pattern[str] | None) -> bool:
    own_id = component.get("custom_id") or ""
    if isinstance(custom_id, re.Pattern):
        return bool(custom_id.fullmatch(own_id))
    if custom_id is not None:
        return bool(own_id == custom_id)
    return label in (component.get("label"), (component.get("emoji") or {}).get("name"))


def _describe(component: JSON) -> str:
    name = component.get("label") or (component.get("emoji") or {}).get("name") or component.get("placeholder") or ""
    return f"'{name}' ({component.get('custom_id') or component.get('url')})"


def _as_list(value: object) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _check_is(value: object, kinds: type | tuple[type, ...], name: str) -> None:
    if not isinstance(value, kinds) or isinstance(value, bool):
        wanted = " or ".join(k.__name__ for k in (kinds if isinstance(kinds, tuple) else (kinds,)))
        raise ClientRefused(f"The option '{name}' takes {wanted}, not {value!r}.")


def _check_length(text: str, least: int | None, most: int, name: str) -> None:
    if not (least or 0) <= len(text) <= most:
        raise ClientRefused(f"'{name}' takes {least or 0} to {most} characters, not {len(text)}.")


def _check_range(value: Any, least: float | None, most: float | None, name: str) -> None:
    if (least is not None and value < least) or (most is not None and value > most):
        raise ClientRefused(f"The option '{name}' takes {least} to {most}, not {value}.")
