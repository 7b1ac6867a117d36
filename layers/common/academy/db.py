"""The one engine of an environment, the scope a transaction lives in, and whose rows it sees."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from psycopg import Error, pq, sql
from psycopg.errors import error_from_result
from psycopg.generators import execute
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session, SessionTransaction, sessionmaker
from sqlalchemy.pool import NullPool, QueuePool

from academy import aws, outages
from academy.config import settings

USER = "app.user_id"
"""The setting that the tables' policies compare owners with: whose rows a transaction sees."""


@lru_cache(maxsize=1)
def engine() -> Engine:
    """The engine, connected on first use."""
    config = settings()
    return make_engine(
        config.database_url,
        poolclass=QueuePool,
        pool_size=config.database_pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        pool_recycle=300,
        pool_timeout=outages.PLACE_SECONDS,
    )


def make_engine(url: SecretStr, **pool: Any) -> Engine:
    """An engine that logs in as the settings say.

    Prepared statements are off because RDS Proxy pins a connection that has any
    (https://github.com/psycopg/psycopg/issues/1105).
    """
    made = create_engine(
        url.get_secret_value(),
        connect_args={"prepare_threshold": None, **outages.CONNECT_ARGUMENTS},
        hide_parameters=True,
        **pool,
    )
    event.listen(made, "handle_error", _as_conflict, retval=True)
    if settings().database_auth == "iam":
        event.listen(made, "do_connect", _sign_in)
    event.listen(made, "do_connect", outages.Door().connect)
    return made


def _sign_in(_: object, __: object, ___: object, parameters: dict[str, Any]) -> None:
    host, port, user = (parameters[name] for name in ("host", "port", "user"))
    parameters["password"] = aws.database_token(host, port, user)


def _as_conflict(context: ExceptionContext) -> IntegrityError | None:
    """A row whose parent has just been deleted meets its policy before its foreign key, for one reason."""
    refused_by = getattr(getattr(context.original_exception, "diag", None), "source_function", None)
    if refused_by != "ExecWithCheckOptions":
        return None
    return IntegrityError(
        context.statement, context.parameters, context.original_exception, hide_parameters=True
    )


@lru_cache(maxsize=1)
def session_factory() -> sessionmaker[Session]:
    made = sessionmaker(engine(), expire_on_commit=False)
    event.listen(made, "after_begin", _name_user)
    return made


@contextmanager
def session_scope(user_id: str | None = None) -> Iterator[Session]:
    """A transaction: committed when the block ends, rolled back when it raises.

    It sees what is this user's. Without one it sees accounts, to find out who is asking, and nothing that
    anybody has made.
    """
    with session_factory()(info={USER: user_id}) as session, session.begin():
        yield session


def act_for(session: Session, user_id: str) -> None:
    """Let the later transactions of a session see what is this user's."""
    session.info[USER] = user_id


def _name_user(session: Session, _: SessionTransaction, connection: Connection) -> None:
    user_id = session.info.get(USER)
    if user_id is not None:
        _begin_as(connection, user_id)


def _begin_as(connection: Connection, user_id: str) -> None:
    """Say whose transaction this is in one breath with BEGIN, so that it costs no round trip.

    psycopg sends BEGIN by itself, and waits for it, ahead of the first statement of a connection that is
    in no transaction yet.
    """
    driver: Any = connection.connection.driver_connection
    begin = sql.SQL("BEGIN;" if driver.info.transaction_status == pq.TransactionStatus.IDLE else "")
    named = sql.SQL("SELECT set_config({}, {}, true)").format(sql.Literal(USER), sql.Literal(user_id))
    driver.pgconn.send_query((begin + named).as_bytes(driver))
    try:
        *_, result = driver.wait(execute(driver.pgconn))
        if result.status != pq.ExecStatus.TUPLES_OK:
            raise error_from_result(result)
    except Error as error:
        connection.invalidate()
        raise OperationalError("BEGIN", None, error) from error


@lru_cache(maxsize=1)
def sweeper_factory() -> sessionmaker[Session]:
    url = settings().sweeper_database_url
    if url is None:
        raise RuntimeError("SWEEPER_DATABASE_URL is not set: replies that got lost cannot be found.")
    # Used for a moment every minute: nothing is worth keeping open.
    return sessionmaker(make_engine(url, poolclass=NullPool), expire_on_commit=False)


@contextmanager
def sweeper_scope() -> Iterator[Session]:
    """A transaction of the role that may find out whose replies got lost, and nothing else."""
    with sweeper_factory().begin() as session:
        yield session
