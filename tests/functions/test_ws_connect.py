"""The handshake: who may open a socket, from where, and what is remembered of it."""

import hashlib
import io
import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from academy import auth, aws, config
from academy.models import User
from academy.observability import logger
from dev.websocket_events import connect_event, disconnect_event
from tests.client import CONTEXT
from tests.conftest import Api
from tests.factories import a_login_of, a_user
from tests.fakes import ScriptedModel
from tests.functions.test_ai_flows import Learner
from tests.functions.test_auth_tokens import signed
from tests.outages import no_database, no_dynamodb
from tests.sockets import Socket, Switchboard

OURS = "https://app.example.com"
KEY = "1718000000000abc123xyz"
OPENED, ANSWERED = {"statusCode": 200}, {"Sec-WebSocket-Protocol": "bearer"}

Door = Callable[..., Socket]
"""`door(token)` is a socket that has still to knock."""


@pytest.fixture(autouse=True)
def fresh(switchboard: Switchboard) -> None:
    switchboard.reset()


@pytest.fixture
def door(transaction: None, switchboard: Switchboard) -> Door:
    return lambda token=None, **more: Socket(switchboard, token, **more)


@pytest.fixture
def token(user: User) -> str:
    return a_login_of(user)


def cookie_of(token: str) -> str:
    """The socket token that was issued together with this access token."""
    claims = auth.read_token(token)
    return auth.issue_token(claims.user_id, claims.login_id, audience="ws")


def with_cookie(token: str, origin: str | None = OURS) -> dict[str, str]:
    sent = {"Cookie": f"theme=dark; ws_token={token}; lang=ru"}
    return sent if origin is None else {**sent, "Origin": origin}


def row_of(socket: Socket) -> dict[str, str]:
    """What DynamoDB holds of a socket, each value without the name of its type; empty if nothing."""
    answer: Any = aws.client("dynamodb").get_item(
        TableName=config.settings().connections_table,
        Key={"connection_id": {"S": socket.connection.id}},
        ConsistentRead=True,
    )
    return {name: next(iter(value.values())) for name, value in answer.get("Item", {}).items()}


def is_refused(socket: Socket, status: int) -> bool:
    return socket.connect() == {"statusCode": status} and not row_of(socket)


