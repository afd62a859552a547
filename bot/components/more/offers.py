"""Which buttons *More…* shows for an image. To add one, name its action here; `bot.messages.buttons` has its label."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from bot.components.base import AnimaInteraction
from bot.components.sharing.share import can_share
from bot.generation.spec import JobImage

#: Whether the person is offered an action for an image.
IsOffered = Callable[[AnimaInteraction, JobImage], Awaitable[bool]]


async def always(interaction: AnimaInteraction, image: JobImage) -> bool:
    return True


#: To continue from one image; those that are under a single image already are left out there.
CONTINUE: Mapping[str, IsOffered] = {
    "upscale": always,
    "vary-subtly": always,
    "vary-strongly": always,
    "edit": always,
    "redraw": always,
    "extend": always,
}
#: To keep or show one image.
KEEP: Mapping[str, IsOffered] = {"share": can_share, "info": always, "save-as-preset": always}
#: For a comparison, whose images are one file.
COMPARED: Mapping[str, IsOffered] = {"share-comparison": can_share}
#: For a message with all its images.
WHOLE: Mapping[str, IsOffered] = {"edit-all": always, "info": always, "save-as-preset": always, "delete": always}


async def offered(
    offers: Mapping[str, IsOffered], interaction: AnimaInteraction, image: JobImage, *, but: tuple[str, ...] = ()
) -> list[str]:
    """The actions of one of the tables above for an image, in their order, without those in `but`."""
    return [
        action for action, is_offered in offers.items() if action not in but and await is_offered(interaction, image)
    ]
