"""Stricter defaults: existing servers get the old ones written into their settings.

The keys are those of `bot.rules.server_settings`, as of this release.
"""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

#: The id for everything outside of servers, see `storage.servers`.
EVERYWHERE = 0
LIMITS = {"waiting": 50, "times_native": 4.0, "steps": 100}
QUOTA = {"credits": None}

servers = sa.table(
    "servers",
    sa.column("guild_id", sa.BigInteger()),
    sa.column("version", sa.Integer()),
    sa.column("settings", sa.JSON()),
    sa.column("changed_at", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    connection = op.get_bind()
    stored = {
        row.guild_id: row.settings for row in connection.execute(sa.select(servers.c.guild_id, servers.c.settings))
    }
    if not stored and not _is_in_use(connection):
        return
    for guild_id in {EVERYWHERE, *stored, *_servers_with_jobs(connection)}:
        settings = _kept(stored.get(guild_id, {}))
        if guild_id == EVERYWHERE:
            settings["unlimited_unless_set"] = True
        if guild_id in stored:
            connection.execute(sa.update(servers).where(servers.c.guild_id == guild_id).values(settings=settings))
        else:
            new = {"guild_id": guild_id, "version": 1, "settings": settings, "changed_at": datetime.now(UTC)}
            connection.execute(sa.insert(servers).values(**new))


def _kept(settings: dict[str, Any]) -> dict[str, Any]:
    limits, quota = settings.get("limits", {}), settings.get("quota", {})
    return {**settings, "limits": {**LIMITS, **limits}, "quota": {**QUOTA, **quota}}


def _is_in_use(connection: sa.Connection) -> bool:
    """Whether anybody has used the bot."""
    counts = (f"EXISTS (SELECT 1 FROM {name})" for name in ("jobs", "charges", "preferences", "presets", "audit"))
    return bool(connection.scalar(sa.text(f"SELECT {' OR '.join(counts)}")))


def _servers_with_jobs(connection: sa.Connection) -> set[int]:
    found = connection.execute(
        sa.text("SELECT guild_id FROM jobs UNION SELECT guild_id FROM charges UNION SELECT guild_id FROM audit")
    )
    return {guild_id for guild_id in found.scalars() if guild_id is not None}
