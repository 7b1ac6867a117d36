"""The WebSocket API: handshakes, frames and ends become events for the template's handlers.

What it refuses, limits or answers by itself it does as API Gateway does, so that what works here works there.
"""

import asyncio
import json
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from dev.events import Event, HttpResponse, http_response, message, new_request_id
from dev.runtime import FunctionError, PayloadTooLarge, Runtime
from dev.sam import Template, WebSocketRoute
from dev.sockets import QUOTAS, BufferFull, Limits, Socket
from dev.websocket_events import (
    CONNECT,
    DEFAULT,
    DISCONNECT,
    NO_STATUS,
    NO_STATUS_REASON,
    Connection,
    connect_event,
    disconnect_event,
    message_event,
)
from dev.websocket_paths import query_for

ADMITTED = HttpResponse(200, {}, [], b"")
FORBIDDEN = message(403, "Forbidden")
INTERNAL_ERROR = message(500, "Internal server error")
TIMED_OUT = message(504, "Endpoint request timed out")
NOT_TEXT = 1003, "Binary frames are not supported"
TOO_BIG = 1009, "Message too big"
ABNORMAL = 1006, ""


class WebSocketApi:
    """The WebSocket API of a template as an ASGI application.

    The event of an end comes `disconnect_after` seconds late, or never if that is None: AWS only promises
    to try, and tests hold the handlers to that.
    """

    def __init__(
        self,
        template: Template,
        runtime: Runtime,
        limits: Limits = QUOTAS,
        *,
        disconnect_after: float | None = 0,
    ) -> None:
        self.sockets: dict[str, Socket] = {}
        self._api = template.websocket_api
        self._runtime = runtime
        self._limits = limits
        self._disconnect_after = disconnect_after
        self._deliveries: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        await receive()
        connection = _connection(scope, self._api.stage)
        verdict = await self._verdict(connection, scope)
        admitted = 200 <= verdict.status < 300
        milliseconds = (time.perf_counter() - started) * 1000
        _log("CONNECT", scope, f"{101 if admitted else verdict.status} {milliseconds:.0f} ms")
        if not admitted:
            await _deny(verdict, send)
            return
        socket = Socket(connection, send, self._limits)
        protocol = verdict.headers.get("sec-websocket-protocol")
        if ending := await self._hold(socket, protocol, receive, send):
            seconds = time.perf_counter() - started
            _log("DISCONNECT", scope, f"{ending[0]} {seconds:.0f} s")
            await self._disconnect(connection, *ending)

    async def _verdict(self, connection: Connection, scope: Scope) -> HttpResponse:
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        rewritten = query_for(path, query, self._api.stage)
        if rewritten is None:
            return FORBIDDEN
        route = self._api.routes.get(CONNECT)
        if route is None:
            return ADMITTED
        try:
            return await self._ask(route, _connect_event(connection, rewritten, scope))
        except TimeoutError:
            return TIMED_OUT
        except (FunctionError, PayloadTooLarge):
            return INTERNAL_ERROR

    async def _hold(
        self, socket: Socket, protocol: str | None, receive: Receive, send: Send
    ) -> tuple[int, str] | None:
        """Keep a socket for as long as it is open: how it ended, or None if the client had not waited."""
        self.sockets[socket.connection.id] = socket
        tasks = [asyncio.create_task(socket.write()), asyncio.create_task(socket.expire())]
        try:
            await send({"type": "websocket.accept", "subprotocol": protocol})
            return await self._read(socket, receive)
        except OSError:
            return None
        finally:
            del self.sockets[socket.connection.id]
            for task in tasks:
                task.cancel()

    async def _read(self, socket: Socket, receive: Receive) -> tuple[int, str]:
        while (received := await receive())["type"] != "websocket.disconnect":
            if not socket.is_closing:
                self._take(socket, received.get("text"))
        return _ending(received)

    def _take(self, socket: Socket, text: str | None) -> None:
        socket.touch()
        if text is None:
            socket.close(*NOT_TEXT)
        elif len(text.encode()) > self._limits.message_bytes:
            socket.close(*TOO_BIG)
        else:
            # Frames are handled at the same time: AWS keeps no order between them.
            self._in_background(self._deliver(socket, text))

    async def _deliver(self, socket: Socket, text: str) -> None:
        key = self._route_key(text)
        request_id = new_request_id()
        event = message_event(text, connection=socket.connection, route_key=key, request_id=request_id)
        complaint = await self._complaint(self._api.routes.get(key), event)
        if complaint:
            ids = {"connectionId": socket.connection.id, "requestId": request_id}
            with suppress(BufferFull):
                socket.push(json.dumps({"message": complaint, **ids}))

    async def _complaint(self, route: WebSocketRoute | None, event: Event) -> str | None:
        """What the client hears about its frame from API Gateway itself: nothing, if all is well."""
        if route is None:
            return "Forbidden"
        try:
            answer = await self._ask(route, event)
        except TimeoutError:
            return "Endpoint request timed out"
        except (FunctionError, PayloadTooLarge):
            return "Internal server error"
        return "Internal server error" if answer is INTERNAL_ERROR else None

    async def _disconnect(self, connection: Connection, code: int, reason: str) -> None:
        route = self._api.routes.get(DISCONNECT)
        if route is None or self._disconnect_after is None:
            return
        await asyncio.sleep(self._disconnect_after)
        with suppress(FunctionError, TimeoutError):
            await self._ask(route, disconnect_event(connection=connection, code=code, reason=reason))

    async def _ask(self, route: WebSocketRoute, event: Event) -> HttpResponse:
        result = await self._runtime.answer(route.function, event, min(route.seconds, self._limits.seconds))
        # Unlike an HTTP API, a WebSocket API takes nothing without a status for an answer.
        if not isinstance(result, dict) or "statusCode" not in result:
            return INTERNAL_ERROR
        return http_response(result)._replace(body=b"")

    def _route_key(self, text: str) -> str:
        key = _member(text, self._api.selection)
        return key if key in self._api.routes and not key.startswith("$") else DEFAULT

    def _in_background(self, delivery: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(delivery)
        self._deliveries.add(task)
        task.add_done_callback(self._deliveries.discard)


def _connection(scope: Scope, stage: str) -> Connection:
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return Connection(
        domain=headers.get(b"host", "localhost").rsplit(":", 1)[0],
        stage=stage,
        source_ip=scope["client"][0],
        user_agent=headers.get(b"user-agent", ""),
    )


def _connect_event(connection: Connection, query: str, scope: Scope) -> Event:
    return connect_event(
        query,
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
        connection=connection,
        scheme="https" if scope["scheme"] == "wss" else "http",
        port=scope["server"][1],
    )


def _member(text: str, path: tuple[str, ...]) -> str:
    """The string at a path in a frame's JSON; empty if there is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def _ending(received: Message) -> tuple[int, str]:
    """How a socket was closed, as AWS tells it."""
    code, reason = received["code"], received.get("reason")
    if code != NO_STATUS:
        return code, reason or ""
    # uvicorn has no reason, not even an empty one, for a connection that broke.
    return ABNORMAL if reason is None else (NO_STATUS, NO_STATUS_REASON)


async def _deny(verdict: HttpResponse, send: Send) -> None:
    headers = [(b"content-type", b"application/json")] if verdict.body else []
    await send({"type": "websocket.http.response.start", "status": verdict.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": verdict.body})


def _log(what: str, scope: Scope, outcome: str) -> None:
    # The path alone: the query may hold a token.
    path = scope["raw_path"].decode("latin-1")
    print(f"{time.strftime('%H:%M:%S')} {what} {path} {outcome}", flush=True)
