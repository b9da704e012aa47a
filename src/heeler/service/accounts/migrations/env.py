"""Run by Alembic: applies revisions on the connection that `feedback.database` hands in, within its transaction."""

from alembic import context

from heeler.service.accounts.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
