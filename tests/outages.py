"""What it is like when something is not there: a port where nobody answers, for as long as a block lasts."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine

from academy import aws, db


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that is ours, so nobody else opens it, and where every connection is refused."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@contextmanager
def no_database() -> Iterator[None]:
    """Postgres is down."""
    factory = db.session_factory()
    usual = factory.kw["bind"]
    with closed_port() as port:
        factory.configure(bind=create_engine(f"postgresql+psycopg://academy@127.0.0.1:{port}/academy"))
        try:
            yield
        finally:
            factory.configure(bind=usual)


@contextmanager
def no_dynamodb() -> Iterator[None]:
    with _unreachable("DYNAMODB"):
        yield


@contextmanager
def no_queue() -> Iterator[None]:
    with _unreachable("SQS"):
        yield


@contextmanager
def no_kms() -> Iterator[None]:
    with _unreachable("KMS"):
        yield


@contextmanager
def _unreachable(service: str) -> Iterator[None]:
    with closed_port() as port, pytest.MonkeyPatch.context() as changed:
        changed.setenv(f"AWS_ENDPOINT_URL_{service}", f"http://127.0.0.1:{port}")
        aws._made.cache_clear()
        yield
    aws._made.cache_clear()
