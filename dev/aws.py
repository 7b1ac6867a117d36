"""DynamoDB and SQS as the template declares them, and KMS, played by moto's server and gone with it."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

from dev.local import LOOPBACK
from dev.sam import REGION, Template

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
# Of a table's properties, those that CreateTable takes as they stand.
TABLE_PROPERTIES = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")


@contextmanager
def running(address: str = LOOPBACK) -> Iterator[str]:
    """The URL at which DynamoDB and SQS answer, for as long as the block lasts."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address=address, port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def environment(endpoint: str) -> dict[str, str]:
    """What makes boto3 talk to `endpoint`, and never to a real account."""
    return {"AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION, **CREDENTIALS}


def create_missing(template: Template) -> None:
    """Make the template's tables and queues that are not there yet."""
    _create_tables(template)
    _create_queues(template)


def create_key(endpoint: str) -> str:
    """A key of KMS's that is forgotten with it: where it is."""
    return str(client("kms", endpoint).create_key()["KeyMetadata"]["Arn"])


def _create_tables(template: Template) -> None:
    dynamodb = client("dynamodb", template.endpoint)
    existing = dynamodb.list_tables()["TableNames"]
    for name, properties in template.resources("AWS::DynamoDB::Table"):
        if name in existing:
            continue
        known = {key: properties[key] for key in TABLE_PROPERTIES if key in properties}
        dynamodb.create_table(TableName=name, **known)
        if expiry := properties.get("TimeToLiveSpecification"):
            dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=expiry)


def _create_queues(template: Template) -> None:
    sqs = client("sqs", template.endpoint)
    existing = {url.rsplit("/", 1)[1] for url in sqs.list_queues().get("QueueUrls", [])}
    # A dead-letter queue has to be there before the queue that names it.
    for name, properties in sorted(
        template.resources("AWS::SQS::Queue"), key=lambda q: "RedrivePolicy" in q[1]
    ):
        if name not in existing:
            known = {key: _attribute(value) for key, value in properties.items() if key != "QueueName"}
            sqs.create_queue(QueueName=name, Attributes=known)


def _attribute(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@lru_cache
def client(service: Any, endpoint: str) -> Any:
    """boto3's client for a service of the local stack, which no proxy stands in front of."""
    # A session of its own: threads may not share the default one while it makes clients.
    return boto3.session.Session().client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - moto takes any
        config=Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 1}, proxies={}),
    )
