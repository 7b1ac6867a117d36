"""How Alembic reaches the database: over the connection that `academy.migrate` hands it."""

from alembic import context

from academy.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
