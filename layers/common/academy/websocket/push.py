"""Sends one frame to one socket over `@connections`, in our words when that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from academy import aws, connections
from academy.config import settings
from academy.observability import logger

if TYPE_CHECKING:
    from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient


class Gone(Exception):
    """The socket is closed; its row is deleted by now."""


class Undelivered(Exception):
    """The frame did not arrive, and may when it is sent again."""


def push(connection_id: str, data: str) -> None:
    """Raises `Gone`, `Undelivered`."""
    client = _client()
    try:
        client.post_to_connection(ConnectionId=connection_id, Data=data.encode())
    except client.exceptions.GoneException:
        forget(connection_id)
        raise Gone(connection_id) from None
    except client.exceptions.PayloadTooLargeException:
        # It would be refused as often as it is sent.
        logger.error("frame too large", connection_id=connection_id, characters=len(data))
    except aws.errors() as error:
        logger.warning("frame not delivered", connection_id=connection_id, kind=type(error).__name__)
        raise Undelivered(connection_id) from None


def close(connection_id: str) -> None:
    """Close a socket; one that is closed already is just as well."""
    client = _client()
    try:
        client.delete_connection(ConnectionId=connection_id)
    except client.exceptions.GoneException:
        pass
    except aws.errors() as error:
        logger.warning("socket not closed", connection_id=connection_id, kind=type(error).__name__)
    forget(connection_id)


def forget(connection_id: str) -> None:
    """Delete the row of a socket that is no more; what fails here, the table's expiry sees to."""
    try:
        connections.forget(connection_id)
    except aws.errors() as error:
        logger.warning("connection not forgotten", connection_id=connection_id, kind=type(error).__name__)


def _client() -> ApiGatewayManagementApiClient:
    return aws.client("apigatewaymanagementapi", settings().websocket_management_url)
