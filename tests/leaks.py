"""Fails a test during which something secret was logged or printed, wherever that happened.

Fakes and clients remember what they are given; what a test has printed to the end of its teardown, by
handlers, libraries, servers and child processes alike, is searched for it, and for what looks like a key, a
token or a hash.
"""

import io
import json
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from academy.observability import logger
from tests.canaries import ALWAYS

LEAST = 8
"""Characters: what is shorter turns up by chance."""
WORD = re.compile(r"[a-z_/-]+")
"""Such as "password", which is somebody's, and in our paths besides."""
# What names things, and may be logged.
NAMES = {
    *("session_id", "chat_id", "track_id", "module_id", "message_id", "client_message_id", "user_id"),
    *("type", "command", "status", "chat_type", "content_type", "message_type", "difficulty_level"),
    *("model", "model_name", "base_url", "role", "id"),
}
SHAPES = {
    "a token": re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}"),
    "a key": re.compile(r"(?<![\w-])sk-[\w-]{8,}"),
    "a hash of a password": re.compile(r"\$argon2id\$"),
    "an e-mail address": re.compile(r"[\w.+-]@example\.(?:com|org)"),
    "a query with a token": re.compile(r"[?&]token="),
}

_remembered: set[str] = set()
_printed: list[str] = []
_logged = io.StringIO()


def remember(value: Any) -> None:
    """Every text in it is secret until the test ends, unless its name says that it only names something."""
    if isinstance(value, str):
        if len(value) >= LEAST and not WORD.fullmatch(value):
            _remembered.add(value)
    elif isinstance(value, Mapping):
        for name, part in value.items():
            if name not in NAMES:
                remember(part)
    elif isinstance(value, list | tuple):
        for part in value:
            remember(part)


def watch(text: str) -> None:
    """Search this, too, when the test ends: what a process has written into a file."""
    _printed.append(text)


def found(text: str, secrets: set[str] | frozenset[str] = ALWAYS) -> Iterator[str]:
    """What is secret in a text, each with the line that it stands in."""
    for secret in secrets:
        for spelling in {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}:
            if spelling in text:
                yield f"a secret: {_line(text, text.index(spelling))}"
    for name, shape in SHAPES.items():
        if match := shape.search(text):
            yield f"{name}: {_line(text, match.start())}"


def pytest_configure() -> None:
    # The words as they are printed; capturing may be off.
    sink = logging.StreamHandler(_logged)
    sink.setFormatter(logger.registered_formatter)
    logger.addHandler(sink)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    _remembered.clear()
    _printed.clear()
    _logged.seek(0)
    _logged.truncate()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Iterator[None]:
    report: Any = yield
    if call.when == "teardown" and report.passed:
        texts = [text for _, text in report.sections] + _printed + [_logged.getvalue()]
        leaks = sorted(set(found("\n".join(texts), ALWAYS | _remembered)))
        if leaks:
            report.outcome = "failed"
            report.longrepr = "\n".join(["Something secret was logged or printed (D8)", *leaks])
    return report  # type: ignore[no-any-return]


def _line(text: str, position: int) -> str:
    start = text.rfind("\n", 0, position) + 1
    return text[start : position + 200].partition("\n")[0]
