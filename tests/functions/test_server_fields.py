"""What the server decides is not to be sent: every such field at every route that takes a body."""

from typing import Any

import pytest

from academy.models import User
from tests.conftest import Api
from tests.factories import a_course
from tests.functions.test_ownership import FILLERS, OPERATIONS, schema_of

SERVER_FIELDS = (
    "id",
    "role",
    "is_guest",
    "is_active",
    "status",
    "progress",
    "created_at",
    "updated_at",
    "expires_at",
    "password_hash",
    "sealed_key",
    "key_origin",
    "tokens_used",
    "module_number",
    "lane",
    "owner_id",
)
BODIES = [(method, path) for method, path in OPERATIONS if schema_of(method, path)]


@pytest.mark.parametrize(("method", "path"), BODIES, ids=" ".join)
def test_B4_a_field_that_the_server_decides_is_refused(method: str, path: str, api: Api, user: User) -> None:
    course = a_course(user, key=FILLERS["session_id"])
    known: dict[str, Any] = {**FILLERS, **course.ids}
    body = {name: known.get(name, "x") for name in schema_of(method, path).get("required", ())}
    client, address = api(user), path.format(**known)
    refused = set(SERVER_FIELDS) - set(schema_of(method, path)["properties"])
    assert len(refused) >= len(SERVER_FIELDS) - 1
    for field in refused:
        reply = client.request(method, address, {**body, field: "admin"})
        assert reply.status == 422
        assert (["body", field], "extra_forbidden") in [
            (error["loc"], error["type"]) for error in reply.body["errors"]
        ]


def test_B4_a_body_takes_a_status_only_where_somebody_may_choose_it() -> None:
    takes = {path for method, path in BODIES if "status" in schema_of(method, path)["properties"]}
    assert takes == {
        "/api/tracks/{track_id}",
        "/api/chat/sessions/{session_id}/status",
        "/api/chat/chats/{chat_id}/status",
    }
