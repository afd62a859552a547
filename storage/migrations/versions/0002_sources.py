"""Source images of jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "sources",
        sa.Column("id", row_id, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sources"),
        sa.UniqueConstraint("digest", name="uq_sources_digest"),
    )
    op.create_table(
        "job_sources",
        sa.Column("job_id", row_id, nullable=False),
        sa.Column("source_id", row_id, nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_job_sources"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_sources_job_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_job_sources_source_id"),
    )
    op.create_index("ix_job_sources_source_id", "job_sources", ["source_id"])
