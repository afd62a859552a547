"""Has SQLAlchemy translate each statement once for all databases of a kind in a process, not once for each of them.

It keeps translations by dialect, of which each engine has an own one that equals all others. A bot opens one database
and translates once; tests open thousands.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import util
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from storage.backend import postgresql, sqlite

#: More than the project has statements.
KEPT = 2000


class _Translations(util.LRUCache[Any, Any]):
    """By the kind of the dialect, which is first in each key."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(_without_engine(key), default)

    def __setitem__(self, key: Any, translation: Any) -> None:
        super().__setitem__(_without_engine(key), translation)


def _without_engine(key: Any) -> Any:
    dialect, *statement = key
    return (type(dialect), *statement)


_translations = _Translations(KEPT)


def translate_once() -> None:
    """For the rest of the process."""
    sqlite.create_async_engine = postgresql.create_async_engine = _engine  # type: ignore[attr-defined]


def _engine(*args: Any, **kwargs: Any) -> AsyncEngine:
    return create_async_engine(*args, **kwargs, execution_options={"compiled_cache": _translations})