class TestTheToken:
    def test_as_a_subprotocol_is_answered_with_bearer_alone(self, door: Door, token: str, user: User) -> None:
        socket = door(token)
        assert socket.connect() == {**OPENED, "headers": ANSWERED}
        assert row_of(socket)["user_id"] == user.id

    def test_in_the_query_is_answered_with_no_subprotocol(self, door: Door, token: str, user: User) -> None:
        socket = door(query=f"&token={token}")
        assert socket.connect() == OPENED
        assert row_of(socket)["user_id"] == user.id

    def test_in_the_cookie_opens_from_a_page_of_ours(self, door: Door, token: str, user: User) -> None:
        socket = door(headers=with_cookie(cookie_of(token)))
        assert socket.connect() == OPENED
        assert row_of(socket)["user_id"] == user.id

    def test_of_the_cookie_that_a_log_in_sets_opens(self, door: Door, api: Api) -> None:
        reply = api().post("/api/auth/guest-login")
        [cookie] = [one for one in reply.cookies if one.startswith("ws_token=")]
        socket = door(headers={"Cookie": cookie.partition(";")[0], "Origin": OURS})
        assert socket.connect() == OPENED
        assert row_of(socket)["user_id"] == reply.body["user"]["id"]

    def test_in_the_query_still_has_the_offered_subprotocol_answered(self, door: Door, token: str) -> None:
        socket = door(query=f"&token={token}", headers={"Sec-WebSocket-Protocol": "bearer"})
        assert socket.connect() == {**OPENED, "headers": ANSWERED}

    def test_as_a_subprotocol_comes_before_the_query_and_that_before_the_cookie(self, door: Door) -> None:
        anna, bert, carl = a_user(), a_user(), a_user()
        query = f"&token={a_login_of(bert)}"
        headers = with_cookie(cookie_of(a_login_of(carl)))
        first = door(a_login_of(anna), query=query, headers=headers).opened()
        second = door(query=query, headers=headers).opened()
        third = door(headers=headers).opened()
        owners = [row_of(socket)["user_id"] for socket in (first, second, third)]
        assert owners == [anna.id, bert.id, carl.id]

    def test_that_is_bad_is_not_made_good_by_one_that_comes_after(self, door: Door, token: str) -> None:
        headers = with_cookie(cookie_of(token))
        assert is_refused(door("not.a.token", query=f"&token={token}", headers=headers), 401)
        assert is_refused(door(query="&token=not.a.token", headers=headers), 401)

    def test_of_a_cookie_is_good_for_nothing_but_the_cookie(self, door: Door, token: str, api: Api) -> None:
        cookie = cookie_of(token)
        assert is_refused(door(cookie), 401)
        assert is_refused(door(query=f"&token={cookie}"), 401)
        assert is_refused(door(headers=with_cookie(token)), 401)

    @pytest.mark.parametrize("spelled", [str.lower, str.upper, str.title])
    def test_is_found_however_headers_are_spelled(
        self, spelled: Callable[[str], str], door: Door, token: str
    ) -> None:
        protocol = {spelled("Sec-WebSocket-Protocol"): f"bearer,{token}"}
        assert door(headers=protocol).connect() == {**OPENED, "headers": ANSWERED}
        cookie = {spelled(name): value for name, value in with_cookie(cookie_of(token)).items()}
        assert door(headers=cookie).connect() == OPENED
        evil = {spelled("Origin"): "https://evil.example"}
        assert is_refused(door(token, headers=evil), 403)

    @pytest.mark.parametrize("bad", ["", "x", "not.a.token", "я.ю.э", "a" * 5_000])
    def test_that_is_none_is_refused(self, bad: str, door: Door) -> None:
        assert is_refused(door(headers={"Sec-WebSocket-Protocol": f"bearer, {bad}"}), 401)
        assert is_refused(door(headers=with_cookie(bad)), 401)

    def test_has_to_be_there(self, door: Door) -> None:
        assert is_refused(door(), 401)
        assert is_refused(door(query="&token="), 401)
        assert is_refused(door(headers={"Origin": OURS, "Cookie": "ws_token"}), 401)
        assert is_refused(door(headers={"Sec-WebSocket-Protocol": "bearer"}), 401)

    def test_A7_has_to_be_ours_and_of_today(self, door: Door, token: str) -> None:
        claims = auth.read_token(token)
        mine = {"sub": claims.user_id, "sid": str(claims.login_id)}
        past = datetime.now(UTC) - timedelta(seconds=1)
        assert door(signed(mine)).connect()["statusCode"] == 200, "only the forgery may be what is refused"
        for forged in (signed(mine, key=b"k" * 32), signed({**mine, "exp": past}), token[:-2]):
            assert is_refused(door(forged), 401)
            assert is_refused(door(query=f"&token={forged}"), 401)

    def test_A10_ends_with_its_log_in(self, door: Door, token: str, user: User, api: Api) -> None:
        client, cookie = api(user), cookie_of(token)
        client.token = token
        assert client.post("/api/auth/logout").status == 204
        assert is_refused(door(token), 401)
        assert is_refused(door(headers=with_cookie(cookie)), 401)
        assert door(a_login_of(user)).connect()["statusCode"] == 200

    def test_A10_of_somebody_who_was_deactivated_is_refused(
        self, door: Door, token: str, user: User, session: Session
    ) -> None:
        session.execute(update(User).where(User.id == user.id).values(is_active=False))
        session.commit()
        assert is_refused(door(token), 401)

    def test_A10_of_somebody_who_is_gone_is_refused(
        self, door: Door, token: str, user: User, session: Session
    ) -> None:
        session.execute(delete(User).where(User.id == user.id))
        session.commit()
        assert is_refused(door(token), 401)


