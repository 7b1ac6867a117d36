"""A reply over the socket: kept, accepted, streamed, ended; once, in order, whatever happens on the way."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from academy.models import Message
from tests.deliveries import deliver_all
from tests.fakes import ScriptedModel
from tests.sockets import Socket, Switchboard, spoken

KEY = "1718000000000abc123xyz"


@pytest.fixture(autouse=True)
def fresh(model: ScriptedModel, switchboard: Switchboard, reply_queue: None) -> Iterator[None]:
    model.reset()
    switchboard.reset()
    yield
    model.reset()


def said(session: Session) -> list[tuple[str, str, str]]:
    query = select(Message.sender_type, Message.message_content, Message.status).order_by(Message.position)
    return [(row[0], row[1], row[2]) for row in session.execute(query)]


class TestStreaming:
    def test_words_are_kept_then_accepted_then_answered(
        self, socket: Socket, model: ScriptedModel, session: Session
    ) -> None:
        model.says("Начнём ", "с ", "баланса.")
        [accepted] = socket.say("Как танцевать?", client_message_id="m-1")
        assert (accepted["type"], accepted["client_message_id"]) == ("message_accepted", "m-1")
        assert said(session)[0] == ("user", "Как танцевать?", "complete")
        assert deliver_all() == 1
        response = socket.last("ai_response")
        assert (response["message"], response["status"]) == ("Начнём с баланса.", "complete")
        assert spoken(socket.of_type("ai_delta")) == response["message"]
        assert said(session)[1] == ("ai", "Начнём с баланса.", "complete")
        assert (response["model_used"], response["tokens_used"]) == ("scripted", 42)

    def test_every_frame_names_its_session_and_type(self, socket: Socket) -> None:
        socket.say()
        deliver_all()
        kinds = [frame["type"] for frame in socket.frames]
        assert kinds[0] == "message_accepted"
        assert kinds[-1] == "ai_response"
        assert {frame["session_id"] for frame in socket.frames} == {KEY}
        assert len({frame["chat_id"] for frame in socket.frames}) == 1
