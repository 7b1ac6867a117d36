"""What a client says when it opens a socket: afterwards there are neither headers nor a query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from academy.auth import Audience

SUBPROTOCOL = "bearer"
COOKIE = "ws_token"


@dataclass(frozen=True, slots=True)
class Handshake:
    """An event of `$connect`, read."""

    connection_id: str
    headers: Mapping[str, str]
    query: Mapping[str, str]

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Handshake:
        # An HTTP API lowers the names of headers, a WebSocket API leaves them as the client wrote them.
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        return cls(event["requestContext"]["connectionId"], headers, event.get("queryStringParameters") or {})

    @property
    def origin(self) -> str | None:
        return self.headers.get("origin")

    @property
    def subprotocol(self) -> str | None:
        """What has to be answered, if the client offered it: without that a browser hangs up."""
        return SUBPROTOCOL if SUBPROTOCOL in self._offered else None

    def token(self) -> tuple[str, Audience] | None:
        """The token and what it has to be for. Only the cookie comes without the client's doing."""
        offered = self._offered
        if len(offered) > 1 and offered[0] == SUBPROTOCOL:
            return offered[1], "api"
        if given := self.query.get("token"):
            return given, "api"
        if given := self._cookies.get(COOKIE):
            return given, "ws"
        return None

    @property
    def _offered(self) -> list[str]:
        return [part.strip() for part in self.headers.get("sec-websocket-protocol", "").split(",")]

    @property
    def _cookies(self) -> dict[str, str]:
        pairs = (part.strip().partition("=") for part in self.headers.get("cookie", "").split(";"))
        return {name: value for name, _, value in pairs}
