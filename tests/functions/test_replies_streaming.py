"""A reply over the socket: kept, accepted, streamed to its end, however long, whoever comes late."""

from threading import Event

import pytest

from academy.db import session_scope
from academy.models import User
from academy.repositories import Replies
from ai import draft
from tests.conftest import client_of
from tests.deliveries import deliver_all, waiting
from tests.factories import a_course, a_login_of, a_user
from tests.fakes import ScriptedModel
from tests.replies import eventually, in_background, reply_ids, said
from tests.sockets import Socket, Switchboard, spoken

KEY = "1718000000000abc123xyz"
pytestmark = pytest.mark.usefixtures("quiet")


class TestStreaming:
    def test_words_are_kept_then_accepted_then_answered(self, socket: Socket, model: ScriptedModel) -> None:
        model.says("Начнём ", "с ", "баланса.")
        [accepted] = socket.say("Как танцевать?", client_message_id="m-1")
        assert (accepted["type"], accepted["client_message_id"]) == ("message_accepted", "m-1")
        assert said() == [("user", "Как танцевать?", "complete"), ("ai", "", "pending")]
        assert deliver_all() == 1
        response = socket.last("ai_response")
        assert (response["message"], response["status"]) == ("Начнём с баланса.", "complete")
        assert spoken(socket.of_type("ai_delta")) == response["message"]
        assert said()[1] == ("ai", "Начнём с баланса.", "complete")
        assert (response["model_used"], response["tokens_used"]) == ("scripted", 42)

    def test_every_frame_names_its_session_and_its_chat(self, socket: Socket) -> None:
        socket.say()
        deliver_all()
        kinds = [frame["type"] for frame in socket.frames]
        assert (kinds[0], kinds[-1], set(kinds[1:-1])) == ("message_accepted", "ai_response", {"ai_delta"})
        assert {frame["session_id"] for frame in socket.frames} == {KEY}
        assert len({frame["chat_id"] for frame in socket.frames}) == 1

    def test_the_first_words_come_at_once_and_later_ones_together(
        self, learner: Socket, model: ScriptedModel
    ) -> None:
        go_on = Event()
        model.tells("Первое", go_on, *(f" слово{number}" for number in range(300)))
        learner.say()
        thread = in_background(waiting()[0])
        eventually(lambda: learner.of_type("ai_delta"))
        assert spoken(learner.of_type("ai_delta")) == "Первое"
        go_on.set()
        thread.join()
        assert 2 <= len(learner.of_type("ai_delta")) < 30
        assert spoken(learner.of_type("ai_delta")) == learner.last("ai_response")["message"]

    def test_F4_every_socket_of_the_session_gets_it_and_no_other(
        self, socket: Socket, user: User, switchboard: Switchboard
    ) -> None:
        tab, phone = (Socket(switchboard, a_login_of(user)).opened() for _ in range(2))
        elsewhere = Socket(switchboard, a_login_of(user), session_id="another").opened()
        stranger = Socket(switchboard, a_login_of(a_user())).opened()
        socket.say()
        deliver_all()
        assert tab.frames == phone.frames == socket.frames
        assert socket.of_type("ai_response")
        assert elsewhere.frames == stranger.frames == []

    def test_F6_a_socket_that_vanished_takes_nothing_from_the_others(
        self, socket: Socket, user: User, switchboard: Switchboard
    ) -> None:
        tab, gone = (Socket(switchboard, a_login_of(user)).opened() for _ in range(2))
        gone.vanish()
        socket.say()
        deliver_all()
        assert tab.frames == socket.frames
        assert tab.of_type("ai_response")
        assert socket.say("Ещё")[0]["type"] == "message_accepted"

    def test_a_module_that_was_switched_to_is_talked_about_there(
        self, socket: Socket, user: User, model: ScriptedModel
    ) -> None:
        course = a_course(user, key=KEY)
        api = client_of(user)
        here = {"track_id": str(course.track.id), "session_id": KEY, "module_id": "1"}
        chat_id = api.post("/api/ai/module-learning-start", here).body["chat_id"]
        socket.send({"command": "switch_chat", "chat_id": chat_id})
        assert socket.say("Почему?")[0]["chat_id"] == chat_id
        deliver_all()
        assert "teaching one module" in model.requests[-1].messages[0]["content"]

    def test_the_model_hears_nothing_that_was_said_later(self, socket: Socket, model: ScriptedModel) -> None:
        socket.say("Первый вопрос")
        socket.say("Второй вопрос")
        deliver_all()
        first, second = (str(request.messages) for request in model.requests)
        assert ("Первый вопрос" in first, "Второй вопрос" in first) == (True, False)
        assert second.index("Первый вопрос") < second.index("Второй вопрос")


