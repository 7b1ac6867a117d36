"""What is secret stays out of every log: the suite watches itself, and here it is seen to bite."""

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from aws_xray_sdk.core import xray_recorder

from academy import observability
from academy.http import Router, dependencies, lambda_handler
from dev import postgres
from dev.events import http_event
from dev.local import ROOT
from dev.sam import TEMPLATE, Template
from tests.client import CONTEXT

LEAKS = {
    "handler": 'logger.info("log-in", words=["pass phrase"])',
    "library": 'logging.getLogger("botocore").warning("sent %s", "pass phrase")',
    "traceback": 'logger.exception("failed", exc_info=ValueError("pass phrase"))',
    "stdout": 'print("pass phrase")',
    "child": 'os.system("echo pass phrase >&2")',
    "file": 'leaks.watch("… pass phrase …")',
    "json": 'print(json.dumps({"words": "пароль 💃"}))',
    "token": 'print("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2ln")',  # pragma: allowlist secret
    "key": 'print("key=sk-proj-1234567890")',
    "hash": 'print("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA")',
    "address": 'print("anna@example.com")',
    "query": 'print("GET /ws?session_id=1&token=x")',
    "model": 'print("You said: hello")',
}
PROGRAM = """
import json, logging, os
from academy.observability import logger
from tests import leaks

def test_clean():
    leaks.remember({"password": "pass phrase", "session_id": "a-session"})
    logger.info("password changed", user_id="7", session_id="a-session")
"""
TEST = """
def test_{name}():
    leaks.remember({{"password": "pass phrase", "more": ["пароль 💃"]}})
    {leak}
"""


def outcome(folder: Path, leaky: dict[str, str], *options: str) -> str:
    """What pytest says of a file with a test for each leak, and one without."""
    file = folder / "test_one.py"
    file.write_text(PROGRAM + "".join(TEST.format(name=name, leak=leak) for name, leak in leaky.items()))
    plugins = ["-p", "tests.leaks", "-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:xdist"]
    command = [sys.executable, "-m", "pytest", *plugins, "-v", *options, str(file)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


def test_D8_a_leak_anywhere_fails_its_test_and_no_other(tmp_path: Path) -> None:
    said = outcome(tmp_path, LEAKS)
    assert {name for name in LEAKS if f"ERROR at teardown of test_{name} " in said} == LEAKS.keys()
    assert f"{len(LEAKS) + 1} passed, {len(LEAKS)} errors" in said
    assert said.count("Something secret was logged or printed (D8)") >= len(LEAKS)


def test_D8_a_handlers_log_is_searched_even_where_nothing_is_captured(tmp_path: Path) -> None:
    said = outcome(tmp_path, {"handler": LEAKS["handler"]}, "-s")
    assert "2 passed, 1 error" in said


def test_D8_no_parameter_and_no_value_gets_into_the_databases_log(database: postgres.Server) -> None:
    log = database.home / "postgres.log"
    before = len(log.read_text())
    with database.connect() as connection:
        connection.execute("SET log_min_duration_statement = 0")
        connection.execute("CREATE TEMPORARY TABLE words (said text UNIQUE)")
        connection.execute("INSERT INTO words VALUES (%s)", ["canary-of-the-log"])
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO words VALUES (%s)", ["canary-of-the-log"])
    said = log.read_text()[before:]
    assert "INSERT INTO words VALUES ($1)" in said
    assert "duplicate key" in said
    assert "canary-of-the-log" not in said


def test_D8_the_database_in_aws_logs_as_little() -> None:
    kept = Template(TEMPLATE).properties("DatabaseParameters")["Parameters"]
    names = [name for name in postgres.SETTINGS if name.startswith("log_") and name != "log_timezone"]
    assert len(names) == 2
    assert {name: kept[name] for name in names} == {name: postgres.SETTINGS[name] for name in names}


def test_D8_a_trace_holds_no_answer(monkeypatch: pytest.MonkeyPatch, environment: None) -> None:
    router = Router(prefix="/canaries", tag="canaries")
    monkeypatch.setattr(dependencies, "PUBLIC_ROUTES", {("GET", "/api/canaries")})

    @router.get("")
    def answer() -> dict[str, str]:
        return {"access_token": "canary-of-an-answer"}

    monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "false")
    monkeypatch.setenv("LAMBDA_TASK_ROOT", "/var/task")  # where there is none, nothing is traced
    observability.tracer.cache_clear()
    monkeypatch.setattr(xray_recorder, "sampling", False)  # it would be asked for on the network
    sent: list[str] = []
    monkeypatch.setattr(xray_recorder.emitter, "send_entity", lambda part: sent.append(part.serialize()))
    xray_recorder.begin_segment("tests")
    try:
        reply = lambda_handler(router)(http_event("GET", "/api/canaries", "", {"host": "api"}, None), CONTEXT)
    finally:
        xray_recorder.clear_trace_entities()
        observability.tracer.cache_clear()
    assert "canary-of-an-answer" in reply["body"]
    assert "## " in "".join(sent)
    assert "canary-of-an-answer" not in "".join(sent)
