"""Images: a user's history, searching it by words of the prompt, and the files that are still to be delivered."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, insert, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.backend.clock import Clock
from storage.backend.transactions import Transactions, all_uncancellable
from storage.schema import JobState, jobs, picture_words, pictures, renders

#: The maximum number of words in a search; further ones are ignored.
MAX_WORDS = 16


@dataclass(frozen=True, kw_only=True)
class NewImage:
    """A finished image to be stored. `prompt` has its wildcards resolved; `content` is the whole file.

    notes: what could not be done as it was asked for, each in a sentence.
    `labels`: a classifier's probabilities.
    """

    index: int
    prompt: str = field(repr=False)
    seed: int
    width: int
    height: int
    file_name: str
    content: bytes = field(repr=False)
    metadata: str = field(default="", repr=False)
    notes: tuple[str, ...] = ()
    labels: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Image:
    """`channel_id`, `message_id`: where it was posted. `parent_picture_id`: the image that it was made from."""

    id: int
    job_id: int
    index: int
    user_id: int
    guild_id: int | None
    channel_id: int
    message_id: int | None
    attachment_id: int | None
    parent_picture_id: int | None
    kind: str
    private: bool
    spoiler: bool
    prompt: str = field(repr=False)
    seed: int
    width: int
    height: int
    file_name: str
    metadata: str = field(repr=False)
    created_at: datetime
    deleted_at: datetime | None
    notes: tuple[str, ...] = ()
    #: None: no classifier has rated it.
    labels: Mapping[str, float] | None = None


@dataclass(frozen=True)
class ImagePage:
    """Newest first. Pass `older` as `before`, and `newer` as `after`, for the adjacent pages; None: there is none."""

    images: tuple[Image, ...]
    older: int | None
    newer: int | None


@dataclass(frozen=True)
class Render:
    """An image that has not been posted yet, and its file."""

    image: Image
    content: bytes = field(repr=False)


@all_uncancellable
class Images:
    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transactions = transactions
        self._clock = clock

    async def get(self, image_id: int) -> Image | None:
        """The image, even if deleted from the history. None if it does not exist (any more)."""
        found = await self._all(_select_images().where(pictures.c.id == image_id))
        return found[0] if found else None

    async def of_job(self, job_id: int) -> tuple[Image, ...]:
        return await self._all(_select_images().where(pictures.c.job_id == job_id).order_by(pictures.c.index))

    async def children(self, image_id: int, limit: int = 100) -> tuple[Image, ...]:
        """The visible images that were made from this one, oldest first; at most `limit`."""
        made_from = jobs.c.parent_picture_id == image_id
        return await self._all(_select_visible_images().where(made_from).order_by(pictures.c.id).limit(limit))

    async def renders(self, job_id: int) -> tuple[Render, ...]:
        """The files that a rendered job still has to deliver, in order."""
        async with self._transactions.reading() as connection:
            rows = await connection.execute(
                _select_images()
                .add_columns(renders.c.content)
                .join(renders)
                .where(pictures.c.job_id == job_id)
                .order_by(pictures.c.index)
            )
            return tuple(_render(row) for row in rows)

    async def history(
        self, user_id: int, *, words: str = "", before: int | None = None, after: int | None = None, limit: int = 10
    ) -> ImagePage:
        """A page of a user's delivered images; with `words`, those whose prompt has all of them as whole words.

        `before`, `after`: the id of an image; the page has the next older, or the next newer images.
        """
        terms = re.findall(r"[^\W_]+", words)[:MAX_WORDS]
        page = _select_visible_images().where(pictures.c.user_id == user_id)
        position: ColumnElement[int] = pictures.c.id
        if terms and self._transactions.on_sqlite:
            page, position = _search_sqlite(user_id, terms), picture_words.c.rowid
        elif terms:
            page = page.where(_has_words(terms))
        if after is not None:
            found = await self._all(page.where(position > after).order_by(position).limit(limit + 1))
            shown = found[:limit][::-1]
            return ImagePage(
                shown, older=shown[-1].id if shown else None, newer=shown[0].id if len(found) > limit else None
            )
        if before is not None:
            page = page.where(position < before)
        found = await self._all(page.order_by(position.desc()).limit(limit + 1))
        shown = found[:limit]
        return ImagePage(
            shown,
            older=shown[-1].id if len(found) > limit else None,
            newer=shown[0].id if shown and before is not None else None,
        )

    async def delete(self, image_ids: Collection[int]) -> tuple[int, ...]:
        """Remove images from the history. Returns the ids of those that were still in it."""
        return await self._delete(pictures.c.id.in_(image_ids))

    async def delete_message(self, message_id: int) -> tuple[int, ...]:
        """The same for all images of a deleted message."""
        posted_there = select(jobs.c.id).where(jobs.c.message_id == message_id)
        return await self._delete(pictures.c.job_id.in_(posted_there))

    async def _delete(self, which: ColumnElement[bool]) -> tuple[int, ...]:
        async with self._transactions.writing() as connection:
            deleted = await connection.execute(
                update(pictures)
                .where(which, pictures.c.deleted_at.is_(None))
                .values(deleted_at=self._clock())
                .returning(pictures.c.id)
            )
            return tuple(sorted(deleted.scalars()))

    async def _all(self, query: Select[Any]) -> tuple[Image, ...]:
        async with self._transactions.reading() as connection:
            return tuple(_image(row) for row in await connection.execute(query))


async def add_images(
    connection: AsyncConnection, job_id: int, new: Sequence[NewImage], now: datetime
) -> tuple[int, ...]:
    """Insert the images of a job and their files, in the transaction in which the job becomes rendered."""
    user_id = select(jobs.c.user_id).where(jobs.c.id == job_id).scalar_subquery()
    ids = []
    for image in new:
        written = await connection.execute(
            insert(pictures)
            .values(
                job_id=job_id,
                index=image.index,
                user_id=user_id,
                prompt=image.prompt,
                seed=image.seed,
                width=image.width,
                height=image.height,
                file_name=image.file_name,
                metadata=image.metadata,
                notes="\n".join(" ".join(note.split()) for note in image.notes),
                labels=dict(image.labels) or None,
                created_at=now,
            )
            .returning(pictures.c.id)
        )
        ids.append(written.scalar_one())
        await connection.execute(insert(renders).values(picture_id=ids[-1], content=image.content))
    return tuple(ids)


def _select_images() -> Select[Any]:
    job_columns = (
        jobs.c.guild_id,
        jobs.c.channel_id,
        jobs.c.message_id,
        jobs.c.parent_picture_id,
        jobs.c.kind,
        jobs.c.private,
        jobs.c.spoiler,
    )
    return select(*pictures.c, *job_columns).select_from(pictures.join(jobs, pictures.c.job_id == jobs.c.id))


def _select_visible_images() -> Select[Any]:
    return _select_images().where(pictures.c.deleted_at.is_(None), jobs.c.state == JobState.DELIVERED)


def _search_sqlite(user_id: int, words: list[str]) -> Select[Any]:
    """The index has the owner too, so that a common word matches only the owner's images."""
    all_of_them = " AND ".join(f'"{word}"' for word in words)
    return (
        _select_visible_images()
        .join(picture_words, picture_words.c.rowid == pictures.c.id)
        .where(picture_words.c.picture_words.match(f'user_id : "{user_id}" AND prompt : ({all_of_them})'))
    )


def _has_words(words: list[str]) -> ColumnElement[bool]:
    """For PostgreSQL, with the same expression as the index, so that the index is used."""
    simple: ColumnElement[str] = literal_column("'simple'::regconfig")
    return func.to_tsvector(simple, pictures.c.prompt).op("@@")(func.plainto_tsquery(simple, " ".join(words)))


def _image(row: Row[Any]) -> Image:
    return _image_of(dict(row._mapping))


def _render(row: Row[Any]) -> Render:
    values = dict(row._mapping)
    content = values.pop("content")
    return Render(_image_of(values), content)


def _image_of(values: dict[str, Any]) -> Image:
    return Image(**{**values, "notes": tuple(values["notes"].splitlines())})
