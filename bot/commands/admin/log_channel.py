"""The admin panel's page about the log channel, where events are posted for moderators."""

from __future__ import annotations

from dataclasses import replace

import discord

from bot.commands.admin.context import AdminContext, change
from bot.commands.admin.controls import Items, channel_select, row, text
from bot.components.base import AnimaInteraction
from bot.generation.errors import InvalidForm
from bot.jobs.log_channels import can_post, log_channel
from bot.messages.log_entries import log_channel_chosen
from bot.text.translation import N_, say

#: The types of channel that can be a log channel, or a gallery.
TYPES = (
    discord.ChannelType.text,
    discord.ChannelType.news,
    discord.ChannelType.public_thread,
    discord.ChannelType.private_thread,
)

ABOUT = N_(
    "I post refused prompts, deletions by moderators, blocks, members' reports and failed jobs there, in this "
    "server's language. Words that people typed are behind a spoiler, including those of private requests. I never "
    "post pictures there. Choose a channel that only moderators can read."
)
NO_LOG_CHANNEL = N_("No log channel is set. *Anima: report* tells members to ask a moderator.")
NOT_A_LOG_CHANNEL = N_("I can't use that channel. Choose a text channel or a thread of this server that I can see.")
CANNOT_POST = N_("I can't post in {channel}. Give me **View Channel** and **Send Messages** there.")
IS_GONE = N_("The log channel is gone, so nothing is logged. Choose another one.")
WAS_REFUSED = N_("Discord refused my last message in {channel}. Check my permissions there.")
IS_PUBLIC = N_("Everyone in this server can read {channel}.")


async def log_channel_page(context: AdminContext, begin: int | None) -> Items:
    chosen = context.settings.log_channel_id
    lines = [f"### {say('Log channel')}", say(ABOUT), *_warnings(context)]
    if chosen is None:
        lines.append(say(NO_LOG_CHANNEL))
    none = say("No log channel")
    ids = [] if chosen is None else [chosen]
    return [text(lines), row(channel_select("log-channel", none, context, ids, types=TYPES, max_values=1))]


async def set_log_channel(interaction: AnimaInteraction, chosen: list[str]) -> str:
    """Saves the chosen channel, or none; returns what to say."""
    try:
        channel_id = await usable_channel(interaction, chosen)
    except InvalidForm as error:
        return str(error)
    notice = await change(interaction, lambda context: replace(context.settings, log_channel_id=channel_id))
    if channel_id is not None:
        interaction.client.log_channels.post(interaction.guild_id, log_channel_chosen(by=interaction.user.id))
    return notice


async def usable_channel(interaction: AnimaInteraction, chosen: list[str]) -> int | None:
    """The id of the chosen channel, if any was. Raises InvalidForm where the bot cannot use that channel."""
    if not chosen:
        return None
    channel_id = int(chosen[0])
    guild = await interaction.client.server_lookup.server(interaction.guild_id, channel_id)
    if log_channel(guild, channel_id) is None:
        raise InvalidForm(say(NOT_A_LOG_CHANNEL))
    return channel_id


def _warnings(context: AdminContext) -> list[str]:
    """Problems with the log channel, one sentence each."""
    chosen = context.settings.log_channel_id
    if chosen is None or context.guild is None:
        return []
    channel = log_channel(context.guild, chosen)
    if channel is None:
        return [f"⚠️ {say(IS_GONE)}"]
    warnings = []
    if not can_post(channel):
        warnings.append(say(CANNOT_POST, channel=channel.mention))
    elif context.log_refused:
        warnings.append(say(WAS_REFUSED, channel=channel.mention))
    if channel.permissions_for(context.guild.default_role).view_channel:
        warnings.append(say(IS_PUBLIC, channel=channel.mention))
    return [f"⚠️ {warning}" for warning in warnings]
