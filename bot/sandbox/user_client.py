"""What Discord's client does for a user: finds commands, checks options, builds interactions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.sandbox.client_errors import ClientRefused, ImpossibleAction, file_too_large, message_deleted
from bot.sandbox.interaction_data import DataBuilder, resolved_user
from bot.sandbox.model import commands as slash
from bot.sandbox.model import components as ui
from bot.sandbox.model.attachments import Cdn, Upload
from bot.sandbox.model.errors import JSON
from bot.sandbox.model.interactions import MODAL, Interaction
from bot.sandbox.model.messages import MAX_ATTACHMENTS, MAX_CONTENT, Message, Messages
from bot.sandbox.model.permissions import Permissions
from bot.sandbox.model.serializers import context_of
from bot.sandbox.model.world import FILE_SIZE_LIMITS, Channel, User, World


@dataclass(frozen=True)
class Choice:
    """One choice that an autocomplete offers."""

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
        builder = DataBuilder(self._world, self._cdn, user, channel)
        filled = []
        for definition in definitions:
            if definition["name"] in options:
                filled.append(builder.option(definition, options[definition["name"]]))
            elif definition.get("required"):
                raise ClientRefused("/{command} needs the option '{option}'.", command=name, option=definition["name"])
        return _slash_data(command, trail, filled, builder.resolved)

    def autocomplete(
        self, user: User, channel: Channel, name: str, option: str, typed: str, options: Mapping[str, object]
    ) -> tuple[JSON, int]:
        """The data sent while `typed` is in `option`, and the option's type."""
        command, trail = self._find(user, channel, name)
        definitions = (trail[-1] if trail else command).get("options") or []
        self._check_names(name, definitions, {**options, option: typed})
        builder = DataBuilder(self._world, self._cdn, user, channel)
        filled: list[JSON] = []
        focused_type = slash.STRING
        for definition in definitions:
            if definition["name"] == option:
                if not definition.get("autocomplete"):
                    raise ImpossibleAction(
                        "The option '{option}' of /{command} has no autocomplete.", option=option, command=name
                    )
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
            raise ImpossibleAction("The menu has no entry '{name}', only: {names}.", name=name, names=", ".join(names))
        self._check_usable(user, channel, command)
        resolved: JSON
        if isinstance(target, Message):
            self.check_can_see(user, target)
            resolved = {"messages": {str(target.id): self._messages.as_json(target)}}
        else:
            resolved = resolved_user(self._world, target, channel)
        data = {"id": command["id"], "name": name, "type": kind, "target_id": str(target.id), "resolved": resolved}
        return data | ({"guild_id": str(channel.guild.id)} if channel.guild else {})

    def button(self, user: User, message: Message, label: str | None, custom_id: str | re.Pattern[str] | None) -> JSON:
        """The data of a press on the button with this label (or emoji) or custom_id."""
        self.check_can_see(user, message)
        buttons = [c for c in message.inputs() if c["type"] == ui.BUTTON]
        button = _find_component(buttons, label, custom_id)
        if button.get("disabled"):
            raise ClientRefused("The button {button} is disabled.", button=_describe(button))
        if "custom_id" not in button:
            raise ImpossibleAction(
                "The button {button} opens a link and sends nothing to the bot.", button=_describe(button)
            )
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
            raise ClientRefused("The menu {menu} is disabled.", menu=select["custom_id"])
        builder = DataBuilder(self._world, self._cdn, user, message.channel)
        chosen = builder.selected(select, values)
        data = {"component_type": select["type"], "custom_id": select["custom_id"], "values": chosen}
        data["id"] = self._component_id(message, select)
        return data | ({"resolved": builder.resolved} if select["type"] != ui.STRING_SELECT else {})

    def modal(self, user: User, modal: ClientModal, values: Mapping[str, object]) -> JSON:
        """The data of a submitted form; `values` by custom_id or by label. Fields left out keep their values."""
        if modal.interaction.user != user:
            raise ClientRefused(
                "The form '{form}' is open for {user} only.", form=modal.title, user=modal.interaction.user.username
            )
        known = {key for label, field in modal.inputs() for key in (label, field["custom_id"])}
        if unknown := sorted(set(values) - known):
            raise ImpossibleAction(
                "The form '{form}' has no fields {unknown}, only: {known}.",
                form=modal.title,
                unknown=", ".join(unknown),
                known=", ".join(sorted(known)),
            )
        builder = DataBuilder(self._world, self._cdn, user, modal.interaction.channel)

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

    def check_message(self, user: User, channel: Channel, content: str, files: Sequence[Upload]) -> None:
        """Raises ClientRefused if the user could not send this message."""
        allowed = self._world.permissions(user, channel)
        writing = Permissions.SEND_MESSAGES_IN_THREADS if channel.is_thread else Permissions.SEND_MESSAGES
        where = self._title(channel)
        if not allowed & writing:
            raise ClientRefused("{user} may not write in {channel}.", user=user.username, channel=where)
        if files and not allowed & Permissions.ATTACH_FILES:
            raise ClientRefused("{user} may not attach files in {channel}.", user=user.username, channel=where)
        if not content.strip() and not files:
            raise ClientRefused("The message is empty.")
        if len(content.strip()) > MAX_CONTENT:
            raise ClientRefused("The message is too long. The limit is {count} characters.", count=MAX_CONTENT)
        if len(files) > MAX_ATTACHMENTS:
            raise ClientRefused("Too many files. The limit is {count}.", count=MAX_ATTACHMENTS)
        limit = channel.guild.file_size_limit if channel.guild else FILE_SIZE_LIMITS[0]
        for file in files:
            if len(file.data) > limit:
                raise file_too_large(file.filename, limit)

    def check_can_see(self, user: User, message: Message) -> None:
        if self._messages.get(message.id) is None:
            raise message_deleted()
        if message.visible_to is not None and message.visible_to != user:
            raise ClientRefused("Only {user} can see that message.", user=message.visible_to.username)
        if not self._world.permissions(user, message.channel) & Permissions.VIEW_CHANNEL:
            raise ClientRefused("{user} can't see {channel}.", user=user.username, channel=self._title(message.channel))

    def _title(self, channel: Channel) -> str:
        return f"#{channel.name}" if channel.name else f"@{self._world.bot.username}"

    def _find(self, user: User, channel: Channel, name: str) -> tuple[JSON, list[JSON]]:
        visible = self._commands.visible_in(channel.guild.id if channel.guild else None)
        beginning = [command for command in visible if command["name"] == name.partition(" ")[0]]
        found = next((each for each in slash.slash_names(beginning) if each[0] == name), None)
        if found is None:
            raise ImpossibleAction(
                "There is no command /{command}. There are: {commands}.",
                command=name,
                commands=", ".join(sorted(full for full, _, _ in slash.slash_names(visible))),
            )
        _, command, trail = found
        self._check_usable(user, channel, command)
        return command, trail

    def _check_usable(self, user: User, channel: Channel, command: JSON) -> None:
        if (refusal := self._why_unusable(user, channel, command)) is not None:
            raise refusal

    def _why_unusable(self, user: User, channel: Channel, command: JSON) -> ClientRefused | None:
        world, name, who = self._world, command["name"], user.username
        allowed = world.permissions(user, channel)
        where = self._title(channel)
        if not allowed & Permissions.VIEW_CHANNEL:
            return ClientRefused("{user} can't see {channel}.", user=who, channel=where)
        if channel.guild is not None and not allowed & Permissions.USE_APPLICATION_COMMANDS:
            return ClientRefused("{user} may not use commands in {channel}.", user=who, channel=where)
        needed = command.get("default_member_permissions")
        if channel.guild is not None and needed is not None:
            in_guild = world.guild_permissions(user, channel.guild)
            if not in_guild & Permissions.ADMINISTRATOR and (int(needed) == 0 or int(needed) & ~in_guild):
                return ClientRefused(
                    "{user} does not have the permissions to see the command '{command}'.", user=who, command=name
                )
        installs = command.get("integration_types") or [0]
        by_server = world.bot_is_in(channel) and 0 in installs
        by_user = user.id in world.installed_by and 1 in installs
        if not by_server and not by_user:
            return ClientRefused(
                "The command '{command}' is installed neither in {channel} nor for {user}.",
                command=name,
                channel=where,
                user=who,
            )
        contexts = command.get("contexts")
        if contexts is None:
            contexts = [0, 1, 2] if command.get("dm_permission", True) else [0]
        if context_of(channel) not in contexts:
            return ClientRefused("The command '{command}' isn't available in {channel}.", command=name, channel=where)
        if command.get("nsfw") and not (channel.parent or channel).nsfw:
            return ClientRefused("The command '{command}' is for age-restricted channels only.", command=name)
        return None

    def _check_names(self, name: str, definitions: list[JSON], options: Mapping[str, object]) -> None:
        known = [definition["name"] for definition in definitions]
        if unknown := sorted(set(options) - set(known)):
            raise ImpossibleAction(
                "/{command} has no options {unknown}, only: {known}.",
                command=name,
                unknown=", ".join(unknown),
                known=", ".join(known),
            )

    def _component_id(self, message: Message, component: JSON) -> int:
        for _, written in ui.walk(self._messages.as_json(message)["components"]):
            if written.get("custom_id") == component["custom_id"]:
                return int(written["id"])
        raise AssertionError("Every component of a message has a number.")


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
        raise ImpossibleAction("Say which component is meant: by label or by custom_id.")
    matching = [component for component in found if _is_named(component, label, custom_id)]
    if len(matching) != 1:
        there = ", ".join(map(_describe, found)) or "none"
        raise ImpossibleAction(
            "{count} of the components are {name}; there are: {components}.",
            count=len(matching),
            name=repr(label or custom_id),
            components=there,
        )
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
