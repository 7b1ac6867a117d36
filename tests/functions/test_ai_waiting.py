"""While a model takes its time, nobody else waits for it: no transaction is open, no connection held."""

from threading import Event

import pytest

from academy import auth
from dev import postgres
from tests.client import Client, Reply
from tests.conftest import client_of
from tests.factories import PASSWORD, a_login_of, a_user
from tests.fakes import ScriptedModel
from tests.functions.test_ai_flows import Learner
from tests.races import at_once
from tests.replies import eventually

ASKING = {
    "chat-response": {"session_id": "waiting", "message": "И?"},
    "generate-lesson": {"lesson_title": "Шаг", "module_context": "Танго", "content_type": "theory"},
    "test-connection": {},
}


def open_transactions(database: postgres.Server) -> list[str]:
    """What the application's connections have left open, by their last statement."""
    query = "SELECT query FROM pg_stat_activity WHERE usename = %s AND state LIKE 'idle in transaction%%'"
    with database.connect() as connection:
        return [str(row[0]) for row in connection.execute(query, [postgres.APP])]


@pytest.mark.parametrize("route", ASKING)
def test_E4_no_transaction_is_open_while_a_model_is_asked(
    route: str, committed: None, database: postgres.Server, model: ScriptedModel
) -> None:
    model.reset()
    learner = Learner(client_of(a_user()))
    looked = Event()
    model.waits(looked, "Теперь")

    def act(what: str) -> Reply | list[str]:
        if what == "ask":
            return learner.ask(route, **ASKING[route])
        try:
            eventually(lambda: model.requests)
            return open_transactions(database)
        finally:
            looked.set()

    answered, left_open = at_once(act, ["ask", "look"])
    assert isinstance(answered, Reply)
    assert (answered.status, left_open) == (200, [])


def test_E4_no_transaction_is_open_while_a_password_is_hashed(
    committed: None, database: postgres.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    verify = auth.password_matches

    def watched(password: str, password_hash: str | None) -> bool:
        seen.append(open_transactions(database))
        return verify(password, password_hash)

    monkeypatch.setattr(auth, "password_matches", watched)
    user = a_user(password_hash=auth.hash_password(PASSWORD))
    body = {"email": user.email, "password": PASSWORD}
    assert Client().post("/api/auth/login", body).status == 200
    assert Client(a_login_of(user)).delete("/api/auth/me", {"password": body["password"]}).status == 204
    assert seen == [[], []]
