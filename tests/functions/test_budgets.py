"""What the platform's key may spend: taken before a model is asked, given back whatever becomes of it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from academy import config, llm
from academy.db import session_scope
from academy.models import (
    AIConfiguration,
    AIUsage,
    Chat,
    Message,
    PlatformBudget,
    Throttle,
    TokenReservation,
    User,
)
from academy.repositories.replies import LEASE
from ai import asking, budget, conversations, sweeper
from ai.budget import QuotaExceeded
from ai.configuration import DEFAULT_MAX_TOKENS
from dev import postgres
from dev.source_events import scheduled_event
from dev.tutor import completions
from tests.budgets import assert_settled, books, budgets
from tests.client import Client
from tests.conftest import Api, client_of
from tests.deliveries import context, deliver, deliver_all, waiting
from tests.factories import a_course, a_guest, a_login_of, a_user
from tests.fakes import ScriptedModel
from tests.functions.test_ai_faults import FAULTS
from tests.functions.test_ai_flows import Learner
from tests.races import at_once
from tests.replies import change_reply, eventually, in_background, in_seconds, said
from tests.roles import looking
from tests.sockets import Socket, Switchboard

pytestmark = pytest.mark.usefixtures("quiet")

LESSON = {"lesson_title": "Шаг", "module_context": "Танго", "content_type": "theory"}
WELCOME = {
    "skill_area": "танцы",
    "user_expectations": "",
    "difficulty_level": "beginner",
    "duration_hours": 1,
}
LAST_MINUTE = datetime(2026, 11, 25, 23, 59, tzinfo=UTC)


@pytest.fixture
def learner(api: Api, user: User) -> Learner:
    return Learner(api(user))


@pytest.fixture
def watched(committed: None, quiet: None, switchboard: Switchboard) -> Socket:
    """A socket of somebody whose words are truly committed."""
    return Socket(switchboard, a_login_of(a_user())).opened()


def a_lesson(client: Client) -> tuple[int, str]:
    reply = client.post("/api/ai/generate-lesson", LESSON)
    return reply.status, reply.body.get("code", "")


def price_of_a_lesson(model: ScriptedModel) -> int:
    """What is reserved for one, found out by asking; from here on each uses just that."""
    assert a_lesson(client_of(a_user()))[0] == 200
    prompt = llm.estimate_prompt(model.requests[-1].messages)  # type: ignore[arg-type]  # they are
    model.reset()
    for _ in range(60):
        usage = completions.usage(prompt_tokens=prompt, completion_tokens=DEFAULT_MAX_TOKENS)
        model.says("Урок", usage=usage)
    return prompt + DEFAULT_MAX_TOKENS


def sweep() -> None:
    sweeper.handler(scheduled_event(), context())


def age_reservations() -> None:
    with looking() as session:
        session.execute(update(TokenReservation).values(leased_until=in_seconds(-1)))


def reserved(user: User, now: datetime, **reply: Any) -> budget.Reservation:
    with session_scope(user.id) as session:
        return budget.reserve(session, user_id=user.id, tokens=600, now=now, **reply)


@pytest.mark.usefixtures("patience")
class TestHowMany:
    def test_E5_of_fifty_at_once_on_a_budget_for_ten_ten_reach_the_model(
        self, committed: None, model: ScriptedModel
    ) -> None:
        price = price_of_a_lesson(model)
        client = client_of(a_user())
        with budgets(learner=10 * price):
            answers = at_once(lambda _: a_lesson(client), range(50))
        assert answers.count((200, "")) == len(model.requests) == 10
        assert answers.count((429, "quota_exceeded")) == 40
        assert_settled()

    def test_E5_nor_do_many_people_get_further_together(self, committed: None, model: ScriptedModel) -> None:
        price = price_of_a_lesson(model)
        clients = [client_of(a_user()) for _ in range(10)] * 5
        with budgets(in_all=books().spent_in_all + 10 * price):
            answers = at_once(a_lesson, clients)
        assert answers.count((200, "")) == len(model.requests) == 10
        assert answers.count((429, "quota_exceeded")) == 40
        assert_settled()

    def test_E5_what_an_answer_did_not_take_is_there_for_the_next(self, learner: Learner) -> None:
        with budgets(learner=5_000):
            assert [learner.say().status for _ in range(3)] == [200] * 3
        assert_settled()

    def test_E5_the_answer_says_what_is_left_and_when_to_come_back(self, learner: Learner) -> None:
        with budgets(learner=4_000):
            reply = learner.say()
        assert (reply.status, reply.code) == (429, "quota_exceeded")
        assert "4,000 of your 4,000 for today are left" in reply.body["detail"]
        assert 1 <= int(reply.headers["retry-after"]) <= 24 * 3600
        assert reply.body.keys() == {"type", "title", "status", "detail", "code", "request_id"}

    def test_E5_what_others_have_spent_is_not_told(self, learner: Learner) -> None:
        with budgets(in_all=4_000):
            reply = learner.say()
        assert (reply.status, reply.code) == (429, "quota_exceeded")
        assert "4,000" not in reply.body["detail"]
        assert_settled()

    def test_E5_a_guest_gets_less(self, api: Api, user: User, model: ScriptedModel) -> None:
        with budgets(learner=10_000, guest=1_000):
            assert a_lesson(api(user))[0] == 200
            assert a_lesson(api(a_guest())) == (429, "quota_exceeded")
        assert len(model.requests) == 1

    @pytest.mark.parametrize(
        ("route", "body"),
        [
            ("generate-plan", {"user_expectations": "Быстро"}),
            ("test-connection", {}),
            ("welcome-message", WELCOME),
            ("chat-response", {"message": "Привет"}),
            ("generate-lesson", LESSON),
        ],
    )
    def test_E5_no_route_asks_beyond_it(
        self, route: str, body: dict[str, Any], learner: Learner, model: ScriptedModel
    ) -> None:
        here = {} if route in ("test-connection", "generate-lesson") else dict(learner.here)
        if route == "chat-response":
            del here["track_id"]
        with budgets(learner=0):
            reply = learner.ask(route, **here, **body)
        assert (reply.status, reply.code, model.requests) == (429, "quota_exceeded", [])

    def test_E5_words_that_met_an_empty_budget_are_kept_and_answered_later(self, learner: Learner) -> None:
        with budgets(learner=0):
            assert learner.say("Сохрани меня").status == 429
        assert learner.say("Сохрани меня").status == 200
        assert [text for sender, text, _ in said() if sender == "user"] == ["Сохрани меня"]

    def test_E5_over_a_socket_it_is_an_error_frame_and_the_words_are_kept(
        self, socket: Socket, model: ScriptedModel
    ) -> None:
        with budgets(learner=0):
            [accepted] = socket.say("Сохрани меня")
            deliver_all()
        error = socket.last("error")
        assert (error["code"], error["chat_id"]) == ("quota_exceeded", accepted["chat_id"])
        assert 1 <= error["retry_after"] <= 24 * 3600
        assert (model.requests, said()[0]) == ([], ("user", "Сохрани меня", "complete"))
        assert_settled()
        socket.say("Сохрани меня")
        deliver_all()
        assert socket.last("ai_response")["status"] == "complete"
        assert_settled()


class TestWhoPays:
    def test_E5_a_key_of_ones_own_needs_no_budget(
        self, learner: Learner, model: ScriptedModel, session: Session
    ) -> None:
        learner.client.put("/api/ai/user-config", {"api_key": "sk-my-own"})
        with budgets(learner=0, in_all=0):
            assert learner.say().status == 200
        assert model.requests[-1].key == "sk-my-own"
        assert session.scalars(select(AIUsage.own_key)).all() == [True]
        assert assert_settled().spent_in_all == 0

    @pytest.mark.parametrize(
        ("key", "named", "asked"),
        [
            (None, "dear", "scripted"),
            (None, "cheap", "cheap"),
            (None, None, "scripted"),
            ("sk-my-own", "dear", "dear"),
        ],
    )
    def test_E5_the_platforms_key_pays_for_models_that_are_named(
        self,
        key: str | None,
        named: str | None,
        asked: str,
        learner: Learner,
        model: ScriptedModel,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with monkeypatch.context() as changed:
            changed.setenv("PLATFORM_MODELS", "scripted,cheap,")
            config.settings.cache_clear()
            learner.client.put("/api/ai/user-config", {"api_key": key, "model_name": named})
            assert learner.say().body["model_used"] == asked
        config.settings.cache_clear()
        assert model.requests[-1].body["model"] == asked

    def test_E5_while_none_is_named_people_choose(self, learner: Learner, model: ScriptedModel) -> None:
        learner.client.put("/api/ai/user-config", {"model_name": "dear"})
        assert learner.say().body["model_used"] == "dear"
        assert model.requests[-1].body["model"] == "dear"

    @pytest.mark.parametrize("key", ["sk-my-own", None])
    def test_E5_whoever_pays_the_61st_question_of_a_minute_waits(
        self, key: str | None, learner: Learner, model: ScriptedModel, session: Session
    ) -> None:
        learner.client.put("/api/ai/user-config", {"api_key": key})
        assert a_lesson(learner.client)[0] == 200
        session.execute(update(Throttle).values(count=asking.QUESTIONS.times - 1))
        session.commit()
        assert a_lesson(learner.client)[0] == 200
        reply = learner.say()
        assert (reply.status, reply.code) == (429, "rate_limited")
        assert 1 <= int(reply.headers["retry-after"]) <= 60
        assert len(model.requests) == 2
        assert client_of(a_user()).post("/api/ai/generate-lesson", LESSON).status == 200

    def test_E5_no_row_makes_an_answer_longer_or_wilder_than_it_may_be(
        self, learner: Learner, user: User, session: Session, model: ScriptedModel
    ) -> None:
        session.add(AIConfiguration(user_id=user.id, max_tokens=1_000_000, temperature=99.0))
        session.commit()
        assert learner.say().status == 200
        sent = model.requests[-1].body
        assert (sent["max_tokens"], sent["temperature"]) == (32_000, 2.0)


@pytest.fixture
def unmetered(committed: None, database: postgres.Server) -> Iterator[None]:
    """Nothing can be reserved."""
    with database.connect(postgres.OWNER) as connection:
        connection.execute(f"REVOKE INSERT ON token_reservations FROM {postgres.APP}".encode())
        yield
        connection.execute(f"GRANT INSERT ON token_reservations TO {postgres.APP}".encode())


def test_E5_G9_what_cannot_be_metered_is_not_asked(unmetered: None, model: ScriptedModel) -> None:
    status, _ = a_lesson(client_of(a_user()))
    assert status >= 500
    assert model.requests == []
    assert_settled()


class TestSettled:
    @pytest.mark.parametrize("name", FAULTS)
    def test_E5_after_every_fault_over_http(self, name: str, learner: Learner, model: ScriptedModel) -> None:
        FAULTS[name][0](model)
        assert learner.say().code == FAULTS[name][2]
        assert_settled()

    @pytest.mark.parametrize("name", FAULTS)
    def test_E5_after_every_fault_over_a_socket(
        self, name: str, socket: Socket, model: ScriptedModel
    ) -> None:
        FAULTS[name][0](model)
        socket.say()
        deliver_all()
        assert socket.last("error")["code"] == FAULTS[name][2]
        assert_settled()

    @pytest.mark.parametrize("after_headers", [False, True])
    def test_E5_after_silence(
        self,
        after_headers: bool,
        learner: Learner,
        model: ScriptedModel,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(conversations, "SECONDS", 0.3)
        model.keeps_silent(after_headers=after_headers)
        assert learner.say().code == "ai_timeout"
        assert_settled()

    def test_E5_after_bad_output(self, learner: Learner, model: ScriptedModel) -> None:
        for _ in range(2):
            model.says("Это не план")
        reply = learner.ask("generate-plan", **learner.here, user_expectations="Быстро")
        assert reply.code == "ai_bad_output"
        assert assert_settled().used == 2 * 42

    def test_E5_after_a_fault_of_our_own(self, user: User) -> None:
        def broken(_: llm.Model) -> llm.Answer[str]:
            assert books().reserved_in_all > DEFAULT_MAX_TOKENS
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            asking.ask(broken, prompt=[{"role": "user", "content": "?"}], purpose="chat", user_id=user.id)
        assert_settled()

    def test_E5_after_a_cancel(self, watched: Socket, model: ScriptedModel, hasty: None) -> None:
        model.drips("слово ")
        watched.say()
        thread = in_background(waiting()[0])
        eventually(lambda: watched.of_type("ai_delta"))
        assert books().reserved_by_people == books().reserved_in_all > DEFAULT_MAX_TOKENS
        watched.send({"type": "cancel"})
        thread.join()
        assert watched.last("ai_response")["status"] == "cancelled"
        assert assert_settled().used > 0

    @pytest.mark.parametrize("whose", [Chat, User])
    def test_E5_G4_after_a_deletion_in_mid_reply(
        self,
        whose: type[Chat] | type[User],
        watched: Socket,
        model: ScriptedModel,
        hasty: None,
        session_of_its_own: Session,
    ) -> None:
        model.drips("слово ")
        watched.say()
        thread = in_background(waiting()[0])
        eventually(lambda: watched.of_type("ai_delta"))
        session_of_its_own.delete(session_of_its_own.scalars(select(whose)).one())
        session_of_its_own.commit()
        thread.join()
        left = books()
        assert (left.reserved_by_people, left.reserved_in_all, left.reservations) == (0, 0, 0)
        # An account takes its books along; what the platform has paid it has paid.
        assert left.spent_in_all > 0
        assert left.spent_by_people == left.used == (left.spent_in_all if whose is Chat else 0)

    def test_E5_of_who_leaves_at_the_last_moment_nothing_is_taken(self, user: User) -> None:
        with pytest.raises(Exception, match="Log in"):
            asking.ask(lambda _: pytest.fail("asked"), prompt=[], purpose="chat", user_id=str(uuid4()))
        assert_settled()


class TestTheDead:
    @pytest.fixture
    def died(self, user: User) -> User:
        """Somebody whose question died with its process."""
        with session_scope(user.id) as session:
            budget.reserve(session, user_id=user.id, tokens=900, now=datetime.now(UTC))
        return user

    def test_E5_what_they_held_is_given_back(self, died: User) -> None:
        sweep()
        assert books().reserved_in_all == books().reserved_by_people == 900
        age_reservations()
        sweep()
        assert assert_settled().spent_in_all == 0

    def test_E5_a_reply_keeps_its_tokens_as_long_as_somebody_writes_it(
        self, watched: Socket, model: ScriptedModel, hasty: None
    ) -> None:
        model.drips("слово ")
        watched.say()
        thread = in_background(waiting()[0])
        eventually(lambda: watched.of_type("ai_delta"))
        age_reservations()
        sweep()
        assert books().reserved_in_all > 0
        watched.send({"type": "cancel"})
        thread.join()
        assert_settled()

    def test_E5_a_reply_that_is_begun_anew_is_paid_once_by_who_ends_it(
        self, socket: Socket, user: User
    ) -> None:
        socket.say()
        [message] = waiting()
        # Its first writer died when it had just taken the tokens.
        with session_scope(user.id) as session:
            budget.reserve(session, user_id=user.id, tokens=900, now=datetime.now(UTC), reply_id=uuid4())
        change_reply(status="streaming", claims=1, leased_until=in_seconds(-1))
        assert deliver(message)
        age_reservations()
        sweep()
        assert assert_settled().used == 42

    def test_E5_who_was_taken_to_be_dead_is_charged_all_the_same(self, user: User) -> None:
        now = datetime.now(UTC)
        with session_scope(user.id) as session:
            mine = budget.reserve(session, user_id=user.id, tokens=900, now=now)
        age_reservations()
        sweep()
        with session_scope(user.id) as session:
            budget.settle(session, mine, 500)
        left = books()
        assert (left.reserved_in_all, left.spent_in_all, left.spent_by_people) == (0, 500, 500)

    def test_E5_what_they_held_several_times_is_given_back_each_time(self, died: User) -> None:
        for day in (LAST_MINUTE, LAST_MINUTE, LAST_MINUTE + timedelta(minutes=1)):
            reserved(died, day)
            reserved(a_user(), day)
        age_reservations()
        sweep()
        assert_settled()

    @pytest.mark.parametrize(
        ("status", "leased", "is_its_own", "is_kept"),
        [
            ("streaming", 1, True, True),
            ("streaming", 1, False, False),
            ("streaming", 0, True, False),
            ("complete", 1, True, False),
        ],
    )
    def test_E5_its_own_reply_alone_keeps_it_and_while_that_is_written(
        self, status: str, leased: int, is_its_own: bool, is_kept: bool, user: User, session: Session
    ) -> None:
        reply = Message(
            chat_id=a_course(user).chat.id,
            sender_type="ai",
            message_content="",
            status=status,
            leased_until=in_seconds(leased),
        )
        session.add(reply)
        session.flush()
        mine = reserved(user, LAST_MINUTE, reply_id=reply.id if is_its_own else uuid4())
        age_reservations()
        assert budget.abandoned(session, 10) == ([] if is_kept else [mine.id])

    def test_E5_a_lease_is_over_when_its_last_moment_is(self, user: User, session: Session) -> None:
        reserved(user, LAST_MINUTE)
        session.execute(update(TokenReservation).values(leased_until=func.now()))
        assert budget.abandoned(session, 10) == []

    def test_so_many_are_looked_for_at_once(self, user: User, session: Session) -> None:
        for _ in range(3):
            reserved(user, LAST_MINUTE)
        age_reservations()
        assert len(budget.abandoned(session, 2)) == 2

    def test_E5_what_somebody_settles_meanwhile_is_left_to_them(
        self, committed: None, database: postgres.Server
    ) -> None:
        settling, dead = (reserved(a_user(), LAST_MINUTE) for _ in range(2))
        with database.connect() as other, other.transaction(), session_scope() as session:
            other.execute("SELECT FROM token_reservations WHERE id = %s FOR UPDATE", [settling.id])
            assert budget.give_back(session, [settling.id, dead.id]) == 1
        assert books().reservations == 600

    def test_E5_a_lease_outlives_every_answer_in_line(self) -> None:
        assert budget.LEASE.total_seconds() > asking.SECONDS + 10
        assert budget.LEASE > LEASE


class TestDays:
    @pytest.mark.parametrize("limits", [{"learner": 1_000}, {"in_all": 1_000}])
    def test_E5_F21_a_new_day_is_a_new_budget(self, limits: dict[str, int], user: User) -> None:
        with budgets(**limits):
            reserved(user, LAST_MINUTE)
            with pytest.raises(QuotaExceeded) as refused:
                reserved(user, LAST_MINUTE)
            assert refused.value.headers == {"Retry-After": "60"}
            reserved(user, LAST_MINUTE + timedelta(seconds=60))

    def test_E5_a_clock_that_is_set_back_makes_no_budget_anew(self, user: User) -> None:
        with budgets(learner=1_000):
            reserved(user, LAST_MINUTE)
            reserved(user, LAST_MINUTE + timedelta(minutes=1))
            with pytest.raises(QuotaExceeded):
                reserved(user, LAST_MINUTE - timedelta(minutes=10))

    def test_E5_an_answer_belongs_to_the_day_it_was_asked_on(self, user: User, session: Session) -> None:
        mine = reserved(user, LAST_MINUTE)
        with session_scope(user.id) as other:
            budget.settle(other, mine, 40)
        [day] = session.scalars(select(PlatformBudget)).all()
        assert (day.day, day.reserved, day.spent) == (LAST_MINUTE.date(), 0, 40)

    def test_E5_days_are_told_by_utc_wherever_the_clock_is(self, user: User) -> None:
        eastern = LAST_MINUTE.astimezone(timezone(timedelta(hours=9)))
        assert reserved(user, eastern).day == LAST_MINUTE.date()

    def test_peoples_days_are_forgotten_the_platforms_are_not(self, user: User, session: Session) -> None:
        for age in (budget.KEPT + timedelta(days=1), budget.KEPT):
            mine = reserved(user, LAST_MINUTE - age)
            with session_scope(user.id) as other:
                budget.settle(other, mine, 40)
        with session_scope() as other:
            budget.forget_old_days(other, 10, LAST_MINUTE)
        left = books()
        assert (left.spent_by_people, left.spent_in_all) == (40, 80)

    def test_so_many_are_forgotten_at_once_but_for_what_somebody_holds(
        self, committed: None, database: postgres.Server
    ) -> None:
        long_ago = LAST_MINUTE - budget.KEPT - timedelta(days=1)
        people = [a_user() for _ in range(4)]
        for person in people:
            reserved(person, long_ago)
        with database.connect() as other, other.transaction():
            other.execute("SELECT FROM user_budgets WHERE user_id = %s FOR UPDATE", [people[0].id])
            for left in (2, 1):
                with session_scope() as session:
                    budget.forget_old_days(session, 2, LAST_MINUTE)
                assert books().reserved_by_people == left * 600
