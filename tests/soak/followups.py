"""What users do with finished images: upscale, redraw, extend, share and describe them, each in one request.

The buttons behind *More…*, and the form behind one of them, are sent as only a changed client can: without the private
message or the form that would be open. So a request is one interaction, whatever the bot is doing then.
"""

from __future__ import annotations

import io
import random
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from PIL import Image

from bot.generation.redraw.area import cells_of_group, number_of
from bot.jobs.delivery.refusals import THREAD_ARCHIVED
from bot.jobs.describing.describer import COST
from bot.messages.buttons import DRAW_DESCRIPTION_TEMPLATE
from bot.sandbox import Channel, FakeDiscord, InteractionHandle, Message, Upload, User
from bot.sandbox.model.interactions import MODAL_SUBMIT
from tests.bot.harness import press_forged

#: The database keeps credits as whole thousandths.
THOUSANDTHS = 1000
#: The image that an attachment is, by its file name.
FILE_NAME = re.compile(r"anima-(\d+)-(\d+)\.")


class Action(StrEnum):
    UPSCALE = "upscale"
    REDRAW = "redraw"
    EXTEND = "extend"
    SHARE = "share"
    DESCRIBE = "describe"


#: Those that become jobs.
DRAWING = (Action.UPSCALE, Action.REDRAW, Action.EXTEND)
#: Of each kind so many.
WEIGHTS: Mapping[Action, int] = {
    Action.UPSCALE: 3,
    Action.REDRAW: 2,
    Action.EXTEND: 2,
    Action.SHARE: 2,
    Action.DESCRIBE: 2,
}
#: Pixels up to which a side may grow; upscales of upscales are drawn in tiles.
MAX_SIDE = 256
#: Pixels of a side from which an image is drawn in tiles, and no part of it redrawn.
IN_TILES_FROM = 198
EXTENSIONS = ("zoom-out", "zoom-out-far", "pan-left", "pan-up")
CELLS = number_of([*cells_of_group("1"), *cells_of_group("C")])


