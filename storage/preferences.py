"""A user's own defaults, named presets, and drafts of refused forms.

All of them are JSON here; the bot defines their keys.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select

from storage.backend.clock import Clock
from storage.backend.transactions import Transactions, all_uncancellable
from storage.schema import drafts, preferences, presets

#: Maximum number of presets per user: as many as fit into one of Discord's selects.
MAX_PRESETS = 25

#: How many drafts a user may have of each form, and how long they are kept.
MAX_DRAFTS = 5
DRAFT_LIFETIME = timedelta(days=1)


class TooManyPresets(Exception):
    """The user already has the maximum number of presets."""


@dataclass(frozen=True)
class Draft:
    """What was typed into a form, its fields' values by their custom_ids; or what a message remembers for a day."""

    form: str
    fields: Mapping[str, Any]


@all_uncancellable
class Preferences:
    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transactions = transactions
        self._clock = clock
        self._watchers: list[Callable[[int, str | None, Mapping[str, Any]], None]] = []

    def watch(self, watcher: Callable[[int, str | None, Mapping[str, Any]], None]) -> None:
        """Call `watcher` with each change that was committed: user id, the preset's name, and what holds now.

        The name is None for the user's defaults; what was deleted is empty.
        """
        self._watchers.append(watcher)

    async def all(self) -> tuple[tuple[int, str | None, Mapping[str, Any]], ...]:
        """Everybody's defaults and presets, in the form that `watch` reports them."""
        async with self._transactions.reading() as connection:
            of_users = await connection.execute(select(preferences.c.user_id, preferences.c.defaults))
            named = await connection.execute(select(presets.c.user_id, presets.c.name, presets.c.options))
            return (*((row[0], None, row[1]) for row in of_users), *((row[0], row[1], row[2]) for row in named))

    async def defaults(self, user_id: int) -> Mapping[str, Any]:
        """Empty if the user has set none."""
        async with self._transactions.reading() as connection:
            found = await connection.scalar(select(preferences.c.defaults).where(preferences.c.user_id == user_id))
            return found or {}

    async def change_defaults(self, user_id: int, changes: Mapping[str, Any]) -> None:
        """Set the keys of `changes`, remove those that are None, and leave the others, also those changed meanwhile."""
        async with self._transactions.writing(alone_with=f"preferences {user_id}") as connection:
            found = await connection.scalar(select(preferences.c.defaults).where(preferences.c.user_id == user_id))
            changed = {**(found or {}), **changes}
            kept = {key: value for key, value in changed.items() if value is not None}
            await connection.execute(delete(preferences).where(preferences.c.user_id == user_id))
            if kept:
                await connection.execute(
                    insert(preferences).values(user_id=user_id, defaults=kept, changed_at=self._clock())
                )
        self._notify_watchers(user_id, None, kept)

    async def presets(self, user_id: int) -> Mapping[str, Mapping[str, Any]]:
        """By name, sorted by name."""
        async with self._transactions.reading() as connection:
            rows = await connection.execute(
                select(presets.c.name, presets.c.options).where(presets.c.user_id == user_id).order_by(presets.c.name)
            )
            return dict(rows.all())

    async def preset(self, user_id: int, name: str) -> Mapping[str, Any] | None:
        async with self._transactions.reading() as connection:
            found: Mapping[str, Any] | None = await connection.scalar(
                select(presets.c.options).where(presets.c.user_id == user_id, presets.c.name == name)
            )
            return found

    async def save_preset(self, user_id: int, name: str, options: Mapping[str, Any]) -> None:
        """Replace a preset of the same name, or add one. Raises TooManyPresets."""
        async with self._transactions.writing(alone_with=f"preferences {user_id}") as connection:
            await connection.execute(delete(presets).where(presets.c.user_id == user_id, presets.c.name == name))
            others = await connection.scalar(select(func.count()).where(presets.c.user_id == user_id))
            if others is not None and others >= MAX_PRESETS:
                raise TooManyPresets(f"There are {others} presets already; delete one before saving “{name}”.")
            await connection.execute(
                insert(presets).values(user_id=user_id, name=name, options=options, changed_at=self._clock())
            )
        self._notify_watchers(user_id, name, options)

    async def delete_preset(self, user_id: int, name: str) -> bool:
        """False if there is none of that name."""
        async with self._transactions.writing() as connection:
            deleted = await connection.execute(
                delete(presets).where(presets.c.user_id == user_id, presets.c.name == name).returning(presets.c.name)
            )
            was_there = deleted.first() is not None
        self._notify_watchers(user_id, name, {})
        return was_there

    async def save_draft(self, user_id: int, form: str, fields: Mapping[str, Any]) -> int:
        """Store what was typed into a form; returns the draft's id. Deletes old drafts."""
        now = self._clock()
        of_form = (drafts.c.user_id == user_id, drafts.c.form == form)
        async with self._transactions.writing() as connection:
            saved = await connection.execute(
                insert(drafts).values(user_id=user_id, form=form, fields=fields, saved_at=now).returning(drafts.c.id)
            )
            draft_id: int = saved.scalar_one()
            newest = select(drafts.c.id).where(*of_form).order_by(drafts.c.id.desc()).limit(MAX_DRAFTS)
            await connection.execute(delete(drafts).where(*of_form, drafts.c.id.not_in(newest)))
            await connection.execute(delete(drafts).where(drafts.c.saved_at <= now - DRAFT_LIFETIME))
            return draft_id

    async def draft(self, user_id: int, draft_id: int) -> Draft | None:
        """None if the user has no such draft any more."""
        async with self._transactions.reading() as connection:
            found = await connection.execute(
                select(drafts.c.form, drafts.c.fields).where(
                    drafts.c.id == draft_id,
                    drafts.c.user_id == user_id,
                    drafts.c.saved_at > self._clock() - DRAFT_LIFETIME,
                )
            )
            row = found.first()
            return None if row is None else Draft(row.form, row.fields)

    def _notify_watchers(self, user_id: int, name: str | None, document: Mapping[str, Any]) -> None:
        for watcher in self._watchers:
            watcher(user_id, name, document)
