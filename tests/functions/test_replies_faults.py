"""A reply that fails: the words are kept, the socket hears why, and asking again works."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from academy.models import AIUsage, User
from dev import postgres
from tests.deliveries import deliver, deliver_all, waiting
from tests.fakes import ScriptedModel
from tests.functions.test_ai_faults import FAULTS
from tests.replies import change_reply, eventually, in_background, in_seconds, said
from tests.sockets import Socket

pytestmark = pytest.mark.usefixtures("quiet")


class TestFaults:
    @pytest.mark.parametrize("name", FAULTS)
    def test_E3_E4_a_fault_is_an_error_frame_and_asking_again_works(
        self, name: str, socket: Socket, model: ScriptedModel, session: Session
    ) -> None:
        fault, _, code = FAULTS[name]
        fault(model)
        [accepted] = socket.say("Сохрани меня")
        deliver_all()
        error = socket.last("error")
        assert (error["code"], error["chat_id"]) == (code, accepted["chat_id"])
        assert (error["retry_after"] is not None) == (code == "ai_rate_limited")
        assert "canary" not in str(socket.frames)
        assert socket.of_type("ai_response") == []
        model.reset()
        model.says("Вот ответ")
        assert socket.say("Сохрани меня")[0]["message_id"] == accepted["message_id"]
        deliver_all()
        assert said() == [("user", "Сохрани меня", "complete"), ("ai", "Вот ответ", "complete")]
        assert socket.last("ai_response")["message"] == "Вот ответ"
        assert session.scalars(select(AIUsage.outcome)).all() == [code, "ok"]

    def test_a_failed_reply_is_asked_for_again_under_its_client_message_id(
        self, socket: Socket, model: ScriptedModel
    ) -> None:
        model.fails(401)
        socket.say("Сохрани меня", client_message_id="m-1")
        deliver_all()
        socket.say("Сохрани меня", client_message_id="m-1")
        assert deliver_all() == 1
        assert [status for _, _, status in said()] == ["complete", "complete"]

    @pytest.mark.parametrize("how", ["reset", "close", "no_done"])
    @pytest.mark.parametrize("tokens", [0, 1, 2, 5, 20])
    def test_F8_a_stream_that_broke_off_is_never_a_whole_reply(
        self, how: Any, tokens: int, socket: Socket, model: ScriptedModel
    ) -> None:
        pieces = [f"слово{number} " for number in range(tokens)]
        model.cuts(*pieces, how=how)
        socket.say()
        deliver_all()
        assert socket.last("error")["code"] == "ai_unavailable"
        sender, text, status = said()[1]
        assert (sender, status) == ("ai", "failed")
        # A reset may overtake the words before it.
        assert "".join(pieces).startswith(text)
        assert how == "reset" or text == "".join(pieces)

    def test_G6_poison_is_tried_three_times_then_failed_and_told(
        self, learner: Socket, model: ScriptedModel, poisoned: None
    ) -> None:
        learner.say()
        [message] = waiting()
        assert [deliver(message, tries=tries) for tries in (1, 2)] == [False, False]
        assert learner.of_type("error") == []
        change_reply(leased_until=in_seconds(-1))
        assert deliver(message, tries=3) is False
        assert learner.last("error")["code"] == "reply_failed"
        assert said()[1][2] == "failed"
        assert deliver(message, tries=4) is True
        assert len(learner.of_type("error")) == 1

    def test_G4_a_chat_deleted_under_way_ends_the_reply_quietly(
        self, learner: Socket, model: ScriptedModel, hasty: None, session_of_its_own: Session
    ) -> None:
        model.drips("слово ")
        learner.say()
        thread = in_background(waiting()[0])
        eventually(lambda: learner.of_type("ai_delta"))
        owner = session_of_its_own.scalars(select(User)).one()
        session_of_its_own.delete(owner)
        session_of_its_own.commit()
        thread.join()
        assert learner.last("error")["code"] == "chat_gone"
        assert eventually(model.requests[-1].hung_up.is_set)


@pytest.fixture
def poisoned(committed: None, database: Any) -> Iterator[None]:
    """Every reply fails by a fault of our own: its costs cannot be written down."""
    with database.connect(postgres.OWNER) as connection:
        connection.execute(f"REVOKE INSERT ON ai_usage FROM {postgres.APP}")
        yield
        connection.execute(f"GRANT INSERT ON ai_usage TO {postgres.APP}")
