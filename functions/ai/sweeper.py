"""Every minute: replies lost on the way are asked for again, those that nobody can save are ended, and what
the dead have reserved is given back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from academy import aws, queue
from academy.db import session_scope
from academy.models import Chat, Message
from academy.observability import logger
from academy.queue import ReplyJob
from academy.repositories import Replies
from ai import budget
from ai.broadcast import Broadcast, end_of

AT_ONCE = 100
RESERVATIONS_AT_ONCE = 1_000


def handler(_event: dict[str, Any], _context: Any) -> None:
    """Lambda's handler for the schedule."""
    _sweep_budgets()
    with session_scope() as session:
        replies = Replies(session)
        failed = _with_chats(replies, replies.give_up_abandoned(AT_ONCE))
        dropped = _with_chats(replies, replies.take_dropped(AT_ONCE))
        for _, chat in dropped:
            # A message whose worker died before it could say so stands in the way for a quarter of an hour.
            chat.lane += 1
    for reply, chat in dropped:
        _ask_again(_job(reply, chat))
    for reply, chat in failed:
        Broadcast(_job(reply, chat), chat, renew=_nothing).end(end_of(reply))
    if failed or dropped:
        logger.warning("replies swept", failed=len(failed), asked_again=len(dropped))


def _sweep_budgets() -> None:
    with session_scope() as session:
        given_back = budget.give_back_abandoned(session, RESERVATIONS_AT_ONCE)
    with session_scope() as session:
        budget.forget_old_days(session, RESERVATIONS_AT_ONCE, datetime.now(UTC))
    if given_back:
        logger.warning("reservations given back", number=given_back)


def _with_chats(replies: Replies, swept: list[UUID]) -> list[tuple[Message, Chat]]:
    found = (replies.find(reply_id) for reply_id in swept)
    return [(row[0], row[2]) for row in found if row]


def _ask_again(job: ReplyJob) -> None:
    try:
        queue.send(job)
    except aws.errors() as error:
        logger.error("reply not queued", reply_id=job.reply_id, kind=type(error).__name__)


def _job(reply: Message, chat: Chat) -> ReplyJob:
    return ReplyJob(reply_id=reply.id, chat_id=chat.id, lane=chat.lane, session_key=chat.session.key)


def _nothing() -> None:
    """There is no message of the queue to hold."""
