"""What queues and schedules say to a Lambda function.

https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
"""

import hashlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from dev.events import Event
from dev.sam import ACCOUNT_ID, REGION, STACK

QUEUE_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{STACK}-Queue.fifo"


def sqs_event(*records: Event) -> Event:
    """One batch, made of `sqs_record`s."""
    return {"Records": list(records)}


def sqs_record(
    body: str,
    *,
    queue_arn: str = QUEUE_ARN,
    group: str | None = None,
    deduplication: str | None = None,
    receive_count: int = 1,
    receipt_handle: str | None = None,
    message_id: str | None = None,
    sent: int | None = None,
) -> Event:
    """One message as a function gets it; `sent` in milliseconds since 1970."""
    now = time.time_ns() // 1_000_000
    known = {
        "MessageGroupId": group,
        "MessageDeduplicationId": deduplication,
        "SequenceNumber": None if group is None else str(time.time_ns()).zfill(20),
    }
    attributes = {
        "ApproximateReceiveCount": str(receive_count),
        "SentTimestamp": str(sent or now),
        "SenderId": ACCOUNT_ID,
        "ApproximateFirstReceiveTimestamp": str(now),
        **{name: value for name, value in known.items() if value is not None},
    }
    message = {
        "MessageId": message_id or str(uuid4()),
        "ReceiptHandle": receipt_handle or uuid4().hex,
        "Body": body,
        "Attributes": attributes,
    }
    return sqs_record_of(message, queue_arn)


def sqs_record_of(message: Mapping[str, Any], queue_arn: str) -> Event:
    """What ReceiveMessage returned, in the words of a function's event."""
    body = message["Body"]
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": body,
        "attributes": dict(message.get("Attributes", {})),
        "messageAttributes": {
            name: _message_attribute(value) for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(":")[3],
    }


def scheduled_event(name: str = f"{STACK}-Schedule", *, scheduler: bool = False) -> Event:
    """One tick of a rule of EventBridge, or of EventBridge Scheduler (SAM's ScheduleV2)."""
    service, kind = ("scheduler", "schedule/default") if scheduler else ("events", "rule")
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "Scheduled Event",
        "source": f"aws.{service}",
        "account": ACCOUNT_ID,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:{service}:{REGION}:{ACCOUNT_ID}:{kind}/{name}"],
        "detail": "{}" if scheduler else {},
    }


def _message_attribute(value: Mapping[str, Any]) -> Event:
    known = {"stringValue": value.get("StringValue"), "binaryValue": value.get("BinaryValue")}
    return {
        **{name: content for name, content in known.items() if content is not None},
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": value["DataType"],
    }
