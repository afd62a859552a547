"""A person's own defaults, and presets by name. What is in them is the bot's to say; here they are JSON."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.backend.clock import Clock
from storage.backend.transactions import Transactions, all_uncancellable
from storage.schema import preferences, presets

#: As many as Discord shows in one menu.
PRESETS_EACH = 25


class TooManyPresets(Exception):
    """The person has as many presets as there may be; one has to go first."""


@all_uncancellable
class Preferences:
    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transactions = transactions
        self._clock = clock

    async def defaults(self, user_id: int) -> Mapping[str, Any]:
        """Empty for who has set none."""
        async with self._transactions.reading() as connection:
            found = await connection.scalar(select(preferences.c.defaults).where(preferences.c.user_id == user_id))
            return found or {}

    async def set_defaults(self, user_id: int, defaults: Mapping[str, Any]) -> None:
        """Replaces all of them; empty forgets them."""
        async with self._transactions.writing(alone_with=f"preferences {user_id}") as connection:
            await self._replace(connection, user_id, defaults)

    async def change_defaults(self, user_id: int, changes: Mapping[str, Any]) -> None:
        """Sets some and forgets those that are None. The others stay, even if they are changed at the same time."""
        async with self._transactions.writing(alone_with=f"preferences {user_id}") as connection:
            found = await connection.scalar(select(preferences.c.defaults).where(preferences.c.user_id == user_id))
            changed = {**(found or {}), **changes}
            kept = {key: value for key, value in changed.items() if value is not None}
            await self._replace(connection, user_id, kept)

    async def presets(self, user_id: int) -> Mapping[str, Mapping[str, Any]]:
        """By name, in the order of the names."""
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
        """A preset of the same name is replaced. Raises TooManyPresets where a new one would be one too many."""
        async with self._transactions.writing(alone_with=f"preferences {user_id}") as connection:
            await connection.execute(delete(presets).where(presets.c.user_id == user_id, presets.c.name == name))
            others = await connection.scalar(select(func.count()).where(presets.c.user_id == user_id))
            if others is not None and others >= PRESETS_EACH:
                raise TooManyPresets(f"There are {others} presets already; delete one before saving “{name}”.")
            await connection.execute(
                insert(presets).values(user_id=user_id, name=name, options=options, changed_at=self._clock())
            )

    async def delete_preset(self, user_id: int, name: str) -> bool:
        """False where there was none of that name."""
        async with self._transactions.writing() as connection:
            deleted = await connection.execute(
                delete(presets).where(presets.c.user_id == user_id, presets.c.name == name).returning(presets.c.name)
            )
            return deleted.first() is not None

    async def _replace(self, connection: AsyncConnection, user_id: int, defaults: Mapping[str, Any]) -> None:
        await connection.execute(delete(preferences).where(preferences.c.user_id == user_id))
        if defaults:
            await connection.execute(
                insert(preferences).values(user_id=user_id, defaults=defaults, changed_at=self._clock())
            )
