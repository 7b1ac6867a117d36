"""Accounts: registering, logging in, guests who stay, and leaving."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unicodedata import normalize

import pytest
from argon2 import PasswordHasher
from sqlalchemy import Connection, func, select
from sqlalchemy.orm import Session

from academy import auth
from academy.models import Base, User
from auth import passwords
from dev import postgres
from tests.client import Client, Reply
from tests.conftest import Api, client_of
from tests.factories import PASSWORD, a_course, a_guest, a_user
from tests.hashes import counted
from tests.races import at_once, waiting_for_locks
from tests.replies import eventually

PASSING = {"logins", "refresh_tokens", "throttles", "idempotency_keys"}
ACCOUNT = {"email": "Anna@Example.com", "password": PASSWORD, "first_name": "Анна", "last_name": "Петрова"}


def register(client: Client, **changes: Any) -> Reply:
    return client.post("/api/auth/register", {**ACCOUNT, **changes})


def log_in(client: Client, password: str = PASSWORD, email: str = "anna@example.com") -> Reply:
    return client.post("/api/auth/login", {"email": email, "password": password})


@contextmanager
def locked(database: postgres.Server, user: User) -> Iterator[None]:
    """Nobody can change this user inside the block; everybody can read it."""
    with database.connect() as connection, connection.transaction():
        connection.execute("SELECT 1 FROM users WHERE id = %s FOR UPDATE", [user.id])
        yield


def wait_for_locked(database: postgres.Server, callers: int) -> None:
    """Returns once so many transactions wait for somebody's lock."""
    with database.connect() as connection:
        eventually(lambda: waiting_for_locks(connection) == callers)


def owned_rows(session: Session) -> dict[str, int]:
    """How many rows each table has, but for those of log-ins and of limits."""
    kept = [table for table in Base.metadata.sorted_tables if table.name not in PASSING]
    return {table.name: session.scalar(select(func.count()).select_from(table)) or 0 for table in kept}


class TestRegister:
    def test_it_answers_with_tokens_and_the_user(self, api: Api) -> None:
        reply = register(api())
        assert reply.status == 201
        assert (reply.body["token_type"], reply.body["expires_in"]) == ("bearer", 3600)
        user = reply.body["user"]
        assert (user["email"], user["role"]) == ("Anna@Example.com", "student")
        assert (user["is_active"], user["is_guest"]) == (True, False)
        assert (user["first_name"], user["last_name"]) == ("Анна", "Петрова")
        assert (user["name"], user["lastname"]) == ("Анна", "Петрова")
        assert api().get("/api/auth/me").status == 401
        assert Client(token=reply.body["access_token"]).get("/api/auth/me").body == user

    def test_an_address_is_taken_in_any_case(self, api: Api) -> None:
        register(api())
        reply = register(api(), email="ANNA@example.com")
        assert (reply.status, reply.code) == (409, "email_taken")

    def test_A5_a_taken_address_costs_a_hash_too(self, api: Api) -> None:
        with counted() as free:
            assert register(api()).status == 201
        with counted() as taken:
            assert register(api()).status == 409
        assert (free.made, taken.made) == (1, 1)

    def test_of_two_with_one_address_one_wins(self, committed: None) -> None:
        replies = at_once(lambda name: register(Client(), first_name=name), ["Анна", "Ольга"])
        assert sorted(reply.status for reply in replies) == [201, 409]

    def test_a_user_id_is_ignored(self, api: Api, user: User) -> None:
        reply = register(api(), user_id=user.id)
        assert reply.status == 201
        assert reply.body["user"]["id"] != user.id

    def test_B4_a_role_cannot_be_chosen(self, api: Api) -> None:
        assert register(api(), role="admin").status == 422

    @pytest.mark.parametrize("email", ["", "x", "x@", "@x.com", "a b@x.com", "x@y..com"])
    def test_what_is_no_address_is_refused(self, api: Api, email: str) -> None:
        assert register(api(), email=email).status == 422

    @pytest.mark.parametrize(
        "password",
        ["password", "12345678", "anna@example.com", "Anna@Example.com", "anna2026!", "academy2026"],
    )
    def test_A3_a_password_that_somebody_would_guess_is_weak(self, api: Api, password: str) -> None:
        reply = register(api(), password=password)
        assert (reply.status, reply.code) == (422, "weak_password")

    def test_A3_the_list_of_common_passwords_holds_thousands_that_are_long_enough(self) -> None:
        assert len([password for password in passwords._common() if len(password) >= 8]) >= 3_000

    @pytest.mark.parametrize("password", ["1234567", "🔑🔑🔑", "x" * 1025])
    def test_A3_a_password_has_8_characters_and_1024_bytes(self, api: Api, password: str) -> None:
        assert register(api(), password=password).status == 422

    @pytest.mark.parametrize("password", ["x1" * 32, "🔑🗝️🚪🏠🌳🐈🎹🎨", "восемь б"])
    def test_A3_long_and_foreign_passwords_count_to_the_last_letter(self, api: Api, password: str) -> None:
        register(api(), password=password)
        assert log_in(api(), password).status == 200
        assert log_in(api(), password[:-1] + "?").status == 401

    def test_A3_a_password_is_the_same_however_its_letters_are_composed(self, api: Api) -> None:
        composed, decomposed = (normalize(form, "ломаный ключ") for form in ("NFC", "NFD"))
        assert composed != decomposed
        register(api(), password=composed)
        assert log_in(api(), decomposed).status == 200

    def test_A1_a_password_is_kept_as_argon2id(self, api: Api, session: Session) -> None:
        register(api())
        stored = session.scalars(select(User.password_hash)).one() or ""
        assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")

    @pytest.mark.usefixtures("environment")
    def test_A1_equal_passwords_have_different_hashes(self) -> None:
        assert len({auth.hash_password(PASSWORD) for _ in range(5)}) == 5


