"""Time: what is over stays over, on every clock, and a wrong clock ends nothing that is not over."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import jwt
import pytest
import time_machine
from sqlalchemy import func, select

from academy.db import session_scope
from academy.models import Login, User
from dev import postgres
from tests.client import Client, Reply
from tests.clocks import Clocks, set_up
from tests.deliveries import deliver, waiting
from tests.factories import PASSWORD, a_login_of, a_user
from tests.fakes import ScriptedModel
from tests.replies import change_reply, in_seconds, said
from tests.roles import looking
from tests.sockets import Socket, Switchboard

NOTHING = timedelta(0)
SLOW, FAST = timedelta(minutes=-10), timedelta(hours=2)
SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
LEEWAY = 30 * SECOND

pytestmark = pytest.mark.usefixtures("committed", "quiet")


@pytest.fixture
def clocks(committed: None, database: postgres.Server) -> Iterator[Clocks]:
    with set_up(database) as clocks:
        yield clocks


@pytest.fixture
def tokens(clocks: Clocks) -> Any:
    """A guest's log-in of now."""
    return Client().post("/api/auth/guest-login").body


def me(tokens: Any) -> int:
    return Client(tokens["access_token"]).get("/api/auth/me").status


def refresh(tokens: Any) -> Reply:
    return Client().post("/api/auth/refresh", {"refresh_token": tokens["refresh_token"]})


def register(tokens: Any) -> Reply:
    account = {"email": "anna@example.com", "password": PASSWORD, "first_name": "", "last_name": ""}
    return Client(tokens["access_token"]).post("/api/auth/register", account)


class TestF21AccessTokens:
    def test_one_lives_an_hour(self, clocks: Clocks, tokens: Any) -> None:
        with clocks.later(HOUR - MINUTE):
            assert me(tokens) == 200
        with clocks.later(HOUR + LEEWAY):
            assert me(tokens) == 401

    @pytest.mark.parametrize("host", [SLOW, NOTHING, FAST], ids=str)
    def test_A9_what_is_over_stays_over_on_a_host_whose_clock_is_wrong(
        self, host: timedelta, clocks: Clocks, tokens: Any
    ) -> None:
        with clocks.later(HOUR + LEEWAY, host=host):
            assert me(tokens) == 401

    def test_what_is_over_stays_over_when_the_database_is_slow(self, clocks: Clocks, tokens: Any) -> None:
        with clocks.off(host=HOUR + LEEWAY, database=HOUR + LEEWAY + SLOW):
            assert me(tokens) == 401

    @pytest.mark.parametrize("ahead", [-5 * SECOND, 5 * SECOND], ids=str)
    def test_hosts_whose_clocks_differ_by_seconds_understand_each_other(
        self, ahead: timedelta, clocks: Clocks
    ) -> None:
        with clocks.off(host=ahead):
            token = a_login_of(a_user())
        assert Client(token).get("/api/auth/me").status == 200

    def test_F3_a_socket_ends_with_its_token(self, clocks: Clocks, switchboard: Switchboard) -> None:
        socket = Socket(switchboard, a_login_of(a_user())).opened()
        with clocks.later(HOUR + LEEWAY, host=SLOW):
            [error] = socket.say()
        assert error["code"] == "token_expired"
        assert socket.connection.id in switchboard.closed


class TestF21RefreshTokens:
    @pytest.mark.parametrize("host", [SLOW, NOTHING, FAST], ids=str)
    def test_A9_a_lost_answer_can_be_had_again_for_ten_seconds_whatever_the_hosts_clock(
        self, host: timedelta, clocks: Clocks, tokens: Any
    ) -> None:
        first = refresh(tokens).body["refresh_token"]
        with clocks.later(5 * SECOND, host=host):
            assert refresh(tokens).body["refresh_token"] == first
        with clocks.later(10 * SECOND + LEEWAY, host=host):
            assert refresh(tokens).code == "refresh_reused"
        assert me(tokens) == 401

    @pytest.mark.parametrize("host", [SLOW, NOTHING, FAST], ids=str)
    def test_A9_one_that_lay_idle_for_a_month_is_over(
        self, host: timedelta, clocks: Clocks, tokens: Any
    ) -> None:
        make_lasting(tokens)
        with clocks.later(30 * DAY + LEEWAY, host=host):
            assert refresh(tokens).code == "bad_refresh_token"

    def test_A9_no_log_in_outlives_ninety_days(self, clocks: Clocks, tokens: Any) -> None:
        make_lasting(tokens)
        current = tokens
        for days in (29, 58, 87):
            with clocks.later(days * DAY):
                current = refresh(current).body
        with clocks.later(90 * DAY + LEEWAY, host=SLOW):
            assert refresh(current).code == "bad_refresh_token"

    @pytest.mark.parametrize("host", [SLOW, FAST], ids=str)
    def test_A10_what_was_ended_stays_ended(self, host: timedelta, clocks: Clocks, tokens: Any) -> None:
        Client(tokens["access_token"]).post("/api/auth/logout")
        with clocks.off(host=host, database=host):
            assert (me(tokens), refresh(tokens).status) == (401, 401)


