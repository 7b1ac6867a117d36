"""The WebSocket API: who may connect, and what each frame does."""

from sqlalchemy.orm import Session

from academy.connections import Connection
from academy.websocket import Answer, Handshake, websocket_handler
from ws import admission, chats, service
from ws.schemas import (
    Cancel,
    GetUserChats,
    Ping,
    Pong,
    RestoreChat,
    RestoreHistory,
    SwitchChat,
    Words,
    read,
)


def on_connect(handshake: Handshake) -> None:
    admission.admit(handshake)


def on_message(body: str, connection: Connection, session: Session) -> Answer:
    match read(body):
        case Words() as words:
            return service.say(session, connection, words)
        case Cancel() as cancel:
            return service.cancel(session, connection, cancel)
        case RestoreChat():
            return chats.restore(session, connection)
        case SwitchChat(chat_id=chat_id):
            return chats.switch(session, connection, chat_id)
        case RestoreHistory(chat_id=chat_id):
            return chats.history(session, connection, chat_id)
        case GetUserChats():
            return chats.list_all(session, connection)
        case Ping():
            return Answer(to_asker=[Pong()])


handler = websocket_handler(on_connect, on_message)
