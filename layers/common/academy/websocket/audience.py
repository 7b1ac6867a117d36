"""Everybody who is connected to a user's sessions: each gets every frame, in order, while it is there."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from academy import aws, connections
from academy.observability import logger
from academy.websocket.frames import Frame
from academy.websocket.push import Gone, Undelivered, close, push

MOST_WAITING = 500
"""Frames kept for a socket that takes none. It is closed then: who comes back asks for the history."""

PAUSES = (0.1, 0.4, 1.5)


class Address(NamedTuple):
    """A socket, and the session that it is on."""

    connection_id: str
    session_key: str


class Line:
    """The way to one socket, and the frames that have still to go it."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._waiting: deque[str] = deque()

    @property
    def waits(self) -> bool:
        return bool(self._waiting)

    def send(self, frames: Iterable[Frame]) -> bool:
        """Send these after those that wait; False once the socket is gone."""
        self._waiting.extend(frame.render(self._address.session_key) for frame in frames)
        try:
            while self._waiting:
                push(self._address.connection_id, self._waiting[0])
                self._waiting.popleft()
        except Undelivered:
            return self._is_patient()
        except Gone:
            return False
        return True

    def _is_patient(self) -> bool:
        if len(self._waiting) <= MOST_WAITING:
            return True
        close(self._address.connection_id)
        return False


class Audience:
    """The sockets on a user's sessions, on the channel where replies appear; the `asker` is always there."""

    def __init__(self, user_id: str, session_keys: Iterable[str], *, asker: Address | None = None) -> None:
        self._user_id = user_id
        self._session_keys = tuple(dict.fromkeys(session_keys))
        self._asker = asker
        self._lines: dict[str, Line] = {}

    def push(self, *frames: Frame) -> None:
        """Send frames to everybody; without any, what still waits."""
        for connection_id, line in list(self._lines.items()):
            if not line.send(frames):
                self._leave(connection_id)

    def refresh(self, *missed: Frame) -> None:
        """Look who is there now; who has come since the last look gets what they missed."""
        for address in self._present():
            if address.connection_id not in self._lines:
                self._lines[address.connection_id] = line = Line(address)
                if not line.send(missed):
                    self._leave(address.connection_id)

    def insist(self, pauses: Iterable[float] = PAUSES) -> None:
        """Send what still waits, after a pause each time, as long as something does."""
        for seconds in pauses:
            if not any(line.waits for line in self._lines.values()):
                return
            time.sleep(seconds)
            self.push()

    def _leave(self, connection_id: str) -> None:
        del self._lines[connection_id]
        if self._asker and self._asker.connection_id == connection_id:
            self._asker = None

    def _present(self) -> list[Address]:
        # The index may not know yet who has just connected.
        present = [self._asker] if self._asker else []
        try:
            for key in self._session_keys:
                found = connections.of_session(self._user_id, key)
                present += [Address(one.id, one.session_key) for one in found if one.channel == "chat"]
        except aws.errors() as error:
            # A reply is stored whoever sees it, so nothing is lost but the moment.
            logger.warning("audience unknown", user_id=self._user_id, kind=type(error).__name__)
        return present
