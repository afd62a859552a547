"""What the buttons under an image in a gallery do; *Info* is the same as elsewhere."""

from __future__ import annotations

import re
from typing import Any, Self

from discord import ui

from bot.components.base import AnimaInteraction, Component, JobComponent, defer_privately, defer_update, load_image
from bot.components.images import NO_LONGER_SAVED
from bot.components.moderation.permission import job_of_share, may_moderate
from bot.components.requests import reroll
from bot.jobs.acknowledgement.origin import Origin
from bot.messages.buttons import UNSHARE_TEMPLATE, confirm_unshare_button, image_template
from bot.messages.layout import StaticLayout
from bot.messages.replies import reply_privately
from bot.text.translation import N_, say
from storage.gallery.shares import Share

NO_LONGER_SHARED = N_("This picture is no longer in the gallery.")
NOT_YOURS_TO_REMOVE = N_("Only the person who asked for this picture or a moderator can remove it from the gallery.")
REMOVED = N_("Removed from the gallery.")
CANNOT_REMOVE = N_("I can't delete the message in the gallery, so please delete it yourself.")


class DrawAgainPrivately(JobComponent, template=image_template("gallery-again")):
    """Draws the same with new seeds, for the user alone: a gallery has nothing but what was shared."""

    async def on_use(self, interaction: AnimaInteraction) -> None:
        origin = await Origin.acknowledge(interaction, ephemeral=True)
        image = await load_image(interaction, self.job_id, self.index)
        if image is None:
            await reply_privately(interaction, say(NO_LONGER_SAVED))
        else:
            await interaction.client.submitter.submit(origin, reroll(image))


class Unshare(Component, template=UNSHARE_TEMPLATE):
    """Asks whether to remove an image from the gallery, and does: for who asked for the image, or a moderator."""

    open_to_blocked = True

    def __init__(self, item: ui.Item[Any], share_id: int, *, for_good: bool) -> None:
        super().__init__(item)
        self.share_id = share_id
        self.for_good = for_good

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Self:
        return cls(item, int(match[2]), for_good=match[1] == "unshare-for-good")

    async def on_use(self, interaction: AnimaInteraction) -> None:
        await (defer_update if self.for_good else defer_privately)(interaction)
        share = await interaction.client.database.shares.get(self.share_id)
        if share is None or share.user_id is None or self._is_of_another(interaction, share):
            view = StaticLayout(ui.TextDisplay(say(NO_LONGER_SHARED)))
        elif not await _may_remove(interaction, share):
            view = StaticLayout(ui.TextDisplay(say(NOT_YOURS_TO_REMOVE)))
        elif self.for_good:
            view = StaticLayout(ui.TextDisplay(await _remove(interaction, share)))
        else:
            question = ui.TextDisplay[Any](say("Remove this picture from the gallery? The original picture stays."))
            view = StaticLayout(question, ui.ActionRow(confirm_unshare_button(share.id)))
        await interaction.edit_original_response(view=view)

    def _is_of_another(self, interaction: AnimaInteraction, share: Share) -> bool:
        """Whether it was pressed under a post that another database knew by this number."""
        pressed = interaction.message
        return (
            not self.for_good
            and share.message_id is not None
            and pressed is not None
            and pressed.id != share.message_id
        )


async def _may_remove(interaction: AnimaInteraction, share: Share) -> bool:
    """Who asked for the image, and the moderators of the gallery and of the channel that it was made in."""
    if share.user_id == interaction.user.id or await may_moderate(interaction, share):
        return True
    job = await job_of_share(interaction.client, share)
    return job is not None and not job.private and await may_moderate(interaction, job)


async def _remove(interaction: AnimaInteraction, share: Share) -> str:
    client, by = interaction.client, interaction.user.id
    if not await client.gallery.remove(share):
        return say(CANNOT_REMOVE)
    if by != share.user_id:
        await client.moderation.unshared(share, by=by)
    return say(REMOVED)


HANDLERS = (DrawAgainPrivately, Unshare)
