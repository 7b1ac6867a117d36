"""Lists are read page by page: complete, without doubles, and with nobody else's cursor."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import func, update
from sqlalchemy.orm import Session

from academy.models import Track, User
from academy.paging import Page
from academy.repositories import Tracks
from tests.client import Client, Reply
from tests.conftest import Api
from tests.factories import a_course, a_user


def link_of(reply: Reply) -> str | None:
    """The address of the page beyond this one."""
    found = re.fullmatch(r'<([^>]+)>; rel="(next|prev)"', reply.headers.get("link", ""))
    return found.group(1) if found else None


def pages(caller: Client, address: str | None) -> Iterator[list[Any]]:
    while address:
        reply = caller.get(address)
        assert reply.status == 200
        yield reply.body
        address = link_of(reply)


def cursor_of(caller: Client, address: str) -> str:
    link = link_of(caller.get(f"{address}?limit=1"))
    assert link
    return parse_qs(urlsplit(link).query)["cursor"][0]


def titled(caller: Client, count: int) -> list[str]:
    """New tracks, the newest first."""
    return [caller.post("/api/tracks", {"title": f"{n}"}).body["id"] for n in range(count)][::-1]


@pytest.mark.parametrize("limit", [1, 3, 7, 8])
def test_C6_the_pages_together_are_the_list(limit: int, api: Api, user: User) -> None:
    caller = api(user)
    expected = titled(caller, 7)
    read = list(pages(caller, f"/api/tracks?limit={limit}"))
    assert [track["id"] for page in read for track in page] == expected
    assert {len(page) for page in read[:-1]} <= {limit}


def test_C6_a_page_that_is_full_but_last_names_no_further_one(api: Api, user: User) -> None:
    caller = api(user)
    titled(caller, 3)
    assert link_of(caller.get("/api/tracks?limit=3")) is None


def test_C6_what_was_made_at_one_moment_is_read_once(api: Api, user: User, session: Session) -> None:
    caller = api(user)
    made = titled(caller, 7)
    session.execute(update(Track).values(created_at=func.now()))
    session.commit()
    read = [track["id"] for page in pages(caller, "/api/tracks?limit=3") for track in page]
    assert read == sorted(made, reverse=True)


def test_a_page_reads_one_row_more_than_it_shows(api: Api, user: User, session: Session) -> None:
    titled(api(user), 5)
    assert len(Tracks(session).newest(owner_id=user.id, page=Page(2))) == 3


def test_C6_what_comes_and_goes_meanwhile_neither_hides_nor_doubles_the_rest(api: Api, user: User) -> None:
    caller = api(user)
    stays = titled(caller, 12)
    deleted = [stays.pop(3), stays.pop(6)]
    seen = []
    for page in pages(caller, "/api/tracks?limit=2"):
        seen += [track["id"] for track in page]
        titled(caller, 1)
        if deleted and deleted[0] not in seen:
            caller.delete(f"/api/tracks/{deleted.pop(0)}")
    assert [one for one in seen if one in stays] == stays
    assert len(seen) == len(set(seen))


def test_C6_messages_page_backwards_each_page_in_order(api: Api, user: User) -> None:
    course = a_course(user, messages=7)
    caller = api(user)
    address = f"/api/chat/chats/{course.chat.id}/messages"
    assert 'rel="prev"' in caller.get(f"{address}?limit=3").headers["link"]
    read = list(pages(caller, f"{address}?limit=3"))
    assert [[one["message_content"][-1] for one in page] for page in read] == [
        ["4", "5", "6"],
        ["1", "2", "3"],
        ["0"],
    ]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_C6_chats_and_sessions_page_the_same_way(limit: int, api: Api, user: User) -> None:
    caller = api(user)
    sessions = [caller.post("/api/chat/sessions", {}).body["id"] for _ in range(5)]
    read = pages(caller, f"/api/chat/sessions?limit={limit}")
    assert [one["id"] for page in read for one in page] == sessions[::-1]
    chats = [caller.post("/api/chat/chats", {"session_id": sessions[0]}).body["id"] for _ in range(5)]
    read = pages(caller, f"/api/chat/sessions/{sessions[0]}/chats?limit={limit}")
    assert [one["id"] for page in read for one in page] == chats[::-1]


class TestCursor:
    def test_C6_somebody_elses_opens_nothing(self, api: Api, user: User) -> None:
        stranger = api(a_user())
        titled(stranger, 2)
        reply = api(user).get(f"/api/tracks?cursor={cursor_of(stranger, '/api/tracks')}")
        assert (reply.status, reply.code) == (422, "bad_cursor")

    def test_C6_that_of_another_list_opens_nothing(self, api: Api, user: User) -> None:
        caller = api(user)
        titled(caller, 2)
        reply = caller.get(f"/api/chat/sessions?cursor={cursor_of(caller, '/api/tracks')}")
        assert (reply.status, reply.code) == (422, "bad_cursor")

    @pytest.mark.parametrize("index", [0, 10, 30, 60])
    def test_C6_a_changed_one_opens_nothing(self, index: int, api: Api, user: User) -> None:
        caller = api(user)
        titled(caller, 2)
        cursor = cursor_of(caller, "/api/tracks")
        other = "B" if cursor[index] == "A" else "A"
        reply = caller.get(f"/api/tracks?cursor={cursor[:index]}{other}{cursor[index + 1 :]}")
        assert (reply.status, reply.code) == (422, "bad_cursor")

    @pytest.mark.parametrize(
        "cursor", ["A", "AAAA", "W10", "!!!!", "%D1%8F", "%ED%A0%80", "A" * 1_001, "A" * 1_000]
    )
    def test_C6_a_made_up_one_opens_nothing(self, cursor: str, api: Api, user: User) -> None:
        assert api(user).get(f"/api/tracks?cursor={cursor}").status == 422