class TestLength:
    TEXT = "Слово за словом. " * 6_000

    @pytest.mark.parametrize("streams", [True, False])
    def test_a_hundred_thousand_characters_arrive_within_the_limits(
        self, socket: Socket, model: ScriptedModel, switchboard: Switchboard, streams: bool
    ) -> None:
        if streams:
            model.says(*(self.TEXT[start : start + 500] for start in range(0, len(self.TEXT), 500)))
        else:
            model.says(self.TEXT, "")
            model.refuses("stream")
        socket.say()
        deliver_all()
        assert spoken(socket.of_type("ai_delta")) == self.TEXT
        assert switchboard.largest < 128 * 1024
        response = socket.last("ai_response")
        assert response["has_more"] is True
        assert self.TEXT.startswith(response["message"])
        assert len(response["message"]) > 50_000
        assert said()[1] == ("ai", self.TEXT, "complete")

    def test_ten_minutes_of_dictation_are_kept_to_the_end(
        self, user: User, socket: Socket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        socket.say()
        audience, clock = Recorder(), FakeClock()
        with session_scope(user.id) as inner:
            claim = Replies(inner).claim(reply_ids()[0], owner_id=user.id)
        assert claim is not None
        written = draft.Draft(claim, audience, clock)
        for second in range(600):
            clock.time += 1
            assert written.add(f"{second} "), written.outcome
        assert written.text.split()[-1] == "599"
        assert audience.attended == 600
        assert said()[1] == ("ai", written.text, "streaming")
        clock.time += draft.SILENCE_SECONDS
        assert (written.attend(), written.outcome) == (False, "silent")


class Recorder:
    def __init__(self) -> None:
        self.shown: list[str] = []
        self.attended = 0

    def show(self, seq: int, words: str) -> None:
        assert seq == len(self.shown)
        self.shown.append(words)

    def attend(self) -> None:
        self.attended += 1


class FakeClock:
    time = 0.0

    def __call__(self) -> float:
        return self.time


class TestComingBack:
    def test_F7_who_reconnects_has_the_whole_reply_without_gap_or_repetition(
        self, learner: Socket, switchboard: Switchboard, model: ScriptedModel, hasty: None
    ) -> None:
        restored, end = Event(), Event()
        model.tells("Раз ", "два ", restored, "три ", "четыре ", end)
        learner.say()
        thread = in_background(waiting()[0])
        eventually(lambda: said()[1][1] == "Раз два ")
        learner.vanish()
        again = Socket(switchboard, learner.token).opened()
        again.send({"type": "restore_chat"})
        chat = again.last("chat_restored")
        assert [entry["content"] for entry in chat["history"]] == ["Привет"]
        partial = chat["reply_in_progress"]
        restored.set()
        eventually(lambda: said()[1][1].endswith("четыре "))
        end.set()
        thread.join()
        response = again.last("ai_response")
        deltas = {frame["seq"]: frame["delta"] for frame in again.of_type("ai_delta")}
        following = [deltas[seq] for seq in range(partial["next_seq"], max(deltas) + 1)]
        assert partial["content"] + "".join(following) == response["message"] == "Раз два три четыре "
        assert partial["message_id"] == response["message_id"]

    def test_a_reply_that_ended_meanwhile_is_in_the_history(
        self, socket: Socket, user: User, switchboard: Switchboard
    ) -> None:
        socket.say("Привет")
        socket.disconnect()
        deliver_all()
        [chat] = Socket(switchboard, a_login_of(user)).opened().send({"type": "restore_chat"})
        assert [entry["sender"] for entry in chat["history"]] == ["user", "ai"]
        assert chat["reply_in_progress"] is None
