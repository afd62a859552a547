"""A user's own defaults and named presets. They are JSON here; the bot defines their keys."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, func, insert, select

from storage.backend.clock import Clock
from storage.backend.transactions import Transactions, all_uncancellable
from storage.schema import preferences, presets

#: Presets of one user: as many as Discord shows in one select.
PRESETS_EACH = 25


class TooManyPresets(Exception):
    """The user already has the maximum number of presets."""


@all_uncancellable
class Preferences:
    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transactions = transactions
        self._clock = clock

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
            if others is not None and others >= PRESETS_EACH:
                raise TooManyPresets(f"There are {others} presets already; delete one before saving “{name}”.")
            await connection.execute(
                insert(presets).values(user_id=user_id, name=name, options=options, changed_at=self._clock())
            )

    async def delete_preset(self, user_id: int, name: str) -> bool:
        """False if there is none of that name."""
        async with self._transactions.writing() as connection:
            deleted = await connection.execute(
                delete(presets).where(presets.c.user_id == user_id, presets.c.name == name).returning(presets.c.name)
            )
            return deleted.first() is not None
