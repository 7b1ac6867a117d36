"""A course's life with the tutor: what is asked of the model, what is kept, what costs nothing twice."""

from threading import Event
from time import sleep
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from academy.models import AIUsage, Lesson, Module, Track, User
from tests.client import Client, Reply
from tests.conftest import Api, client_of
from tests.factories import a_course, a_guest, a_user
from tests.fakes import ScriptedModel
from tests.races import at_once

KEY = "1718000000000abc123xyz"


@pytest.fixture(autouse=True)
def fresh(model: ScriptedModel) -> None:
    model.reset()


class Learner:
    """A client with a track and a session, and the routes by name."""

    def __init__(self, client: Client) -> None:
        self.client = client
        track = client.post("/api/tracks", {"title": "Танго", "skill_area": "танцы"}).body
        self.here = {"track_id": track["id"], "session_id": KEY}

    def ask(self, route: str, **body: Any) -> Reply:
        return self.client.post(f"/api/ai/{route}", body)

    def say(self, words: str = "Привет", **more: Any) -> Reply:
        return self.ask("chat-response", session_id=KEY, message=words, **more)

    def finalize(self) -> Reply:
        return self.ask("finalize-course-plan", **self.here, skill_area="танцы")

    def start(self, module: str = "1") -> Reply:
        return self.ask("module-learning-start", **self.here, module_id=module)

    def complete(self, module: str = "1") -> Reply:
        return self.ask("module-complete", **self.here, module_id=module)

    def track(self) -> Any:
        return self.client.get(f"/api/tracks/{self.here['track_id']}").body

    def planned(self) -> "Learner":
        assert self.say().status == 200
        assert self.finalize().status == 200
        return self


@pytest.fixture
def learner(api: Api, user: User) -> Learner:
    return Learner(api(user))


class TestPlanning:
    def test_a_word_with_the_tutor_is_kept_on_both_sides(self, learner: Learner) -> None:
        reply = learner.say("Хочу танцевать 💃").body
        messages = learner.client.get(f"/api/chat/chats/{reply['chat_id']}/messages").body
        said = [(message["sender_type"], message["message_content"]) for message in messages]
        assert said == [("user", "Хочу танцевать 💃"), ("ai", reply["response"])]
        assert (messages[1]["ai_model_used"], messages[1]["tokens_used"]) == (
            "scripted",
            reply["tokens_used"],
        )

    def test_a_talk_goes_on_in_the_same_chat(self, learner: Learner, model: ScriptedModel) -> None:
        first, second = learner.say("Раз").body, learner.say("Два").body
        assert first["chat_id"] == second["chat_id"]
        turns = [message["content"] for message in model.requests[-1].messages[2:]]
        assert turns == ["Раз", first["response"], "Два"]

    def test_a_known_chat_returns_unchanged(self, learner: Learner) -> None:
        chat_id = learner.say().body["chat_id"]
        learner.client.put(f"/api/chat/chats/{chat_id}/status?status=archived")
        assert learner.say(chat_id=chat_id).body["chat_id"] == chat_id
        assert learner.say().body["chat_id"] != chat_id

    def test_a_plan_is_kept_with_the_track_and_said_in_the_chat(self, learner: Learner) -> None:
        reply = learner.ask("generate-plan", **learner.here, user_expectations="Быстро").body
        plan = reply["plan"]
        assert plan.keys() == {"title", "description", "goals", "modules", "practice", "final_project"}
        assert 3 <= len(plan["modules"]) <= 7
        assert learner.track()["ai_generated_plan"] == plan
        [message] = learner.client.get(f"/api/chat/chats/{reply['chat_id']}/messages").body
        assert plan["title"] in message["message_content"]

    def test_a_welcome_begins_the_session(self, learner: Learner) -> None:
        facts = {"skill_area": "танцы", "user_expectations": "", "difficulty_level": "Beginner"}
        reply = learner.ask("welcome-message", **learner.here, **facts, duration_hours=10)
        assert (reply.status, reply.body["success"]) == (200, True)
        [session] = learner.client.get("/api/chat/sessions").body
        assert (session["id"], session["track_id"]) == (KEY, learner.here["track_id"])

    @pytest.mark.parametrize("words", ["", "я" * 16_001])
    def test_a_message_has_1_to_16000_characters(self, learner: Learner, words: str) -> None:
        assert learner.say(words).status == 422

    def test_every_question_is_in_the_books(self, learner: Learner, session: Session) -> None:
        learner.planned()
        rows = session.execute(select(AIUsage.purpose, AIUsage.outcome, AIUsage.prompt_tokens)).all()
        assert [(row[0], row[1]) for row in rows] == [("chat", "ok"), ("finalize", "ok")]
        assert all(row[2] > 0 for row in rows)


class TestFinalizing:
    def test_without_a_word_of_the_tutor_there_is_no_plan(self, learner: Learner) -> None:
        assert (learner.finalize().status, learner.finalize().code) == (409, "no_plan")
        assert learner.track()["status"] == "planning"

    def test_it_makes_modules_and_the_track_active(self, learner: Learner) -> None:
        learner.say()
        reply = learner.finalize().body
        track = learner.track()
        assert (track["status"], track["modules"]) == ("active", reply["modules"])
        assert [one["module_number"] for one in track["modules"]] == [*range(1, reply["modules_count"] + 1)]

    def test_again_with_nothing_new_said_no_model_is_asked(
        self, learner: Learner, model: ScriptedModel
    ) -> None:
        first = learner.planned().finalize().body
        asked = len(model.requests)
        assert learner.finalize().body == first
        assert len(model.requests) == asked

    def test_after_more_talk_what_is_begun_stays_and_the_rest_is_new(self, learner: Learner) -> None:
        before = learner.planned().track()["modules"]
        learner.start("2")
        learner.complete("2")
        begun = learner.track()["modules"][1]
        learner.say("Иначе")
        after = learner.finalize().body["modules"]
        assert (after[0]["id"], after[0]["status"]) == (begun["id"], "completed")
        assert after[0]["ai_generated_content"] == begun["ai_generated_content"]
        assert {one["id"] for one in after[1:]}.isdisjoint(one["id"] for one in before)
        assert [one["module_number"] for one in after] == [*range(1, len(after) + 1)]
        assert 3 <= len(after) <= 7


