"""Functions made into the Lambda handler of a WebSocket API: the one place where frames meet transactions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from academy import aws, connections, outages, queue, throttle
from academy.auth import user_of
from academy.connections import Connection
from academy.db import session_scope
from academy.errors import AppError, Conflict, DatabaseUnavailable, Unauthorized
from academy.observability import log_unhandled, logger
from academy.queue import ReplyJob
from academy.throttle import Limit
from academy.websocket.audience import Address, Audience
from academy.websocket.frames import ErrorFrame, Frame, now
from academy.websocket.handshake import Handshake
from academy.websocket.push import Gone, Undelivered, close, forget, push

Event = dict[str, Any]
OK = {"statusCode": 200}

FRAMES = Limit("frames per user", 100, timedelta(seconds=10))
"""Each costs a look at the database and perhaps 128 KB of history; what is said is limited on top."""


class TokenExpired(Unauthorized):
    code = "token_expired"

    def __init__(self) -> None:
        super().__init__("This log-in has ended. Log in again and reconnect.")


class Unavailable(AppError):
    status, code = 503, "unavailable"

    def __init__(self) -> None:
        super().__init__("This can't be done right now. Try again in a few seconds.")


@dataclass(frozen=True, slots=True)
class Answer:
    """What follows from a frame once its transaction is committed."""

    to_asker: Sequence[Frame] = ()
    to_session: Sequence[Frame] = ()
    also_on: Sequence[str] = ()
    """Other sessions of the user that see what the session sees."""
    job: ReplyJob | None = None


OnConnect = Callable[[Handshake], None]
OnMessage = Callable[[str, Connection, Session], Answer]


def websocket_handler(on_connect: OnConnect, on_message: OnMessage) -> Callable[[Event, Any], dict[str, Any]]:
    """The handler of all three routes. `on_connect` and `on_message` raise `AppError` to refuse."""

    def handle(event: Event, _: Any) -> dict[str, Any]:
        connection_id = event["requestContext"]["connectionId"]
        match event["requestContext"]["eventType"]:
            case "CONNECT":
                return _connect(event, on_connect)
            case "DISCONNECT":
                forget(connection_id)
            case "MESSAGE":
                _message(connection_id, event.get("body") or "", on_message)
        return OK

    return handle


def _connect(event: Event, on_connect: OnConnect) -> dict[str, Any]:
    handshake = Handshake.of(event)
    try:
        on_connect(handshake)
    except AppError as error:
        logger.info("socket refused", code=error.code)
        return {"statusCode": error.status}
    except Exception as error:  # noqa: BLE001 - a handshake has no body that could tell more
        _told(error)
        return {"statusCode": 503}
    if handshake.subprotocol:
        return {**OK, "headers": {"Sec-WebSocket-Protocol": handshake.subprotocol}}
    return OK


def _message(connection_id: str, body: str, on_message: OnMessage) -> None:
    connection = None
    try:
        connection = connections.find(connection_id)
        if connection is None:
            # Its row expired, or was deleted because the socket was taken to be dead.
            close(connection_id)
            return
        with session_scope() as session:
            _check_login(session, connection)
            throttle.count(session, FRAMES, connection.user_id)
        # A frame that is refused has been counted all the same.
        transaction = partial(session_scope, connection.user_id)
        answer = outages.transact(transaction, partial(on_message, body, connection))
        _deliver(connection, answer)
    except AppError as error:
        _refuse(connection_id, connection, error)
    except IntegrityError:
        _refuse(connection_id, connection, Conflict("Somebody did the same at this moment. Look again."))
    except Exception as error:  # noqa: BLE001 - whatever it is, the socket stays open and the client hears of it
        _refuse(connection_id, connection, _told(error))


def _told(error: Exception) -> AppError:
    if outages.is_outage(error) or isinstance(error, aws.errors()):
        logger.warning("frame not served", kind=type(error).__name__)
        return DatabaseUnavailable() if outages.is_outage(error) else Unavailable()
    log_unhandled(error)
    return AppError("Something went wrong on our side.")


def _check_login(session: Session, connection: Connection) -> None:
    """A socket lives for hours: whoever it was opened for may have left since."""
    if connection.token_expires_at <= now():
        raise TokenExpired
    try:
        user_of(session, connection.claims)
    except Unauthorized:
        raise TokenExpired from None


def _deliver(connection: Connection, answer: Answer) -> None:
    for frame in answer.to_asker:
        _send(connection.id, frame, connection.session_key)
    keys = (connection.session_key, *answer.also_on)
    asker = Address(connection.id, connection.session_key)
    audience = Audience(connection.user_id, keys, asker=asker)
    if answer.to_session:
        audience.refresh()
        audience.push(*answer.to_session)
    # Only now, or the reply's first words might overtake the news that the question was accepted.
    if answer.job:
        _enqueue(answer.job)
    audience.insist()


def _enqueue(job: ReplyJob) -> None:
    try:
        queue.send(job)
    except aws.errors() as error:
        # The question is stored and accepted; the sweeper finds a reply that nobody was asked for.
        logger.error("reply not queued", reply_id=job.reply_id, kind=type(error).__name__)


def _refuse(connection_id: str, connection: Connection | None, error: AppError) -> None:
    _send(connection_id, ErrorFrame.of(error), connection.session_key if connection else None)
    if isinstance(error, TokenExpired):
        close(connection_id)


def _send(connection_id: str, frame: Frame, session_key: str | None) -> None:
    try:
        push(connection_id, frame.render(session_key))
    except (Gone, Undelivered):
        logger.info("answer not delivered", connection_id=connection_id, type=frame.type)
