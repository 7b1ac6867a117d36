"""A reply shown to sockets while it is written: numbered words, then its end, to each socket in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from academy.db import session_scope
from academy.errors import AppError
from academy.models import Chat, Message
from academy.queue import ReplyJob
from academy.repositories import Replies
from academy.websocket import Address, AiDelta, AiResponse, Audience, ErrorFrame, Frame

REMEMBERED = 3
"""Seconds of words kept for newcomers. Who restores the chat gets the words as they were last kept, at most
two seconds ago, and those that follow come from here; `seq` tells the ones that came both ways."""


class ReplyFailed(AppError):
    status, code = 502, "reply_failed"

    def __init__(self) -> None:
        super().__init__("The tutor's reply failed. Your message is kept: send it again.")


class Broadcast:
    """The audience of one reply; `renew` is called every second on top."""

    def __init__(self, job: ReplyJob, chat: Chat, renew: Callable[[], None]) -> None:
        self._job = job
        self._renew = renew
        asker = Address(job.connection_id, job.session_key) if job.connection_id else None
        keys = (job.session_key, chat.session.key)
        self._sockets = Audience(job.owner_id, keys, asker=asker)
        self._sockets.refresh()
        self._recent: deque[list[Frame]] = deque([[]], maxlen=REMEMBERED)

    def show(self, seq: int, words: str) -> None:
        frame = AiDelta(chat_id=self._job.chat_id, message_id=self._job.reply_id, seq=seq, delta=words)
        self._recent[-1].append(frame)
        self._sockets.push(frame)

    def attend(self) -> None:
        self._renew()
        self._sockets.push()
        self._sockets.refresh(*(frame for second in self._recent for frame in second))
        self._recent.append([])

    def end(self, frame: Frame) -> None:
        """Show how the reply ended, and note that it was shown."""
        self._sockets.refresh(*(frame for second in self._recent for frame in second))
        self._sockets.push(frame)
        self._sockets.insist()
        _note_announced(self._job)


def end_of(reply: Message) -> Frame:
    """The frame for a reply that has ended, as far as its row can tell."""
    if reply.status == "failed":
        return ErrorFrame.of(ReplyFailed(), chat_id=reply.chat_id, message_id=reply.id)
    return AiResponse.of(reply)


def _note_announced(job: ReplyJob) -> None:
    with session_scope(job.owner_id) as session:
        Replies(session).mark_announced(job.reply_id)
