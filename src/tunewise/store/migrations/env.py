"""Run by Alembic to apply revisions on the connection that `Registry` hands over, in its transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
