"""The reply queue by hand: what was sent, delivered to the worker as Lambda does, once or more often."""

from types import SimpleNamespace
from typing import Any

from academy import aws, config
from dev.source_events import QUEUE_ARN, sqs_event, sqs_record_of

SECONDS = 60


def context(seconds: float = SECONDS) -> Any:
    """A Lambda context with so many seconds left."""
    return SimpleNamespace(get_remaining_time_in_millis=lambda: int(seconds * 1000))


def waiting() -> list[dict[str, Any]]:
    """The messages that can be received now; they are in flight from then on."""
    found: list[dict[str, Any]] = []
    while True:
        answer: Any = aws.client("sqs").receive_message(
            QueueUrl=config.settings().reply_queue_url,
            MaxNumberOfMessages=1,
            MessageSystemAttributeNames=["All"],
        )
        if not (messages := answer.get("Messages")):
            return found
        found += messages


def deliver(message: dict[str, Any], *, seconds: float = SECONDS, tries: int | None = None) -> bool:
    """One delivery to the worker; whether it succeeded. What succeeded is deleted from the queue."""
    from ai.worker import handler

    attributes = dict(message["Attributes"])
    if tries is not None:
        attributes["ApproximateReceiveCount"] = str(tries)
    record = sqs_record_of({**message, "Attributes": attributes}, QUEUE_ARN)
    failed = handler(sqs_event(record), context(seconds))["batchItemFailures"]
    if not failed:
        aws.client("sqs").delete_message(
            QueueUrl=config.settings().reply_queue_url, ReceiptHandle=message["ReceiptHandle"]
        )
    return not failed


def deliver_all() -> int:
    """Deliver until nothing waits; how many messages that were."""
    delivered = 0
    while messages := waiting():
        for message in messages:
            assert deliver(message)
        delivered += len(messages)
    return delivered
