"""Events and answers are API Gateway's own, member by member."""

import base64
from datetime import UTC, datetime

import pytest

from dev.events import http_event, http_response

# A captured request, payload format 2.0, in the shape that the developer guide documents.
SAMPLE = {
    "version": "2.0",
    "routeKey": "PATCH /api/tracks/{id}",
    "rawPath": "/api/tracks/t_81",
    "rawQueryString": "fields=a&fields=b",
    "cookies": ["sid=abc", "theme=dark"],
    "headers": {
        "host": "api.example.com",
        "content-type": "application/json",
        "content-length": "13",
        "authorization": "Bearer ey..",
        "user-agent": "Mozilla/5.0",
        "x-forwarded-for": "203.0.113.7",
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
        "x-amzn-trace-id": "Root=1-67891233-abcdef012345678912345678",
    },
    "queryStringParameters": {"fields": "a,b"},
    "pathParameters": {"id": "t_81"},
    "requestContext": {
        "accountId": "123456789012",
        "apiId": "localapi00",
        "domainName": "api.example.com",
        "domainPrefix": "api",
        "http": {
            "method": "PATCH",
            "path": "/api/tracks/t_81",
            "protocol": "HTTP/1.1",
            "sourceIp": "203.0.113.7",
            "userAgent": "Mozilla/5.0",
        },
        "requestId": "JKJaXmPLvHcESHA=",
        "routeKey": "PATCH /api/tracks/{id}",
        "stage": "$default",
        "time": "23/Nov/2026:10:00:00 +0000",
        "timeEpoch": 1795428000000,
    },
    "body": '{"title":"x"}',
    "isBase64Encoded": False,
}


def test_a_request_becomes_the_documented_event() -> None:
    event = http_event(
        "PATCH",
        "/api/tracks/t_81",
        "fields=a&fields=b",
        [
            ("Host", "api.example.com"),
            ("Content-Type", "application/json"),
            ("Authorization", "Bearer ey.."),
            ("User-Agent", "Mozilla/5.0"),
            ("Cookie", "sid=abc; theme=dark"),
            ("X-Amzn-Trace-Id", "Root=1-67891233-abcdef012345678912345678"),
        ],
        '{"title":"x"}',
        route_key="PATCH /api/tracks/{id}",
        path_parameters={"id": "t_81"},
        source_ip="203.0.113.7",
        request_id="JKJaXmPLvHcESHA=",
        time=datetime(2026, 11, 23, 10, tzinfo=UTC),
    )
    assert event == SAMPLE


def test_the_path_arrives_decoded_and_the_query_as_it_was_sent() -> None:
    event = http_event("GET", "/api/chat/%D0%BA%20%2B", "q=%D0%BA+%2B&empty=")
    assert event["rawPath"] == event["requestContext"]["http"]["path"] == "/api/chat/к +"
    assert event["rawQueryString"] == "q=%D0%BA+%2B&empty="
    assert event["queryStringParameters"] == {"q": "к +", "empty": ""}


def test_a_header_sent_twice_is_one_with_a_comma() -> None:
    assert http_event("GET", "/", "", [("X-A", "1"), ("x-a", "2")])["headers"]["x-a"] == "1,2"


def test_what_belongs_to_one_hop_does_not_reach_the_function() -> None:
    headers = http_event("GET", "/", "", {"Connection": "keep-alive", "Transfer-Encoding": "chunked"})[
        "headers"
    ]
    assert not {"connection", "transfer-encoding"} & headers.keys()


@pytest.mark.parametrize(
    ("content_type", "body", "is_base64"),
    [
        ("application/json", "слово".encode(), False),
        ("text/plain; charset=utf-8", b"x", False),
        ("application/json", b"\xff", True),
        ("application/x-www-form-urlencoded", b"a=1", True),
        ("", b"x", True),
    ],
)
def test_only_text_that_is_text_stays_text(content_type: str, body: bytes, is_base64: bool) -> None:
    event = http_event("POST", "/", "", {"content-type": content_type}, body)
    assert event["isBase64Encoded"] is is_base64
    assert (base64.b64decode(event["body"]) if is_base64 else event["body"].encode()) == body


@pytest.mark.parametrize("result", [{"hello": "world"}, "words", 7, None, ["a"], {"body": "no status"}])
def test_what_has_no_status_is_a_json_body(result: object) -> None:
    response = http_response(result)
    assert (response.status, response.headers) == (200, {"content-type": "application/json"})


@pytest.mark.parametrize(
    "result",
    [
        {"statusCode": "many"},
        {"statusCode": 42},
        {"statusCode": 200, "body": {"not": "a string"}},
        {"statusCode": 200, "headers": {"x": ["a", "b"]}},
        {"statusCode": 200, "cookies": "a=1"},
        {"statusCode": 200, "body": "not base64!", "isBase64Encoded": True},
    ],
)
def test_what_is_malformed_is_an_internal_server_error(result: object) -> None:
    response = http_response(result)
    assert (response.status, response.body) == (500, b'{"message":"Internal Server Error"}')


def test_an_answer_without_a_type_is_plain_text() -> None:
    assert http_response({"statusCode": 200, "body": "x"}).headers == {
        "content-type": "text/plain;charset=utf-8"
    }
