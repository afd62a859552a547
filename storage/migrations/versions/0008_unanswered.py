"""Requests that are not answered yet, and an index of private jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "unanswered",
        sa.Column("interaction_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("interaction_token", sa.String(512), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("interaction_id", name="pk_unanswered"),
    )
    op.create_index("ix_unanswered_user_id", "unanswered", ["user_id"])
    op.create_index("ix_unanswered_asked_at", "unanswered", ["asked_at"])
    op.create_index(
        "ix_jobs_private", "jobs", ["id"], sqlite_where=sa.text("private = 1"), postgresql_where=sa.text("private")
    )
