"""What API Gateway and a Lambda function say to each other: HTTP API events and answers, payload format 2.0.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import binascii
import json
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

Event = dict[str, Any]
Pairs = Iterable[tuple[str, str]]

ACCOUNT_ID = "123456789012"
API_ID = "localapi00"
# What a proxy keeps to itself (RFC 9110, 7.6.1), and what it answers itself.
HOP_BY_HOP = frozenset(
    {"connection", "expect", "keep-alive", "proxy-authenticate", "proxy-authorization"}
    | {"proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
TEXT_TYPES = ("text/", "application/json", "application/javascript", "application/xml")


class HttpResponse(NamedTuple):
    """An answer as the client sees it; each cookie is the value of one Set-Cookie header."""

    status: int
    headers: dict[str, str]
    cookies: list[str]
    body: bytes


class MalformedResponse(ValueError):
    """A handler returned what API Gateway cannot turn into HTTP."""


def http_event(
    method: str,
    path: str,
    query: str = "",
    headers: Mapping[str, str] | Pairs = (),
    body: bytes | str | None = None,
    *,
    route_key: str = "$default",
    path_parameters: Mapping[str, str] | None = None,
    source_ip: str = "127.0.0.1",
    scheme: str = "https",
    port: int = 443,
    request_id: str | None = None,
    time: datetime | None = None,
) -> Event:
    """The event of one request; `path` and `query` as they stand in the request line, percent-encoded."""
    content = body.encode() if isinstance(body, str) else body or b""
    names = _joined(headers.items() if isinstance(headers, Mapping) else headers)
    cookies = _cookies(names.pop("cookie", ""))
    _forwarded(names, source_ip, scheme, port, len(content))
    # Unlike the query, the path arrives decoded: github.com/aws/aws-lambda-dotnet/pull/1901
    decoded = unquote(path)
    now = time or datetime.now(UTC)
    host = names.setdefault("host", "localhost").rsplit(":", 1)[0]
    event: Event = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": decoded,
        "rawQueryString": query,
        "headers": names,
        "requestContext": {
            "accountId": ACCOUNT_ID,
            "apiId": API_ID,
            "domainName": host,
            "domainPrefix": host.split(".", 1)[0],
            "http": {
                "method": method,
                "path": decoded,
                "protocol": "HTTP/1.1",
                "sourceIp": source_ip,
                "userAgent": names.get("user-agent", ""),
            },
            "requestId": request_id or new_request_id(),
            "routeKey": route_key,
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now.timestamp() * 1000),
        },
        "isBase64Encoded": False,
    }
    optional = {
        "cookies": cookies,
        "queryStringParameters": _joined(parse_qsl(query, keep_blank_values=True), lower=False),
        "pathParameters": dict(path_parameters or {}),
    }
    # API Gateway leaves empty members out; it never sends null.
    event.update({name: value for name, value in optional.items() if value})
    if content:
        event["body"], event["isBase64Encoded"] = _encoded(content, names.get("content-type", ""))
    return event


def http_response(result: object) -> HttpResponse:
    """What the client sees of a handler's return value, whatever that is."""
    if not isinstance(result, dict) or "statusCode" not in result:
        # The gateway takes anything without a status for the body itself.
        return HttpResponse(200, {"content-type": "application/json"}, [], json.dumps(result).encode())
    try:
        return _proxied(result)
    except MalformedResponse:
        return message(500, "Internal Server Error")


def message(status: int, words: str) -> HttpResponse:
    """One of API Gateway's own answers."""
    body = json.dumps({"message": words}, separators=(",", ":")).encode()
    return HttpResponse(status, {"content-type": "application/json"}, [], body)


def new_request_id() -> str:
    """Sixteen characters like `JKJaXmPLvHcESHA=`."""
    return base64.b64encode(secrets.token_bytes(11)).decode()


def _joined(pairs: Pairs, *, lower: bool = True) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower() if lower else name
        # Several Cookie headers are one list of pairs; several of any other make one list of values.
        separator = "; " if key == "cookie" and lower else ","
        joined[key] = f"{joined[key]}{separator}{value}" if key in joined else value
    return {name: value for name, value in joined.items() if not lower or name not in HOP_BY_HOP}


def _cookies(header: str) -> list[str]:
    return [part.strip() for part in header.split(";") if part.strip()]


def _forwarded(names: dict[str, str], source_ip: str, scheme: str, port: int, length: int) -> None:
    hops = [names["x-forwarded-for"]] if "x-forwarded-for" in names else []
    names["x-forwarded-for"] = ", ".join([*hops, source_ip])
    names["x-forwarded-proto"] = scheme
    names["x-forwarded-port"] = str(port)
    names["content-length"] = str(length)
    names.setdefault("x-amzn-trace-id", f"Root=1-{secrets.token_hex(4)}-{secrets.token_hex(12)}")


def _encoded(content: bytes, content_type: str) -> tuple[str, bool]:
    if content_type.strip().lower().startswith(TEXT_TYPES):
        try:
            return content.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(content).decode(), True


def _proxied(result: dict[str, Any]) -> HttpResponse:
    status, headers = result["statusCode"], result.get("headers") or {}
    cookies, body = result.get("cookies") or [], result.get("body")
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise MalformedResponse("statusCode is not a final HTTP status")
    if not isinstance(headers, dict) or not all(isinstance(v, str | int | float) for v in headers.values()):
        raise MalformedResponse("headers is not an object of plain values")
    if not isinstance(cookies, list) or not all(isinstance(cookie, str) for cookie in cookies):
        raise MalformedResponse("cookies is not a list of strings")
    names = {str(name).lower(): str(value) for name, value in headers.items()}
    names.setdefault("content-type", "text/plain;charset=utf-8")
    return HttpResponse(status, names, cookies, _decoded(body, result.get("isBase64Encoded")))


def _decoded(body: object, is_base64: object) -> bytes:
    if body is None:
        return b""
    if not isinstance(body, str):
        raise MalformedResponse("body is not a string")
    if not is_base64:
        # A lone surrogate is valid JSON but no UTF-8.
        return body.encode(errors="replace")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedResponse("body is not the Base64 it claims to be") from None
