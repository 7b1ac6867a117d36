"""Every minute: replies lost on the way are asked for again, those that nobody can save are ended, and what
the dead have reserved is given back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from academy import aws, queue
from academy.config import settings
from academy.db import session_scope, sweeper_scope
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
    if settings().sweeper_database_url is None:
        logger.warning("nothing swept: SWEEPER_DATABASE_URL is not set")
        return
    _sweep_budgets()
    # Its own role finds out whose replies are lost; what is done about each, is done as its owner.
    with sweeper_scope() as session:
        dropped, abandoned = Replies(session).dropped(AT_ONCE), Replies(session).abandoned(AT_ONCE)
    asked_again = sum(_ask_again(*lost) for lost in dropped)
    failed = sum(_give_up(*lost) for lost in abandoned)
    if failed or asked_again:
        logger.warning("replies swept", failed=failed, asked_again=asked_again)


def _sweep_budgets() -> None:
    with sweeper_scope() as session:
        abandoned = budget.abandoned(session, RESERVATIONS_AT_ONCE)
    with session_scope() as session:
        given_back = budget.give_back(session, abandoned)
    with session_scope() as session:
        budget.forget_old_days(session, RESERVATIONS_AT_ONCE, datetime.now(UTC))
    if given_back:
        logger.warning("reservations swept", given_back=given_back)


def _ask_again(reply_id: UUID, owner_id: str) -> bool:
    with session_scope(owner_id) as session:
        replies = Replies(session)
        found = replies.find(reply_id) if replies.take_dropped(reply_id) else None
        if found is None:
            return False
        reply, _, chat = found
        # A message whose worker died before it could say so stands in the way for a quarter of an hour.
        chat.lane += 1
    job = _job(reply, chat)
    try:
        queue.send(job)
    except aws.errors() as error:
        logger.error("reply not queued", reply_id=job.reply_id, kind=type(error).__name__)
    return True


def _give_up(reply_id: UUID, owner_id: str) -> bool:
    with session_scope(owner_id) as session:
        replies = Replies(session)
        found = replies.find(reply_id) if replies.give_up_abandoned(reply_id) else None
    if found is None:
        return False
    reply, _, chat = found
    Broadcast(_job(reply, chat), chat, renew=_nothing).end(end_of(reply))
    return True


def _job(reply: Message, chat: Chat) -> ReplyJob:
    return ReplyJob(
        reply_id=reply.id,
        owner_id=chat.session.user_id,
        chat_id=chat.id,
        lane=chat.lane,
        session_key=chat.session.key,
    )


def _nothing() -> None:
    """There is no message of the queue to hold."""
