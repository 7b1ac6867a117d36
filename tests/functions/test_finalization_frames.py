"""Every tab of a session hears that its course is ready, once, whoever finalized it."""

import pytest

from academy.models import User
from tests.client import Client
from tests.conftest import client_of
from tests.factories import a_login_of, a_user
from tests.functions.test_ai_flows import KEY, Learner
from tests.outages import no_dynamodb
from tests.races import at_once
from tests.sockets import Socket, Switchboard

pytestmark = pytest.mark.usefixtures("quiet")


def planned(user: User) -> Learner:
    learner = Learner(client_of(user))
    assert learner.say().status == 200
    return learner


def test_every_tab_of_the_session_hears_of_it_and_no_other(
    socket: Socket, user: User, switchboard: Switchboard
) -> None:
    tab = Socket(switchboard, a_login_of(user)).opened()
    elsewhere = Socket(switchboard, a_login_of(user), session_id="another").opened()
    stranger = Socket(switchboard, a_login_of(a_user())).opened()
    learner = planned(user)
    modules = learner.finalize().body["modules"]
    [frame] = socket.of_type("finalization_complete")
    assert (frame["modules_created"], frame["track_id"]) == (len(modules), learner.here["track_id"])
    assert (frame["session_id"], frame["message"] != "") == (KEY, True)
    [chat] = learner.client.get(f"/api/chat/sessions/{KEY}/chats").body
    assert frame["chat_id"] == chat["id"]
    assert tab.frames == socket.frames
    assert elsewhere.frames == stranger.frames == []


def test_finalizing_again_with_nothing_new_says_nothing(socket: Socket, user: User) -> None:
    learner = planned(user)
    assert learner.finalize().body == learner.finalize().body
    assert len(socket.of_type("finalization_complete")) == 1


def test_G2_of_many_at_once_one_is_told(learner: Socket, switchboard: Switchboard) -> None:
    assert learner.token is not None
    someone = Learner(Client(token=learner.token))
    someone.say()
    replies = at_once(lambda _: someone.finalize(), range(8))
    assert {reply.status for reply in replies} == {200}
    assert len(learner.of_type("finalization_complete")) == 1


def test_G9_without_the_table_of_sockets_the_course_is_ready_all_the_same(user: User) -> None:
    learner = planned(user)
    with no_dynamodb():
        assert learner.finalize().status == 200
