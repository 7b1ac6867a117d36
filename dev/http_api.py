"""The HTTP API: requests become events for the template's handlers, and what they return becomes HTTP.

What it refuses or answers by itself (limits, CORS, unknown routes) it does as API Gateway does, so that
what works here works there.
"""

import time
from typing import NamedTuple

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dev.cors import CorsPolicy
from dev.events import Event, HttpResponse, http_event, http_response, message, new_request_id
from dev.routing import Match, Router
from dev.runtime import FunctionError, PayloadTooLarge, Runtime
from dev.sam import Template

INTERNAL_ERROR = message(500, "Internal Server Error")
NOT_FOUND = message(404, "Not Found")
BODY_TOO_LARGE = message(413, "Request Entity Too Large")
HEADERS_TOO_LARGE = message(431, "Request Header Fields Too Large")
UNAVAILABLE = message(503, "Service Unavailable")


class Limits(NamedTuple):
    """API Gateway's quotas, which nobody can raise; only tests have a reason to change them."""

    seconds: float = 30
    body_bytes: int = 10 * 1024 * 1024
    header_bytes: int = 10_240


QUOTAS = Limits()


class HttpApi:
    """The HTTP API of a template as an ASGI application."""

    def __init__(self, template: Template, runtime: Runtime, limits: Limits = QUOTAS) -> None:
        self._router = Router(template.routes)
        self._cors = CorsPolicy(template.cors)
        self._runtime = runtime
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        request_id = new_request_id()
        started = time.perf_counter()
        try:
            answer = await self._answer(request, request_id)
        except ClientDisconnect:
            return
        response = _rendered(answer, self._cors.headers(request.headers.get("origin")))
        response.headers["apigw-requestid"] = request_id
        await response(scope, receive, send)
        milliseconds = (time.perf_counter() - started) * 1000
        path = scope["raw_path"].decode("latin-1")
        print(
            f"{time.strftime('%H:%M:%S')} {request.method} {path} {answer.status} {milliseconds:.0f} ms",
            flush=True,
        )

    async def _answer(self, request: Request, request_id: str) -> HttpResponse:
        if _header_bytes(request) > self._limits.header_bytes:
            return HEADERS_TOO_LARGE
        if self._cors.is_preflight(request):
            return HttpResponse(204, self._cors.preflight(request.headers["origin"]), [], b"")
        body = await body_within(request, self._limits.body_bytes)
        if body is None:
            return BODY_TOO_LARGE
        match = self._router.match(request.method, request.scope["path"])
        if match is None:
            return NOT_FOUND
        return await self._integrate(match, _event(request, match, body, request_id))

    async def _integrate(self, match: Match, event: Event) -> HttpResponse:
        try:
            answer = await self._runtime.answer(match.route.function, event, self._limits.seconds)
        except PayloadTooLarge:
            return BODY_TOO_LARGE
        except FunctionError:
            return INTERNAL_ERROR
        except TimeoutError:
            return UNAVAILABLE
        response = http_response(answer)
        return response._replace(headers=self._cors.overrule(response.headers))


async def body_within(request: Request, limit: int) -> bytes | None:
    """The body, or None if it is too large; read to its end all the same, or the client would not listen."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size <= limit:
            parts.append(part)
    return b"".join(parts) if size <= limit else None


def _event(request: Request, match: Match, body: bytes, request_id: str) -> Event:
    scope = request.scope
    return http_event(
        request.method,
        scope["raw_path"].decode("latin-1"),
        scope["query_string"].decode("latin-1"),
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw],
        body,
        route_key=match.route.key,
        path_parameters=match.parameters,
        source_ip=scope["client"][0],
        scheme=scope["scheme"],
        port=scope["server"][1],
        request_id=request_id,
    )


def _header_bytes(request: Request) -> int:
    line = len(request.method) + len(request.scope["raw_path"]) + len(request.scope["query_string"])
    return line + sum(len(name) + len(value) for name, value in request.headers.raw)


def _rendered(answer: HttpResponse, cors: dict[str, str]) -> Response:
    response = Response(answer.body, answer.status)
    # The length is the body's own, whatever the handler says.
    response.headers.update(
        {name: value for name, value in answer.headers.items() if name != "content-length"}
    )
    response.headers.update(cors)
    for cookie in answer.cookies:
        response.headers.append("set-cookie", cookie)
    return response
