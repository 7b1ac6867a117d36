"""Calls the Lambda handlers as API Gateway does: a true event in, an answer out."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from academy.http import LambdaHandler
from dev.events import http_event, http_response
from tests import leaks

FUNCTIONS = ("auth", "tracks", "chat", "ai")
NEVER_SENT = re.compile(
    rb"\$argon2|correct horse|\"(password_hash|sealed_key|key_origin|email_key|sealed_answer)\":"
)
"""B5: what no answer to any test holds; the phrase is the beginning of `tests.factories.PASSWORD`."""


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    cookies: list[str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw) if self.raw else None

    @property
    def code(self) -> str:
        code: str = self.body["code"]
        return code


@dataclass
class Client:
    """One caller. `address` is where the gateway says the call came from."""

    token: str | None = None
    address: str = "203.0.113.7"
    scheme: str = "https"
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> Reply:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Reply:
        return self.request("POST", path, body, headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Reply:
        return self.request("PUT", path, body, headers)

    def delete(self, path: str, body: Any = None, **headers: str) -> Reply:
        return self.request("DELETE", path, body, headers)

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """`body` is sent as JSON, or as it stands if it is bytes; `idempotency_key=` names a header."""
        path, _, query = path.partition("?")
        names = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        sent = {"host": "api.example.com", "content-type": "application/json", **self.headers, **names}
        if self.token:
            sent.setdefault("authorization", f"Bearer {self.token}")
        leaks.remember([body, self.token])
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        event = http_event(method, path, query, sent, content, source_ip=self.address, scheme=self.scheme)
        response = http_response(json.loads(json.dumps(handler_for(path)(event, CONTEXT))))
        assert not NEVER_SENT.search(response.body), f"{method} {path} tells what nobody may know"
        reply = Reply(response.status, response.headers, response.cookies, response.body)
        if reply.status < 300 and b'"refresh_token"' in reply.raw:
            leaks.remember([reply.body[name] for name in ("access_token", "refresh_token")])
        return reply


CONTEXT = SimpleNamespace(
    function_name="tests",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:eu-central-1:123456789012:function:tests",
    aws_request_id="00000000-0000-0000-0000-000000000000",
)


@lru_cache
def handler_for(path: str) -> LambdaHandler:
    area = path.strip("/").split("/")[1:2]
    name = area[0] if area and area[0] in FUNCTIONS else "tracks"
    handler: LambdaHandler = import_module(f"{name}.routes").handler
    return handler