class TestF21Guests:
    @pytest.mark.parametrize("host", [SLOW, NOTHING, FAST], ids=str)
    def test_A11_one_whose_week_is_over_does_not_come_back(
        self, host: timedelta, clocks: Clocks, tokens: Any
    ) -> None:
        with clocks.later(7 * DAY + LEEWAY, host=host):
            assert refresh(tokens).code == "bad_refresh_token"
            assert register(tokens).status == 401

    def test_A11_one_who_comes_has_another_week(self, clocks: Clocks, tokens: Any) -> None:
        with clocks.later(6 * DAY):
            again = refresh(tokens).body
        with clocks.later(12 * DAY):
            assert refresh(again).status == 200

    def test_A11_a_fast_hosts_sweep_takes_nobody_whose_week_is_not_over(
        self, clocks: Clocks, tokens: Any
    ) -> None:
        with clocks.later(7 * DAY - HOUR, host=FAST):
            assert Client().post("/api/auth/guest-login").status == 200
        assert is_there(tokens)
        with clocks.later(7 * DAY + LEEWAY):
            assert Client().post("/api/auth/guest-login").status == 200
        assert not is_there(tokens)


class TestF21Leases:
    @pytest.mark.parametrize("host", [SLOW, FAST], ids=str)
    def test_G5_a_wrong_clock_takes_no_reply_over(
        self, host: timedelta, clocks: Clocks, switchboard: Switchboard, model: ScriptedModel
    ) -> None:
        socket = Socket(switchboard, a_login_of(a_user())).opened()
        socket.say()
        [message] = waiting()
        change_reply(status="streaming", claims=1, leased_until=in_seconds(30))
        with clocks.off(host=host):
            assert deliver(message) is False
        assert model.requests == []

    @pytest.mark.parametrize("host", [SLOW, FAST], ids=str)
    def test_G5_a_dead_writers_reply_is_taken_over_on_any_clock(
        self, host: timedelta, clocks: Clocks, switchboard: Switchboard
    ) -> None:
        socket = Socket(switchboard, a_login_of(a_user())).opened()
        socket.say()
        [message] = waiting()
        change_reply(status="streaming", claims=1, leased_until=in_seconds(30))
        with clocks.later(30 * SECOND + LEEWAY, host=host):
            assert deliver(message, tries=2)
        assert said()[1][2] == "complete"

    def test_A6_a_fast_clock_shortens_nobodys_wait(self, clocks: Clocks) -> None:
        def guess() -> int:
            return Client().post("/api/auth/login", {"email": "a@b.cd", "password": "a wrong guess"}).status

        assert [guess() for _ in range(6)] == [401] * 5 + [429]
        with clocks.off(host=FAST):
            assert guess() == 429
        with clocks.later(15 * MINUTE + LEEWAY):
            assert guess() == 401


@pytest.mark.parametrize("night", ["2026-03-29 01:59:30", "2026-10-25 02:59:30"])
def test_F21_the_nights_when_clocks_are_changed_are_as_long_as_others(night: str, clocks: Clocks) -> None:
    """A host that keeps local time: lives are counted in seconds, whatever the hands of its clock do."""
    moment = datetime.fromisoformat(night).replace(tzinfo=ZoneInfo("Europe/Berlin"))
    away = moment - datetime.now(UTC)
    with clocks.off(database=away), time_machine.travel(moment, tick=True):
        tokens = Client().post("/api/auth/guest-login").body
        claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
        assert claims["exp"] - claims["iat"] == 3600
        assert me(tokens) == 200
        with session_scope() as session:  # whose `now` is the one that is off
            [user] = session.scalars(select(User)).all()
            [login] = session.scalars(select(Login)).all()
            now = session.scalar(select(func.now()))
        assert user.expires_at is not None
        assert now is not None
        assert abs(user.expires_at - now - 7 * DAY) < MINUTE
        assert abs(login.expires_at - now - 90 * DAY) < MINUTE
    with clocks.off(database=away + HOUR + LEEWAY), time_machine.travel(moment.astimezone(UTC) + HOUR):
        assert me(tokens) == 401


def make_lasting(tokens: Any) -> None:
    """So that the token is over for its own sake, not for its guest's."""
    with looking() as session:
        session.get_one(User, tokens["user"]["id"]).is_guest = False
        session.get_one(User, tokens["user"]["id"]).expires_at = None


def is_there(tokens: Any) -> bool:
    with looking() as session:
        return session.get(User, tokens["user"]["id"]) is not None
