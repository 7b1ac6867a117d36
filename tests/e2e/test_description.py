"""Whatever the OpenAPI document allows, and much that it doesn't, never is an error of ours."""

import json
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from academy.models import User
from dev.local import ROOT
from tests.client import Client, Reply
from tests.conftest import Api
from tests.factories import a_login_of

DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = [result.ok() for result in SCHEMA.get_all_operations() if isinstance(result, Ok)]
EXAMPLES = 15
QUIET = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def send(client: Client, case: Any) -> Reply:
    query = urlencode(case.query, doseq=True) if isinstance(case.query, dict) else ""
    body = None if case.body.__class__.__name__ == "NotSet" else case.body
    if isinstance(body, str):
        body = json.dumps(body).encode()
    headers = {
        k: str(v) for k, v in (case.headers or {}).items() if str(v).isascii() and str(v).isprintable()
    }
    return client.request(case.method.upper(), f"{case.formatted_path}?{query}".rstrip("?"), body, headers)


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.label)
def test_no_request_is_an_error_of_ours(operation: Any, mode: Any, api: Api, user: User) -> None:
    token = a_login_of(user)

    @QUIET
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        reply = send(Client(token=token), case)
        # 502 to 504 are the model's; none is scripted to fail here.
        assert reply.status < 500, reply.body
        if reply.status >= 400:
            assert reply.headers["content-type"] == "application/problem+json"

    # A route that takes nothing leaves nothing to get wrong.
    with suppress(Unsatisfiable):
        check()
