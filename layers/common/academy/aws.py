"""Clients of AWS services, made on first use: boto3 takes a fifth of a second to import."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

CONNECT_SECONDS, READ_SECONDS = 2, 5
CONNECTIONS_KEPT_OPEN = 50
# boto3 fills its default session on first use, which two threads must not do at once.
_MAKING = threading.Lock()


@overload
def client(service: Literal["dynamodb"]) -> DynamoDBClient: ...
@overload
def client(service: Literal["sqs"]) -> SQSClient: ...
@overload
def client(
    service: Literal["apigatewaymanagementapi"], endpoint_url: str
) -> ApiGatewayManagementApiClient: ...
def client(service: Any, endpoint_url: str | None = None) -> Any:
    """The environment's one client of a service; an attempt ends after seconds, not boto3's minute."""
    with _MAKING:
        return _made(service, endpoint_url)


def errors() -> tuple[type[Exception], ...]:
    """What a call to AWS may raise: for `except aws.errors()`."""
    from botocore.exceptions import BotoCoreError, ClientError

    return (BotoCoreError, ClientError)


@lru_cache
def _made(service: Any, endpoint_url: str | None) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 2},
        max_pool_connections=CONNECTIONS_KEPT_OPEN,
    )
    return boto3.client(service, endpoint_url=endpoint_url, config=config)
