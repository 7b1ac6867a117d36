"""Schemathesis' own engine against the running platform: every phase, every check, three people who must not
see each other's things. Run by `make prove`."""

import json
import re
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from academy import auth, config
from academy.throttle import Limit
from dev.local import ROOT
from dev.sam import TEMPLATE, Template
from tests.factories import PASSWORD, a_course, a_user
from tests.fakes import ScriptedModel
from tests.gateway import serving
from tests.tiers import report, sized

PEERS = ("anna", "bert", "clara")
SEEDS = sized(full=range(1, 4), short=range(1, 2))
EXAMPLES = sized(full=200, short=10)
PHASES = "examples,coverage,fuzzing,stateful"

SAID_IN_WORDS = {
    "POST /api/auth/register": "a weak password, an e-mail address that is none",
    "PUT /api/auth/password": "a weak password",
    "PUT /api/ai/user-config": "a URL inside our network",
    "POST /api/ai/generate-lesson": "a number of very many digits, deep in a context of any form",
    "PUT /api/chat/chats/{chat_id}/status": "a status neither in the query nor in the body",
    "PUT /api/chat/sessions/{session_id}/status": "a status neither in the query nor in the body",
    # Schemathesis follows a session to its track, also where it has none.
    "GET /api/tracks/{track_id}": "the text None",
    "PUT /api/tracks/{track_id}": "the text None",
    "DELETE /api/tracks/{track_id}": "the text None",
    "GET /api/tracks": "a cursor that no page has handed out",
    "GET /api/chat/sessions": "a cursor that no page has handed out",
    "GET /api/chat/sessions/{session_id}/chats": "a cursor that no page has handed out",
    "GET /api/chat/chats/{chat_id}/messages": "a cursor that no page has handed out",
}
"""What is refused there no JSON Schema can describe."""

# Whoever sends another request makes a new key. Keys that are none stay as they are.
HOOKS = """
import re
import uuid

import schemathesis


@schemathesis.hook
def filter_query(context, query):
    # API Gateway answers 10 KB of headers and address by itself, in its own words.
    return len(str(query)) < 2_000


@schemathesis.hook
def before_call(context, case, kwargs):
    for name in case.headers or {}:
        if name.lower() == "idempotency-key" and re.fullmatch("[!-~]{1,255}", str(case.headers[name])):
            case.headers[name] = uuid.uuid4().hex
"""


@pytest.fixture
def port(committed: None, quiet_model: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The platform on a port, for callers who all have one address, guess passwords and ask all the time."""
    no_limit = Limit("no limit", 1_000_000, timedelta(minutes=1))
    monkeypatch.setattr("auth.service.GUESSES", no_limit)
    monkeypatch.setattr("auth.service.GUESSES_FROM_ANYWHERE", no_limit)
    monkeypatch.setattr("ai.routes.QUESTIONS", no_limit)
    with socket.create_server(("127.0.0.1", 0)) as listening, monkeypatch.context() as changed:
        changed.setenv("THROTTLE_PER_ADDRESS", "off")
        changed.setenv("WEBSOCKET_MANAGEMENT_URL", f"http://127.0.0.1:{listening.getsockname()[1]}/ws")
        config.settings.cache_clear()
        with serving(Template(TEMPLATE), listening=listening, threads=8) as gateway:
            yield gateway.port
    config.settings.cache_clear()


@pytest.fixture
def quiet_model(model: ScriptedModel) -> Iterator[None]:
    model.reset()
    yield
    model.reset()


def log_in(name: str) -> dict[str, Any]:
    """How one of the peers logs in, as the Web Fuzzing Commons write it down."""
    body = {"email": f"{name}@example.com", "password": PASSWORD}
    token = {
        "extractFrom": "body",
        "extractSelector": "/access_token",
        "sendIn": "header",
        "sendName": "Authorization",
        "sendTemplate": "Bearer {token}",
    }
    endpoint = {"endpoint": "/api/auth/login", "verb": "POST", "contentType": "application/json"}
    return {
        "name": name,
        "loginEndpointAuth": {**endpoint, "payloadRaw": json.dumps(body), "token": token},
    }


@pytest.fixture
def settings(committed: None, tmp_path: Path) -> Path:
    """Three people with a course each, and the file that tells Schemathesis how they log in."""
    for name in PEERS:
        owner = a_user(email=f"{name}@example.com", password_hash=auth.hash_password(PASSWORD))
        a_course(owner)
    peers = tmp_path / "peers.json"
    peers.write_text(json.dumps({"auth": [log_in(name) for name in PEERS]}))
    settings = tmp_path / "schemathesis.toml"
    hooks = tmp_path / "hooks.py"
    hooks.write_text(HOOKS)
    told = [f'hooks = "{hooks}"', "[auth.wfc]", f'path = "{peers}"', f"peers = {json.dumps(PEERS)}"]
    # What Postgres cannot store is refused: C3, of which the description has no word.
    told += ["[generation]", "allow-x00 = false", 'codec = "utf-8"']
    for operation in SAID_IN_WORDS:
        told += ["[[operations]]", f'include-name = "{operation}"']
        told += ["[operations.checks.positive_data_acceptance]", 'expected-statuses = ["2xx", "4xx"]']
    settings.write_text("\n".join(told))
    return settings


@pytest.mark.prove
@pytest.mark.parametrize("seed", SEEDS)
def test_F18_schemathesis_finds_nothing(seed: int, port: int, settings: Path, tmp_path: Path) -> None:
    began, junit = time.monotonic(), tmp_path / "junit.xml"
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", settings, "run"]
    command += [ROOT / "docs" / "openapi.json", "--url", f"http://127.0.0.1:{port}", "--checks", "all"]
    command += ["--phases", PHASES, "--max-examples", EXAMPLES, "--seed", seed, "--no-color"]
    command += ["--report", "junit", "--report-junit-path", junit, "--suppress-health-check", "all"]
    command += ["--request-timeout", "60"]
    run = subprocess.run([*map(str, command)], cwd=tmp_path, capture_output=True, text=True, check=False)
    tested = re.search(r"Tested: (\d+)", run.stdout)
    cases = re.search(r"(\d+) generated", run.stdout)
    failures = [
        case.get("name") for case in ET.parse(junit).iter("testcase") if case.find("failure") is not None
    ]
    report(
        "F18",
        seed=seed,
        examples=EXAMPLES,
        operations=tested and tested[1],
        cases=cases and cases[1],
        failures=failures,
        warnings=re.findall(r"⚠️\s*(.+)", run.stdout),
        seconds=round(time.monotonic() - began),
    )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-5_000:]
