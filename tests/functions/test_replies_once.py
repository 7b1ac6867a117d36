"""One question is one reply: however often it is sent or delivered, until somebody stops it."""

from threading import Event

import pytest
from sqlalchemy import func

from academy.models import Message
from tests.deliveries import deliver, deliver_all, waiting
from tests.factories import a_login_of, a_user
from tests.fakes import ScriptedModel
from tests.races import at_once
from tests.replies import change_reply, eventually, in_background, in_seconds, said
from tests.sockets import Socket, Switchboard, spoken

pytestmark = pytest.mark.usefixtures("quiet")


class TestOnce:
    def test_one_client_message_id_is_one_message_and_one_reply(
        self, socket: Socket, model: ScriptedModel
    ) -> None:
        first = socket.say("Привет", client_message_id="m-1")
        second = socket.say("Привет", client_message_id="m-1")
        assert first == second
        deliver_all()
        third = socket.say("Привет", client_message_id="m-1")
        assert (third, deliver_all(), len(model.requests)) == (first, 0, 1)
        assert len(said()) == 2
        assert len(socket.of_type("ai_response")) == 1

    def test_the_same_words_under_another_client_message_id_are_another_message(self, socket: Socket) -> None:
        [first], [second] = (socket.say("Привет", client_message_id=name) for name in ("m-1", "m-2"))
        assert first["message_id"] != second["message_id"]
        assert len(said()) == 4
        assert socket.say("Привет", client_message_id="m-1") == [first]

    def test_F17_sent_at_once_on_ten_sockets_it_is_still_one(
        self, learner: Socket, switchboard: Switchboard, model: ScriptedModel
    ) -> None:
        tabs = [Socket(switchboard, learner.token).opened() for _ in range(9)]
        at_once(lambda tab: tab.say("Привет", client_message_id="m-1"), tabs)
        accepted = {frame["message_id"] for tab in tabs for frame in tab.of_type("message_accepted")}
        assert (len(accepted), len(said()), deliver_all(), len(model.requests)) == (1, 2, 1, 1)

    def test_G5_three_deliveries_two_of_them_at_once_are_one_call_and_one_end(
        self, learner: Socket, model: ScriptedModel
    ) -> None:
        learner.say()
        [message] = waiting()
        outcomes = at_once(deliver, [message, message])
        assert True in outcomes
        deliver(message)
        assert (len(model.requests), len(learner.of_type("ai_response"))) == (1, 1)
        assert spoken(learner.of_type("ai_delta")) == learner.last("ai_response")["message"]

    def test_a_delivery_waits_while_somebody_is_at_it(self, socket: Socket, model: ScriptedModel) -> None:
        socket.say()
        [message] = waiting()
        change_reply(
            status="streaming", claims=1, leased_until=func.now() + func.make_interval(0, 0, 0, 0, 1)
        )
        assert deliver(message) is False
        assert model.requests == []

    def test_G5_a_dead_writers_reply_is_begun_anew(self, socket: Socket, model: ScriptedModel) -> None:
        socket.say()
        [message] = waiting()
        change_reply(
            status="streaming", claims=1, leased_until=in_seconds(-1), message_content="полсло", next_seq=3
        )
        model.says("Целое слово.")
        assert deliver(message, tries=2)
        assert spoken(socket.of_type("ai_delta")) == "Целое слово."
        assert said()[1] == ("ai", "Целое слово.", "complete")

    def test_an_end_that_was_stored_but_not_shown_is_shown_once(
        self, socket: Socket, model: ScriptedModel
    ) -> None:
        socket.say()
        [message] = waiting()
        change_reply(status="complete", message_content="Сказано", announced=False)
        assert deliver(message)
        assert deliver(message)
        assert [frame["message"] for frame in socket.of_type("ai_response")] == ["Сказано"]
        assert model.requests == []

    def test_who_was_taken_over_says_nothing_more(
        self, learner: Socket, model: ScriptedModel, hasty: None
    ) -> None:
        model.tells("Старое ", never := Event())
        learner.say()
        thread = in_background(waiting()[0])
        eventually(lambda: learner.of_type("ai_delta"))
        change_reply(claims=Message.claims + 1, message_content="Новое")
        thread.join()
        never.set()
        assert learner.of_type("ai_response") == learner.of_type("error") == []
        assert said()[1] == ("ai", "Новое", "streaming")


class TestCancel:
    def test_a_reply_under_way_is_stopped_and_what_was_said_is_kept(
        self, learner: Socket, model: ScriptedModel, hasty: None
    ) -> None:
        model.drips("слово ")
        [accepted] = learner.say()
        thread = in_background(waiting()[0])
        eventually(lambda: learner.of_type("ai_delta"))
        learner.send({"type": "cancel", "message_id": accepted["message_id"]})
        thread.join()
        response = learner.last("ai_response")
        assert (response["status"], response["message"].split()[0]) == ("cancelled", "слово")
        assert spoken(learner.of_type("ai_delta")) == response["message"]
        assert said()[1] == ("ai", response["message"], "cancelled")
        assert eventually(model.requests[-1].hung_up.is_set)

    @pytest.mark.parametrize("after_headers", [True, False])
    def test_a_model_that_still_thinks_is_stopped_too(
        self, learner: Socket, model: ScriptedModel, hasty: None, after_headers: bool
    ) -> None:
        model.keeps_silent(after_headers=after_headers)
        learner.say()
        thread = in_background(waiting()[0])
        eventually(lambda: model.requests)
        learner.send({"type": "cancel"})
        thread.join()
        response = learner.last("ai_response")
        assert (response["status"], response["message"]) == ("cancelled", "")

    def test_a_reply_that_nobody_began_ends_at_once(self, socket: Socket, model: ScriptedModel) -> None:
        socket.say()
        [response] = socket.send({"type": "cancel"})
        assert (response["type"], response["status"], response["message"]) == ("ai_response", "cancelled", "")
        deliver_all()
        assert len(socket.of_type("ai_response")) == 1
        assert model.requests == []

    def test_what_has_ended_stays_as_it_is(self, socket: Socket) -> None:
        [accepted] = socket.say()
        deliver_all()
        before = said()
        assert socket.send({"type": "cancel"}) == []
        assert socket.send({"type": "cancel", "message_id": accepted["message_id"]}) == []
        assert said() == before

    def test_B1_nobody_stops_a_strangers_reply(self, socket: Socket, switchboard: Switchboard) -> None:
        [accepted] = socket.say()
        stranger = Socket(switchboard, a_login_of(a_user())).opened()
        [error] = stranger.send({"type": "cancel", "message_id": accepted["message_id"]})
        assert (error["type"], error["code"]) == ("error", "not_found")
        stranger.send({"type": "cancel"})
        assert said()[1][2] == "pending"