FOREIGN = (
    "https://evil.example",
    "null",
    "",
    "https://app.example.com.evil.example",
    "https://evil-app.example.com",
    "https://evilapp.example.com",
    "https://app.example.com:8443",
    "http://app.example.com",
    "https://example.com",
    "*",
)


class TestF2TheOrigin:
    @pytest.mark.parametrize("origin", [None, *FOREIGN])
    def test_has_to_be_ours_where_the_cookie_is_all_there_is(
        self, origin: str | None, door: Door, token: str
    ) -> None:
        assert is_refused(door(headers=with_cookie(cookie_of(token), origin)), 403)

    @pytest.mark.parametrize("origin", FOREIGN)
    def test_may_not_be_foreign_even_with_a_token(self, origin: str, door: Door, token: str) -> None:
        assert is_refused(door(token, headers={"Origin": origin}), 403)
        assert is_refused(door(query=f"&token={token}", headers={"Origin": origin}), 403)

    @pytest.mark.parametrize("headers", [{}, {"Origin": OURS}])
    def test_may_be_ours_or_none_with_a_token(self, headers: dict[str, str], door: Door, token: str) -> None:
        assert door(token, headers=headers).connect()["statusCode"] == 200
        assert door(query=f"&token={token}", headers=headers).connect()["statusCode"] == 200


class TestTheSession:
    @pytest.mark.parametrize("key", ["", "k" * 129, "💃" * 129, "a\0b"])
    def test_has_a_key_of_1_to_128_characters(self, key: str, door: Door, token: str) -> None:
        assert is_refused(door(token, session_id=key), 422)

    def test_has_to_be_named(self, token: str, environment: None) -> None:
        from ws.routes import handler

        event = connect_event("", {"Sec-WebSocket-Protocol": f"bearer, {token}"})
        assert handler(event, CONTEXT) == {"statusCode": 422}

    @pytest.mark.parametrize("key", ["k", "k" * 128, "💃" * 128, "урок №1 / тема?&=#", "\u202eкот\n", " "])
    def test_key_is_any_text_and_said_with_every_frame(self, key: str, door: Door, token: str) -> None:
        socket = door(token, session_id=key).opened()
        assert row_of(socket)["session_id"] == key
        [pong] = socket.send({"type": "ping"})
        assert (pong["type"], pong["session_id"]) == ("pong", key)

    def test_is_shown_on_the_chat_channel_unless_another_is_named(self, token: str, door: Door) -> None:
        from ws.routes import handler

        socket = door()
        headers = {"Sec-WebSocket-Protocol": f"bearer, {token}"}
        event = connect_event(f"session_id={KEY}", headers, connection=socket.connection)
        assert handler(event, CONTEXT)["statusCode"] == 200
        assert row_of(socket)["channel"] == "chat"
        assert row_of(door(token, channel="switch").opened())["channel"] == "switch"

    @pytest.mark.parametrize("channel", ["", "Chat", "both", "chat,switch", "чат"])
    def test_has_no_other_channels(self, channel: str, door: Door, token: str) -> None:
        assert is_refused(door(token, channel=channel), 422)


