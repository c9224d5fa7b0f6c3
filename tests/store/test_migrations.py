"""The migrations and the tables that the program works with say the same."""

from __future__ import annotations

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import neotorch.store.migrations
from neotorch.store.log import EventLog
from neotorch.store.migrate import HEAD_REVISION, current_revision
from neotorch.store.tables import VERSION_TABLE, metadata


def test_the_newest_migration_is_the_one_that_migrate_stops_at() -> None:
    """A migration that is added but not announced would never run on a database that is up to date."""
    config = Config()
    config.set_main_option("script_location", str(Path(neotorch.store.migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD_REVISION


def test_migrated_tables_are_those_of_the_code(log: EventLog) -> None:
    """Columns, keys and indexes agree, on both databases."""
    assert current_revision(log.engine) == HEAD_REVISION
    with log.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []


def test_each_connection_is_told_what_durability_needs(log: EventLog) -> None:
    """The settings hold on a fresh connection, not only in the code."""
    wanted = {"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1", "recursive_triggers": "1"}
    query = "PRAGMA {}"
    if log.engine.dialect.name == "postgresql":
        wanted, query = {"plan_cache_mode": "force_custom_plan", "lock_timeout": "30s"}, "SHOW {}"
    with log.engine.connect() as connection:
        assert {name: str(connection.exec_driver_sql(query.format(name)).scalar()) for name in wanted} == wanted
