"""The one engine of an environment, and the scope a transaction lives in."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import QueuePool

from academy import aws, outages
from academy.config import settings


@lru_cache(maxsize=1)
def engine() -> Engine:
    """The engine, connected on first use.

    Prepared statements are off because RDS Proxy pins a connection that has any
    (https://github.com/psycopg/psycopg/issues/1105).
    """
    config = settings()
    made = create_engine(
        config.database_url.get_secret_value(),
        poolclass=QueuePool,
        pool_size=config.database_pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        pool_recycle=300,
        pool_timeout=outages.PLACE_SECONDS,
        connect_args={"prepare_threshold": None, **outages.CONNECT_ARGUMENTS},
        hide_parameters=True,
    )
    if config.database_auth == "iam":
        event.listen(made, "do_connect", _sign_in)
    event.listen(made, "do_connect", outages.Door().connect)
    return made


def _sign_in(_: object, __: object, ___: object, parameters: dict[str, Any]) -> None:
    host, port, user = (parameters[name] for name in ("host", "port", "user"))
    parameters["password"] = aws.database_token(host, port, user)


@lru_cache(maxsize=1)
def session_factory() -> sessionmaker[Session]:
    return sessionmaker(engine(), expire_on_commit=False)


@contextmanager
def session_scope() -> Iterator[Session]:
    """A transaction: committed when the block ends, rolled back when it raises."""
    with session_factory().begin() as session:
        yield session
