"""The database of this checkout: the Postgres in `.local/`, or the one that DATABASE_URL names.

`python -m dev.database up|migrate|reset` are `make db-up`, `make migrate` and `make db-reset`; `sql` writes
down what the migrations do.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from alembic import command
from alembic.util import CommandError
from psycopg import sql
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from academy.migrate import alembic_config, upgrade
from dev import environment, postgres
from dev.local import DATABASE, LOCAL, LOOPBACK, POSTGRES, interrupt_on_signals, only_one
from dev.trouble import Trouble, told

UP_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Database:
    """Where the application and its sweeper connect, as whom the schema changes; `place` is for people."""

    url: str
    sweeper_url: str | None
    owner_url: str
    place: str


@contextmanager
def ready(env: Mapping[str, str], address: str = LOOPBACK) -> Iterator[Database]:
    """The database, migrated: one that is set or already runs is used, otherwise ours runs for the block."""
    if "DATABASE_URL" in env:
        database = _given(env)
        migrate(database)
        yield database
        return
    with _ours(address) as server:
        place = f"Postgres at 127.0.0.1:{server.port}, data in {server.home}"
        database = Database(server.url, server.sweeper_url, server.owner_url, place)
        migrate(database)
        yield database


def migrate(database: Database) -> None:
    owner, app = make_url(database.owner_url).username, make_url(database.url).username
    sweeper = make_url(database.sweeper_url).username if database.sweeper_url else None
    try:
        upgrade(database.owner_url, app if app != owner else None, sweeper)
    except (SQLAlchemyError, CommandError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise Trouble(
            f"The migrations failed ({reason}): check that MIGRATION_DATABASE_URL, or else DATABASE_URL, "
            "names the role that owns the schema."
        ) from None


def _given(env: Mapping[str, str]) -> Database:
    settings = environment.checked({"SECRET_KEY": "not needed here" * 4, **env})
    url = settings.database_url.get_secret_value()
    owner, sweeper = settings.migration_database_url, settings.sweeper_database_url
    environment.check_database(url)
    target = make_url(url)
    place = f"DATABASE_URL, {target.host or 'localhost'}:{target.port or 5432}/{target.database or ''}"
    return Database(
        url,
        sweeper.get_secret_value() if sweeper else None,
        owner.get_secret_value() if owner else url,
        place,
    )


@contextmanager
def _ours(address: str) -> Iterator[postgres.Server]:
    if server := postgres.attach(POSTGRES):
        if address != LOOPBACK:
            raise Trouble(
                f"Postgres is already up, but does not listen on {address}: end it with `make stop-all`."
            )
        yield server
        return
    with postgres.running(POSTGRES, address=address) as server:
        yield server


def up(env: Mapping[str, str]) -> None:
    """Start Postgres in the background, and say where it is."""
    if "DATABASE_URL" in env:
        print(f"There is nothing to start: {_given(env).place} is used.")
        return
    server = postgres.attach(POSTGRES) or _start_in_background()
    print(f"Postgres is up; its data is in {server.home}. `make stop-all` ends it.")
    print(f"DATABASE_URL={_plain(server.url)}\nSWEEPER_DATABASE_URL={_plain(server.sweeper_url)}")
    print(f"MIGRATION_DATABASE_URL={_plain(server.owner_url)}")


def _plain(url: str) -> str:
    """The URL as other programs read it, without SQLAlchemy's name of the driver."""
    return url.replace("+psycopg", "", 1)


def _start_in_background() -> postgres.Server:
    LOCAL.mkdir(exist_ok=True)
    log = LOCAL / "database.log"
    with log.open("w") as output:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "dev.database", "keep"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + UP_SECONDS
    while keeper.poll() is None and time.monotonic() < deadline:
        if server := postgres.attach(POSTGRES):
            return server
        time.sleep(0.1)
    raise Trouble(log.read_text().strip() or f"Postgres did not start; see {log}.")


def keep(_: Mapping[str, str]) -> None:
    """Hold Postgres up until somebody ends this process."""
    interrupt_on_signals()
    try:
        with only_one(DATABASE, "Postgres is already up."), postgres.running(POSTGRES):
            while True:
                time.sleep(3600)
    except KeyboardInterrupt:
        return


def apply_migrations(env: Mapping[str, str]) -> None:
    with ready(env) as database:
        print(f"The schema is up to date: {database.place}.")


def write_down(_: Mapping[str, str]) -> None:
    """Print the SQL of all migrations, for who reads it before it runs."""
    command.upgrade(alembic_config(None), "head", sql=True)


def reset(env: Mapping[str, str]) -> None:
    """Drop all data, after asking, and make the schema anew."""
    if "DATABASE_URL" in env:
        raise Trouble(
            "DATABASE_URL is set: `make db-reset` only drops the data in .local/, never a database of yours."
        )
    if env.get("CONFIRM") != "yes" and not _confirmed():
        raise Trouble("Nothing was dropped.")
    if server := postgres.attach(POSTGRES):
        _drop(server)
    else:
        postgres.erase(POSTGRES)
    with ready(env):
        print("All data is gone; the schema is new.")


def _confirmed() -> bool:
    print(
        "This drops every account, course and chat of the local database. Type yes to go on: ",
        end="",
        flush=True,
    )
    return sys.stdin.readline().strip().lower() == "yes"


def _drop(server: postgres.Server) -> None:
    with server.connect(database="postgres") as connection:
        # A running `make dev` reconnects at its next request.
        name = sql.Identifier(postgres.DATABASE)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        postgres.create_database(connection, postgres.DATABASE)


COMMANDS = {"up": up, "keep": keep, "migrate": apply_migrations, "sql": write_down, "reset": reset}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    with told():
        COMMANDS[parser.parse_args().command](environment.load())


if __name__ == "__main__":
    main()
