"""Alembic's entry point: runs in the connection, and the transaction, that `store.migrate` hands over."""

from __future__ import annotations

from alembic import context

from neotorch.crash import crash_point
from neotorch.store.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # SQLite can, when BEGIN is ours: all of a migration or nothing
    on_version_apply=lambda **_: crash_point("migrating"),
)
with context.begin_transaction():
    context.run_migrations()
