"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
moment = sa.DateTime(timezone=True)

SEARCH_ON_SQLITE = (
    """
    CREATE VIRTUAL TABLE picture_words USING fts5(user_id, prompt, content='pictures', content_rowid='id')
    """,
    """
    CREATE TRIGGER picture_words_added AFTER INSERT ON pictures BEGIN
        INSERT INTO picture_words (rowid, user_id, prompt) VALUES (new.id, new.user_id, new.prompt);
    END
    """,
    """
    CREATE TRIGGER picture_words_removed AFTER DELETE ON pictures BEGIN
        INSERT INTO picture_words (picture_words, rowid, user_id, prompt)
        VALUES ('delete', old.id, old.user_id, old.prompt);
    END
    """,
    """
    CREATE TRIGGER picture_words_changed AFTER UPDATE OF user_id, prompt ON pictures BEGIN
        INSERT INTO picture_words (picture_words, rowid, user_id, prompt)
        VALUES ('delete', old.id, old.user_id, old.prompt);
        INSERT INTO picture_words (rowid, user_id, prompt) VALUES (new.id, new.user_id, new.prompt);
    END
    """,
)
SEARCH_ON_POSTGRESQL = ("CREATE INDEX picture_words ON pictures USING gin (to_tsvector('simple'::regconfig, prompt))",)


def upgrade() -> None:
    create_jobs()
    create_pictures()
    create_charges()
    create_preferences()
    create_servers()


def create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", row_id, nullable=False),
        sa.Column("interaction_id", sa.BigInteger(), nullable=False),
        sa.Column("interaction_token", sa.String(512)),
        sa.Column("token_expires_at", moment),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("guild_id", sa.BigInteger()),
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("message_id", sa.BigInteger()),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("negative_prompt", sa.Text(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("parent_picture_id", row_id),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("spoiler", sa.Boolean(), nullable=False),
        sa.Column("locale", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("ended_by", sa.BigInteger()),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.Column("queued_at", moment, nullable=False),
        sa.Column("started_at", moment),
        sa.Column("rendered_at", moment),
        sa.Column("finished_at", moment),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("interaction_id", name="uq_jobs_interaction_id"),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'rendered', 'delivered', 'cancelled', 'failed', 'refused')",
            name=op.f("ck_jobs_job_state"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_jobs_message_id", "jobs", ["message_id"])
    op.create_index("ix_jobs_parent_picture_id", "jobs", ["parent_picture_id"])
    op.create_index("ix_jobs_queued_at", "jobs", ["queued_at"])
    op.create_index("ix_jobs_state_id", "jobs", ["state", "id"])
    op.create_index("ix_jobs_user_id_state", "jobs", ["user_id", "state"])
    op.create_index("ix_jobs_guild_id_queued_at", "jobs", ["guild_id", "queued_at"])
    create_index_where("ix_jobs_kept_tokens", "jobs", ["token_expires_at"], where="interaction_token IS NOT NULL")
    create_index_where("ix_jobs_ended_by", "jobs", ["ended_by"], where="ended_by IS NOT NULL")
    not_told = "told = false" if op.get_bind().dialect.name == "postgresql" else "told = 0"
    create_index_where("ix_jobs_untold", "jobs", ["id"], where=f"{not_told} AND finished_at IS NOT NULL")


def create_pictures() -> None:
    op.create_table(
        "pictures",
        sa.Column("id", row_id, nullable=False),
        sa.Column("job_id", row_id, nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("file_name", sa.String(255), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("attachment_id", sa.BigInteger()),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("deleted_at", moment),
        sa.PrimaryKeyConstraint("id", name="pk_pictures"),
        sa.UniqueConstraint("job_id", "index", name="uq_pictures_job_id_index"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_pictures_job_id", ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_pictures_user_id_id", "pictures", ["user_id", "id"])
    with op.batch_alter_table("jobs", table_kwargs={"sqlite_autoincrement": True}) as jobs:
        jobs.create_foreign_key(
            "fk_jobs_parent_picture_id", "pictures", ["parent_picture_id"], ["id"], ondelete="SET NULL"
        )
    op.create_table(
        "renders",
        sa.Column("picture_id", row_id, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("picture_id", name="pk_renders"),
        sa.ForeignKeyConstraint(["picture_id"], ["pictures.id"], name="fk_renders_picture_id", ondelete="CASCADE"),
    )
    for statement in SEARCH_ON_POSTGRESQL if op.get_bind().dialect.name == "postgresql" else SEARCH_ON_SQLITE:
        op.execute(statement)


def create_charges() -> None:
    op.create_table(
        "charges",
        sa.Column("id", row_id, nullable=False),
        sa.Column("job_id", row_id),
        sa.Column("user_id", sa.BigInteger()),
        sa.Column("guild_id", sa.BigInteger()),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reserved_at", moment, nullable=False),
        sa.Column("closed_at", moment),
        sa.PrimaryKeyConstraint("id", name="pk_charges"),
        sa.UniqueConstraint("job_id", name="uq_charges_job_id"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_charges_job_id", ondelete="SET NULL"),
        sa.CheckConstraint("state IN ('reserved', 'settled', 'refunded')", name=op.f("ck_charges_charge_state")),
        sa.CheckConstraint("0 <= spent AND spent <= reserved", name=op.f("ck_charges_spent_within_reserved")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_charges_user_id_guild_id_reserved_at_spent", "charges", ["user_id", "guild_id", "reserved_at", "spent"]
    )
    op.create_index("ix_charges_guild_id_reserved_at_spent", "charges", ["guild_id", "reserved_at", "spent"])
    op.create_index("ix_charges_reserved_at_spent", "charges", ["reserved_at", "spent"])
    create_index_where("ix_charges_lately", "charges", ["reserved_at", "user_id", "spent"], where="user_id IS NOT NULL")


def create_preferences() -> None:
    op.create_table(
        "preferences",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("defaults", sa.JSON(), nullable=False),
        sa.Column("changed_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_preferences"),
    )
    op.create_table(
        "presets",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("changed_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "name", name="pk_presets"),
    )


def create_servers() -> None:
    op.create_table(
        "servers",
        sa.Column("guild_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("changed_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("guild_id", name="pk_servers"),
    )
    op.create_table(
        "blocks",
        sa.Column("user_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("guild_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("blocked_by", sa.BigInteger()),
        sa.Column("blocked_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "guild_id", name="pk_blocks"),
    )
    op.create_index("ix_blocks_blocked_by", "blocks", ["blocked_by"])
    op.create_index("ix_blocks_guild_id_blocked_at", "blocks", ["guild_id", "blocked_at"])
    op.create_table(
        "audit",
        sa.Column("id", row_id, nullable=False),
        sa.Column("guild_id", sa.BigInteger(), nullable=False),
        sa.Column("actor_id", sa.BigInteger()),
        sa.Column("subject_id", sa.BigInteger()),
        sa.Column("at", moment, nullable=False),
        sa.Column("what", sa.String(100), nullable=False),
        sa.Column("before", sa.JSON()),
        sa.Column("after", sa.JSON()),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_actor_id", "audit", ["actor_id"])
    op.create_index("ix_audit_subject_id", "audit", ["subject_id"])
    op.create_index("ix_audit_guild_id_id", "audit", ["guild_id", "id"])


def create_index_where(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
