"""*Share*: posts an image in the server's gallery. For its owner, and for moderators unless it is private."""

from __future__ import annotations

from dataclasses import replace

import discord
from discord import ui

from bot.components.base import AnimaInteraction, JobComponent, load_image
from bot.components.moderation.permission import may_moderate
from bot.components.more.posted_file import message_of, shown_in
from bot.generation.errors import UnusableImage
from bot.generation.spec import JobImage
from bot.jobs.gallery.gallery import NotShared, ShareRequest
from bot.messages.attachments import fetch
from bot.messages.buttons import action_row, image_template
from bot.messages.layout import StaticLayout
from bot.messages.replies import reply_privately
from bot.rules.server_settings import load_server_settings, settings_guild_id
from bot.text.translation import N_, say
from storage.images import Image
from storage.jobs import Job

NOTHING_TO_SHARE = N_("This picture's settings are no longer saved, so it can't be shared.")
NOT_YOURS_TO_SHARE = N_("Only the person who asked for this picture or a moderator can share it.")
NO_GALLERY_OUTSIDE = N_("Only pictures made in a server can be shared, in that server's gallery.")
CANNOT_FETCH = N_("I can't open the picture's message, so I can't share it.")
IS_PRIVATE = N_(
    "Only you can see this picture now. In the gallery, everyone who can read that channel will see the picture, "
    "its prompt and your name."
)
SHARED = N_("Shared in the gallery: {link}")
ALREADY_SHARED = N_("This picture is already in the gallery: {link}")


class ShareImage(JobComponent, template=image_template("share(?:-comparison)?")):
    """Sends an image to the gallery. Asks first if only its user sees it."""

    asks_first = True

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await interaction.client.acknowledgements.acknowledge(interaction, private=True)
        found = await _shareable(interaction, self.job_id, self.index)
        if isinstance(found, str):
            await reply_privately(interaction, found)
        elif found.job.private and self.asks_first:
            await reply_privately(interaction, await _question(interaction, found))
        else:
            await _share(interaction, found)


class ShareAnyway(ShareImage, template=image_template("share-anyway")):
    """Sends an image that only its user sees to the gallery."""

    asks_first = False


async def _shareable(interaction: AnimaInteraction, job_id: int, index: int) -> JobImage | str:
    """The image, if the user may share it in this server's gallery; or why not."""
    image = await load_image(interaction, job_id, index)
    if image is None:
        return say(NOTHING_TO_SHARE)
    job = image.job
    if settings_guild_id(interaction) is None or interaction.guild_id != job.guild_id:
        return say(NO_GALLERY_OUTSIDE)
    if not await _may_share(interaction, job):
        return say(NOT_YOURS_TO_SHARE)
    return image if image.spec.comparison is None else replace(image, index=0)  # its images are one file


async def can_share(interaction: AnimaInteraction, image: JobImage) -> bool:
    """Whether the user is offered to share it: there is a gallery, and they may."""
    job, guild_id = image.job, settings_guild_id(interaction)
    if guild_id is None or guild_id != job.guild_id:
        return False
    settings = await load_server_settings(interaction.client.database.servers, guild_id)
    return settings.gallery_channel_id is not None and await _may_share(interaction, job)


async def _may_share(interaction: AnimaInteraction, job: Job) -> bool:
    return job.user_id == interaction.user.id or (not job.private and await may_moderate(interaction, job))


async def _question(interaction: AnimaInteraction, shown: JobImage) -> StaticLayout:
    """Shows the image too: what is private can only be fetched from a message that shows it."""
    question = StaticLayout(ui.TextDisplay(say(IS_PRIVATE)))
    image = await _stored(interaction, shown)
    media = None if image is None else shown_in(interaction.message, image)
    if media is not None:
        question.add_item(ui.MediaGallery(discord.MediaGalleryItem(media.url, spoiler=shown.job.spoiler)))
    return question.add_item(action_row(("share-anyway",), shown.job.id, shown.index))


async def _share(interaction: AnimaInteraction, shown: JobImage) -> None:
    assert interaction.guild_id is not None
    image = await _stored(interaction, shown)
    if image is None:
        await reply_privately(interaction, say(NOTHING_TO_SHARE))
        return
    request = ShareRequest(
        shown=shown,
        image=image,
        file=lambda: _file(interaction, shown.job, image),
        by=interaction.user.id,
        guild_id=interaction.guild_id,
        locale=str(interaction.guild_locale),
    )
    try:
        made = await interaction.client.gallery.share(request)
    except (NotShared, UnusableImage) as error:
        await reply_privately(interaction, str(error))
    else:
        link = f"[{say('Go to message')}]({made.url})"
        await reply_privately(interaction, say(SHARED if made.is_new else ALREADY_SHARED, link=link))


async def _stored(interaction: AnimaInteraction, shown: JobImage) -> Image | None:
    images = await interaction.client.database.images.of_job(shown.job.id)
    return next((each for each in images if each.index == shown.index and each.deleted_at is None), None)


async def _file(interaction: AnimaInteraction, job: Job, image: Image) -> bytes:
    """The file of an image as it was posted. Raises UnusableImage, discord.HTTPException."""
    media = shown_in(interaction.message, image)
    if media is None and not job.private:
        media = shown_in(await message_of(interaction.client, job), image)
    if media is None:
        raise UnusableImage(say(CANNOT_FETCH))
    return await fetch(interaction.client, media.url)


HANDLERS = (ShareImage, ShareAnyway)
