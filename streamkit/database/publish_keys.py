"""What is asked and changed about publish keys. Used through the Repository."""

from typing import Any

import sqlalchemy as sa

from streamkit.database import queries
from streamkit.database.archive import Opener, moment
from streamkit.database.rows import PublishKeyRow
from streamkit.database.tables import publish_keys
from streamkit.messages import FindPublishKey
from streamkit.types import PublishKeyId, StreamKey, UnixTime


class PublishKeys:
    """`reading` opens a connection; `changing` one within a transaction."""

    def __init__(self, reading: Opener, changing: Opener) -> None:
        self._reading = reading
        self._changing = changing

    async def find(self, message: FindPublishKey) -> PublishKeyRow | None:
        """Return the key of this ID, revoked and expired ones as well; None when there is none."""
        async with self._reading() as connection:
            found = await connection.fetch_one(sa.select(publish_keys).where(publish_keys.c.key_id == message.id))
        return None if found is None else _to_row(found)

    async def list(self, stream: StreamKey | None) -> tuple[PublishKeyRow, ...]:
        """Return the keys of `stream`, or of all, oldest first."""
        query = sa.select(publish_keys).order_by(publish_keys.c.id)
        if stream is not None:
            query = query.where(publish_keys.c.stream_key == stream)
        async with self._reading() as connection:
            return tuple(map(_to_row, await connection.fetch_all(query)))

    async def create(self, row: PublishKeyRow) -> None:
        """Keep a new key."""
        values = {
            "key_id": row.id,
            "stream_key": row.stream_key,
            "digest": row.digest,
            "label": row.label,
            "created_at": moment(row.created_at),
            "expires_at": None if row.expires_at is None else moment(row.expires_at),
        }
        async with self._changing() as connection:
            await connection.execute(sa.insert(publish_keys).values(**values))

    async def revoke(self, key: PublishKeyId, at: UnixTime) -> PublishKeyRow | None:
        """Let nobody publish with the key any more, and return it as it is then; None when there is none."""
        change = sa.update(publish_keys).where(publish_keys.c.key_id == key, publish_keys.c.revoked_at.is_(None))
        async with self._changing() as connection:
            await connection.execute(change.values(revoked_at=moment(at)))
        return await self.find(FindPublishKey(id=key))


def _to_row(record: Any) -> PublishKeyRow:
    return PublishKeyRow(
        id=PublishKeyId(record["key_id"]),
        stream_key=StreamKey(record["stream_key"]),
        digest=record["digest"],
        label=record["label"],
        created_at=queries.to_time(record["created_at"]),
        expires_at=queries.time_or_none(record["expires_at"]),
        revoked_at=queries.time_or_none(record["revoked_at"]),
    )