class TestStudying:
    def test_a_start_writes_the_summary_once(self, learner: Learner, model: ScriptedModel) -> None:
        learner.planned()
        first = learner.start("1").body
        asked = len(model.requests)
        again = learner.start(learner.track()["modules"][0]["id"]).body
        assert (again["module_summary"], again["chat_id"]) == (first["module_summary"], first["chat_id"])
        assert (again["tokens_used"], len(model.requests)) == (0, asked)
        assert learner.track()["modules"][0]["status"] == "in_progress"

    def test_a_talk_about_a_module_has_a_chat_and_a_history(self, learner: Learner) -> None:
        learner.planned()
        started = learner.start().body
        talk = learner.ask("module-chat", **learner.here, module_id="1", message="Почему?").body
        assert talk["chat_id"] == started["chat_id"]
        history = learner.ask("module-chat-history", **learner.here, module_id="1").body
        said = [(one["sender"], one["content"]) for one in history["history"]]
        assert said == [("ai", started["module_summary"]), ("user", "Почему?"), ("ai", talk["response"])]
        assert history["chat_id"] == started["chat_id"]

    def test_a_module_nobody_has_talked_about_has_no_history(self, learner: Learner) -> None:
        history = learner.planned().ask("module-chat-history", **learner.here, module_id="3").body
        assert (history["history"], history["chat_id"]) == ([], None)

    def test_G3_what_was_not_started_is_not_completed(self, learner: Learner) -> None:
        reply = learner.planned().complete()
        assert (reply.status, reply.code) == (409, "module_not_started")

    def test_the_last_module_completes_the_track(self, learner: Learner) -> None:
        modules = learner.planned().track()["modules"]
        progress = []
        for number in range(1, len(modules) + 1):
            learner.start(str(number))
            progress.append(learner.complete(str(number)).body["progress"])
        assert progress == [number * 100 // len(modules) for number in range(1, len(modules) + 1)]
        assert (learner.track()["status"], learner.track()["progress"]) == ("completed", 100)

    def test_completing_twice_counts_once(self, learner: Learner) -> None:
        learner.planned().start()
        assert learner.complete().body == learner.complete().body

    def test_a_lesson_for_a_module_is_kept(self, learner: Learner, session: Session) -> None:
        module = learner.planned().track()["modules"][0]
        body = {"lesson_title": "Шаг", "module_context": {"a": 1}, "content_type": "quiz"}
        kept = learner.ask("generate-lesson", **body, module_id=module["id"]).body
        assert learner.ask("generate-lesson", **body).status == 200
        assert session.scalars(select(Lesson.content)).all() == [kept["content"]]

    def test_a_guest_does_all_of_it(self, api: Api) -> None:
        guest = Learner(api(a_guest())).planned()
        assert guest.start().status == 200
        assert guest.complete().status == 200


class TestRaces:
    def test_G2_finalizing_at_once_makes_one_set_of_modules(self, committed: None) -> None:
        learner = Learner(client_of(a_user()))
        learner.say()
        replies = at_once(lambda _: learner.finalize(), range(8))
        assert {reply.status for reply in replies} == {200}
        assert len({str([one["id"] for one in reply.body["modules"]]) for reply in replies}) == 1

    def test_G3_completing_at_once_ends_at_a_hundred(self, committed: None) -> None:
        learner = Learner(client_of(a_user())).planned()
        numbers = [str(one["module_number"]) for one in learner.track()["modules"]]
        for number in numbers:
            learner.start(number)
        replies = at_once(learner.complete, numbers * 3)
        assert {reply.status for reply in replies} == {200}
        assert (learner.track()["progress"], learner.track()["status"]) == (100, "completed")

    def test_G4_a_track_deleted_while_the_tutor_speaks_leaves_nothing(
        self, committed: None, model: ScriptedModel, session_of_its_own: Session
    ) -> None:
        learner = Learner(client_of(a_user())).planned()
        track_id = learner.here["track_id"]
        deleted_it = Event()
        model.waits(deleted_it, "слишком поздно")

        def act(what: str) -> Reply:
            if what == "speak":
                return learner.ask("module-chat", **learner.here, module_id="1", message="И?")
            while len(model.requests) < 3:
                sleep(0.01)
            reply = learner.client.delete(f"/api/tracks/{track_id}")
            deleted_it.set()
            return reply

        spoken, deleted = at_once(act, ["speak", "delete"])
        assert deleted.status == 200
        assert (spoken.status, spoken.code) == (404, "chat_gone")
        left = [session_of_its_own.scalar(select(func.count()).select_from(one)) for one in (Track, Module)]
        assert left == [0, 0]


def test_what_a_stranger_planned_is_in_no_prompt(api: Api, user: User, model: ScriptedModel) -> None:
    a_course(a_user(), key=KEY)
    Learner(api(user)).say("Моё")
    assert "Слово" not in str(model.requests[-1].messages)
