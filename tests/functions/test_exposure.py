"""What leaves, and what text can do: nothing but what the schemas name, and nothing at all."""

import json
from urllib.parse import quote

import pytest
from sqlalchemy import Connection, func, select

from academy.models import Base, User
from dev.local import ROOT
from tests.canaries import API_KEY
from tests.client import Client
from tests.conftest import Api
from tests.factories import PASSWORD, a_course, a_user

DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
INTERNAL = {
    "password",
    "password_hash",
    "email_key",
    "sealed_key",
    "key_origin",
    "api_key",
    "user_id",
    "reply_to",
}
INJECTIONS = [
    "' OR '1'='1",
    "'; DROP TABLE users; --",
    '"; DELETE FROM chats; --',
    "1) UNION SELECT password_hash FROM users --",
    "\\'; SELECT pg_sleep(10); --",
    "%' AND 1=1 AND '%'='",
    "$1", "{{7*7}}", "%s", ":owner_id",
]  # fmt: skip


def test_B5_no_answers_schema_names_what_is_internal() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        if name.endswith("Out"):
            assert not INTERNAL & set(schema["properties"]), name


def test_B5_no_answer_holds_a_secret_or_a_strangers_words(api: Api) -> None:
    stranger = a_course(a_user(first_name="Canary"))
    account = {"email": "anna@example.com", "password": PASSWORD, "first_name": "А", "last_name": ""}
    registered = api().post("/api/auth/register", account)
    client = Client(token=registered.body["access_token"])
    replies = [
        registered,
        client.get("/api/auth/me"),
        client.put("/api/ai/user-config", {"api_key": API_KEY}),
        client.get("/api/ai/user-config"),
        client.post("/api/tracks", {"title": "Rust"}),
        client.get("/api/tracks"),
        client.post("/api/chat/sessions", {}),
        client.get("/api/chat/sessions"),
        client.get(f"/api/tracks/{stranger.track.id}"),
    ]
    for reply in replies:
        for secret in (PASSWORD, API_KEY, "argon2", "Canary", "Слово"):
            assert secret.encode() not in reply.raw


@pytest.mark.parametrize("text", INJECTIONS)
def test_C5_text_is_text_wherever_it_is_sent(
    text: str, api: Api, user: User, transaction: Connection
) -> None:
    course = a_course(user)
    client = api(user)
    tables = Base.metadata.sorted_tables
    before = {table.name: transaction.scalar(select(func.count()).select_from(table)) for table in tables}
    assert client.post("/api/auth/login", {"email": text, "password": text}).status == 401
    assert client.get(f"/api/tracks/{quote(text, safe='')}").status == 422
    assert client.get(f"/api/tracks?cursor={quote(text)}").status == 422
    assert client.get(f"/api/chat/sessions/{quote(text, safe='')}/chats").body == []
    changed = client.put(f"/api/tracks/{course.track.id}", {"title": text, "description": text}).body
    assert (changed["title"], changed["description"]) == (text, text)
    after = {table.name: transaction.scalar(select(func.count()).select_from(table)) for table in tables}
    assert {**after, "throttles": 0} == {**before, "throttles": 0}