class TestLogin:
    def test_A4_a_wrong_password_and_an_unknown_address_sound_the_same(self, api: Api) -> None:
        register(api())
        wrong, unknown = log_in(api(), "not the one"), log_in(api(), email="nobody@example.com")
        assert wrong.status == unknown.status == 401
        assert {**wrong.body, "request_id": ""} == {**unknown.body, "request_id": ""}
        assert wrong.code == "bad_credentials"

    def test_A4_an_unknown_address_costs_as_many_verifications(self, api: Api) -> None:
        register(api())
        with counted() as wrong:
            assert log_in(api(), "not the one").status == 401
        with counted() as unknown:
            assert log_in(api(), email="nobody@example.com").status == 401
        assert (wrong.verified, unknown.verified) == (1, 1)

    def test_an_address_logs_in_in_any_case(self, api: Api) -> None:
        register(api())
        assert log_in(api(), email="ANNA@EXAMPLE.COM").status == 200

    def test_A1_an_old_hash_is_made_anew_by_a_login(self, api: Api, session: Session) -> None:
        weak = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
        user = a_user(email="anna@example.com", password_hash=weak)
        assert log_in(api()).status == 200
        stored = session.scalars(select(User.password_hash).where(User.id == user.id)).one() or ""
        assert "m=19456,t=2" in stored

    def test_A10_a_deactivated_account_is_out_at_once(self, api: Api, session: Session) -> None:
        token = register(api()).body["access_token"]
        session.execute(Base.metadata.tables["users"].update().values(is_active=False))
        session.commit()
        assert Client(token=token).get("/api/auth/me").status == 401
        assert log_in(api()).status == 401

    def test_a_stale_token_does_not_hinder_logging_in(self, api: Api) -> None:
        register(api())
        assert log_in(Client(token="stale.token.here")).status == 200

    @pytest.mark.parametrize(("proto", "secure"), [("https", True), ("http", False)])
    def test_a_cookie_for_sockets_comes_along(self, api: Api, proto: str, secure: bool) -> None:
        register(api())
        client = Client(scheme=proto)
        [cookie] = log_in(client).cookies
        parts = cookie.lower().split("; ")
        assert cookie.startswith("ws_token=")
        assert {"httponly", "samesite=strict", "path=/ws", "max-age=3600"} <= set(parts)
        assert ("secure" in parts) == secure

    def test_the_sockets_token_opens_nothing_else(self, api: Api) -> None:
        [cookie] = register(api()).cookies
        token = cookie.partition("=")[2].partition(";")[0]
        assert Client(token=token).get("/api/auth/me").status == 401
        assert auth.read_token(token, audience="ws").user_id


