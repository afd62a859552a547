"""Reports of images, and an index of a server's unfinished jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_index("ix_jobs_guild_id_state", "jobs", ["guild_id", "state"])
    op.create_table(
        "reports",
        sa.Column("id", row_id, nullable=False),
        sa.Column("job_id", row_id, nullable=False),
        sa.Column("reporter_id", sa.BigInteger(), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_reports"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_reports_job_id", ondelete="CASCADE"),
        sa.UniqueConstraint("job_id", "reporter_id", name="uq_reports_job_id_reporter_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_reports_reporter_id_reported_at", "reports", ["reporter_id", "reported_at"])
