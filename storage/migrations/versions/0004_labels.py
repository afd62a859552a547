"""What a classifier said of images that are still to be delivered."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("renders", sa.Column("labels", sa.JSON(), nullable=True))
