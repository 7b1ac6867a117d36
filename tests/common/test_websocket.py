"""Frames within their size, and an audience that gets every one of them in order, whatever happens to it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from academy import aws, connections
from academy.models import User
from academy.shapes import HistoryMessage
from academy.websocket import AiDelta, Audience
from academy.websocket.audience import MOST_WAITING, Address
from academy.websocket.frames import MAX_FRAME_BYTES, ROOM_BYTES, fitting, newest_fitting
from tests.factories import a_login_of, a_user
from tests.outages import no_dynamodb
from tests.sockets import Socket, Switchboard, spoken

KEY = "1718000000000abc123xyz"
NOW = datetime(2026, 11, 23, 15, 45, tzinfo=UTC)

# Of one to six bytes each in JSON, so that every way of counting but the right one fails.
LETTERS = st.sampled_from('ab"\\/\n\x01\x7fяé€\u2028💃') | st.characters(codec="utf-8")
TEXTS = st.lists(LETTERS, max_size=60).map("".join)


def size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())


class TestFitting:
    @given(text=TEXTS, room=st.integers(2, 150))
    @settings(deadline=None, database=None)
    def test_is_as_much_of_the_beginning_as_there_is_room_for(self, text: str, room: int) -> None:
        fits = fitting(text, room)
        assert text.startswith(fits)
        assert size(fits) <= room
        assert fits == text or size(text[: len(fits) + 1]) > room

    @pytest.mark.parametrize("letter", ["a", "я", "€", "💃", '"', "\x01"])
    def test_of_a_long_text_fills_the_room(self, letter: str) -> None:
        assert ROOM_BYTES - 6 < size(fitting(letter * ROOM_BYTES)) <= ROOM_BYTES


def a_message(text: str, **fields: Any) -> HistoryMessage:
    values = {"id": UUID(int=1), "chat_id": UUID(int=2), "sender_type": "ai", "message_content": text}
    rest = {"message_type": "text", "timestamp": NOW, "ai_model_used": None, "tokens_used": None}
    return HistoryMessage.model_validate({**values, **rest, **fields})


MESSAGES = st.lists(TEXTS.map(a_message), max_size=12)


def taken(messages: Sequence[HistoryMessage]) -> int:
    """Bytes, each message with the comma that follows it."""
    return sum(len(message.model_dump_json().encode()) + 1 for message in messages)


class TestNewestFitting:
    @given(newest_first=MESSAGES, room=st.integers(1_200, 4_000))
    @settings(deadline=None, database=None)
    def test_is_as_many_of_the_newest_as_there_is_room_for(
        self, newest_first: list[HistoryMessage], room: int
    ) -> None:
        shown, has_more = newest_fitting(newest_first, room)
        assert shown[::-1] == newest_first[: len(shown)]
        assert taken(shown) <= room
        assert has_more == (len(shown) < len(newest_first))
        assert not has_more or taken(newest_first[: len(shown) + 1]) > room

    @given(text=TEXTS, more=st.integers(300, 3_000), others=MESSAGES)
    @settings(deadline=None, database=None)
    def test_cuts_the_very_newest_where_it_does_not_fit(
        self, text: str, more: int, others: list[HistoryMessage]
    ) -> None:
        giant = a_message(text + "я" * more)
        room = taken([giant]) - 1
        [shown], has_more = newest_fitting([giant, *others], room)
        assert giant.content.startswith(shown.content)
        assert giant == shown.model_copy(update={"content": giant.content})
        assert (taken([shown]) <= room, has_more) == (True, True)

    @pytest.mark.parametrize("letter", ["", "a", "я", "💃", '"', "\x01"])
    @pytest.mark.parametrize("length", [1, 500, 16_000, 200_000])
    def test_leaves_a_frame_within_its_size(self, letter: str, length: int) -> None:
        fields = {"ai_model_used": "💃" * 200, "tokens_used": 2**31 - 1}
        shown, _ = newest_fitting([a_message(letter * length, **fields)] * 1_000)
        frame = {"history": [message.model_dump(mode="json") for message in shown], "session_id": "💃" * 128}
        assert len(shown) > 0
        assert size(frame) <= MAX_FRAME_BYTES - 2_000


@pytest.fixture(autouse=True)
def fresh(switchboard: Switchboard) -> Iterator[None]:
    switchboard.reset()
    yield
    switchboard.reset()


@pytest.fixture
def token(user: User) -> str:
    return a_login_of(user)


@pytest.fixture
def audience(user: User) -> Audience:
    return Audience(user.id, [KEY])


@pytest.fixture
def impatient(environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Calls to AWS that wait for an answer as long as a test can."""
    with monkeypatch.context() as changed:
        changed.setattr(aws, "READ_SECONDS", 0.5)
        aws._made.cache_clear()
        yield
    aws._made.cache_clear()


SILENCE = 3.0
FAULTS: dict[str, tuple[int | float, ...]] = {
    "too many posts": (429, 429),
    "an error": (500, 500),
    "one after the other": (503, 429),
    "silence": (SILENCE, SILENCE),
}
"""Of one post: it is repeated once before it counts as failed."""


