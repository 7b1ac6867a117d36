"""How Alembic reaches the database: over the connection that `academy.migrate` hands it.

Without one it writes down what it would do.
"""

from alembic import context

from academy.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    dialect_name="postgresql",
    target_metadata=Base.metadata,
    compare_server_default=True,
)
with context.begin_transaction():
    # Who waits for a table holds up everybody behind them. A deployment can be tried again.
    context.execute("SET LOCAL lock_timeout = '3s'")
    context.execute("SET LOCAL statement_timeout = '60s'")
    context.run_migrations()
