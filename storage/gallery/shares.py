"""Images in servers' galleries: at most one post of each image.

A row is written before the post and completed with its message's id afterwards. So a row without one says that a post
may exist, and its id is in the post's buttons. When a user's data is erased, their rows lose everything about them and
stay until the posts are deleted. If they wished, there is then also such a row for each message of their images.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.backend.clock import Clock
from storage.backend.drawing_claim import DrawingClaim
from storage.backend.transactions import Transactions, all_uncancellable
from storage.schema import pictures, shares

#: The server of messages that only need to be deleted, for which no server is needed.
NO_GUILD = 0


@dataclass(frozen=True, kw_only=True)
class Share:
    """`image_id` and `user_id`, who asked for the image: None once erased. `message_id`: None until it is posted."""

    id: int
    image_id: int | None
    user_id: int | None
    shared_by: int | None
    guild_id: int
    channel_id: int
    message_id: int | None
    shared_at: datetime


@all_uncancellable
class Shares:
    def __init__(self, transactions: Transactions, clock: Clock, claim: DrawingClaim) -> None:
        self._transactions = transactions
        self._clock = clock
        self._claim = claim

    async def begin(self, image_id: int, *, by: int, guild_id: int, channel_id: int) -> Share | None:
        """Insert the row for an image's post, before it is made. An image's earlier row is returned as it is.

        None if the image is not in its user's history (any more). Raises ClaimLost.
        """
        async with self._transactions.writing(alone_with=f"share {image_id}") as connection:
            await self._claim.check(connection)
            known = await _find(connection, shares.c.picture_id == image_id)
            if known is not None:
                return known
            user_id = await connection.scalar(
                select(pictures.c.user_id).where(pictures.c.id == image_id, pictures.c.deleted_at.is_(None))
            )
            if user_id is None:
                return None
            written = await connection.execute(
                insert(shares)
                .values(
                    picture_id=image_id,
                    user_id=user_id,
                    shared_by=by,
                    guild_id=guild_id,
                    channel_id=channel_id,
                    shared_at=self._clock(),
                )
                .returning(*shares.c)
            )
            return _share(written.one())

    async def posted(self, share_id: int, message_id: int) -> bool:
        """Record the post's message. False: the share was ended or erased meanwhile, so delete the post."""
        async with self._transactions.writing() as connection:
            which = (shares.c.id == share_id) & shares.c.picture_id.is_not(None)
            marked = await connection.execute(
                update(shares).where(which).values(message_id=message_id).returning(shares.c.id)
            )
            return marked.first() is not None

    async def get(self, share_id: int) -> Share | None:
        async with self._transactions.reading() as connection:
            return await _find(connection, shares.c.id == share_id)

    async def of_image(self, image_id: int) -> Share | None:
        async with self._transactions.reading() as connection:
            return await _find(connection, shares.c.picture_id == image_id)

    async def of_job(self, job_id: int) -> tuple[Share, ...]:
        """The shares of all of a job's images."""
        async with self._transactions.reading() as connection:
            return await _all(connection, shares.c.picture_id.in_(_images_of(job_id)))

    async def is_shown(self, job_id: int, index: int, channel_id: int) -> bool:
        """Whether one of a job's images is in the gallery in that channel."""
        image = _images_of(job_id).where(pictures.c.index == index)
        which = shares.c.picture_id.in_(image) & (shares.c.channel_id == channel_id) & shares.c.message_id.is_not(None)
        async with self._transactions.reading() as connection:
            return await _find(connection, which) is not None

    async def in_message(self, message_id: int) -> Share | None:
        async with self._transactions.reading() as connection:
            return await _find(connection, shares.c.message_id == message_id)

    async def erased(self) -> tuple[Share, ...]:
        """The shares whose user's data was erased and whose posts still have to be deleted."""
        async with self._transactions.reading() as connection:
            return await _all(connection, shares.c.picture_id.is_(None))

    async def end(self, share_id: int) -> None:
        """Delete the row: the post is gone, or was never made."""
        await self._end(shares.c.id == share_id)

    async def messages_deleted(self, message_ids: Collection[int]) -> None:
        """Delete the rows of these deleted messages. Few are posts, so it writes only if one is."""
        posts = shares.c.message_id.in_(message_ids)
        async with self._transactions.reading() as connection:
            if await _find(connection, posts) is None:
                return
        await self._end(posts)

    async def _end(self, which: ColumnElement[bool]) -> None:
        async with self._transactions.writing() as connection:
            await connection.execute(delete(shares).where(which))


def _images_of(job_id: int) -> Any:
    return select(pictures.c.id).where(pictures.c.job_id == job_id)


async def forget_sharer(connection: AsyncConnection, user_id: int) -> None:
    """Take a user out of all rows, while their images are still there; the posts of those are to be deleted."""
    theirs = shares.c.user_id == user_id
    await connection.execute(update(shares).where(theirs).values(picture_id=None, user_id=None, shared_by=None))
    await connection.execute(update(shares).where(shares.c.shared_by == user_id).values(shared_by=None))


async def add_messages_to_delete(
    connection: AsyncConnection, messages: Collection[tuple[int, int]], now: datetime
) -> None:
    """Insert a row for each message, (channel_id, message_id), of an erased user's images."""
    rows = [
        {"guild_id": NO_GUILD, "channel_id": channel_id, "message_id": message_id, "shared_at": now}
        for channel_id, message_id in messages
    ]
    if rows:
        await connection.execute(insert(shares), rows)


async def _find(connection: AsyncConnection, which: ColumnElement[bool]) -> Share | None:
    row = (await connection.execute(select(shares).where(which).limit(1))).first()
    return _share(row) if row else None


async def _all(connection: AsyncConnection, which: ColumnElement[bool]) -> tuple[Share, ...]:
    rows: Iterable[Row[Any]] = await connection.execute(select(shares).where(which).order_by(shares.c.id))
    return tuple(map(_share, rows))


def _share(row: Row[Any]) -> Share:
    values = dict(row._mapping)
    return Share(image_id=values.pop("picture_id"), **values)
