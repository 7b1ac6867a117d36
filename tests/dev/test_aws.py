"""DynamoDB and SQS of the local stack hold what the template declares, and only look like AWS from inside."""

import json
from collections.abc import Iterator

import pytest

from dev import aws
from dev.sam import TEMPLATE, Template


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    with aws.running() as endpoint:
        template = Template(TEMPLATE, endpoint=endpoint)
        aws.create_missing(template)
        yield template


def test_a_functions_table_is_there_with_its_index_and_expiry(template: Template) -> None:
    name = template.functions["ChatFunction"].environment["CONNECTIONS_TABLE"]
    dynamodb = aws.client("dynamodb", template.endpoint)
    table = dynamodb.describe_table(TableName=name)["Table"]
    assert [key["AttributeName"] for key in table["KeySchema"]] == ["connection_id"]
    assert [index["IndexName"] for index in table["GlobalSecondaryIndexes"]] == ["by_room", "by_user"]
    expiry = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert expiry == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}


def test_a_functions_queue_is_there_and_gives_up_to_its_dead_letters(template: Template) -> None:
    url = template.functions["ChatFunction"].environment["REPLY_QUEUE_URL"]
    attributes = aws.client("sqs", template.endpoint).get_queue_attributes(
        QueueUrl=url, AttributeNames=["All"]
    )["Attributes"]
    assert attributes["FifoQueue"] == "true"
    assert json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"].endswith("ReplyDeadLetters.fifo")


def test_what_is_there_already_stays_as_it_is(template: Template) -> None:
    url = template.functions["ChatFunction"].environment["REPLY_QUEUE_URL"]
    sqs = aws.client("sqs", template.endpoint)
    sqs.purge_queue(QueueUrl=url)  # moto's servers of one process share what they hold
    sqs.send_message(QueueUrl=url, MessageBody="kept", MessageGroupId="g", MessageDeduplicationId="d")
    aws.create_missing(template)
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "kept"
