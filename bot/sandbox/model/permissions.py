"""Discord's permission bits and how a member's permissions in a channel come about.

Source: "Permissions" in Discord's API reference (the permission hierarchy and its pseudocode).
"""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.sandbox.model.world import Channel, Guild, Member


class Permissions(IntFlag):
    KICK_MEMBERS = 1 << 1
    ADMINISTRATOR = 1 << 3
    MANAGE_CHANNELS = 1 << 4
    MANAGE_GUILD = 1 << 5
    ADD_REACTIONS = 1 << 6
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    MANAGE_MESSAGES = 1 << 13
    EMBED_LINKS = 1 << 14
    ATTACH_FILES = 1 << 15
    READ_MESSAGE_HISTORY = 1 << 16
    MENTION_EVERYONE = 1 << 17
    MANAGE_ROLES = 1 << 28
    USE_APPLICATION_COMMANDS = 1 << 31
    CREATE_PUBLIC_THREADS = 1 << 35
    SEND_MESSAGES_IN_THREADS = 1 << 38
    USE_EXTERNAL_APPS = 1 << 50


EVERYTHING = Permissions((1 << 51) - 1)

MEMBERS_USUALLY_MAY = (
    Permissions.ADD_REACTIONS
    | Permissions.VIEW_CHANNEL
    | Permissions.SEND_MESSAGES
    | Permissions.EMBED_LINKS
    | Permissions.ATTACH_FILES
    | Permissions.READ_MESSAGE_HISTORY
    | Permissions.USE_APPLICATION_COMMANDS
    | Permissions.CREATE_PUBLIC_THREADS
    | Permissions.SEND_MESSAGES_IN_THREADS
    | Permissions.USE_EXTERNAL_APPS
)


def permissions_in_guild(guild: Guild, member: Member) -> Permissions:
    """What the roles of `member` allow, before any channel's overwrites."""
    if member.user.id == guild.owner.id:
        return EVERYTHING
    granted = guild.everyone.permissions
    for role in member.roles:
        granted |= role.permissions
    return EVERYTHING if granted & Permissions.ADMINISTRATOR else granted


def permissions_in_channel(guild: Guild, member: Member, channel: Channel) -> Permissions:
    """What `member` may do in `channel` of `guild`; a thread takes its parent's overwrites.

    Without VIEW_CHANNEL nothing else is left, and without SEND_MESSAGES neither files nor embeds are, as Discord's
    implicit permissions have it.
    """
    granted = permissions_in_guild(guild, member)
    if granted == EVERYTHING:
        return EVERYTHING
    overwrites = (channel.parent or channel).overwrites
    if everyone := overwrites.get(guild.everyone.id):
        granted = granted & ~everyone.deny | everyone.allow
    of_roles = [overwrites[role.id] for role in member.roles if role.id in overwrites]
    for overwrite in of_roles:
        granted &= ~overwrite.deny
    for overwrite in of_roles:
        granted |= overwrite.allow
    if own := overwrites.get(member.user.id):
        granted = granted & ~own.deny | own.allow
    if not granted & Permissions.VIEW_CHANNEL:
        return Permissions(0)
    sending = Permissions.SEND_MESSAGES_IN_THREADS if channel.is_thread else Permissions.SEND_MESSAGES
    if not granted & sending:
        granted &= ~(Permissions.EMBED_LINKS | Permissions.ATTACH_FILES | Permissions.MENTION_EVERYONE)
    return granted
