"""One Postgres for many test processes, one after the other: `make mutants` starts thousands of them."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import NullPool, create_engine

from academy import migrate
from dev.postgres import APP, DATABASE, OWNER, SWEEPER, Server, running
from tests import walls

LENT = "LENT_POSTGRES"
PRISTINE = "pristine"


@contextmanager
def lent(folder: Path, *, policies: bool = True) -> Iterator[dict[str, str]]:
    """The setting by which `borrowed` finds it, migrated; perhaps without what hides people's rows."""
    with running(folder, durable=False) as server:
        migrate.upgrade(server.owner_url, app_role=APP, sweeper_role=SWEEPER)
        if not policies:
            with create_engine(server.owner_url, poolclass=NullPool).begin() as connection:
                walls.take_down_policies(connection)
        with server.connect(database="postgres") as connection:
            connection.execute(f"ALTER DATABASE {DATABASE} RENAME TO {PRISTINE}")
        yield {LENT: json.dumps([server.port, server.password, str(server.home)])}


def borrowed() -> Server | None:
    """The server that was lent to this process, with nothing left of whoever had it before."""
    if LENT not in os.environ:
        return None
    port, password, home = json.loads(os.environ[LENT])
    server = Server(port, password, Path(home))
    with server.connect(database="postgres") as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {DATABASE} TEMPLATE {PRISTINE} OWNER {OWNER}")
        connection.execute(f"ALTER ROLE {APP} RESET search_path")
    return server
