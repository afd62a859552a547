"""Who may moderate what: checked at every press, because custom_ids can be forged."""

from __future__ import annotations

import discord

from bot.components.base import AnimaInteraction
from storage.jobs import Job


def may_moderate(interaction: AnimaInteraction, job: Job) -> bool:
    """Whether the user may delete other people's messages in the job's channel, wherever they press the button."""
    if interaction.guild_id is None or interaction.guild_id != job.guild_id:
        return False
    if interaction.channel_id == job.channel_id:
        return _manages_messages(interaction.permissions)
    if interaction.guild is None or not isinstance(interaction.user, discord.Member):
        return False
    channel = interaction.guild.get_channel_or_thread(job.channel_id)
    if channel is None:  # a deleted channel, or an archived thread
        return _manages_messages(interaction.user.guild_permissions)
    try:
        return _manages_messages(channel.permissions_for(interaction.user))
    except discord.ClientException:  # a thread whose parent is unknown
        return False


def may_moderate_server(interaction: AnimaInteraction) -> bool:
    """Whether they may do so in the whole server, which blocking somebody requires."""
    if interaction.guild_id is None or not isinstance(interaction.user, discord.Member):
        return False
    return _manages_messages(interaction.user.guild_permissions)


def _manages_messages(permissions: discord.Permissions) -> bool:
    return permissions.manage_messages or permissions.administrator
