"""The tables, and an index for every query.

`storage/migrations` creates the same tables step by step; a test compares the two. The ids of users, guilds, channels,
messages, interactions and attachments are Discord's snowflakes.
"""

from enum import StrEnum

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Enum,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    column,
    false,
    table,
    text,
)

from storage.backend.types import Credits, RowId, Seed, UtcDateTime, Words


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    RENDERED = "rendered"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    FAILED = "failed"
    REFUSED = "refused"


class ChargeState(StrEnum):
    RESERVED = "reserved"
    SETTLED = "settled"
    REFUNDED = "refunded"


def one_of(states: type[StrEnum]) -> Enum:
    return Enum(
        states,
        native_enum=False,
        create_constraint=True,
        name=f"{states.__name__.removesuffix('State').lower()}_state",
        length=16,
        values_callable=lambda states: [state.value for state in states],
    )


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("interaction_id", BigInteger, nullable=False, unique=True),
    Column("interaction_token", String(512)),
    Column("token_expires_at", UtcDateTime),
    Column("user_id", BigInteger, nullable=False),
    Column("guild_id", BigInteger),
    Column("channel_id", BigInteger, nullable=False),
    Column("message_id", BigInteger, index=True),
    Column("kind", String(32), nullable=False),
    Column("prompt", Words, nullable=False),
    Column("negative_prompt", Words, nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("parent_picture_id", ForeignKey("pictures.id", ondelete="SET NULL", use_alter=True), index=True),
    Column("cost", Credits, nullable=False),
    Column("private", Boolean, nullable=False),
    Column("spoiler", Boolean, nullable=False),
    Column("locale", String(16), nullable=False),
    Column("state", one_of(JobState), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("reason", Words),
    Column("ended_by", BigInteger),
    Column("told", Boolean, nullable=False),
    Column("reposted", Boolean, nullable=False, server_default=false()),
    Column("queued_at", UtcDateTime, nullable=False, index=True),
    Column("started_at", UtcDateTime),
    Column("rendered_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Index(None, "state", "id"),
    Index(None, "user_id", "state"),
    Index(None, "guild_id", "queued_at"),
    Index(None, "guild_id", "state"),
    sqlite_autoincrement=True,
)
Index(
    "ix_jobs_kept_tokens",
    jobs.c.token_expires_at,
    sqlite_where=jobs.c.interaction_token.is_not(None),
    postgresql_where=jobs.c.interaction_token.is_not(None),
)
Index(
    "ix_jobs_untold",
    jobs.c.id,
    sqlite_where=~jobs.c.told & jobs.c.finished_at.is_not(None),
    postgresql_where=~jobs.c.told & jobs.c.finished_at.is_not(None),
)
Index(
    "ix_jobs_ended_by",
    jobs.c.ended_by,
    sqlite_where=jobs.c.ended_by.is_not(None),
    postgresql_where=jobs.c.ended_by.is_not(None),
)

Index("ix_jobs_private", jobs.c.id, sqlite_where=text("private = 1"), postgresql_where=text("private"))

pictures = Table(
    "pictures",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("index", Integer, nullable=False),
    Column("user_id", BigInteger, nullable=False),
    Column("prompt", Words, nullable=False),
    Column("seed", Seed, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("file_name", String(255), nullable=False),
    Column("metadata", Words, nullable=False),
    #: What could not be applied, one sentence per line.
    Column("notes", Words, nullable=False, server_default=""),
    #: A classifier's probabilities, if there was one.
    Column("labels", JSON(none_as_null=True)),
    Column("attachment_id", BigInteger),
    Column("created_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime),
    UniqueConstraint("job_id", "index"),
    Index(None, "user_id", "id"),
    sqlite_autoincrement=True,
)

#: SQLite's full-text index of `pictures`, kept up to date by triggers. The migrations create it, and PostgreSQL's own.
picture_words = table("picture_words", column("rowid"), column("picture_words"))

renders = Table(
    "renders",
    metadata,
    Column("picture_id", ForeignKey("pictures.id", ondelete="CASCADE"), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

sources = Table(
    "sources",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("content", LargeBinary, nullable=False),
)

job_sources = Table(
    "job_sources",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("source_id", ForeignKey("sources.id"), nullable=False, index=True),
)

#: Masks of source images, kept as these are.
job_masks = Table(
    "job_masks",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("source_id", ForeignKey("sources.id"), nullable=False, index=True),
)

charges = Table(
    "charges",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("job_id", ForeignKey("jobs.id", ondelete="SET NULL"), unique=True),
    #: Of a request that is charged without becoming a job.
    Column("interaction_id", BigInteger),
    Column("user_id", BigInteger),
    Column("guild_id", BigInteger),
    Column("reserved", Credits, nullable=False),
    Column("spent", Credits, nullable=False),
    Column("state", one_of(ChargeState), nullable=False),
    Column("reserved_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    CheckConstraint("0 <= spent AND spent <= reserved", name="spent_within_reserved"),
    Index(None, "user_id", "guild_id", "reserved_at", "spent"),
    Index(None, "guild_id", "reserved_at", "spent"),
    Index(None, "reserved_at", "spent"),
    Index(None, "interaction_id", unique=True),
    sqlite_autoincrement=True,
)

Index(
    "ix_charges_lately",
    charges.c.reserved_at,
    charges.c.user_id,
    charges.c.spent,
    sqlite_where=charges.c.user_id.is_not(None),
    postgresql_where=charges.c.user_id.is_not(None),
)

preferences = Table(
    "preferences",
    metadata,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("defaults", JSON, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

presets = Table(
    "presets",
    metadata,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("name", String(100), primary_key=True),
    Column("options", JSON, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

drafts = Table(
    "drafts",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("user_id", BigInteger, nullable=False),
    Column("form", String(100), nullable=False),
    Column("fields", JSON, nullable=False),
    Column("saved_at", UtcDateTime, nullable=False),
    Index("ix_drafts_user_id_id", "user_id", "id"),
    Index("ix_drafts_saved_at", "saved_at"),
    sqlite_autoincrement=True,
)

servers = Table(
    "servers",
    metadata,
    Column("guild_id", BigInteger, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
)

blocks = Table(
    "blocks",
    metadata,
    Column("user_id", BigInteger, primary_key=True, autoincrement=False),
    Column("guild_id", BigInteger, primary_key=True, autoincrement=False),
    Column("reason", Words, nullable=False),
    Column("blocked_by", BigInteger, index=True),
    Column("blocked_at", UtcDateTime, nullable=False),
    Index(None, "guild_id", "blocked_at"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("guild_id", BigInteger, nullable=False),
    Column("actor_id", BigInteger, index=True),
    Column("subject_id", BigInteger, index=True),
    Column("at", UtcDateTime, nullable=False),
    Column("what", String(100), nullable=False),
    Column("before", JSON(none_as_null=True)),
    Column("after", JSON(none_as_null=True)),
    Index(None, "guild_id", "id"),
    sqlite_autoincrement=True,
)

reports = Table(
    "reports",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("reporter_id", BigInteger, nullable=False),
    Column("reported_at", UtcDateTime, nullable=False),
    UniqueConstraint("job_id", "reporter_id"),
    Index(None, "reporter_id", "reported_at"),
    sqlite_autoincrement=True,
)

#: Posts in servers' galleries. Without a picture: its user's data was erased, and the post, or another message of their
#: pictures, is to be deleted.
shares = Table(
    "shares",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("picture_id", ForeignKey("pictures.id", ondelete="CASCADE"), unique=True),
    Column("user_id", BigInteger, index=True),
    Column("shared_by", BigInteger, index=True),
    Column("guild_id", BigInteger, nullable=False),
    Column("channel_id", BigInteger, nullable=False),
    Column("message_id", BigInteger, index=True),
    Column("shared_at", UtcDateTime, nullable=False),
    sqlite_autoincrement=True,
)

unanswered = Table(
    "unanswered",
    metadata,
    Column("interaction_id", BigInteger, primary_key=True, autoincrement=False),
    Column("interaction_token", String(512), nullable=False),
    Column("user_id", BigInteger, nullable=False, index=True),
    Column("payload", JSON, nullable=False),
    Column("private", Boolean, nullable=False),
    Column("asked_at", UtcDateTime, nullable=False, index=True),
)

#: One row: which bot draws on this database. `epoch` counts how often that changed; `holder` is None when no bot does.
claims = Table(
    "claims",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("holder", String(255)),
    Column("renewed_at", UtcDateTime, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)

#: One row for each recent write transaction on PostgreSQL: it exists exactly if that transaction was committed.
commits = Table(
    "commits",
    metadata,
    Column("token", BigInteger, primary_key=True, autoincrement=False),
    Column("made_at", UtcDateTime, nullable=False),
)
