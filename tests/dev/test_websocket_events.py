"""A WebSocket API's events are API Gateway's own, member by member."""

import re
from typing import Any

from dev.events import Event
from dev.websocket_events import Connection, connect_event, disconnect_event, message_event

HERE = Connection(
    id="Lk3fCeXIIAMCJxQ=",
    domain="api.example.com",
    stage="prod",
    source_ip="203.0.113.7",
    user_agent="Mozilla/5.0",
    connected_at=1795428000123,
)
# What all events of that connection have in common, as captured ones show it.
COMMON = {
    "messageDirection": "IN",
    "stage": "prod",
    "connectedAt": 1795428000123,
    "identity": {"sourceIp": "203.0.113.7"},
    "domainName": "api.example.com",
    "connectionId": "Lk3fCeXIIAMCJxQ=",
    "apiId": "localapi00",
}
IDENTIFIER = re.compile(r"[A-Za-z0-9+/_-]{15}=")


def context_of(event: Event) -> dict[str, Any]:
    """The request's context without what differs from event to event, which is checked here."""
    context = dict(event["requestContext"])
    assert context.pop("requestId") == context.pop("extendedRequestId")
    assert re.fullmatch(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000", context.pop("requestTime"))
    assert isinstance(context.pop("requestTimeEpoch"), int)
    return context


def test_a_handshake_becomes_the_documented_event() -> None:
    headers = {
        "Host": "api.example.com",
        "Origin": "https://app.example.com",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678",
        "Upgrade": "websocket",
    }
    event = connect_event("session_id=s_42&ticket=tk%2F9", headers, connection=HERE)
    identity = {"sourceIp": "203.0.113.7", "userAgent": "Mozilla/5.0"}
    context = {"routeKey": "$connect", "eventType": "CONNECT"}
    assert context_of(event) == {**COMMON, **context, "identity": identity}
    assert event["headers"] == {
        **{name: value for name, value in headers.items() if name != "Upgrade"},
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
    }
    assert event["queryStringParameters"] == {"session_id": "s_42", "ticket": "tk/9"}
    assert event["multiValueQueryStringParameters"] == {"session_id": ["s_42"], "ticket": ["tk/9"]}
    assert event["isBase64Encoded"] is False
    assert not {"body", "httpMethod", "path"} & event.keys()


def test_a_handshake_without_a_query_has_no_member_for_it() -> None:
    assert not {"queryStringParameters", "multiValueQueryStringParameters"} & connect_event().keys()


def test_of_what_is_sent_twice_the_last_counts_and_both_are_told() -> None:
    event = connect_event("a=1&a=2", [("X-A", "1"), ("X-A", "2")])
    assert (event["headers"]["X-A"], event["multiValueHeaders"]["X-A"]) == ("2", ["1", "2"])
    assert event["queryStringParameters"] == {"a": "2"}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"]}


def test_the_address_that_a_client_claims_stands_before_its_own() -> None:
    event = connect_event(headers={"x-forwarded-for": "198.51.100.1"}, connection=HERE)
    forwarded = {name: value for name, value in event["headers"].items() if "forwarded-for" in name.lower()}
    assert forwarded == {"X-Forwarded-For": "198.51.100.1, 203.0.113.7"}


def test_a_frame_becomes_the_documented_event() -> None:
    event = message_event('{"action":"send"}', connection=HERE, route_key="send")
    context = context_of(event)
    assert IDENTIFIER.fullmatch(context.pop("messageId"))
    assert context == {**COMMON, "routeKey": "send", "eventType": "MESSAGE"}
    assert {name: value for name, value in event.items() if name != "requestContext"} == {
        "body": '{"action":"send"}',
        "isBase64Encoded": False,
    }


def test_an_end_becomes_the_documented_event() -> None:
    event = disconnect_event(connection=HERE)
    assert context_of(event) == {
        **COMMON,
        "routeKey": "$disconnect",
        "eventType": "DISCONNECT",
        "disconnectStatusCode": 1005,
        "disconnectReason": "Client-side close frame status not set",
    }
    assert event["headers"] == {
        "Host": "api.example.com",
        "x-api-key": "",
        "X-Forwarded-For": "",
        "x-restapi": "",
    }


def test_every_connection_has_an_id_of_sixteen_characters() -> None:
    first, second = Connection(), Connection()
    assert IDENTIFIER.fullmatch(first.id)
    assert first.id != second.id
