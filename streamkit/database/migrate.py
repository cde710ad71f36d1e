"""Brings the database to this version's tables, also when many nodes start at once.

Migrations only go forward. A node that is behind the database refuses to work with it.
"""

import asyncio
import fcntl
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from databases import DatabaseURL
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from streamkit.database.connection import ERRORS, connect_arguments, describe, engine_url, is_sqlite, unavailable
from streamkit.errors import DatabaseUnavailableError
from streamkit.resources import data_dir

LOCK_TIMEOUT: Final = 60.0  # seconds to wait for another node that migrates
LOOK_TIMEOUT: Final = 2.0  # seconds to find out whether there is anything to do
DEADLINE: Final = 300.0  # seconds for everything
_ADVISORY_LOCK: Final = 0x73747265616D6B74  # 'streamkt'; any number that others do not use
_LOCK_POLL: Final = 0.05  # seconds between looks at SQLite's lock file


def upgrade_to_head(url: str) -> str:
    """Migrate the database at `url` and return its revision; under a lock, so any number of nodes may call it.

    Raises DatabaseUnavailableError in one sentence. Not for use within an event loop: see `upgrade`.
    """
    return asyncio.run(upgrade(url))


def current_revision(url: str) -> str | None:
    """Return the database's revision, None when it was never migrated; raises DatabaseUnavailableError."""
    return asyncio.run(_current_revision(url))


def newest_revision() -> tuple[str, set[str]]:
    """Return the revision of this version's tables, and all that it knows."""
    scripts = ScriptDirectory.from_config(_config())
    return scripts.get_current_head() or "", {script.revision for script in scripts.walk_revisions()}


async def upgrade(url: str) -> str:
    """`upgrade_to_head` for a caller within an event loop; may be cancelled at any time."""
    async with _connection(url) as connection:
        scripts = ScriptDirectory.from_config(_config())
        head = scripts.get_current_head() or ""
        async with asyncio.timeout(LOOK_TIMEOUT):  # a server may freeze, or its packets vanish, at any moment
            revision = await connection.run_sync(_revision)
        if revision == head:
            return head
        async with _lock(url, connection):
            revision = await connection.run_sync(_revision)
            if revision != head:
                _refuse_newer(url, scripts, revision)
                await connection.run_sync(_run_migrations)
        return head


async def _current_revision(url: str) -> str | None:
    async with _connection(url) as connection, asyncio.timeout(LOOK_TIMEOUT):
        return await connection.run_sync(_revision)


@asynccontextmanager
async def _connection(url: str) -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine(engine_url(url), poolclass=NullPool, connect_args=connect_arguments(url))
    try:
        if is_sqlite(url):
            sqlite3.connect(DatabaseURL(url).database).close()  # aiosqlite's thread fails noisily when it cannot
        async with asyncio.timeout(DEADLINE), engine.connect() as connection:
            yield connection
    except (*ERRORS, CommandError) as error:
        raise unavailable(url, error) from error
    finally:
        await engine.dispose()


@asynccontextmanager
async def _lock(url: str, connection: AsyncConnection) -> AsyncIterator[None]:
    if is_sqlite(url):
        async with _file_lock(url):
            yield
        return
    await connection.execute(sa.text(f"SET lock_timeout = '{LOCK_TIMEOUT:g}s'"))
    await connection.execute(sa.select(sa.func.pg_advisory_lock(_ADVISORY_LOCK)))
    await connection.commit()  # the lock is the session's: it goes with the connection, whatever happens
    yield


@asynccontextmanager
async def _file_lock(url: str) -> AsyncIterator[None]:
    with Path(DatabaseURL(url).database + ".lock").open("w") as file:  # noqa: ASYNC230 - an empty local file
        async with asyncio.timeout(LOCK_TIMEOUT):
            while not _locked(file.fileno()):  # noqa: ASYNC110 - another process holds it: there is no event
                await asyncio.sleep(_LOCK_POLL)
        yield  # closing the file unlocks it


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _revision(connection: sa.Connection) -> str | None:
    revision = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()  # Alembic commits only transactions that it began itself
    return revision


def _refuse_newer(url: str, scripts: ScriptDirectory, revision: str | None) -> None:
    _, known = newest_revision()
    if revision is not None and revision not in known:
        raise DatabaseUnavailableError(
            f"the database {describe(url)} has the tables of a newer StreamKit (revision {revision}): "
            f"this one knows up to {scripts.get_current_head()} and must be updated"
        )


def _run_migrations(connection: sa.Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(data_dir("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
