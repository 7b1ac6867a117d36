"""What every answer has in common, whoever gives it."""

import json
import logging
import re

import pytest

from academy.http import Router, lambda_handler
from academy.http.edge import SECURITY_HEADERS
from academy.models import User
from dev.events import http_event, http_response
from tests.client import CONTEXT, Reply
from tests.conftest import Api
from tests.outages import no_database

PROBLEM = {"type", "title", "status", "detail", "code", "request_id"}


def every_kind(api: Api, user: User) -> dict[int, Reply]:
    caller = api(user)
    replies = [
        caller.get("/api/tracks"),
        caller.post("/api/tracks", {"title": "Rust"}),
        api().get("/api/tracks"),
        caller.get("/api/nowhere"),
        caller.request("PATCH", "/api/tracks"),
        caller.post("/api/tracks", b"x" * (1024 * 1024 + 1)),
        caller.post("/api/tracks", {}),
    ]
    return {reply.status: reply for reply in replies}


def test_a_method_that_is_not_possible_is_answered_with_those_that_are(api: Api, user: User) -> None:
    allowed = api(user).request("PATCH", "/api/tracks").headers["allow"]
    assert allowed.split(", ") == ["GET", "POST"]


def test_C8_every_answer_carries_the_security_headers(api: Api, user: User) -> None:
    replies, caller = every_kind(api, user), api(user)
    with no_database():
        replies[503] = caller.get("/api/tracks")
    assert set(replies) == {200, 201, 401, 404, 405, 413, 422, 503}
    for reply in replies.values():
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["vary"] == "Origin"
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
        assert reply.headers["strict-transport-security"].startswith("max-age=")


def test_errors_are_problem_documents(api: Api, user: User) -> None:
    for status, reply in every_kind(api, user).items():
        if status < 400:
            continue
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.body.keys() >= PROBLEM
        assert (reply.body["status"], reply.body["request_id"]) == (status, reply.headers["x-request-id"])
        assert ("errors" in reply.body) == (status == 422)


def test_C7_a_sane_request_id_is_kept(api: Api) -> None:
    assert api().get("/api", x_request_id="trace-1.a_b").headers["x-request-id"] == "trace-1.a_b"


@pytest.mark.parametrize(
    "given", ["a b", "a\r\nSet-Cookie: x=1", "x" * 65, "x" * 10_240, "идентификатор", ""]
)
def test_C7_another_request_id_is_replaced(api: Api, given: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", api().get("/api", x_request_id=given).headers["x-request-id"])


def test_a_validation_error_names_the_field_but_not_what_was_in_it(api: Api) -> None:
    reply = api().post("/api/auth/register", {"email": "canary", "password": "short"})
    assert reply.body["errors"][0].keys() == {"loc", "msg", "type"}
    assert b"canary" not in reply.raw


def test_the_last_resort_says_nothing_of_what_happened(
    environment: None, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    router = Router(prefix="/health", tag="tests")

    @router.get("")
    def broken() -> None:
        raise RuntimeError("canary: what somebody wrote")

    with caplog.at_level(logging.INFO):
        result = lambda_handler(router)(http_event("GET", "/api/health"), CONTEXT)
    response = http_response(result)
    body = json.loads(response.body)
    assert (response.status, body["code"]) == (500, "internal_error")
    assert (
        SECURITY_HEADERS.items() <= {name.title(): value for name, value in response.headers.items()}.items()
    )
    assert body["request_id"] == response.headers["x-request-id"]
    logged = capsys.readouterr()
    assert "canary" not in response.body.decode() + caplog.text + logged.out + logged.err