def delta(seq: int) -> AiDelta:
    return AiDelta(chat_id=UUID(int=1), message_id=UUID(int=2), seq=seq, delta=f"слово {seq} ")


def deltas(*seqs: int) -> list[AiDelta]:
    return [delta(seq) for seq in seqs]


def seqs(socket: Socket) -> list[int]:
    """In the order in which they came, without those that came twice since nobody heard that they came."""
    return list(dict.fromkeys(frame["seq"] for frame in socket.frames))


def is_known(socket: Socket) -> bool:
    return connections.find(socket.connection.id) is not None


class TestAnAudience:
    def test_gets_every_frame_in_order(
        self, audience: Audience, switchboard: Switchboard, token: str
    ) -> None:
        sockets = [Socket(switchboard, token).opened() for _ in range(3)]
        audience.refresh()
        for seq in range(5):
            audience.push(delta(seq))
        for socket in sockets:
            assert spoken(socket.frames) == "".join(f"слово {seq} " for seq in range(5))
            assert {frame["session_id"] for frame in socket.frames} == {KEY}

    def test_F4_is_the_users_own_on_that_session_and_the_chat_channel(
        self, audience: Audience, switchboard: Switchboard, token: str
    ) -> None:
        here = Socket(switchboard, token).opened()
        others = [
            Socket(switchboard, token, session_id="another").opened(),
            Socket(switchboard, token, channel="switch").opened(),
            Socket(switchboard, a_login_of(a_user())).opened(),
        ]
        audience.refresh()
        audience.push(delta(0))
        assert [len(socket.frames) for socket in (here, *others)] == [1, 0, 0, 0]

    def test_of_two_sessions_gets_a_frame_on_each_under_its_own_key(
        self, user: User, switchboard: Switchboard, token: str
    ) -> None:
        sockets = [Socket(switchboard, token, session_id=key).opened() for key in ("a", "b")]
        audience = Audience(user.id, ["a", "b", "a"])
        audience.refresh()
        audience.push(delta(0))
        assert [[one["session_id"] for one in socket.frames] for socket in sockets] == [["a"], ["b"]]

    def test_of_newcomers_gets_what_they_missed_once(
        self, audience: Audience, switchboard: Switchboard, token: str
    ) -> None:
        first = Socket(switchboard, token).opened()
        audience.refresh()
        audience.push(*deltas(0, 1))
        second = Socket(switchboard, token).opened()
        audience.push(delta(2))
        assert second.frames == []
        for _ in range(2):
            audience.refresh(*deltas(0, 1, 2))
        audience.push(delta(3))
        for socket in (first, second):
            assert [frame["seq"] for frame in socket.frames] == [0, 1, 2, 3]

    def test_has_the_asker_in_it_though_the_index_does_not_know_it_yet(
        self, user: User, switchboard: Switchboard, token: str
    ) -> None:
        asker, other = Socket(switchboard, token).opened(), Socket(switchboard, token).opened()
        known = connections.find(asker.connection.id)
        assert known is not None
        connections.forget(asker.connection.id)
        audience = Audience(user.id, [KEY], asker=Address(asker.connection.id, KEY))
        audience.refresh()
        audience.push(delta(0))
        connections.remember(known)
        audience.refresh(delta(0))
        assert [len(socket.frames) for socket in (asker, other)] == [1, 1]

    def test_forgets_the_asker_once_it_has_left(
        self, user: User, switchboard: Switchboard, token: str
    ) -> None:
        asker = Socket(switchboard, token).opened()
        audience = Audience(user.id, [KEY], asker=Address(asker.connection.id, KEY))
        audience.refresh()
        asker.vanish()
        audience.push(delta(0))
        posts = switchboard.posts
        audience.refresh(delta(0))
        audience.push(delta(1))
        assert switchboard.posts == posts

    def test_G9_is_the_asker_alone_while_nobody_knows_who_is_there(
        self, user: User, switchboard: Switchboard, token: str
    ) -> None:
        asker = Socket(switchboard, token).opened()
        audience = Audience(user.id, [KEY], asker=Address(asker.connection.id, KEY))
        with no_dynamodb():
            audience.refresh()
            audience.push(delta(0))
        assert seqs(asker) == [0]

    def test_F6_has_nobody_whose_row_should_have_been_deleted_by_now(
        self, audience: Audience, switchboard: Switchboard, token: str
    ) -> None:
        socket = Socket(switchboard, token).opened()
        row = connections.find(socket.connection.id)
        assert row is not None
        long_ago = datetime.now(UTC) - timedelta(seconds=connections.LONGEST_LIFE_SECONDS + 1)
        connections.remember(replace(row, connected_at=long_ago))
        audience.refresh()
        audience.push(delta(0))
        assert socket.frames == []


