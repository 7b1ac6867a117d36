"""A durable Postgres of a scenario's own, which can be killed and comes back with what it had promised."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Self

import psycopg

from academy import migrate
from dev import postgres
from dev.guard import let_go
from dev.local import LOOPBACK
from dev.unprivileged import identity

START_SECONDS = 60


class MortalPostgres:
    """`server` stays the same over every death: same port, same data."""

    def __init__(self, server: postgres.Server, data_dir: Path, settings: dict[str, str]) -> None:
        self.server = server
        self._data_dir = data_dir
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return int((self.server.home / "cluster" / "postmaster.pid").read_text().splitlines()[0])

    def end(self, how: signal.Signals) -> None:
        """SIGKILL, or SIGINT for a fast shutdown; returns when nobody runs any more."""
        pid = self.pid
        os.kill(pid, how)
        deadline = monotonic() + START_SECONDS
        while Path(f"/proc/{pid}").exists():
            assert monotonic() < deadline, "Postgres does not end"
            time.sleep(0.01)
        self._let_go()

    def start(self) -> float:
        """Start it again; the seconds until it takes connections."""
        began = monotonic()
        who = identity(self._data_dir)
        while True:
            lock = os.open(who.home / "lock", os.O_RDWR)
            self._process = postgres._launch(who, lock, self._settings | {"port": str(self.server.port)})
            os.close(lock)
            try:
                postgres._wait_until_ready(self._process, self.server)
            except postgres.PostgresError:
                # The backends of the one that was killed still hold its shared memory.
                assert monotonic() - began < START_SECONDS, "Postgres does not come back"
                self._let_go()
                time.sleep(0.05)
            else:
                return monotonic() - began

    def restart(self, how: signal.Signals) -> float:
        self.end(how)
        return self.start()

    def terminate_backends(self) -> int:
        """End every connection of the application's role; how many that were."""
        query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = %s"
        try:
            with self.server.connect() as connection:
                row = connection.execute(query, [postgres.APP]).fetchone()
        except psycopg.OperationalError:
            return 0  # it is down altogether
        return int(str(row[0])) if row else 0

    def _let_go(self) -> None:
        if self._process:
            let_go(self._process)
            self._process = None

    @classmethod
    @contextmanager
    def running(cls, data_dir: Path, **settings: str) -> Iterator["MortalPostgres"]:
        """With `settings` of Postgres on top of its usual ones, from the first restart on."""
        with postgres.running(data_dir) as server:
            migrate.upgrade(server.owner_url, app_role=postgres.APP, sweeper_role=postgres.SWEEPER)
            usual = postgres._settings(identity(data_dir), LOOPBACK, durable=True)
            mortal = cls(server, data_dir, usual | settings)
            if settings:
                mortal.restart(signal.SIGINT)
            try:
                yield mortal
            finally:
                mortal._let_go()


class Watch:
    """Looks at who is connected twice a second: how many at most, and who idles in a transaction how long."""

    def __init__(self, server: postgres.Server) -> None:
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.most = 0
        self.idlest = 0.0
        """Seconds, at most."""
        self.idle_statement = ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        query = """
            SELECT left(query, 200), CASE WHEN state LIKE 'idle in tr%%'
                THEN extract(epoch FROM clock_timestamp() - state_change)::float ELSE 0 END
            FROM pg_stat_activity WHERE usename = %s
        """
        connection = None
        while not self._over.wait(0.5):
            try:
                connection = connection or self._server.connect()
                rows: Any = connection.execute(query, [postgres.APP]).fetchall()
            except psycopg.OperationalError:
                connection = None
                continue
            self.most = max(self.most, len(rows))
            for statement, seconds in rows:
                if seconds > self.idlest:
                    self.idlest, self.idle_statement = seconds, statement
        if connection:
            connection.close()