class TestGuests:
    def test_a_guest_is_a_user_without_an_address(self, api: Api) -> None:
        user = api().post("/api/auth/guest-login").body["user"]
        assert (user["is_guest"], user["email"]) == (True, None)
        assert user["id"].startswith("guest_")
        assert len(user["id"]) == len("guest_") + 32

    def test_A12_registering_keeps_id_and_data_and_ends_every_old_token(
        self, api: Api, session: Session
    ) -> None:
        first = api().post("/api/auth/guest-login").body
        guest = session.get_one(User, first["user"]["id"])
        a_course(guest)
        before = owned_rows(session)
        reply = register(Client(token=first["access_token"]))
        assert (reply.status, reply.body["user"]["id"]) == (201, guest.id)
        assert owned_rows(session) == before
        assert before["learning_tracks"] == before["users"] == 1
        assert Client(token=first["access_token"]).get("/api/auth/me").status == 401
        again = api().post("/api/auth/refresh", {"refresh_token": first["refresh_token"]})
        assert again.status == 401

    def test_A12_of_two_registrations_of_one_guest_one_wins(
        self, committed: None, database: postgres.Server, session_of_its_own: Session
    ) -> None:
        guest = a_guest()
        client = client_of(guest)
        emails = [f"anna{number}@example.com" for number in range(2)]
        with ThreadPoolExecutor(1) as pool, locked(database, guest):
            both = pool.submit(at_once, lambda email: register(client, email=email), emails)
            wait_for_locked(database, 2)
        replies = sorted(both.result(), key=lambda reply: reply.status)
        assert [reply.status for reply in replies] == [201, 409]
        assert replies[1].code == "already_registered"
        [account] = session_of_its_own.scalars(select(User)).all()
        assert (account.id, account.email) == (guest.id, replies[0].body["user"]["email"])

    def test_A12_a_guests_ended_token_makes_no_second_account(self, api: Api) -> None:
        client = api(a_guest())
        assert register(client).status == 201
        assert register(client, email="olga@example.com").status == 401

    def test_A11_a_guest_expires(self, api: Api) -> None:
        guest = a_guest()
        client = api(guest)
        assert client.get("/api/auth/me").status == 200
        expired = a_guest(expires_at=datetime.now(UTC) - timedelta(seconds=1))
        assert api(expired).get("/api/auth/me").status == 401

    def test_A11_expired_guests_make_room_for_new_ones(self, api: Api, session: Session) -> None:
        expired = a_guest(expires_at=datetime.now(UTC) - timedelta(days=1))
        alive = a_guest()
        api().post("/api/auth/guest-login")
        assert session.get(User, expired.id) is None
        assert session.get(User, alive.id) is not None

    def test_A11_who_is_a_guest_is_told_by_the_row_not_by_the_id(self, api: Api) -> None:
        token = api().post("/api/auth/guest-login").body["access_token"]
        account = Client(token=register(Client(token=token)).body["access_token"])
        key = account.post("/api/chat/sessions", {}).body["id"]
        assert account.put(f"/api/chat/sessions/{key}/status?status=paused").status == 200
        guest = api(a_guest())
        key = guest.post("/api/chat/sessions", {}).body["id"]
        assert guest.put(f"/api/chat/sessions/{key}/status?status=paused").code == "guest_forbidden"


class TestPasswordAndLeaving:
    def test_a_new_password_ends_all_other_logins(self, api: Api) -> None:
        here = Client(token=register(api()).body["access_token"])
        there = Client(token=log_in(api()).body["access_token"])
        body = {"current_password": PASSWORD, "new_password": "another battery"}
        assert here.put("/api/auth/password", body).status == 204
        assert (here.get("/api/auth/me").status, there.get("/api/auth/me").status) == (200, 401)
        assert (log_in(api()).status, log_in(api(), "another battery").status) == (401, 200)

    def test_a_new_password_needs_the_old_one(self, api: Api) -> None:
        here = Client(token=register(api()).body["access_token"])
        body = {"current_password": "not the one", "new_password": "another battery"}
        assert here.put("/api/auth/password", body).code == "bad_credentials"
        assert log_in(api()).status == 200

    def test_deleting_an_account_takes_everything_along(self, api: Api, transaction: Connection) -> None:
        reply = register(api())
        client = Client(token=reply.body["access_token"])
        client.post("/api/tracks", {"title": "Rust"})
        client.put("/api/ai/user-config", {"max_tokens": 100})
        assert client.delete("/api/auth/me", {"password": "not the one"}).status == 401
        assert client.delete("/api/auth/me", {"password": PASSWORD}).status == 204
        assert client.get("/api/auth/me").status == 401
        left = {
            table.name: count
            for table in Base.metadata.sorted_tables
            if (count := transaction.scalar(select(func.count()).select_from(table)))
        }
        assert left.keys() <= {"throttles"}

    def test_a_guest_leaves_without_a_password(self, api: Api) -> None:
        client = api(a_guest())
        assert client.delete("/api/auth/me").status == 204
        assert client.get("/api/auth/me").status == 401
