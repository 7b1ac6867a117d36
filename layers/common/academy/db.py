"""The one engine of an environment, and the scope a transaction lives in."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import QueuePool

from academy.config import settings

CONNECT_SECONDS = 3


@lru_cache(maxsize=1)
def engine() -> Engine:
    """The engine, connected on first use.

    Prepared statements are off because RDS Proxy pins a connection that has any
    (https://github.com/psycopg/psycopg/issues/1105).
    """
    config = settings()
    return create_engine(
        config.database_url.get_secret_value(),
        poolclass=QueuePool,
        pool_size=config.database_pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        pool_recycle=300,
        connect_args={"prepare_threshold": None, "connect_timeout": CONNECT_SECONDS},
        hide_parameters=True,
    )


@lru_cache(maxsize=1)
def session_factory() -> sessionmaker[Session]:
    return sessionmaker(engine(), expire_on_commit=False)


@contextmanager
def session_scope() -> Iterator[Session]:
    """A transaction: committed when the block ends, rolled back when it raises."""
    with session_factory().begin() as session:
        yield session
