"""What callers send: whatever it is, it is stored as it stands or refused with a reason."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from academy.http.edge import MAX_BODY_BYTES
from academy.models import User
from tests.conftest import Api
from tests.factories import a_course
from tests.functions.test_ownership import DOCUMENT, FILLERS, schema_of

UUID = "00000000-0000-4000-8000-000000000000"
BOMBS = {
    "deep arrays": b"[" * 5_000,
    "deep objects": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "deep inside a field": b'{"title": ' + b"[" * 40 + b"]" * 40 + b"}",
    "an endless integer": b'{"title": "x", "estimated_duration_hours": ' + b"9" * 5_000 + b"}",
    "NaN": b'{"title": "x", "estimated_duration_hours": NaN}',
    "Infinity": b'{"title": "x", "estimated_duration_hours": -Infinity}',
    "an infinite float": b'{"title": "x", "estimated_duration_hours": 1e999}',
    "a field twice": b'{"title": "x", "title": "y"}',
    "an array": b'[{"title": "x"}]',
    "a string": b'"title"',
    "null": b"null",
    "nothing": b"",
    "half an object": b'{"title": ',
    "Latin-1": '{"title": "é"}'.encode("latin-1"),
    "UTF-16": '{"title": "x"}'.encode("utf-16"),
    "a raw surrogate": b'{"title": "\xed\xa0\x80"}',
}


class TestBodies:
    @pytest.mark.parametrize("body", BOMBS.values(), ids=BOMBS)
    def test_C2_what_is_not_sound_json_is_refused(self, body: bytes, api: Api, user: User) -> None:
        reply = api(user).post("/api/tracks", body)
        assert (reply.status, bool(reply.body["errors"])) == (422, True)
        assert api(user).get("/api/tracks").body == []

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
    def test_C2_only_a_body_called_json_is_read(self, kind: str, api: Api, user: User) -> None:
        assert api(user).post("/api/tracks", b'{"title": "x"}', content_type=kind).status == 422

    def test_C1_a_body_of_a_mebibyte_is_read(self, api: Api, user: User) -> None:
        body = json.dumps({"title": "x"}).encode().ljust(MAX_BODY_BYTES)
        assert api(user).post("/api/tracks", body).status == 201

    def test_C1_a_byte_more_is_too_large(self, api: Api, user: User) -> None:
        body = json.dumps({"title": "x"}).encode().ljust(MAX_BODY_BYTES + 1)
        reply = api(user).post("/api/tracks", body)
        assert (reply.status, reply.code) == (413, "too_large")


def bounded() -> Iterator[tuple[str, str, str, int]]:
    """Every text of every body, and how long it may be."""
    for path, operations in DOCUMENT["paths"].items():
        for method in operations:
            for name, field in schema_of(method, path).get("properties", {}).items():
                for kind in field.get("anyOf", [field]):
                    # A module is named by an id or a number: the matrix of ids sends it what is neither.
                    free = kind.get("type") == "string" and not {"format", "enum", "const"} & kind.keys()
                    if free and name != "module_id":
                        yield method.upper(), path, name, kind.get("maxLength", 0)


TEXTS = list(bounded())


def with_field(method: str, path: str, name: str, value: Any) -> dict[str, Any]:
    known = {**FILLERS, "track_id": UUID, "module_id": UUID, name: value}
    needed = {*schema_of(method, path).get("required", ()), name}
    return {one: known.get(one, "x") for one in needed}


class TestTexts:
    @pytest.mark.parametrize(("method", "path", "name", "longest"), TEXTS, ids=str)
    def test_C1_every_text_has_its_bound(
        self, method: str, path: str, name: str, longest: int, api: Api, user: User
    ) -> None:
        assert longest > 0
        body = with_field(method, path, name, "a" * (longest + 1))
        address = path.format(track_id=UUID, session_id="key", chat_id=UUID)
        reply = api(user).request(method, address, body)
        assert reply.status == 422
        assert ["body", name] in [error["loc"][:2] for error in reply.body["errors"]]

    @pytest.mark.parametrize("text", ["\x00", "a\x00b", "\ud800", "😀\udc00", "\udfff\ud800"])
    @pytest.mark.parametrize("body", [{"title": "{}"}, {"title": "x", "description": "{}"}, {"{}": "x"}])
    def test_C3_what_is_no_text_is_refused(
        self, text: str, body: dict[str, str], api: Api, user: User
    ) -> None:
        sent = {name.format(text): value.format(text) for name, value in body.items()}
        assert api(user).post("/api/tracks", sent).status == 422

    @pytest.mark.parametrize("key", ["%00", "a%00b"])
    def test_C3_a_nul_in_an_address_is_refused(self, key: str, api: Api, user: User) -> None:
        assert api(user).get(f"/api/chat/sessions/{key}/chats").status == 422
        assert api(user).get(f"/api/tracks?cursor={key}").status == 422

    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        database=None,
        # One user and one transaction for all examples is what is wanted.
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(text=st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=200))
    def test_C3_any_text_comes_back_as_it_was(self, text: str, api: Api, user: User) -> None:
        caller = api(user)
        track = caller.post("/api/tracks", {"title": "x", "description": text}).body
        assert caller.get(f"/api/tracks/{track['id']}").body["description"] == text

    @pytest.mark.parametrize(
        "text", ["  both ends\n", "é", "e\u0301", "👩‍👩‍👧", "\u202eabc", "\ufeff", "\r\n\t"]
    )
    def test_C3_nothing_is_trimmed_or_normalised(self, text: str, api: Api, user: User) -> None:
        assert api(user).post("/api/tracks", {"title": text}).body["title"] == text


class TestNumbers:
    @pytest.mark.parametrize(
        "value", [0, -1, 10_001, 2**31, 2**63, 10**30, 1.5, 0.1, "5", True, [], {}], ids=repr
    )
    def test_C4_a_number_out_of_range_is_refused(self, value: Any, api: Api, user: User) -> None:
        body = {"title": "x", "estimated_duration_hours": value}
        assert api(user).post("/api/tracks", body).status == 422

    @pytest.mark.parametrize("value", [1, 10_000, 10_000.0])  # to JSON the last is an integer, too
    def test_C4_the_bounds_are_in_range(self, value: float, api: Api, user: User) -> None:
        reply = api(user).post("/api/tracks", {"title": "x", "estimated_duration_hours": value})
        assert reply.body["estimated_duration_hours"] == value

    @pytest.mark.parametrize("limit", ["0", "-1", "201", "1.5", "x", "", str(2**63), "9" * 5_000])
    def test_C4_a_limit_out_of_range_is_refused(self, limit: str, api: Api, user: User) -> None:
        assert api(user).get(f"/api/tracks?limit={limit}").status == 422

    @pytest.mark.parametrize("number", ["0", "-1", str(2**31), str(2**63), "9" * 100, "1.0", "٣"])
    def test_C4_a_module_number_out_of_range_is_not_there(self, number: str, api: Api, user: User) -> None:
        course = a_course(user)
        body = {"track_id": course.ids["track_id"], "module_id": number, "session_id": "key"}
        assert api(user).post("/api/ai/module-chat-history", body).status in {404, 422}
