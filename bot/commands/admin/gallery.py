"""The admin panel's page about the gallery, a channel where members share chosen images."""

from __future__ import annotations

from dataclasses import replace

from bot.commands.admin.context import AdminContext, change
from bot.commands.admin.controls import Items, channel_select, row, text
from bot.commands.admin.log_channel import TYPES, usable_channel
from bot.components.base import AnimaInteraction
from bot.generation.errors import InvalidForm
from bot.jobs.log_channels import LogChannel, can_post, log_channel
from bot.rules.policy import ChannelContext, may_be_explicit
from bot.text.translation import N_, say

ABOUT = N_(
    "With *Share*, members can post their own pictures there. Moderators can post anybody's pictures, except "
    "private ones. Each picture is posted once, with the name of the person who asked for it. That person can also "
    "remove it. The rules of that channel apply: its age restriction, the blocked words and the classifier."
)
NO_GALLERY = N_("No gallery is set, so nothing can be shared.")
IS_GONE = N_("The gallery's channel is gone, so nothing can be shared. Choose another one.")
CANNOT_POST = N_(
    "I can't post pictures in {channel}. Give me **View Channel**, **Send Messages** and **Attach Files**."
)
ONLY_SAFE = N_("Only safe pictures can be shared in {channel}.")


async def gallery_page(context: AdminContext, begin: int | None) -> Items:
    chosen = context.settings.gallery_channel_id
    lines = [f"### {say('Gallery')}", say(ABOUT), *_notes(context)]
    if chosen is None:
        lines.append(say(NO_GALLERY))
    ids = [] if chosen is None else [chosen]
    return [text(lines), row(channel_select("gallery", say("No gallery"), context, ids, types=TYPES, max_values=1))]


async def set_gallery(interaction: AnimaInteraction, chosen: list[str]) -> str:
    """Saves the chosen channel, or none; returns what to say."""
    try:
        channel_id = await usable_channel(interaction, chosen)
    except InvalidForm as error:
        return str(error)
    return await change(interaction, lambda context: replace(context.settings, gallery_channel_id=channel_id))


def _notes(context: AdminContext) -> list[str]:
    """What is wrong with the gallery, and which pictures it takes."""
    chosen = context.settings.gallery_channel_id
    if chosen is None or context.guild is None:
        return []
    channel = log_channel(context.guild, chosen)
    if channel is None:
        return [f"⚠️ {say(IS_GONE)}"]
    notes = [] if _can_post_images(channel) else [f"⚠️ {say(CANNOT_POST, channel=channel.mention)}"]
    place = ChannelContext.of_channel(context.guild_id, channel)
    return notes if may_be_explicit(context.settings, place) else [*notes, say(ONLY_SAFE, channel=channel.mention)]


def _can_post_images(channel: LogChannel) -> bool:
    return can_post(channel) and channel.permissions_for(channel.guild.me).attach_files
