"""Every minute: what was lost on the way is asked for again, what nobody can save is ended and told."""

from typing import Any

import pytest
from sqlalchemy import func, update

from academy.db import session_scope, sweeper_scope
from academy.models import Message, User
from academy.repositories import Replies
from ai.sweeper import handler
from dev.source_events import scheduled_event
from tests.conftest import client_of
from tests.deliveries import context, deliver_all, waiting
from tests.factories import a_login_of
from tests.fakes import ScriptedModel
from tests.replies import change_reply, in_seconds, reply_ids, said
from tests.roles import looking
from tests.sockets import Socket, Switchboard

pytestmark = pytest.mark.usefixtures("quiet")


def sweep() -> None:
    handler(scheduled_event(), context())


def lose_what_waits() -> None:
    assert waiting()


def test_G6_a_reply_that_was_dropped_on_the_way_is_made_within_90_seconds(socket: Socket) -> None:
    socket.say()
    lose_what_waits()
    change_reply(timestamp=in_seconds(-28))
    sweep()
    assert waiting() == []
    # The next sweep comes a minute later.
    change_reply(timestamp=in_seconds(-31))
    sweep()
    assert deliver_all() == 1
    assert socket.last("ai_response")["status"] == "complete"


def test_G6_what_is_dropped_again_is_ended_and_told(socket: Socket, model: ScriptedModel) -> None:
    socket.say()
    lose_what_waits()
    change_reply(timestamp=in_seconds(-60))
    sweep()
    lose_what_waits()
    change_reply(leased_until=in_seconds(-60))
    sweep()
    assert socket.last("error")["code"] == "reply_failed"
    assert said()[1][2] == "failed"
    sweep()
    assert len(socket.of_type("error")) == 1
    assert model.requests == []


def test_a_reply_whose_writer_died_is_left_to_the_queue_at_first(socket: Socket) -> None:
    socket.say()
    change_reply(status="streaming", claims=1, leased_until=in_seconds(-28))
    sweep()
    assert said()[1][2] == "streaming"
    assert socket.of_type("error") == []
    change_reply(leased_until=in_seconds(-31))
    sweep()
    assert said()[1][2] == "failed"
    assert socket.last("error")["code"] == "reply_failed"


def test_a_fresh_reply_and_one_that_is_written_are_let_be(socket: Socket) -> None:
    socket.say("Раз")
    sweep()
    change_reply(status="streaming", claims=1, leased_until=in_seconds(20), timestamp=in_seconds(-600))
    sweep()
    assert [status for _, _, status in said()] == ["complete", "streaming"]
    assert len(waiting()) == 1


def test_who_waits_for_an_earlier_reply_is_not_lost(socket: Socket) -> None:
    socket.say("Раз")
    socket.say("Два")
    change_reply(timestamp=in_seconds(-600))
    lose_what_waits()
    sweep()
    # The second waits for the first, which alone may be lost.
    [again] = waiting()
    assert str(reply_ids()[0]) in again["Body"]


def test_what_was_lost_under_way_stands_in_nobodys_way(socket: Socket) -> None:
    socket.say("Раз")
    lose_what_waits()
    change_reply(timestamp=in_seconds(-60))
    sweep()
    assert deliver_all() == 1
    # The lost message is in flight still, and would hold up its chat until it is visible again.
    socket.say("Два")
    assert deliver_all() == 1
    assert [status for _, _, status in said()] == ["complete"] * 4


def test_a_failed_reply_that_was_swept_can_be_asked_for_again(socket: Socket, user: Any) -> None:
    socket.say("Привет")
    change_reply(status="streaming", claims=1, leased_until=func.now() - func.make_interval(0, 0, 0, 1))
    sweep()
    reply = client_of(user).post(
        "/api/ai/chat-response", {"session_id": socket.session_id, "message": "Привет"}
    )
    assert reply.status == 200
    assert [text for sender, text, _ in said() if sender == "user"] == ["Привет"]


@pytest.mark.parametrize(
    ("lost", "find", "take"),
    [
        ({"timestamp": in_seconds(-60)}, Replies.dropped, Replies.take_dropped),
        (
            {"status": "streaming", "leased_until": in_seconds(-60)},
            Replies.abandoned,
            Replies.give_up_abandoned,
        ),
    ],
    ids=["dropped", "abandoned"],
)
def test_what_is_not_lost_any_more_is_let_be_though_another_is(
    lost: dict[str, Any], find: Any, take: Any, socket: Socket, switchboard: Switchboard, user: User
) -> None:
    socket.say("Раз")
    Socket(switchboard, a_login_of(user), session_id="another").opened().say("Два")
    change_reply(**lost)
    found, other = reply_ids()
    with sweeper_scope() as session:
        assert {*find(Replies(session), 10)} == {(found, user.id), (other, user.id)}
    with looking() as session:
        begun = {"status": "streaming", "leased_until": in_seconds(20)}
        session.execute(update(Message).where(Message.id == found).values(begun))
    with session_scope(user.id) as session:
        assert not take(Replies(session), found)
        assert take(Replies(session), other)


def test_a_chat_that_was_deleted_meanwhile_is_swept_without_a_word(socket: Socket, user: Any) -> None:
    socket.say()
    change_reply(leased_until=in_seconds(-600))
    assert client_of(user).delete("/api/auth/me", {"password": ""}).status in (204, 401)
    sweep()