@dataclass
class FollowUps:
    """Requests about images, and what must have come of those that are no jobs.

    gallery: where images are shared; nothing else is posted there. The moderator `sharing` may share anybody's.
    """

    discord: FakeDiscord
    gallery: Channel
    sharing: User
    rng: random.Random
    shares: list[InteractionHandle] = field(default_factory=list)
    descriptions: list[InteractionHandle] = field(default_factory=list)

    def choose(self) -> Action:
        return self.rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]

    async def ask(self, action: Action, user: User, message: Message) -> InteractionHandle:
        """Have `user` ask for it under the first image of a message."""
        job_id = job_of(message)
        match action:
            case Action.UPSCALE:
                return await self.discord.press(user, message, custom_id=f"anima:upscale:{job_id}:0")
            case Action.EXTEND:
                return press_forged(self.discord, message, f"anima:{self.rng.choice(EXTENSIONS)}:{job_id}:0", user)
            case Action.REDRAW:
                fields = {"prompt": "1girl", "strength": "1"}
                at = f"{job_id}:0:{CELLS}"
                return self._submit(user, message, {f"{name}:{at}": value for name, value in fields.items()})
            case Action.SHARE:
                self.shares.append(press_forged(self.discord, message, f"anima:share:{job_id}:0", self.sharing))
                return self.shares[-1]
            case Action.DESCRIBE:
                file = Upload("theirs.png", message.attachments[0].data)
                sent = await self.discord.slash(user, message.channel, "anima describe", image=file)
                self.descriptions.append(sent)
                return sent

    def _submit(self, user: User, message: Message, fields: Mapping[str, str]) -> InteractionHandle:
        inputs: list[dict[str, Any]] = [
            {
                "type": 18,
                "id": 2 * at + 1,
                "component": {"type": 4, "id": 2 * at + 2, "custom_id": name, "value": value},
            }
            for at, (name, value) in enumerate(fields.items())
        ]
        data = {"custom_id": "anima:redraw-form", "components": inputs}
        message = self.discord.current(message)
        return InteractionHandle(
            self.discord.interactions.send(MODAL_SUBMIT, user, message.channel, data, source=message), self.discord
        )

    def posts(self) -> Counter[tuple[int, int]]:
        """How many posts of the gallery show each image: the job's id and the image's index."""
        return Counter(
            (int(name[1]), int(name[2]))
            for message in self.discord.messages_in(self.gallery)
            if not message.is_ephemeral
            for shown in message.attachments
            if (name := FILE_NAME.search(shown.filename)) is not None
        )

    def mistakes(self, file: Path) -> Iterator[str]:
        """What is wrong in Discord and in the database's file, once all is done."""
        posts = self.posts()
        yield from (f"image {image} is in the gallery {count} times" for image, count in posts.items() if count > 1)
        with closing(sqlite3.connect(file)) as database:
            messages = [id for (id,) in database.execute("SELECT message_id FROM shares")]
            charges = database.execute("SELECT interaction_id, spent FROM charges WHERE job_id IS NULL").fetchall()
        charged = {interaction_id: spent / THOUSANDTHS for interaction_id, spent in charges}
        shown = {message.id for message in self.discord.messages_in(self.gallery) if not message.is_ephemeral}
        if sorted(shown) != sorted(messages, key=lambda id: id or 0):
            yield f"the gallery has the posts {sorted(shown)}, but {messages} are recorded"
        for sent in self._unanswered():
            yield f"{sent.interaction.name!r} ({sent.id}) was acknowledged and never answered"
        for sent in self.descriptions:
            described = [message for message in self._answers(sent) if shows_description(message)]
            costs = charged.pop(sent.id, 0.0)
            if len(described) > 1 or abs(costs - COST * len(described)) > 1e-6:
                yield f"{len(described)} descriptions for interaction {sent.id}, charged {costs}"
        if charged:
            yield f"these interactions were charged for nothing: {charged}"

    def _answers(self, sent: InteractionHandle) -> list[Message]:
        ids = (sent.interaction.original_id, *sent.interaction.followup_ids)
        messages = [message for id in ids if id is not None and (message := self.discord.messages.get(id)) is not None]
        return [message for message in messages if not message.is_loading]

    def are_answered(self) -> bool:
        """Whether everything that is no job has its answer, or was never acknowledged."""
        asked = (*self.shares, *self.descriptions)
        return all(each.interaction.concluded.is_set() for each in asked) and not self._unanswered()

    def _unanswered(self) -> list[InteractionHandle]:
        asked = (*self.shares, *self.descriptions)
        acknowledged = (each for each in asked if each.interaction.callback is not None)
        return [each for each in acknowledged if not self._answers(each) and not self._could_not_be_answered(each)]

    def _could_not_be_answered(self, sent: InteractionHandle) -> bool:
        """Whether the bot tried to when the thread had been archived meanwhile."""
        return any(
            sent.interaction.token in request.path and request.answer.get("code") == THREAD_ARCHIVED
            for request in self.discord.request_log.find(route="^/webhooks/", status=400)
        )

    def counts(self) -> str:
        described = sum(any(map(shows_description, self._answers(sent))) for sent in self.descriptions)
        return (
            f"{len(self.shares)} requests to share, {self.posts().total()} posts in the gallery; "
            f"{len(self.descriptions)} requests to describe, {described} descriptions"
        )


def is_small_for(action: Action, message: Message) -> bool:
    return side_of(message) <= (IN_TILES_FROM if action is Action.REDRAW else MAX_SIDE)


def side_of(message: Message) -> int:
    """Pixels of the longer side of its first image."""
    with Image.open(io.BytesIO(message.attachments[0].data)) as image:
        return max(image.size)


def job_of(message: Message) -> int:
    """The job whose images a message shows."""
    name = FILE_NAME.search(message.attachments[0].filename)
    assert name is not None
    return int(name[1])


def shows_description(message: Message) -> bool:
    return any(re.fullmatch(DRAW_DESCRIPTION_TEMPLATE, each.get("custom_id", "")) for each in message.inputs())


def wrong_charges(file: Path) -> list[str]:
    """An error unless the credits spent for jobs are exactly those of the delivered ones."""
    with closing(sqlite3.connect(file)) as database:
        [(spent,)] = database.execute("SELECT COALESCE(SUM(spent), 0) FROM charges WHERE job_id IS NOT NULL")
        [(delivered,)] = database.execute("SELECT COALESCE(SUM(cost), 0) FROM jobs WHERE state = 'delivered'")
    return [] if abs(spent - delivered) < 1e-6 else [f"{spent} credits are spent, {delivered} were delivered"]
