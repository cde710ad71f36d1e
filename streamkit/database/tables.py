"""The tables, for PostgreSQL and SQLite alike. The migrations make them; a test compares the two.

Nothing here has a Python-side default: `databases` would bind an explicit NULL instead of running it.
"""

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

_Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite numbers only an INTEGER key by itself
_Time = sa.DateTime(timezone=True)

streams = sa.Table(
    "streams",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("stream_key", sa.Text, nullable=False, unique=True),
    sa.Column("status", sa.Text, nullable=False),  # 'active', 'inactive' or 'error', by the state
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("started_at", _Time),
    sa.Column("stopped_at", _Time),
    sa.Column("created_at", _Time, nullable=False),
    sa.Column("updated_at", _Time, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("next_sequence", sa.BigInteger, nullable=False),
    sa.Column("discontinuity_sequence", sa.BigInteger, nullable=False),
    sa.Column("last_error", sa.Text),
    sa.Index(None, "epoch", "id"),  # pages, newest publish first
    sa.Index(None, "status"),  # the active ones, and the counts
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("stream_key", sa.Text, sa.ForeignKey("streams.stream_key"), nullable=False),
    sa.Column("session", sa.Text, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("started_at", _Time, nullable=False),
    sa.Column("ended_at", _Time),
    sa.Column("end_reason", sa.Text),
    sa.Column("renditions", sa.JSON, nullable=False),
    sa.Column("expired_at", _Time),  # retention decided: nothing may refer to it any more
    sa.Column("remove_after", _Time),  # its playlists are gone; its objects go then
    sa.Column("removed_at", _Time),  # its objects are gone, but for what clips need
    sa.Column("bytes", sa.BigInteger),  # of its stored segments; NULL in rows of older versions
    sa.UniqueConstraint("stream_key", "session"),
    sa.Index(None, "stream_key", "epoch"),  # the sessions of a key, newest first
    sa.Index(None, "status"),  # the active ones
)

clips = sa.Table(
    "clips",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("stream_key", sa.Text, nullable=False),
    sa.Column("clip", sa.Text, nullable=False),
    sa.Column("session", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # 'pending' until the store has its playlists, 'ready', 'deleted'
    sa.Column("first_sequence", sa.BigInteger, nullable=False),
    sa.Column("last_sequence", sa.BigInteger, nullable=False),
    sa.Column("starts_at", _Time, nullable=False),
    sa.Column("ends_at", _Time, nullable=False),
    sa.Column("renditions", sa.JSON, nullable=False),
    sa.Column("created_at", _Time, nullable=False),
    sa.Column("remove_after", _Time),  # of a deleted one: until then its segments stay
    sa.UniqueConstraint("stream_key", "clip"),
    sa.ForeignKeyConstraint(["stream_key", "session"], ["sessions.stream_key", "sessions.session"]),
    sa.Index(None, "stream_key", "session"),  # what a session's segments are needed for
)

# No foreign key: a key is made before its stream is published for the first time.
publish_keys = sa.Table(
    "publish_keys",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("key_id", sa.Text, nullable=False, unique=True),
    sa.Column("stream_key", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),  # SHA-256 of the secret, which nobody keeps
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("created_at", _Time, nullable=False),
    sa.Column("expires_at", _Time),
    sa.Column("revoked_at", _Time),
    sa.Index(None, "stream_key"),
)

# No foreign key: a segment may be written before its session is, and there are very many of them.
segments = sa.Table(
    "segments",
    metadata,
    sa.Column("stream_key", sa.Text, primary_key=True),
    sa.Column("session", sa.Text, primary_key=True),
    sa.Column("rendition", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("duration", sa.Float(53), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("program_date_time", _Time, nullable=False),
    sa.Column("discontinuity", sa.Boolean, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
)
