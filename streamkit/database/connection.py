"""Where the database is, and what its errors mean to a person and to a retry."""

import os
import re
import socket
import sqlite3
from typing import Any, Final
from urllib.parse import quote

import sqlalchemy as sa
from asyncpg import exceptions as pg
from databases import DatabaseURL

from streamkit.errors import DatabaseUnavailableError, ServiceError
from streamkit.settings import Settings

CONNECT_TIMEOUT: Final = 2.0  # seconds
COMMAND_TIMEOUT: Final = 2.0  # seconds
APPLICATION_NAME: Final = "streamkit"

ERRORS: Final = (
    OSError,  # TimeoutError too
    pg.PostgresError,
    pg.InterfaceError,
    pg.InternalClientError,
    sqlite3.Error,
    sa.exc.SQLAlchemyError,
)
"""What a database operation may raise; everything else is a mistake of ours."""


def database_url(settings: Settings, *, embedded: bool) -> str:
    """Return the URL of PostgreSQL, or with `embedded` of `streamkit.db` in `data_dir`, which is created.

    Every part is percent-encoded. Raises ServiceError when the folder cannot be made or written to.
    """
    if embedded:
        folder = settings.embedded.data_dir
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ServiceError(f"the folder {folder} cannot be made: {error.strerror}") from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ServiceError(f"the folder {folder} is not writable for this user; embedded.data_dir names another")
        return f"sqlite+aiosqlite:///{quote(str(folder.absolute() / 'streamkit.db'))}"
    database = settings.database
    user, password, name = (
        quote(text, safe="") for text in (database.user, database.password.get_secret_value(), database.name)
    )
    host = f"[{database.host}]" if ":" in database.host else database.host
    return f"postgresql+asyncpg://{user}:{password}@{host}:{database.port}/{name}"


def is_sqlite(url: str) -> bool:
    """True for SQLite, False for PostgreSQL."""
    return DatabaseURL(url).dialect == "sqlite"


def engine_url(url: str) -> sa.URL:
    """Return the URL for SQLAlchemy, which leaves percent-encoded database names as they are."""
    parts = DatabaseURL(url)
    return sa.URL.create(parts.scheme, parts.username, parts.password, parts.hostname, parts.port, parts.database)


def describe(url: str) -> str:
    """Return how messages name the database: host:port/name or the file's path; never the user or the password."""
    parts = DatabaseURL(url)
    if parts.dialect == "sqlite":
        return parts.database
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or 5432}/{parts.database}"


def unavailable(url: str, error: BaseException) -> DatabaseUnavailableError:
    """Return the error as one sentence that names the database and what to do about it."""
    return DatabaseUnavailableError(_sentence(DatabaseURL(url), describe(url), origin(error)))


def origin(error: BaseException) -> BaseException:
    """Return the driver's error inside SQLAlchemy's and its adapters' wrappers."""
    while isinstance(error, sa.exc.DBAPIError) and error.orig is not None:
        error = error.orig
    if not isinstance(error, pg.PostgresError) and isinstance(error.__cause__, pg.PostgresError):
        return error.__cause__
    return error


def is_rows_fault(error: BaseException) -> bool:
    """True when a value or a reference in the row is wrong, so that writing it again can never succeed."""
    if isinstance(error, pg.InterfaceError | UnicodeError):
        return isinstance(error, ValueError)  # the driver could not encode a value
    return isinstance(
        error, pg.DataError | pg.IntegrityConstraintViolationError | sqlite3.IntegrityError | sqlite3.DataError
    )


def first_line(error: BaseException) -> str:
    """Return the error's message without the details below it."""
    return re.split(r"[\r\n]", str(error), maxsplit=1)[0]


def connect_arguments(url: str) -> dict[str, Any]:
    """Return the driver's keyword arguments for a connection outside the pool."""
    if is_sqlite(url):
        return {"timeout": COMMAND_TIMEOUT}
    return {"timeout": CONNECT_TIMEOUT, "server_settings": {"application_name": APPLICATION_NAME}}


def _sentence(url: DatabaseURL, place: str, error: BaseException) -> str:
    match error:
        case TimeoutError() | pg.QueryCanceledError():
            return f"the database {place} did not answer in time"
        case pg.InvalidPasswordError() | pg.InvalidAuthorizationSpecificationError():
            return f"password authentication failed for user {url.username!r} at the database {place}"
        case pg.InvalidCatalogNameError():
            return f"the database {place} does not exist: createdb {url.database}"
        case pg.CannotConnectNowError():
            return f"the database {place} is starting up or shutting down"
        case pg.ReadOnlySQLTransactionError():
            return f"the database {place} is read-only: it is a standby, or another server takes its place just now"
        case pg.TooManyConnectionsError():
            return f"the database {place} has no connection left for us (max_connections)"
        case pg.LockNotAvailableError():
            return f"the database {place} is being migrated by another node that does not finish"
        case socket.gaierror():
            return f"the database {place} cannot be found: the host's name does not resolve"
        case ConnectionError() | pg.PostgresConnectionError() | pg.InterfaceError():
            return f"the database {place} {_refused_or_lost(error)}"
        case OSError() if "Connect call failed" in str(error):
            return f"the database {place} refused the connection"
        case sqlite3.Error():
            return f"the database {place} failed: {error}"
    return f"the database {place} failed: {type(error).__name__}: {first_line(error)}"


def _refused_or_lost(error: BaseException) -> str:
    refused = isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error)
    return "refused the connection" if refused else "closed the connection"
