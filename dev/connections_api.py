"""`@connections`: how a function sends to a client, looks at it and hangs up.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
"""

import re
from datetime import UTC, datetime
from urllib.parse import unquote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from dev.http_api import body_within
from dev.sockets import NORMAL, BufferFull, Limits, Socket
from dev.websocket_api import WebSocketApi

PATH = re.compile(r"/[^/]+/(?:@|%40)connections/([^/]+)")
SIGNATURE = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/[^/]+/execute-api/aws4_request, ?SignedHeaders="
)


class ConnectionsApi:
    """The side of a WebSocket API that functions talk to, as an ASGI application."""

    def __init__(self, api: WebSocketApi, limits: Limits) -> None:
        self._api = api
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            body = await body_within(request, self._limits.message_bytes)
        except ClientDisconnect:
            return
        response = self._answer(request, body)
        await response(scope, receive, send)

    def _answer(self, request: Request, body: bytes | None) -> Response:
        found = PATH.fullmatch(request.scope["raw_path"].decode("latin-1"))
        if not found or not SIGNATURE.match(request.headers.get("authorization", "")):
            return _error(403, "ForbiddenException", "Forbidden")
        if body is None:
            return _error(413, "PayloadTooLargeException", "Message too long")
        socket = self._api.sockets.get(unquote(found[1]))
        if socket is None or socket.is_closing:
            return _error(410, "GoneException", "Gone")
        return self._done(request.method, socket, body)

    def _done(self, method: str, socket: Socket, body: bytes) -> Response:
        match method:
            case "POST":
                return _pushed(socket, body)
            case "GET":
                return JSONResponse(_described(socket))
            case "DELETE":
                socket.close(*NORMAL)
                return Response(status_code=204)
        return _error(403, "ForbiddenException", "Forbidden")


def _pushed(socket: Socket, body: bytes) -> Response:
    try:
        socket.push(body.decode(errors="replace"))
    except BufferFull:
        return _error(429, "LimitExceededException", "The client reads too slowly")
    return Response()


def _described(socket: Socket) -> dict[str, object]:
    connection = socket.connection
    return {
        "connectedAt": _moment(connection.connected_at),
        "identity": {"sourceIp": connection.source_ip, "userAgent": connection.user_agent},
        "lastActiveAt": _moment(socket.last_active),
    }


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _error(status: int, kind: str, words: str) -> Response:
    # Without this header boto3 knows no more than the status.
    return JSONResponse({"message": words}, status, {"x-amzn-ErrorType": kind})
