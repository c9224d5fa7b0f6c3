"""Bringing a database to the tables of this version of the program."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from neotorch.domain.errors import StoreError
from neotorch.store import connect
from neotorch.store.chain import Problem
from neotorch.store.tables import VERSION_TABLE

HEAD_REVISION = "0001"
"""Newest migration; a test compares it with the folder."""


def migrate(engine: Engine) -> None:
    """Upgrade to the newest tables. Does nothing when they are; two processes at once wait for each other."""
    if current_revision(engine) == HEAD_REVISION:
        return  # the usual start: spares alembic's import
    with connect.writing(engine, "migrate") as connection:
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            where = engine.url.render_as_string(hide_password=True)
            raise StoreError(f"{error}", where, "A newer program made these tables: use that version.") from error


def current_revision(engine: Engine) -> str | None:
    """Revision that the database is at, or None when it has no tables of ours."""
    with connect.reading(engine) as connection:
        if not inspect(connection).has_table(VERSION_TABLE):
            return None
        return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - a constant


TRIGGERS = {
    "sqlite": (
        {"event_no_update", "event_no_delete", "event_only_next"},
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'event'",
    ),
    "postgresql": (
        {"event_append_only"},
        "SELECT tgname FROM pg_trigger WHERE tgrelid = 'event'::regclass AND tgenabled = 'A'",
    ),
}
"""Per database: the triggers that keep the log append-only, and how to list those in force."""


def missing_triggers(connection: Connection) -> list[Problem]:
    """A problem for each trigger that was removed or switched off."""
    wanted, query = TRIGGERS[connection.dialect.name]
    missing = wanted - set(connection.execute(text(query)).scalars())
    return [Problem(None, "trigger", f"trigger {name} is gone: rows can be changed unseen") for name in sorted(missing)]