class TestWhatIsRemembered:
    def test_F4_F6_is_whose_it_is_where_and_for_how_long_but_no_token(
        self, door: Door, token: str, user: User
    ) -> None:
        before = datetime.now(UTC)
        socket = door(token).opened()
        row, claims = row_of(socket), auth.read_token(token)
        connected_at = datetime.fromisoformat(row["connected_at"])
        assert before <= connected_at <= datetime.now(UTC)
        assert row == {
            "connection_id": socket.connection.id,
            "user_id": user.id,
            "session_id": KEY,
            "room": hashlib.sha256(f"{user.id}\0{KEY}".encode()).hexdigest(),
            "channel": "chat",
            "login_id": str(claims.login_id),
            "token_expires_at": claims.expires_at.isoformat(),
            "connected_at": row["connected_at"],
            "expires_at": str(int(connected_at.timestamp()) + (2 * 60 + 10) * 60),
        }
        assert not [part for part in token.split(".") if part in json.dumps(row)]

    def test_F4_two_users_with_one_key_are_in_two_rooms(self, door: Door, token: str) -> None:
        mine, theirs = door(token).opened(), door(a_login_of(a_user())).opened()
        assert row_of(mine)["room"] != row_of(theirs)["room"]

    def test_D8_F1_is_no_secret_in_the_logs_either(self, door: Door, token: str, logged: io.StringIO) -> None:
        cookie = cookie_of(token)
        door(token).opened()
        door(query=f"&token={token}").opened()
        door(headers=with_cookie(cookie)).opened()
        door(cookie).connect()
        door(query=f"&token={token}", headers={"Origin": "https://evil.example"}).connect()
        with no_database():
            door(token).connect()
        lines = logged.getvalue()
        assert ("socket opened" in lines, "socket refused" in lines) == (True, True)
        assert not [part for part in (*token.split("."), *cookie.split(".")) if part in lines]


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What the functions log meanwhile."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logger.registered_formatter)
    logger.addHandler(handler)
    yield written
    logger._logger.removeHandler(handler)


class TestF5TheEleventhSocket:
    def test_closes_the_oldest_and_nothing_else(
        self, door: Door, user: User, switchboard: Switchboard
    ) -> None:
        strangers = door(a_login_of(a_user())).opened()
        tokens = [a_login_of(user), a_login_of(user)]
        places = [{"session_id": f"k{n % 3}", "channel": ("chat", "switch")[n % 2]} for n in range(11)]
        sockets = [door(tokens[n % 2], **place).opened() for n, place in enumerate(places[:10])]
        assert switchboard.closed == set()
        sockets.append(door(tokens[0], **places[10]).opened())
        assert switchboard.closed == {sockets[0].connection.id}
        assert [bool(row_of(socket)) for socket in sockets] == [False] + [True] * 10
        assert row_of(strangers)

    def test_does_not_count_those_that_left(self, door: Door, token: str, switchboard: Switchboard) -> None:
        sockets = [door(token).opened() for _ in range(10)]
        sockets[5].disconnect()
        switchboard.closed.clear()
        door(token).opened()
        assert switchboard.closed == set()


class TestTheEnd:
    def test_deletes_exactly_that_row_and_may_come_twice(self, door: Door, token: str) -> None:
        gone, kept = door(token).opened(), door(token).opened()
        gone.disconnect()
        gone.disconnect()
        assert (bool(row_of(gone)), bool(row_of(kept))) == (False, True)

    def test_of_a_socket_that_nobody_knows_is_no_trouble(self, environment: None) -> None:
        from ws.routes import handler

        assert handler(disconnect_event(), CONTEXT) == OPENED


class TestG9Outages:
    def test_without_dynamodb_no_socket_opens_but_courses_go_on(
        self, door: Door, token: str, user: User, api: Api, model: ScriptedModel
    ) -> None:
        model.reset()
        learner = Learner(api(user))
        with no_dynamodb():
            assert door(token).connect() == {"statusCode": 503}
            assert learner.say().status == 200
            assert learner.finalize().status == 200
        assert learner.track()["status"] == "active"
        assert door(token).connect()["statusCode"] == 200

    def test_without_dynamodb_the_end_of_a_socket_is_no_trouble(self, door: Door, token: str) -> None:
        socket = door(token).opened()
        with no_dynamodb():
            socket.disconnect()

    def test_without_the_database_no_socket_opens(self, door: Door, token: str) -> None:
        socket = door(token)
        with no_database():
            assert socket.connect() == {"statusCode": 503}
        assert not row_of(socket)
