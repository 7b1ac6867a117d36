"""The local gateway does what API Gateway does, item by item, over real HTTP."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from dev.http_api import QUOTAS, Limits
from dev.sam import Template
from tests import gateway
from tests.gateway import Gateway

TEMPLATE = Path(__file__).with_name("template.yaml")
APP = "https://app.example.com"


def serving(limits: Limits = QUOTAS) -> AbstractContextManager[Gateway]:
    return gateway.serving(Template(TEMPLATE), limits=limits)


@pytest.fixture(scope="module")
def ask() -> Iterator[Gateway]:
    with serving() as gateway_:
        yield gateway_


class TestEvents:
    def test_a_request_becomes_a_payload_2_event(self, ask: Gateway) -> None:
        sent = {"Content_Type": "application/json", "X_Mixed": "Yes", "Cookie": "a=1; b=2"}
        event = ask("POST", "/things/t_81/x?fields=a&fields=b", b'{"title":"x"}', **sent).json["event"]
        assert (event["version"], event["routeKey"]) == ("2.0", "ANY /things/{proxy+}")
        assert event["pathParameters"] == {"proxy": "t_81/x"}
        assert (event["rawQueryString"], event["queryStringParameters"]) == (
            "fields=a&fields=b",
            {"fields": "a,b"},
        )
        assert event["cookies"] == ["a=1", "b=2"]
        assert (event["headers"]["x-mixed"], "cookie" in event["headers"]) == ("Yes", False)
        assert (event["body"], event["isBase64Encoded"]) == ('{"title":"x"}', False)
        assert event["requestContext"]["stage"] == "$default"

    def test_empty_members_are_absent_not_null(self, ask: Gateway) -> None:
        event = ask("GET", "/things/special").json["event"]
        assert not {"body", "cookies", "queryStringParameters", "pathParameters"} & event.keys()

    def test_the_source_address_is_the_sockets_whatever_a_header_claims(self, ask: Gateway) -> None:
        event = ask("GET", "/things/1", X_Forwarded_For="203.0.113.9").json["event"]
        assert event["requestContext"]["http"]["sourceIp"] == "127.0.0.1"
        assert event["headers"]["x-forwarded-for"] == "203.0.113.9, 127.0.0.1"

    def test_a_binary_body_arrives_in_base64(self, ask: Gateway) -> None:
        event = ask("POST", "/things/1", b"\xff\x00", Content_Type="application/octet-stream").json["event"]
        assert (event["body"], event["isBase64Encoded"]) == ("/wA=", True)

    def test_a_chunked_body_arrives_whole_with_its_length(self, ask: Gateway) -> None:
        connection = HTTPConnection("127.0.0.1", ask.port, timeout=10)
        with closing(connection):
            headers = {"Content-Type": "text/plain"}
            connection.request("POST", "/things/1", iter([b"one ", b"two"]), headers, encode_chunked=True)
            event = json.loads(connection.getresponse().read())["event"]
        assert (event["body"], event["headers"]["content-length"]) == ("one two", "7")
        assert "transfer-encoding" not in event["headers"]

    def test_every_invocation_has_a_context_of_its_own(self, ask: Gateway) -> None:
        first, second = (ask("GET", "/things/1").json for _ in range(2))
        assert first["function"] == second["function"] == "Echo"
        assert first["request_id"] != second["request_id"]

    @pytest.mark.parametrize(
        ("path", "key"),
        [
            ("/things/special", "GET /things/special"),
            ("/things/7", "GET /things/{id}"),
            ("/things/7/more", "ANY /things/{proxy+}"),
            ("/things/7%0A8", "GET /things/{id}"),
            ("/things/7/more%0A", "ANY /things/{proxy+}"),
        ],
    )
    def test_the_most_specific_route_wins(self, ask: Gateway, path: str, key: str) -> None:
        assert ask("GET", path).json["event"]["routeKey"] == key


class TestAnswers:
    def test_what_has_no_status_code_is_a_json_body(self, ask: Gateway) -> None:
        answer = ask("GET", "/bare")
        assert (answer.status, answer.json) == (200, {"hello": "world"})

    def test_each_cookie_is_a_header_of_its_own(self, ask: Gateway) -> None:
        answer = ask("GET", "/cookies")
        cookies = [value for name, value in answer.headers if name.lower() == "set-cookie"]
        assert cookies == ["a=1; Path=/", "b=2; Path=/"]

    def test_base64_becomes_bytes(self, ask: Gateway) -> None:
        assert ask("GET", "/binary").body == b"\xff\x00\xfe"

    @pytest.mark.parametrize("path", ["/raises", "/malformed", "/unserialisable"])
    def test_a_function_that_fails_is_an_internal_server_error(self, ask: Gateway, path: str) -> None:
        answer = ask("GET", path)
        assert (answer.status, answer.json) == (500, {"message": "Internal Server Error"})

    @pytest.mark.parametrize("path", ["/nowhere", "/no%0Awhere"])
    def test_an_unknown_route_is_not_found(self, ask: Gateway, path: str) -> None:
        answer = ask("GET", path)
        assert (answer.status, answer.json) == (404, {"message": "Not Found"})

    def test_head_reaches_the_function_and_its_answer_has_no_body(self, ask: Gateway) -> None:
        answer = ask("HEAD", "/things/1/2")
        assert (answer.status, answer.body) == (200, b"")

    def test_the_answer_names_the_request(self, ask: Gateway) -> None:
        answer = ask("GET", "/things/1")
        assert answer.header("apigw-requestid") == answer.json["event"]["requestContext"]["requestId"]


class TestLimits:
    def test_a_function_over_its_own_time_has_failed(self) -> None:
        with serving() as ask:
            answer = ask("GET", "/impatient")
        assert (answer.status, answer.json) == (500, {"message": "Internal Server Error"})

    def test_an_answer_over_lambdas_limit_has_failed(self, ask: Gateway) -> None:
        assert ask("GET", "/huge").status == 500

    def test_a_slow_function_is_unavailable(self) -> None:
        with serving(Limits(seconds=0.2)) as ask:
            answer = ask("GET", "/slow")
        assert (answer.status, answer.json) == (503, {"message": "Service Unavailable"})

    def test_a_body_over_the_limit_is_too_large(self) -> None:
        with serving(Limits(body_bytes=1000)) as ask:
            assert ask("POST", "/things/1", b"x" * 1001).status == 413
            assert ask("POST", "/things/1", b"x" * 1000).status == 200

    def test_headers_over_the_limit_are_too_large(self, ask: Gateway) -> None:
        assert ask("GET", "/things/1", X_Long="x" * 10_300).status == 431


class TestCors:
    """C8: the gateway answers, for exactly the origins that the template names."""

    def test_a_preflight_never_reaches_a_function(self, ask: Gateway) -> None:
        answer = ask("OPTIONS", "/raises", Origin=APP, Access_Control_Request_Method="GET")
        assert answer.status == 204
        assert answer.header("access-control-allow-origin") == APP
        assert answer.header("access-control-allow-credentials") == "true"

    @pytest.mark.parametrize(
        "origin", ["null", "https://app.example.com.evil.example", "http://app.example.com"]
    )
    def test_C8_another_origin_gets_no_cors_header(self, ask: Gateway, origin: str) -> None:
        for answer in (
            ask("OPTIONS", "/bare", Origin=origin, Access_Control_Request_Method="GET"),
            ask("GET", "/bare", Origin=origin),
        ):
            assert not [name for name, _ in answer.headers if name.lower().startswith("access-control")]

    def test_C8_a_handlers_own_cors_headers_are_dropped(self, ask: Gateway) -> None:
        assert ask("GET", "/cookies").header("access-control-allow-origin") is None
        assert ask("GET", "/cookies", Origin=APP).header("access-control-allow-origin") == APP

    def test_failures_carry_cors_too(self, ask: Gateway) -> None:
        assert ask("GET", "/raises", Origin=APP).header("access-control-allow-origin") == APP
