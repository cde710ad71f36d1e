"""Publish keys, by the hash of their secrets."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table of publish keys."""
    op.create_table(
        "publish_keys",
        sa.Column("id", _ID, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("stream_key", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("revoked_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_publish_keys"),
        sa.UniqueConstraint("key_id", name="uq_publish_keys_key_id"),
    )
    op.create_index("ix_publish_keys_stream_key", "publish_keys", ["stream_key"])


def downgrade() -> None:
    """Refuse: migrations only go forward."""
    raise NotImplementedError("migrations only go forward: restore a backup instead")
