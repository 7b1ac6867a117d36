"""What a WebSocket API says to a Lambda function: the events of a connection's beginning, frames and end.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-integration-requests.html
"""

import base64
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from dev.events import API_ID, HOP_BY_HOP, Event, Pairs, new_request_id

CONNECT, DISCONNECT, DEFAULT = "$connect", "$disconnect", "$default"
EVENT_TYPES = {CONNECT: "CONNECT", DISCONNECT: "DISCONNECT"}
NO_STATUS = 1005
NO_STATUS_REASON = "Client-side close frame status not set"


def new_connection_id() -> str:
    """Sixteen characters like `Lk3fCeXIIAMCJxQ=`."""
    return base64.urlsafe_b64encode(secrets.token_bytes(11)).decode()


def now() -> int:
    """Milliseconds since 1970, as all of these events tell the time."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Connection:
    """One open socket, as every event about it tells; `connected_at` in milliseconds since 1970."""

    id: str = field(default_factory=new_connection_id)
    domain: str = "localhost"
    stage: str = "ws"
    source_ip: str = "127.0.0.1"
    user_agent: str = ""
    connected_at: int = field(default_factory=now)


def connect_event(
    query: str = "",
    headers: Mapping[str, str] | Pairs = (),
    *,
    connection: Connection | None = None,
    scheme: str = "https",
    port: int = 443,
) -> Event:
    """The handshake's event, the only one with headers (as the client spelled them) and query."""
    connection = connection or Connection()
    sent = headers.items() if isinstance(headers, Mapping) else headers
    names = _grouped((name, value) for name, value in sent if name.lower() not in HOP_BY_HOP)
    _forwarded(names, connection, scheme, port)
    event = _event(CONNECT, connection)
    event |= {"headers": _last(names), "multiValueHeaders": names}
    if parameters := _grouped(parse_qsl(query, keep_blank_values=True)):
        event |= {
            "queryStringParameters": _last(parameters),
            "multiValueQueryStringParameters": parameters,
        }
    if connection.user_agent:
        event["requestContext"]["identity"]["userAgent"] = connection.user_agent
    return event


def message_event(
    body: str, *, connection: Connection | None = None, route_key: str = DEFAULT, request_id: str = ""
) -> Event:
    """The event of one text frame."""
    event = _event(route_key, connection or Connection(), request_id)
    event["requestContext"]["messageId"] = new_connection_id()
    return {**event, "body": body}


def disconnect_event(
    *, connection: Connection | None = None, code: int = NO_STATUS, reason: str = NO_STATUS_REASON
) -> Event:
    """The event of a closed socket; the defaults are what a client leaves that closes without a word."""
    connection = connection or Connection()
    event = _event(DISCONNECT, connection)
    event["requestContext"] |= {"disconnectStatusCode": code, "disconnectReason": reason}
    names = {"Host": [connection.domain], "x-api-key": [""], "X-Forwarded-For": [""], "x-restapi": [""]}
    return {**event, "headers": _last(names), "multiValueHeaders": names}


def _event(route_key: str, connection: Connection, request_id: str = "") -> Event:
    request_id = request_id or new_request_id()
    moment = datetime.now(UTC)
    return {
        "requestContext": {
            "routeKey": route_key,
            "eventType": EVENT_TYPES.get(route_key, "MESSAGE"),
            "extendedRequestId": request_id,
            "requestTime": moment.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "messageDirection": "IN",
            "stage": connection.stage,
            "connectedAt": connection.connected_at,
            "requestTimeEpoch": int(moment.timestamp() * 1000),
            "identity": {"sourceIp": connection.source_ip},
            "requestId": request_id,
            "domainName": connection.domain,
            "connectionId": connection.id,
            "apiId": API_ID,
        },
        "isBase64Encoded": False,
    }


def _forwarded(names: dict[str, list[str]], connection: Connection, scheme: str, port: int) -> None:
    known = {name.lower(): name for name in names}
    hops = names.pop(known.get("x-forwarded-for", ""), [])
    names["X-Forwarded-For"] = [", ".join([*hops, connection.source_ip])]
    for name, value in (("X-Forwarded-Proto", scheme), ("X-Forwarded-Port", str(port))):
        names.pop(known.get(name.lower(), ""), None)
        names[name] = [value]
    if "x-amzn-trace-id" not in known:
        names["X-Amzn-Trace-Id"] = [f"Root=1-{secrets.token_hex(4)}-{secrets.token_hex(12)}"]
    if "host" not in known:
        names["Host"] = [connection.domain]


def _grouped(pairs: Pairs) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, value in pairs:
        groups.setdefault(name, []).append(value)
    return groups


def _last(groups: Mapping[str, list[str]]) -> dict[str, Any]:
    return {name: values[-1] for name, values in groups.items()}
