"""A reply while it is written: shown as it grows, kept every second, stopped when somebody asks for that."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from academy.db import session_scope
from academy.observability import logger
from academy.outages import is_outage
from academy.repositories import Replies
from academy.repositories.replies import Claim

SHOW_SECONDS = 0.1
"""Every push is billed and takes 10 to 30 ms, so words are joined for as long as nobody notices."""
KEEP_SECONDS = 1.0
SILENCE_SECONDS = 120.0
"""A model that says nothing for so long will not go on; some think for a minute before they begin."""
LONGEST_PIECE = 8_000
"""Characters; at six bytes for each, which JSON takes at most, a piece stays within a frame."""


class Audience(Protocol):
    """Who sees a reply being written."""

    def show(self, seq: int, words: str) -> None: ...

    def attend(self) -> None:
        """Called every second."""


class Nobody:
    """The audience of a reply that is awaited as a whole."""

    def show(self, seq: int, words: str) -> None:
        """Nobody looks."""

    def attend(self) -> None:
        """Nobody came."""


class Draft:
    """The words so far. `outcome` says why writing has to stop, once it has."""

    def __init__(self, claim: Claim, audience: Audience, clock: Callable[[], float] = time.monotonic) -> None:
        self.outcome: str | None = None
        self.next_seq = 0
        self._claim = claim
        self._audience = audience
        self._clock = clock
        self._pieces: list[str] = []
        self._unseen: list[str] = []
        self._shown_at = float("-inf")
        self._kept_at = self._heard_at = clock()

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def add(self, words: str) -> bool:
        """Take words; whether to go on."""
        self._pieces.append(words)
        self._unseen.append(words)
        self._heard_at = self._clock()
        return self.attend()

    def attend(self) -> bool:
        """Show and keep what is due, which waiting for words must not delay; whether to go on."""
        now = self._clock()
        if self._unseen and now - self._shown_at >= SHOW_SECONDS:
            self.show()
        if now - self._kept_at >= KEEP_SECONDS:
            self._kept_at = now
            self._keep()
        if now - self._heard_at >= SILENCE_SECONDS:
            self.outcome = self.outcome or "silent"
        return self.outcome is None

    def show(self) -> None:
        """Show all that nobody has seen yet."""
        words, self._unseen = "".join(self._unseen), []
        for start in range(0, len(words), LONGEST_PIECE):
            self._audience.show(self.next_seq, words[start : start + LONGEST_PIECE])
            self.next_seq += 1
        self._shown_at = self._clock()

    def _keep(self) -> None:
        shown = len(self.text) - sum(map(len, self._unseen))
        try:
            with session_scope(self._claim.owner_id) as session:
                stop = Replies(session).keep(self._claim, self.text[:shown], self.next_seq)
        except SQLAlchemyError as error:
            if not is_outage(error):
                raise
            # The words are safe here as long as the lease runs; the next second may find the database back.
            logger.warning("reply not kept", reply_id=self._claim.reply_id, kind=type(error).__name__)
            return
        if stop is None:
            self.outcome = "lost"
        elif stop:
            self.outcome = "cancelled"
        self._audience.attend()
