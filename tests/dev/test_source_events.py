"""Batches of a queue and ticks of a schedule are Lambda's own, member by member."""

import re

from dev.source_events import scheduled_event, sqs_event, sqs_record, sqs_record_of

ARN = "arn:aws:sqs:eu-central-1:123456789012:replies.fifo"


def test_a_message_becomes_the_documented_record() -> None:
    record = sqs_record(
        "слово",
        queue_arn=ARN,
        group="chat",
        deduplication="message",
        receive_count=2,
        receipt_handle="handle",
        message_id="id",
        sent=1795428000000,
    )
    assert re.fullmatch(r"\d{20}", record["attributes"].pop("SequenceNumber"))
    assert record["attributes"].pop("ApproximateFirstReceiveTimestamp").isdecimal()
    assert sqs_event(record) == {
        "Records": [
            {
                "messageId": "id",
                "receiptHandle": "handle",
                "body": "слово",
                "attributes": {
                    "ApproximateReceiveCount": "2",
                    "SentTimestamp": "1795428000000",
                    "SenderId": "123456789012",
                    "MessageGroupId": "chat",
                    "MessageDeduplicationId": "message",
                },
                "messageAttributes": {},
                "md5OfBody": "4a61f7bb50c173ed273c39a64cee8606",  # pragma: allowlist secret - a digest
                "eventSource": "aws:sqs",
                "eventSourceARN": ARN,
                "awsRegion": "eu-central-1",
            }
        ]
    }


def test_a_message_of_a_standard_queue_has_no_group() -> None:
    attributes = sqs_record("x")["attributes"]
    assert not {"MessageGroupId", "MessageDeduplicationId", "SequenceNumber"} & attributes.keys()


def test_a_messages_own_attributes_are_told_in_lambdas_words() -> None:
    attribute = {"DataType": "String", "StringValue": "1"}
    message = {"MessageId": "m", "ReceiptHandle": "r", "Body": "", "MessageAttributes": {"a": attribute}}
    assert sqs_record_of(message, ARN)["messageAttributes"] == {
        "a": {"stringValue": "1", "stringListValues": [], "binaryListValues": [], "dataType": "String"}
    }


def test_a_rule_and_a_scheduler_tick_each_in_their_own_way() -> None:
    rule, scheduler = scheduled_event("sweep"), scheduled_event("sweep", scheduler=True)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", rule["time"])
    assert (rule["source"], rule["detail-type"], rule["detail"]) == ("aws.events", "Scheduled Event", {})
    assert rule["resources"] == ["arn:aws:events:us-east-1:123456789012:rule/sweep"]
    assert (scheduler["source"], scheduler["detail"]) == ("aws.scheduler", "{}")
    assert scheduler["resources"] == ["arn:aws:scheduler:us-east-1:123456789012:schedule/default/sweep"]
