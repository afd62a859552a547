"""Requests that are not answered yet: one row each from before the acknowledgement until the answer.

`Jobs.accept` deletes the row in the transaction that writes the job.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.backend.clock import Clock
from storage.backend.transactions import Transactions, all_uncancellable
from storage.schema import unanswered


@dataclass(frozen=True, kw_only=True)
class UnansweredRequest:
    """`payload`: what Discord sent, without its token. `private`: whether only the user sees the answer."""

    interaction_id: int
    interaction_token: str = field(repr=False)
    user_id: int
    payload: Mapping[str, Any] = field(repr=False)
    private: bool


@all_uncancellable
class Unanswered:
    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transactions = transactions
        self._clock = clock

    async def add(self, request: UnansweredRequest) -> bool:
        """False if it exists already."""
        values = {each.name: getattr(request, each.name) for each in fields(request)}
        try:
            async with self._transactions.writing() as connection:
                await connection.execute(insert(unanswered).values(**values, asked_at=self._clock()))
        except IntegrityError:
            return False
        return True

    async def answered(self, interaction_id: int) -> None:
        """Delete the row: the user was answered, or nobody waits for an answer."""
        async with self._transactions.writing() as connection:
            await forget_unanswered(connection, interaction_id)

    async def all(self) -> tuple[UnansweredRequest, ...]:
        """Oldest first."""
        columns = [unanswered.c[each.name] for each in fields(UnansweredRequest)]
        async with self._transactions.reading() as connection:
            rows = await connection.execute(select(*columns).order_by(unanswered.c.interaction_id))
            return tuple(UnansweredRequest(**row._mapping) for row in rows)


async def forget_unanswered(connection: AsyncConnection, interaction_id: int) -> None:
    await connection.execute(delete(unanswered).where(unanswered.c.interaction_id == interaction_id))


async def forget_unanswered_before(connection: AsyncConnection, moment: datetime) -> None:
    await connection.execute(delete(unanswered).where(unanswered.c.asked_at <= moment))
