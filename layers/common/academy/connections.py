"""Who is connected: one DynamoDB item per open socket."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from academy import aws
from academy.auth import Claims
from academy.config import settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Channel = Literal["chat", "switch"]

LONGEST_LIFE_SECONDS = 2 * 60 * 60 + 10 * 60
"""A connection ends after two hours; its row stays a little longer, since `$disconnect` may come late."""

BY_ROOM, BY_USER = "by_room", "by_user"


@dataclass(frozen=True, slots=True)
class Connection:
    """An open socket: whose it is, on which session, and the log-in that let it in."""

    id: str
    user_id: str
    session_key: str
    channel: Channel
    login_id: UUID
    token_expires_at: datetime
    connected_at: datetime

    @property
    def claims(self) -> Claims:
        """What the token said that opened it."""
        return Claims(self.user_id, self.login_id, self.token_expires_at)


def room(user_id: str, session_key: str) -> str:
    """The key of a user's session. Sessions of two users may have one name, and must never meet."""
    return hashlib.sha256(f"{user_id}\0{session_key}".encode()).hexdigest()


def remember(connection: Connection) -> None:
    _table().put_item(TableName=settings().connections_table, Item=_item(connection))


def find(connection_id: str) -> Connection | None:
    answer = _table().get_item(
        TableName=settings().connections_table,
        Key={"connection_id": {"S": connection_id}},
        ConsistentRead=True,
    )
    return _connection(answer["Item"]) if "Item" in answer else None


def forget(connection_id: str) -> None:
    # `$disconnect` is best-effort, so a stale id is normal here: deleting twice must be harmless.
    _table().delete_item(TableName=settings().connections_table, Key={"connection_id": {"S": connection_id}})


def of_session(user_id: str, session_key: str) -> list[Connection]:
    """A user's sockets on a session. The index lags a little: one just opened may be missing."""
    return _query(BY_ROOM, "room", room(user_id, session_key))


def of_user(user_id: str) -> list[Connection]:
    """All of a user's sockets, the oldest first."""
    return sorted(_query(BY_USER, "user_id", user_id), key=lambda connection: connection.connected_at)


def _query(index: str, attribute: str, value: str) -> list[Connection]:
    pages = (
        _table()
        .get_paginator("query")
        .paginate(
            TableName=settings().connections_table,
            IndexName=index,
            KeyConditionExpression=f"{attribute} = :value",
            # DynamoDB deletes what is over when it finds the time, which may be a day later.
            FilterExpression="expires_at > :now",
            ExpressionAttributeValues={
                ":value": {"S": value},
                ":now": {"N": str(_seconds(datetime.now(UTC)))},
            },
        )
    )
    return [_connection(item) for page in pages for item in page["Items"]]


def _item(connection: Connection) -> dict[str, Any]:
    return {
        "connection_id": {"S": connection.id},
        "user_id": {"S": connection.user_id},
        "session_id": {"S": connection.session_key},
        "room": {"S": room(connection.user_id, connection.session_key)},
        "channel": {"S": connection.channel},
        "login_id": {"S": str(connection.login_id)},
        "token_expires_at": {"S": connection.token_expires_at.isoformat()},
        "connected_at": {"S": connection.connected_at.isoformat()},
        "expires_at": {"N": str(_seconds(connection.connected_at) + LONGEST_LIFE_SECONDS)},
    }


def _connection(item: dict[str, Any]) -> Connection:
    return Connection(
        id=item["connection_id"]["S"],
        user_id=item["user_id"]["S"],
        session_key=item["session_id"]["S"],
        channel=item["channel"]["S"],
        login_id=UUID(item["login_id"]["S"]),
        token_expires_at=datetime.fromisoformat(item["token_expires_at"]["S"]),
        connected_at=datetime.fromisoformat(item["connected_at"]["S"]),
    )


def _seconds(time: datetime) -> int:
    return int(time.timestamp())


def _table() -> DynamoDBClient:
    return aws.client("dynamodb")
