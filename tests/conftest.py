"""The platform as the tests find it: a migrated Postgres, rolled back after each test, and an API client."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

import academy.aws
from academy import config, db, migrate
from academy.models import Base, User
from dev import aws, postgres
from dev.sam import TEMPLATE, Template
from tests import leaks, lent, roles, tiers
from tests.canaries import PLATFORM_KEY, SECRET
from tests.client import Client
from tests.factories import a_key_file, a_login_of, a_user
from tests.fakes import ScriptedModel
from tests.sockets import Socket, Switchboard

Api = Callable[..., Client]
"""`api(user)` calls the handlers as that user, `api()` as nobody."""


def pytest_configure(config: pytest.Config) -> None:
    """Have a test process end with the one that started it: xdist's go on when theirs is killed."""
    config.pluginmanager.register(leaks)
    config.pluginmanager.register(tiers)
    if hasattr(config, "workerinput"):
        threading.Thread(target=_end_with, args=[os.getppid()], daemon=True).start()


def _end_with(starter: int) -> None:
    while os.getppid() == starter:
        time.sleep(0.5)
    os._exit(1)


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Server]:
    """A Postgres of this test process, migrated."""
    if server := lent.borrowed():
        yield server
        return
    with postgres.running(tmp_path_factory.mktemp("postgres"), durable=False) as server:
        migrate.upgrade(server.owner_url, app_role=postgres.APP, sweeper_role=postgres.SWEEPER)
        yield server
        leaked = [*leaks.found((server.home / "postgres.log").read_text(errors="replace"))]
        assert leaked == [], "Something secret is in the database's log (D8)."


@pytest.fixture(scope="session")
def model() -> Iterator[ScriptedModel]:
    """A model server that answers what a test tells it to, over HTTP."""
    with ScriptedModel() as scripted:
        yield scripted


@pytest.fixture(scope="session")
def switchboard() -> Iterator[Switchboard]:
    """Where sockets are pushed to: keeps what each of them got."""
    with Switchboard() as running:
        yield running


@pytest.fixture(scope="session")
def aws_settings() -> Iterator[dict[str, str]]:
    """Settings that lead to the template's tables and queues, played by moto."""
    with aws.running() as endpoint:
        template = Template(TEMPLATE, endpoint=endpoint)
        aws.create_missing(template)
        declared = template.functions["WsFunction"].environment
        names = ("CONNECTIONS_TABLE", "REPLY_QUEUE_URL")
        yield {**aws.environment(endpoint), **{name: declared[name] for name in names}}


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What wraps people's model keys here."""
    return a_key_file(tmp_path_factory.mktemp("keys") / "model-keys", first="1" * 64)


@pytest.fixture(scope="session")
def environment(
    database: postgres.Server,
    model: ScriptedModel,
    switchboard: Switchboard,
    aws_settings: dict[str, str],
    key_file: Path,
) -> Iterator[None]:
    """The settings, made before the first handler reads them."""
    os.environ.update(
        **aws_settings,
        WEBSOCKET_MANAGEMENT_URL=switchboard.url,
        DATABASE_URL=database.url,
        SWEEPER_DATABASE_URL=database.sweeper_url,
        DATABASE_POOL_SIZE="60",
        SECRET_KEY=SECRET,
        KEY_FILE=str(key_file),
        PASSWORD_HASH_MEMORY_KIB="19456",
        DEFAULT_OPENAI_API_KEY=PLATFORM_KEY,
        DEFAULT_OPENAI_BASE_URL=model.base_url,
        DEFAULT_OPENAI_MODEL="scripted",
        LLM_ALLOWED_PRIVATE=model.address,
        ALLOWED_ORIGINS="https://app.example.com",
        POWERTOOLS_METRICS_DISABLED="true",
        POWERTOOLS_TRACE_DISABLED="true",
    )
    yield
    db.engine().dispose()


@pytest.fixture(scope="session")
def superuser(environment: None, database: postgres.Server) -> Iterator[Engine]:
    """The tests' own way into the database, where no policy hides anything."""
    engine = db.make_engine(SecretStr(database.superuser_url))
    roles.looks.configure(bind=engine)
    yield engine
    engine.dispose()


@pytest.fixture
def transaction(superuser: Engine) -> Iterator[Connection]:
    """Everything the platform commits during a test, undone after it; it sees everything itself."""
    played = {
        db.session_factory(): postgres.APP,
        db.sweeper_factory(): postgres.SWEEPER,
        roles.looks: "none",
    }
    binds = {factory: factory.kw["bind"] for factory in played}
    shared = roles.Roles()
    with superuser.connect() as connection, ExitStack() as stack:
        outer = connection.begin()
        for factory, role in played.items():
            factory.configure(bind=connection, join_transaction_mode="create_savepoint")
            stack.enter_context(shared.played(factory, role))
        yield connection
        for factory, bind in binds.items():
            factory.configure(bind=bind, join_transaction_mode="conditional_savepoint")
        outer.rollback()


@pytest.fixture
def session(transaction: Connection) -> Iterator[Session]:
    """A look into the database, from inside the test's transaction."""
    with roles.looks() as session:
        yield session


@pytest.fixture
def session_of_its_own(superuser: Engine) -> Iterator[Session]:
    """A look at what is committed."""
    with roles.looks() as session:
        yield session


@pytest.fixture
def committed(superuser: Engine, database: postgres.Server) -> Iterator[None]:
    """For races: real commits on many connections, and every table emptied afterwards."""
    yield
    tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
    with database.connect(postgres.OWNER) as connection:
        connection.execute(f"TRUNCATE {tables}".encode())


@pytest.fixture
def user(transaction: Connection) -> User:
    """Somebody who is registered."""
    return a_user()


@pytest.fixture
def api(transaction: Connection) -> Api:
    return client_of


@pytest.fixture
def reply_queue(environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A reply queue that no other test has left anything in."""
    attributes: Any = {"FifoQueue": "true", "VisibilityTimeout": "900"}
    sqs = academy.aws.client("sqs")
    url = sqs.create_queue(QueueName=f"{uuid4()}.fifo", Attributes=attributes)["QueueUrl"]
    with monkeypatch.context() as changed:
        changed.setenv("REPLY_QUEUE_URL", url)
        config.settings.cache_clear()
        yield
    config.settings.cache_clear()
    sqs.delete_queue(QueueUrl=url)


@pytest.fixture
def socket(transaction: Connection, switchboard: Switchboard, user: User) -> Socket:
    """An open socket of the user's."""
    return Socket(switchboard, a_login_of(user)).opened()


def client_of(user: User | None = None) -> Client:
    return Client(token=a_login_of(user) if user else None)
