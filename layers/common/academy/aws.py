"""Clients of AWS services, made on first use: boto3 takes a fifth of a second to import."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, overload
from urllib.parse import urlencode

if TYPE_CHECKING:
    from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

CONNECT_SECONDS, READ_SECONDS = 2, 5
CONNECTIONS_KEPT_OPEN = 50
TOKEN_SECONDS = 900
# boto3 fills its default session on first use, which two threads must not do at once.
_MAKING = threading.Lock()


@overload
def client(service: Literal["dynamodb"]) -> DynamoDBClient: ...
@overload
def client(service: Literal["sqs"]) -> SQSClient: ...
@overload
def client(service: Literal["kms"]) -> KMSClient: ...
@overload
def client(service: Literal["secretsmanager"]) -> SecretsManagerClient: ...
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


def database_token(host: str, port: int, user: str) -> str:
    """What RDS takes for a password in the next quarter of an hour; signed here, without a call.

    Like boto3's `generate_db_auth_token`, without RDS's client: its model alone takes 0.1 s to read.
    """
    from botocore.model import ServiceId
    from botocore.session import get_session
    from botocore.signers import RequestSigner

    session: Any = get_session()
    region, service = session.get_config_variable("region"), "rds-db"
    events = session.get_component("event_emitter")
    signer = RequestSigner(ServiceId(service), region, service, "v4", session.get_credentials(), events)
    url = f"https://{host}:{port}/?{urlencode({'Action': 'connect', 'DBUser': user})}"
    request = {"method": "GET", "url": url, "body": {}, "headers": {}, "context": {}}
    signed: str = signer.generate_presigned_url(
        request, operation_name="connect", region_name=region, expires_in=TOKEN_SECONDS, signing_name=service
    )
    return signed.removeprefix("https://")


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
