"""What is deployed, run by AWS's own runtime client over the local stack: a learner's whole path."""

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.typing import Subprotocol

from dev import aws, environment, postgres
from dev.emulator import ARTIFACT, HEEDING_MODES, MIB, Emulator
from dev.guard import guarded, let_go
from dev.local import ROOT
from dev.sam import TEMPLATE, Template
from dev.services import free_port, functions_environment
from tests import cloudformation
from tests.client import Reply
from tests.e2e.test_learners_path import walk
from tests.gateway import Gateway, serving

pytestmark = pytest.mark.artifact

SESSION = "1718000000000abc123xyz"
SECONDS = 30


class Counting(Emulator):
    """An emulator that counts the events of every function."""

    def __init__(self, *about: Any, **options: Any) -> None:
        super().__init__(*about, **options)
        self.events: Counter[str] = Counter()

    def invoke(self, name: str, event: dict[str, Any]) -> "Future[Any]":
        self.events[name] += 1
        return super().invoke(name, event)


@dataclass
class Learner:
    """Somebody with a browser: as `tests.client.Client`, but over a real connection to the gateway."""

    gateway: Gateway
    token: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str) -> Reply:
        return self._request("GET", path)

    def post(self, path: str, body: Any = None) -> Reply:
        return self._request("POST", path, json.dumps(body).encode())

    def socket(self, path: str) -> ClientConnection:
        return self.gateway.connect(path, subprotocols=[Subprotocol("bearer"), Subprotocol(self.token)])

    def _request(self, method: str, path: str, body: bytes | None = None) -> Reply:
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        answer = self.gateway(method, path, body, content_type="application/json", **headers)
        return Reply(answer.status, dict(answer.headers), [], answer.body)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Server]:
    """A Postgres that knows what RDS knows, without a schema."""
    with postgres.running(tmp_path_factory.mktemp("postgres"), durable=False) as server:
        with server.connect() as connection:
            connection.execute("CREATE ROLE rds_iam")
        yield server


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    with aws.running() as endpoint:
        template = Template(TEMPLATE, endpoint=endpoint)
        aws.create_missing(template)
        yield template


@pytest.fixture(scope="module")
def tutor() -> Iterator[str]:
    """The URL of the model that answers offline."""
    port = free_port()
    process = guarded([sys.executable, "-m", "dev.tutor", "--port", str(port)], cwd=ROOT)
    yield f"http://127.0.0.1:{port}/v1"
    let_go(process)


@pytest.fixture(scope="module")
def settings(database: postgres.Server, template: Template, tutor: str) -> dict[str, str]:
    """Secrets are where they are in AWS: in Secrets Manager."""
    secrets = aws.client("secretsmanager", template.endpoint)

    def secret(name: str, **value: str) -> str:
        return str(secrets.create_secret(Name=name, SecretString=json.dumps(value))["ARN"])

    owner = make_url(database.superuser_url).set(password=None, database=postgres.DATABASE)
    return {
        "DATABASE_URL": database.url,
        "SWEEPER_DATABASE_URL": database.sweeper_url,
        "MIGRATION_DATABASE_URL": owner.render_as_string(),
        "MIGRATION_PASSWORD_ARN": secret("owner", username="postgres", password=database.password),
        "SECRET_KEYS_ARN": secret("keys", current="c" * 64, previous="p" * 64),
        "KEY_ENCRYPTION_KEY_ARN": aws.create_key(template.endpoint),
        "DEFAULT_OPENAI_BASE_URL": tutor,
        "DEFAULT_OPENAI_MODEL": "tutor-demo",
    }


