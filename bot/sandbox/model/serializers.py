"""Serializes the world as Discord's API does: users, members, roles, channels, servers, the application."""

from __future__ import annotations

from datetime import UTC, datetime

from bot.sandbox.model.clock import moment_of
from bot.sandbox.model.errors import JSON
from bot.sandbox.model.world import (
    DM,
    GROUP_DM,
    Application,
    Channel,
    Guild,
    Member,
    Overwrite,
    Role,
    User,
    World,
    permissions_in_guild,
)


def iso(moment: float) -> str:
    """A moment (seconds since 1970) as Discord writes it: ISO 8601 with microseconds and offset."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")


def user_json(user: User) -> JSON:
    payload: JSON = {
        "id": str(user.id),
        "username": user.username,
        "global_name": None if user.is_bot else user.display_name,
        "discriminator": "0001" if user.is_bot else "0",
        "avatar": None,
        "banner": None,
        "accent_color": None,
        "avatar_decoration_data": None,
        "collectibles": None,
        "primary_guild": None,
        "public_flags": 0,
        "flags": 0,
    }
    if user.is_bot:
        payload["bot"] = True
    return payload


def own_user_json(user: User) -> JSON:
    """What a bot gets about itself from `/users/@me` and in READY."""
    return user_json(user) | {"mfa_enabled": True, "verified": True, "locale": user.locale, "email": None}


def member_json(member: Member) -> JSON:
    return {
        "user": user_json(member.user),
        "nick": member.nick,
        "avatar": None,
        "banner": None,
        "avatar_decoration_data": None,
        "roles": [str(role.id) for role in member.roles],
        "joined_at": iso(moment_of(member.user.id) + 86_400),
        "premium_since": None,
        "communication_disabled_until": None,
        "flags": 0,
        "pending": False,
        "deaf": False,
        "mute": False,
    }


def role_json(role: Role) -> JSON:
    return {
        "id": str(role.id),
        "name": role.name,
        "permissions": str(int(role.permissions)),
        "position": role.position,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": False,
        "mentionable": role.mentionable,
        "icon": None,
        "unicode_emoji": None,
        "flags": 0,
    }


def overwrite_json(overwrite: Overwrite) -> JSON:
    return {
        "id": str(overwrite.target.id),
        "type": 0 if isinstance(overwrite.target, Role) else 1,
        "allow": str(int(overwrite.allow)),
        "deny": str(int(overwrite.deny)),
    }


def channel_json(channel: Channel, last_message_id: int | None = None) -> JSON:
    payload: JSON = {
        "id": str(channel.id),
        "type": channel.type,
        "flags": 0,
        "last_message_id": str(last_message_id) if last_message_id else None,
    }
    if channel.is_private:
        payload["recipients"] = [user_json(user) for user in channel.recipients]
        if channel.type == GROUP_DM:
            payload |= {"name": channel.name, "icon": None, "owner_id": str(channel.recipients[0].id)}
        return payload
    assert channel.guild is not None
    payload |= {"guild_id": str(channel.guild.id), "name": channel.name, "rate_limit_per_user": 0}
    if channel.is_thread:
        assert channel.parent is not None
        archive = {"archived": channel.archived, "locked": channel.locked, "auto_archive_duration": 1440}
        return payload | {
            "parent_id": str(channel.parent.id),
            "owner_id": str(channel.guild.owner.id),
            "thread_metadata": archive
            | {"archive_timestamp": iso(moment_of(channel.id)), "create_timestamp": iso(moment_of(channel.id))},
            "message_count": 0,
            "member_count": 1,
            "total_message_sent": 0,
        }
    return payload | {
        "parent_id": None,
        "position": channel.guild.channels.index(channel) if channel in channel.guild.channels else 0,
        "topic": channel.topic,
        "nsfw": channel.nsfw,
        "permission_overwrites": [overwrite_json(overwrite) for overwrite in channel.overwrites.values()],
    }


def guild_json(guild: Guild) -> JSON:
    return {
        "id": str(guild.id),
        "name": guild.name,
        "icon": None,
        "description": None,
        "home_header": None,
        "splash": None,
        "discovery_splash": None,
        "features": [],
        "banner": None,
        "owner_id": str(guild.owner.id),
        "application_id": None,
        "region": "us-west",
        "afk_channel_id": None,
        "afk_timeout": 300,
        "system_channel_id": str(guild.system_channel.id) if guild.system_channel else None,
        "system_channel_flags": 0,
        "widget_enabled": False,
        "widget_channel_id": None,
        "verification_level": 0,
        "roles": [role_json(role) for role in guild.roles],
        "default_message_notifications": 0,
        "mfa_level": 0,
        "explicit_content_filter": 0,
        "max_presences": None,
        "max_members": 500_000,
        "max_stage_video_channel_users": 50,
        "max_video_channel_users": 25,
        "vanity_url_code": None,
        "premium_tier": guild.premium_tier,
        "premium_subscription_count": 0,
        "preferred_locale": guild.locale,
        "rules_channel_id": None,
        "safety_alerts_channel_id": None,
        "public_updates_channel_id": None,
        "premium_progress_bar_enabled": False,
        "nsfw": False,
        "nsfw_level": 0,
        "emojis": [],
        "stickers": [],
        "incidents_data": None,
    }


def own_guild_json(guild: Guild, bot: User, *, counted: bool) -> JSON:
    """A server in the bot's list of its servers; with member counts if `counted`."""
    counts = {"approximate_member_count": len(guild.members), "approximate_presence_count": len(guild.members)}
    return {
        "id": str(guild.id),
        "name": guild.name,
        "icon": None,
        "banner": None,
        "owner": guild.owner == bot,
        "permissions": str(int(permissions_in_guild(guild, guild.members[bot.id]))),
        "features": [],
    } | (counts if counted else {})


