"""uvicorn's protocols, put right where they lose what API Gateway keeps."""

import sys

from httptools import HttpParserUpgrade
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class HttpProtocol(HttpToolsProtocol):
    """Hands a handshake over whole: headers as the client spelled them, and frames that came along."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._spelled: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._spelled.append((name, value))

    def data_received(self, data: bytes) -> None:
        self._received = data
        super().data_received(data)

    def handle_websocket_upgrade(self) -> None:
        self.scope["headers"] = self._spelled
        super().handle_websocket_upgrade()
        upgrade, websocket = sys.exc_info()[1], self.transport.get_protocol()
        if isinstance(upgrade, HttpParserUpgrade) and isinstance(websocket, WebSocketProtocol):
            websocket.data_received(self._received[upgrade.args[0] :])


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Takes a denied handshake for what it is, complete, and waits for nobody at the end."""

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True

    def shutdown(self) -> None:
        super().shutdown()
        if not self.writable.is_set():
            # Who has stopped reading would not hear our goodbye, but would hold it up.
            self.transport.abort()
