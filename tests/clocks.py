"""Clocks that are wrong: this process's, the database's, or both, which is time going by."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import time_machine

from academy import db
from dev import postgres

# What the application calls `now` is found here first, since its path names the catalogue behind this schema.
MAKE = f"""
CREATE SCHEMA clock;
CREATE TABLE clock.ahead AS SELECT interval '0' AS by;
CREATE FUNCTION clock.now() RETURNS timestamptz STABLE LANGUAGE sql
    AS 'SELECT pg_catalog.now() + by FROM clock.ahead';
CREATE FUNCTION clock.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql
    AS 'SELECT pg_catalog.clock_timestamp() + by FROM clock.ahead';
GRANT USAGE ON SCHEMA clock TO {postgres.APP};
GRANT SELECT ON clock.ahead TO {postgres.APP}
"""
USE = f"ALTER ROLE {postgres.APP} SET search_path = clock, pg_catalog, public"
UNDO = f"ALTER ROLE {postgres.APP} RESET search_path; DROP SCHEMA clock CASCADE"


@dataclass
class Clocks:
    """What `passed` is gone for good; blocks of `off` and `later` end where they began."""

    database: postgres.Server
    passed: timedelta = timedelta(0)
    _travels: ExitStack = field(default_factory=ExitStack)

    @contextmanager
    def off(self, *, host: timedelta = timedelta(0), database: timedelta = timedelta(0)) -> Iterator[None]:
        """Inside the block this process and the database are so far from the true time."""
        self._set(self.passed + database)
        try:
            with time_machine.travel(datetime.now(UTC) + host, tick=True):
                yield
        finally:
            self._set(self.passed)

    @contextmanager
    def later(self, by: timedelta, *, host: timedelta = timedelta(0)) -> Iterator[None]:
        """Inside the block so much time has gone by; `host` is how wrong this process then is."""
        with self.off(host=by + host, database=by):
            yield

    def pass_by(self, by: timedelta) -> None:
        """So much time goes by."""
        self.passed += by
        self._set(self.passed)
        self._travels.enter_context(time_machine.travel(datetime.now(UTC) + by, tick=True))

    def close(self) -> None:
        self._travels.close()

    def _set(self, ahead: timedelta) -> None:
        with self.database.connect() as connection:
            connection.execute("UPDATE clock.ahead SET by = %s", [ahead])


@contextmanager
def set_up(database: postgres.Server) -> Iterator[Clocks]:
    """Gives the database a clock that can be wrong, and takes it away again."""
    with database.connect() as connection:
        connection.execute(f"{MAKE}; {USE}".encode())
    db.engine().dispose()
    clocks = Clocks(database)
    try:
        yield clocks
    finally:
        clocks.close()
        db.engine().dispose()
        with database.connect() as connection:
            connection.execute(UNDO.encode())
