"""Who may moderate what: checked at every press, because custom_ids can be forged."""

from __future__ import annotations

import discord

from bot.client import AnimaClient
from bot.components.base import AnimaInteraction
from storage.gallery.shares import Share
from storage.jobs import Job


async def may_moderate(interaction: AnimaInteraction, job: Job | Share) -> bool:
    """Whether the user may delete other people's messages in the job's channel, wherever they press the button."""
    if interaction.guild_id is None or interaction.guild_id != job.guild_id:
        return False
    if interaction.channel_id == job.channel_id:
        return _manages_messages(interaction.permissions)
    server = await interaction.client.server_lookup.server(interaction.guild_id, job.channel_id)
    member = await interaction.client.server_lookup.member(interaction)
    if server is None or member is None:
        return False
    channel = server.get_channel_or_thread(job.channel_id)
    if channel is None:  # a deleted channel, or an archived thread
        return _manages_messages(member.guild_permissions)
    try:
        return _manages_messages(channel.permissions_for(member))
    except discord.ClientException:  # a thread whose parent is unknown
        return False


async def may_moderate_server(interaction: AnimaInteraction) -> bool:
    """Whether they may do so in the whole server, which blocking somebody requires."""
    member = await interaction.client.server_lookup.member(interaction)
    return member is not None and _manages_messages(member.guild_permissions)


async def job_of_share(client: AnimaClient, share: Share) -> Job | None:
    """The job whose image is shared; None once its data was erased."""
    image = None if share.image_id is None else await client.database.images.get(share.image_id)
    return None if image is None else await client.database.jobs.get(image.job_id)


def _manages_messages(permissions: discord.Permissions) -> bool:
    return permissions.manage_messages or permissions.administrator
