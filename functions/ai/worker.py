"""From the queue to the model to the sockets: one delivery is one try to make a reply."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from academy import aws, queue
from academy.db import session_scope
from academy.errors import AppError
from academy.models import Message
from academy.observability import log_unhandled, logger
from academy.queue import ReplyJob
from academy.repositories import Replies
from academy.repositories.replies import LEASE, UNFINISHED
from academy.websocket import AiResponse, ErrorFrame, Frame
from ai import replies
from ai.broadcast import Broadcast, end_of
from ai.replies import Assignment, TakenOver

MOST_TRIES = 3
"""The template's `maxReceiveCount`: what fails as often goes to the dead-letter queue."""

HOLD_SECONDS = int(LEASE.total_seconds()) + 5
"""A message stays hidden a little longer than a reply stays claimed, so who gets it next can claim it."""

RENEWALS_SKIPPED = 10
GOODBYE_SECONDS = 15.0
"""Left of the function's time for storing and showing how a reply ended."""


class Busy(Exception):
    """Somebody is writing this reply, or has just died over it."""


class Delivery:
    """A message of the queue, held for as long as it is worked on."""

    def __init__(self, record: SQSRecord) -> None:
        self.job = ReplyJob.model_validate_json(record.body)
        self.tries = int(record.attributes.approximate_receive_count)
        self._receipt_handle = record.receipt_handle
        self._renewals = 0

    def renew(self) -> None:
        """Called every second; SQS hears of it every tenth."""
        if self._renewals % RENEWALS_SKIPPED == 0:
            self.hold()
        self._renewals += 1

    def hold(self) -> None:
        try:
            queue.hold(self._receipt_handle, HOLD_SECONDS)
        except aws.errors() as error:
            # At worst it is delivered twice, which its claim is for.
            logger.warning("message not held", reply_id=self.job.reply_id, kind=type(error).__name__)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Lambda's handler for the reply queue; what failed is reported, so that it is delivered again."""
    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    answer: Any = process_partial_response(
        event=event, record_handler=_work, processor=processor, context=context
    )
    return dict(answer)


def _work(record: SQSRecord, lambda_context: Any) -> None:
    delivery = Delivery(record)
    seconds = lambda_context.get_remaining_time_in_millis() / 1000 - GOODBYE_SECONDS
    try:
        delivery.renew()
        _make(delivery, seconds)
    except Busy:
        delivery.hold()
        raise
    except Exception as error:
        log_unhandled(error)
        delivery.hold()
        if delivery.tries >= MOST_TRIES:
            _give_up(delivery)
        raise


def _make(delivery: Delivery, seconds: float) -> None:
    job = delivery.job
    with session_scope(job.owner_id) as session:
        claim = Replies(session).claim(job.reply_id, owner_id=job.owner_id)
        found = Replies(session).find(job.reply_id)
        if found is None:
            return  # deleted, with its chat
        reply, question, chat = found
        assignment = claim and replies.assign(session, claim, chat, question, owner_id=job.owner_id)
        has_to_be_shown = reply.status not in UNFINISHED and Replies(session).claim_end(reply.id)
    if assignment:
        broadcast = Broadcast(job, chat, delivery.renew)
        if frame := _written(assignment, broadcast, reply, seconds):
            broadcast.end(frame)
    elif has_to_be_shown:
        Broadcast(job, chat, delivery.renew).end(end_of(reply))
    elif not reply.announced:
        raise Busy


def _written(assignment: Assignment, broadcast: Broadcast, reply: Message, seconds: float) -> Frame | None:
    """The frame that ends the reply; none if somebody else has to."""
    try:
        return AiResponse.of(replies.write(assignment, broadcast, seconds=seconds))
    except TakenOver:
        return None
    except AppError as error:
        return ErrorFrame.of(error, chat_id=assignment.chat_id, message_id=reply.id)


def _give_up(delivery: Delivery) -> None:
    """Fail a reply after the last try, and say so."""
    job = delivery.job
    with session_scope(job.owner_id) as session:
        Replies(session).fail(job.reply_id)
        found = Replies(session).find(job.reply_id)
    if found:
        reply, _, chat = found
        Broadcast(job, chat, delivery.renew).end(end_of(reply))
