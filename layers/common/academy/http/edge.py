"""Around every request: its id, its headers, its log line, and the last resort."""

import re
import time
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from academy.errors import TooLarge
from academy.http.problems import problem
from academy.observability import log_unhandled, logger

MAX_BODY_BYTES = 1024 * 1024

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

SECURITY_HEADERS = {
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Vary": "Origin",
}


class Edge:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(scope)
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update({**SECURITY_HEADERS, "X-Request-Id": request_id})
            await send(message)

        scope.setdefault("state", {})["request_id"] = request_id
        scope["path"] = scope["path"].rstrip("/") or "/"
        logger.append_keys(request_id=request_id)
        try:
            await self._answer(scope, receive, send_with_headers)
        finally:
            # `remove_keys` in one place: an environment serves the next request with the same logger.
            route = getattr(scope.get("route"), "path", None)
            duration = round((time.perf_counter() - started) * 1000, 1)
            logger.info("request", method=scope["method"], route=route, status=status, duration_ms=duration)
            logger.remove_keys(["request_id"])

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = scope["state"]["request_id"]
        if "\x00" in scope["path"] or b"%00" in scope["query_string"]:
            detail = "The address holds a NUL byte."
            await problem(request_id, 422, "malformed_address", detail)(scope, receive, send)
            return
        if _length(scope) > MAX_BODY_BYTES:
            # Starlette refuses too, but in plain text.
            error = TooLarge(MAX_BODY_BYTES)
            await problem(request_id, error.status, error.code, error.detail)(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - Starlette has answered 500 and raises again, to be logged
            log_unhandled(error)


def _length(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "0")
    return int(length) if length.isdecimal() else 0


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if SANE_REQUEST_ID.fullmatch(given) else uuid4().hex