@pytest.fixture(scope="module")
def gateway(
    settings: dict[str, str], template: Template, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """Every function in an environment of its own; the schema made by the function that makes it in AWS."""
    # Functions are told of the port before there is a gateway.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        local = environment.with_defaults(settings, port)
        del local["SECRET_KEY"]
        variables, logs = functions_environment(template, local, port), tmp_path_factory.mktemp("logs")
        runtime = Counting(template.functions, variables, logs, python=Path(os.environ["BUILD_PYTHON"]))
        with serving(template, listening=listening, runtime=runtime) as gateway:
            _migrate(runtime)
            yield gateway


def _migrate(runtime: Counting) -> None:
    with cloudformation.waiting() as waits:
        runtime.invoke("MigrateFunction", waits.event("Create")).result(SECONDS)
        assert waits.answers[0]["Status"] == "SUCCESS", runtime.log("MigrateFunction")


@pytest.fixture(scope="module")
def runtime(gateway: Gateway) -> Counting:
    assert isinstance(gateway.runtime, Counting)
    return gateway.runtime


@pytest.fixture
def learner(gateway: Gateway) -> Learner:
    reply = Learner(gateway).post("/api/auth/guest-login")
    assert reply.status == 200, reply.raw
    return Learner(gateway, reply.body["access_token"])


def frames_until(socket: ClientConnection, kind: str) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = []
    while not frames or frames[-1]["type"] != kind:
        frames.append(json.loads(socket.recv(timeout=SECONDS)))
        assert frames[-1]["type"] != "error", frames[-1]
    return frames


def converse(learner: Learner) -> None:
    """Ask something on one socket, and look at the chats on another."""
    with learner.socket(f"/ws/chat/{SESSION}") as socket:
        socket.send('{"type": "restore_chat"}')
        assert not frames_until(socket, "chat_restored")[-1]["has_existing_chat"]
        socket.send(json.dumps({"message": "Научи меня танго", "client_message_id": "1"}))
        accepted, *deltas, end = frames_until(socket, "ai_response")
        assert accepted["type"] == "message_accepted"
        assert "".join(frame["delta"] for frame in deltas) == end["message"]
        assert (end["status"], len(deltas) > 1) == ("complete", True)
        socket.send('{"type": "ping"}')
        frames_until(socket, "pong")
    with learner.socket(f"/ws/chat/{SESSION}/switch") as socket:
        socket.send('{"command": "get_user_chats"}')
        (session,) = frames_until(socket, "user_chats")[-1]["chats"]
        assert session["session_id"] == SESSION


def test_the_platform_is_up(gateway: Gateway) -> None:
    assert Learner(gateway).get("/api/health").body == {"status": "ok"}
    assert Learner(gateway).get("/api/nothing").code == "not_found"


def test_a_learner_completes_a_course_and_registers(learner: Learner) -> None:
    track = walk(learner)  # type: ignore[arg-type]  # all that it uses of a client is here
    assert (track["status"], track["progress"]) == ("completed", 100)
    assert learner.get(f"/api/chat/sessions/{SESSION}/chats").body
    account = {
        "email": "anna@example.com",
        "password": "длинный пароль",
        "first_name": "Анна",
        "last_name": "",
    }
    reply = learner.post("/api/auth/register", account)
    assert reply.status == 201
    again = learner.post("/api/auth/login", {"email": account["email"], "password": account["password"]})
    assert (
        Learner(learner.gateway, again.body["access_token"]).get(f"/api/tracks/{track['id']}").body == track
    )


def test_a_reply_is_streamed_over_a_socket_by_way_of_the_queue(learner: Learner) -> None:
    converse(learner)


def test_nobody_connects_without_a_token(gateway: Gateway) -> None:
    with pytest.raises(InvalidStatus, match="401"):
        gateway.connect(f"/ws/chat/{SESSION}")


def test_the_sweeper_sweeps(gateway: Gateway, runtime: Counting) -> None:
    assert runtime.invoke("SweeperFunction", {}).result(SECONDS) is None


def test_nothing_of_tests_tools_or_docs_is_deployed() -> None:
    top = {path.name for folder in ("task", "layer/python") for path in (ARTIFACT / folder).iterdir()}
    assert not top & {
        "tests",
        "dev",
        "docs",
        "infra",
        "moto",
        "pytest",
        "boto3",
        "botocore",
        "Makefile",
        "build.py",
    }
    assert {"auth", "tracks", "chat", "ai", "ws", "academy"} <= top
    for source in ARTIFACT.joinpath("task").rglob("*.py"):
        assert (source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc").exists(), source


def test_the_code_cannot_be_written_to() -> None:
    for folder in ("task/ws", "layer/python/academy"):
        program = f"open({str(ARTIFACT / folder / 'new.py')!r}, 'w')"
        tried = subprocess.run(
            [*HEEDING_MODES, sys.executable, "-c", program], capture_output=True, text=True, check=False
        )
        assert "PermissionError" in tried.stderr


def test_every_function_ran_within_the_templates_memory_and_wrote_nothing_into_its_code(
    learner: Learner, runtime: Counting, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _digest()
    converse(learner)
    assert runtime.events.keys() == runtime.functions.keys()
    peaks = {name: runtime.peak_memory(name) for name in runtime.functions}
    with capsys.disabled():
        sys.stdout.write(f"\n{len(peaks)} functions, {runtime.events.total()} events\n")
        for name, peak in peaks.items():
            sys.stdout.write(f"  {name:16} {runtime.events[name]:4} events, at most {peak / MIB:4.0f} MiB\n")
    assert all(peak < runtime.functions[name].memory * MIB for name, peak in peaks.items())
    assert _digest() == before


def _digest() -> str:
    digest = hashlib.sha256()
    for folder in ("task", "layer"):
        for path in sorted(ARTIFACT.joinpath(folder).rglob("*")):
            digest.update(str(path).encode() + (path.read_bytes() if path.is_file() else b""))
    return digest.hexdigest()
