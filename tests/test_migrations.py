"""The migrations: numbered without gaps, forward only, equal to the tables, and safe when many nodes start at once."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from servers.postgres import PgDatabase, PostgresServer
from servers.process import ManagedProcess
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from streamkit.database.connection import database_url, describe, engine_url
from streamkit.database.migrate import current_revision, upgrade_to_head
from streamkit.database.tables import metadata
from streamkit.errors import DatabaseUnavailableError
from streamkit.resources import data_dir
from streamkit.settings import DatabaseSettings, EmbeddedSettings, Settings


def _scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(data_dir("migrations")))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


SCRIPTS = list(reversed(list(_scripts().walk_revisions())))


def _on(url: str, work: Callable[[sa.Connection], Any]) -> Any:
    async def run() -> Any:
        engine = create_async_engine(engine_url(url), poolclass=NullPool)
        async with engine.begin() as connection:
            result = await connection.run_sync(work)
        await engine.dispose()
        return result

    return asyncio.run(run())


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return database_url(Settings(embedded=EmbeddedSettings(data_dir=tmp_path / "new" / "data")), embedded=True)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return str(request.getfixturevalue("sqlite_url"))
    return str(request.getfixturevalue("pg_database").url)


# ---- the scripts


def test_migrations_are_numbered_without_gaps() -> None:
    numbers = [f"{number:04d}" for number in range(1, len(SCRIPTS) + 1)]
    assert [script.revision for script in SCRIPTS] == numbers
    assert [script.down_revision for script in SCRIPTS] == [None, *numbers[:-1]]
    assert [Path(script.path).name[:5] for script in SCRIPTS] == [f"{number}_" for number in numbers]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.revision)
def test_a_downgrade_is_refused(script: Any) -> None:
    with pytest.raises(NotImplementedError, match="only go forward"):
        script.module.downgrade()


def test_a_downgrade_changes_nothing(url: str) -> None:
    upgrade_to_head(url)

    def downgrade(connection: sa.Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(data_dir("migrations")))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.downgrade(config, "base")

    with pytest.raises(NotImplementedError):
        _on(url, downgrade)
    assert current_revision(url) == SCRIPTS[-1].revision


# ---- upgrading


def test_an_empty_database_gets_the_newest_revision(url: str) -> None:
    assert current_revision(url) is None
    assert upgrade_to_head(url) == SCRIPTS[-1].revision
    assert current_revision(url) == SCRIPTS[-1].revision


def test_a_second_upgrade_changes_nothing(url: str) -> None:
    assert upgrade_to_head(url) == upgrade_to_head(url)


@pytest.mark.integration
def test_the_migrated_tables_are_the_tables_of_the_code(pg_database: PgDatabase) -> None:
    upgrade_to_head(pg_database.url)

    def differences(connection: sa.Connection) -> Any:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)

    assert _on(pg_database.url, differences) == []


def test_the_migrated_tables_have_every_name_of_the_code(url: str) -> None:
    """SQLite reports no differences of constraints, so their names are compared."""
    upgrade_to_head(url)

    def names(connection: sa.Connection) -> set[str | None]:
        found = sa.inspect(connection)
        return {
            name
            for table in metadata.tables
            for name in [
                *(item["name"] for item in found.get_indexes(table) if "duplicates_constraint" not in item),
                *(item["name"] for item in found.get_unique_constraints(table)),
                *(item["name"] for item in found.get_foreign_keys(table)),
                found.get_pk_constraint(table)["name"],
            ]
        }

    items = [item for table in metadata.tables.values() for item in (*table.indexes, *table.constraints)]
    engine = sa.create_mock_engine("sqlite://", lambda *_: None)
    expected = {engine.dialect.identifier_preparer.format_constraint(item) for item in items}
    assert _on(url, names) == expected


def test_several_processes_may_upgrade_at_once(url: str, run_process: Callable[..., ManagedProcess]) -> None:
    code = "import sys; from streamkit.database.migrate import upgrade_to_head; print(upgrade_to_head(sys.argv[1]))"
    nodes = [
        run_process([sys.executable, "-c", code, url], cwd=Path(__file__).parent.parent, name=f"node{number}")
        for number in range(4)
    ]
    assert [(node.wait(60), node.log().strip()) for node in nodes] == [(0, SCRIPTS[-1].revision)] * 4


def test_a_database_of_a_newer_streamkit_is_refused(url: str) -> None:
    upgrade_to_head(url)
    _on(url, lambda connection: connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(DatabaseUnavailableError, match=r"newer StreamKit \(revision 9999\).*must be updated"):
        upgrade_to_head(url)


# ---- errors, in one sentence and without the password


@pytest.mark.integration
def test_a_stopped_server_is_named_with_its_port(pg_database: PgDatabase, postgres: PostgresServer) -> None:
    postgres.stop()
    with pytest.raises(DatabaseUnavailableError) as error:
        upgrade_to_head(pg_database.url)
    place = f"{pg_database.host}:{pg_database.port}/{pg_database.name}"
    assert str(error.value) == f"the database {place} refused the connection"


@pytest.mark.integration
def test_a_wrong_password_names_the_user_and_not_the_password(pg_database: PgDatabase) -> None:
    with pytest.raises(DatabaseUnavailableError) as error:
        upgrade_to_head(pg_database.url.replace(pg_database.password, "wrong-secret"))
    assert f"password authentication failed for user '{pg_database.user}'" in str(error.value)
    assert "wrong-secret" not in str(error.value)


@pytest.mark.integration
def test_a_missing_database_says_how_to_make_it(pg_database: PgDatabase) -> None:
    with pytest.raises(DatabaseUnavailableError, match="/nowhere does not exist: createdb nowhere"):
        upgrade_to_head(pg_database.url.replace(pg_database.name, "nowhere"))


def test_a_host_that_does_not_resolve_is_said() -> None:
    with pytest.raises(DatabaseUnavailableError, match=r"nowhere\.invalid:5432/db cannot be found"):
        upgrade_to_head("postgresql+asyncpg://user:secret@nowhere.invalid/db")


def test_a_file_that_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailableError, match=r"missing/db failed: unable to open database file"):
        upgrade_to_head(f"sqlite+aiosqlite:///{tmp_path}/missing/db")


# ---- the URL


def test_every_part_of_the_url_is_encoded() -> None:
    settings = Settings(
        database=DatabaseSettings(host="::1", port=6000, user="a@b", password=SecretStr("p/w:%?#@"), name="the db?")
    )
    url = database_url(settings, embedded=False)
    assert url == "postgresql+asyncpg://a%40b:p%2Fw%3A%25%3F%23%40@[::1]:6000/the%20db%3F"
    parts = engine_url(url)
    assert (parts.username, parts.password, parts.host, parts.port) == ("a@b", "p/w:%?#@", "::1", 6000)
    assert parts.database == "the db?"
    assert describe(url) == "[::1]:6000/the db?"


@pytest.mark.parametrize("folder", ["plain", "with space", "100%", "a?b#c", "%41"])
def test_any_folder_can_hold_the_embedded_database(tmp_path: Path, folder: str) -> None:
    settings = Settings(embedded=EmbeddedSettings(data_dir=tmp_path / folder))
    upgrade_to_head(database_url(settings, embedded=True))
    assert (tmp_path / folder / "streamkit.db").is_file()
