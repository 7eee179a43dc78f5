"""The first tables: trained models, and the runs they came from."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "models",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("base", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("state_reason", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("created_at", sa.Integer, nullable=False),
        sa.Column("metrics", sa.JSON, nullable=False),
    )
    op.create_table(
        "runs",
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("base", sa.Text, nullable=False),
        sa.Column("seed", sa.Integer, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_at", sa.Integer, nullable=False),
        sa.Column("finished_at", sa.Integer),
        sa.Column("recommendation", sa.Text),
        sa.Column("headline", sa.Text),
        sa.Column("model", sa.Text),
    )


def downgrade() -> None:
    """Drop both tables."""
    op.drop_table("runs")
    op.drop_table("models")
