"""When the model fails: the contract's words, the person's kept, and asking again works."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from academy import config
from academy.models import AIUsage, User
from tests.conftest import Api
from tests.fakes import ScriptedModel
from tests.functions.test_ai_flows import KEY, Learner

Fault = Callable[[ScriptedModel], None]

FAULTS: dict[str, tuple[Fault, int, str]] = {
    "rate limit": (lambda model: model.fails(429, retry_after=60), 503, "ai_rate_limited"),
    "refused key": (lambda model: model.fails(401), 424, "ai_key_rejected"),
    "server error": (lambda model: model.fails(500, times=3), 502, "ai_unavailable"),
    "cut stream": (lambda model: model.cuts("на по", how="close"), 502, "ai_unavailable"),
    "no end": (lambda model: model.cuts("на по", how="no_done"), 502, "ai_unavailable"),
    "web page": (lambda model: model.sends(b"<html>canary</html>", "text/html"), 502, "ai_unavailable"),
}


@pytest.fixture(autouse=True)
def fresh(model: ScriptedModel) -> Iterator[None]:
    model.reset()
    yield
    model.reset()


@pytest.fixture
def learner(api: Api, user: User) -> Learner:
    return Learner(api(user))


def messages(learner: Learner) -> list[tuple[str, str]]:
    [chat] = learner.client.get(f"/api/chat/sessions/{KEY}/chats").body
    said = learner.client.get(f"/api/chat/chats/{chat['id']}/messages").body
    return [(one["sender_type"], one["message_content"]) for one in said]


@pytest.mark.parametrize("name", FAULTS)
def test_E3_E4_a_fault_keeps_the_words_and_asking_again_works(
    name: str, learner: Learner, model: ScriptedModel, session: Session
) -> None:
    fault, status, code = FAULTS[name]
    fault(model)
    reply = learner.say("Сохрани меня")
    assert (reply.status, reply.code) == (status, code)
    assert b"canary" not in reply.raw
    assert ("retry-after" in reply.headers) == (code == "ai_rate_limited")
    assert messages(learner) == [("user", "Сохрани меня")]
    model.reset()
    model.says("Вот ответ")
    assert learner.say("Сохрани меня").status == 200
    assert messages(learner) == [("user", "Сохрани меня"), ("ai", "Вот ответ")]
    assert session.scalars(select(AIUsage.outcome)).all() == [code, "ok"]


def test_E4_without_any_key_the_words_are_kept_and_the_sentence_says_what_to_set(
    learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as changed:
        for name in ("DEFAULT_OPENAI_API_KEY", "DEFAULT_OPENAI_BASE_URL"):
            changed.delenv(name)
        config.settings.cache_clear()
        reply = learner.say("Сохрани меня")
    config.settings.cache_clear()
    assert (reply.status, reply.code) == (503, "ai_not_configured")
    assert "DEFAULT_OPENAI_API_KEY" in reply.body["detail"]
    assert messages(learner) == [("user", "Сохрани меня")]


@pytest.mark.parametrize("bad", ["not JSON at all", '{"title": "only that"}', "[]", '{"modules": []}'])
def test_E2_bad_output_is_asked_for_once_more_then_refused(
    bad: str, learner: Learner, model: ScriptedModel
) -> None:
    model.says(bad)
    model.says(bad)
    reply = learner.ask("generate-plan", **learner.here, user_expectations="Быстро")
    assert (reply.status, reply.code) == (502, "ai_bad_output")
    assert len(model.requests) == 2
    assert learner.track()["ai_generated_plan"] is None


def test_E2_one_correction_is_enough(learner: Learner, model: ScriptedModel) -> None:
    model.says("Сейчас, сейчас…")
    reply = learner.ask("generate-plan", **learner.here, user_expectations="Быстро")
    assert (reply.status, len(model.requests)) == (200, 2)


def test_test_connection_reports_the_failure_it_looks_for(learner: Learner, model: ScriptedModel) -> None:
    model.fails(401)
    reply = learner.ask("test-connection")
    assert (reply.status, reply.body["success"]) == (200, False)
    assert "API key" in reply.body["error"]
    assert learner.ask("test-connection").body["success"] is True


def test_G1_a_failed_question_can_be_repeated_under_its_key(learner: Learner, model: ScriptedModel) -> None:
    body = {"session_id": KEY, "message": "Привет"}
    model.fails(401)
    client = learner.client
    assert client.post("/api/ai/chat-response", body, idempotency_key="key-1").status == 424
    first = client.post("/api/ai/chat-response", body, idempotency_key="key-1")
    asked = len(model.requests)
    again = client.post("/api/ai/chat-response", body, idempotency_key="key-1")
    assert (first.status, again.raw, len(model.requests)) == (200, first.raw, asked)
    other = client.post("/api/ai/chat-response", {**body, "message": "Пока"}, idempotency_key="key-1")
    assert (other.status, other.code) == (422, "idempotency_mismatch")