def guild_create_json(guild: Guild, members: list[Member]) -> JSON:
    """The data of GUILD_CREATE; `members` are those that the bot's intents allow it to see."""
    bot_joined = max(member.user.id for member in guild.members.values())
    return guild_json(guild) | {
        "joined_at": iso(moment_of(bot_joined) + 86_400),
        "large": False,
        "unavailable": False,
        "member_count": len(guild.members),
        "members": [member_json(member) for member in members],
        "channels": [channel_json(channel) for channel in guild.channels if not channel.is_thread],
        "threads": [channel_json(thread) for thread in guild.channels if thread.is_thread and not thread.archived],
        "voice_states": [],
        "presences": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "soundboard_sounds": [],
    }


def application_json(application: Application, guild_count: int) -> JSON:
    """The application as its bot gets it from `/applications/@me`."""
    return {
        "id": str(application.id),
        "name": application.name,
        "icon": None,
        "description": "",
        "type": None,
        "bot": user_json(application.bot),
        "bot_public": True,
        "bot_require_code_grant": False,
        "integration_types_config": {"0": {}, "1": {}},
        "verify_key": "0" * 64,
        "flags": 0,
        "flags_new": "0",
        "max_participants": None,
        "tags": [],
        "redirect_uris": [],
        "interactions_endpoint_url": None,
        "role_connections_verification_url": None,
        "owner": user_json(application.owner),
        "approximate_guild_count": guild_count,
        "approximate_user_install_count": 0,
        "approximate_user_authorization_count": 0,
        "explicit_content_filter": 0,
        "team": None,
        "eligible_oauth2_scopes": [],
    }


def interaction_channel_json(channel: Channel, world: World, user: User) -> JSON:
    """The channel in an interaction's payload, with the permissions of the invoking user."""
    return channel_json(channel) | {"permissions": str(int(world.permissions(user, channel)))}


def context_of(channel: Channel) -> int:
    """Where an interaction happens: 0 in a server, 1 in a private channel with the bot, 2 in another private one."""
    if channel.guild is not None:
        return 0
    return 1 if channel.type == DM else 2
