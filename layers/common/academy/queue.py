"""The reply queue: what the tutor has still to answer, in order for each chat."""

from __future__ import annotations

from uuid import UUID, uuid4

from pydantic import BaseModel

from academy import aws
from academy.config import settings


class ReplyJob(BaseModel):
    """A reply to make. `session_key` and `connection_id` say where it was asked for."""

    reply_id: UUID
    owner_id: str
    chat_id: UUID
    lane: int = 0
    session_key: str
    connection_id: str | None = None


def send(job: ReplyJob) -> None:
    """Have a reply made, after those that were asked for before it in the same lane of its chat."""
    aws.client("sqs").send_message(
        QueueUrl=settings().reply_queue_url,
        MessageBody=job.model_dump_json(),
        MessageGroupId=f"{job.chat_id}.{job.lane}",
        # SQS forgets a repeated id for five minutes, also when the first was consumed, and a reply may have
        # to be made again. That it is made once is up to its claim.
        MessageDeduplicationId=str(uuid4()),
    )


def hold(receipt_handle: str, seconds: int) -> None:
    """Keep a message that is being worked on from everybody else for so long; 0 gives it back."""
    aws.client("sqs").change_message_visibility(
        QueueUrl=settings().reply_queue_url,
        ReceiptHandle=receipt_handle,
        VisibilityTimeout=seconds,
    )
