"""Images in servers' galleries, and what a classifier said of an image for as long as the image is known."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0009"

row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("pictures", sa.Column("labels", sa.JSON(none_as_null=True)))
    op.execute(
        "UPDATE pictures SET labels = (SELECT renders.labels FROM renders WHERE renders.picture_id = pictures.id) "
        "WHERE id IN (SELECT picture_id FROM renders WHERE renders.labels IS NOT NULL)"
    )
    op.drop_column("renders", "labels")
    op.create_table(
        "shares",
        sa.Column("id", row_id, nullable=False),
        sa.Column("picture_id", row_id),
        sa.Column("user_id", sa.BigInteger()),
        sa.Column("shared_by", sa.BigInteger()),
        sa.Column("guild_id", sa.BigInteger(), nullable=False),
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("message_id", sa.BigInteger()),
        sa.Column("shared_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_shares"),
        sa.ForeignKeyConstraint(["picture_id"], ["pictures.id"], name="fk_shares_picture_id", ondelete="CASCADE"),
        sa.UniqueConstraint("picture_id", name="uq_shares_picture_id"),
        sqlite_autoincrement=True,
    )
    for column in ("user_id", "shared_by", "message_id"):
        op.create_index(f"ix_shares_{column}", "shares", [column])