class TestF13APostThatFails:
    @pytest.mark.usefixtures("impatient")
    @pytest.mark.parametrize("name", FAULTS)
    def test_is_repeated_before_anything_that_comes_after_it(
        self, name: str, audience: Audience, switchboard: Switchboard, token: str
    ) -> None:
        slow, quick = Socket(switchboard, token).opened(), Socket(switchboard, token).opened()
        audience.refresh()
        audience.push(delta(0))
        switchboard.fails(slow.connection.id, *FAULTS[name])
        audience.push(delta(1))
        assert seqs(quick) == [0, 1]
        audience.push(*deltas(2, 3))
        audience.push(delta(4))
        for socket in (slow, quick):
            assert seqs(socket) == [0, 1, 2, 3, 4]
        assert (is_known(slow), switchboard.closed) == (True, set())

    def test_holds_up_nothing_but_its_own_socket(
        self, audience: Audience, switchboard: Switchboard, token: str
    ) -> None:
        stuck, quick = Socket(switchboard, token).opened(), Socket(switchboard, token).opened()
        audience.refresh()
        switchboard.fails(stuck.connection.id, 429, 429)
        audience.push(*deltas(0, 1))
        assert (seqs(stuck), seqs(quick)) == ([], [0, 1])
        audience.push()
        assert (seqs(stuck), seqs(quick)) == ([0, 1], [0, 1])
        assert len(quick.frames) == 2

    def test_once_is_not_even_noticed(self, audience: Audience, switchboard: Switchboard, token: str) -> None:
        socket = Socket(switchboard, token).opened()
        audience.refresh()
        switchboard.fails(socket.connection.id, 500)
        audience.push(delta(0))
        assert seqs(socket) == [0]

    def test_at_the_end_is_insisted_on(
        self, audience: Audience, switchboard: Switchboard, token: str
    ) -> None:
        socket = Socket(switchboard, token).opened()
        audience.refresh()
        switchboard.fails(socket.connection.id, *[500] * 4)
        audience.push(delta(0))
        audience.insist([0, 0, 0])
        assert [frame["seq"] for frame in socket.frames] == [0]

    def test_is_given_up_on_after_the_last_pause(
        self, audience: Audience, switchboard: Switchboard, token: str
    ) -> None:
        socket = Socket(switchboard, token).opened()
        audience.refresh()
        switchboard.fails(socket.connection.id, *[429] * 6)
        audience.push(delta(0))
        audience.insist([0, 0])
        assert (socket.frames, is_known(socket)) == ([], True)

    def test_is_waited_for_only_while_something_waits(
        self, audience: Audience, switchboard: Switchboard, token: str
    ) -> None:
        socket = Socket(switchboard, token).opened()
        audience.refresh()
        audience.push(delta(0))
        audience.insist([3_600])
        assert seqs(socket) == [0]

    def test_for_its_size_is_skipped(self, audience: Audience, switchboard: Switchboard, token: str) -> None:
        socket = Socket(switchboard, token).opened()
        audience.refresh()
        audience.push(delta(0).model_copy(update={"delta": "я" * MAX_FRAME_BYTES}))
        audience.push(delta(1))
        assert (seqs(socket), is_known(socket)) == ([1], True)


class TestF6ASocketThatIsGone:
    def test_loses_its_row_and_the_others_are_served(
        self, audience: Audience, switchboard: Switchboard, token: str
    ) -> None:
        sockets = [Socket(switchboard, token).opened() for _ in range(10)]
        gone, there = sockets[::2], sockets[1::2]
        audience.refresh()
        for socket in gone:
            socket.vanish()
        audience.push(*deltas(0, 1))
        assert [is_known(socket) for socket in sockets] == [False, True] * 5
        posts = switchboard.posts
        audience.push(delta(2))
        assert switchboard.posts == posts + len(there)
        for socket in there:
            assert seqs(socket) == [0, 1, 2]
        assert not [socket for socket in gone if socket.frames]

    def test_before_the_first_word_is_no_trouble(
        self, audience: Audience, switchboard: Switchboard, token: str
    ) -> None:
        gone, there = Socket(switchboard, token).opened(), Socket(switchboard, token).opened()
        gone.vanish()
        audience.refresh(delta(0))
        audience.push(delta(1))
        assert (is_known(gone), seqs(there)) == (False, [0, 1])


class TestASocketThatTakesNothing:
    def test_is_closed_when_too_much_waits_for_it_and_the_others_are_served(
        self, audience: Audience, switchboard: Switchboard, token: str
    ) -> None:
        stuck, there = Socket(switchboard, token).opened(), Socket(switchboard, token).opened()
        audience.refresh()
        switchboard.fails(stuck.connection.id, *[429] * 10)
        audience.push(*deltas(*range(MOST_WAITING)))
        assert (is_known(stuck), switchboard.closed) == (True, set())
        audience.push(delta(MOST_WAITING))
        assert (is_known(stuck), switchboard.closed) == (False, {stuck.connection.id})
        audience.push(delta(MOST_WAITING + 1))
        assert seqs(there) == [*range(MOST_WAITING + 2)]
        assert (stuck.frames, is_known(there)) == ([], True)
