"""Tokens: forged, old, reused and ended ones."""

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from academy import auth, config, crypto
from academy.errors import Unauthorized
from academy.models import Login, RefreshToken, User
from dev import postgres
from tests.canaries import SECRET
from tests.client import Client, Reply
from tests.conftest import Api
from tests.factories import a_login_of
from tests.races import at_once, waiting_for_locks
from tests.replies import eventually
from tests.sockets import Socket, Switchboard

CLAIMS: dict[str, Any] = {"iss": "academy", "aud": "api", "jti": "j"}


def refresh(client: Client, token: str) -> Reply:
    return client.post("/api/auth/refresh", {"refresh_token": token})


def guest_tokens(api: Api) -> dict[str, Any]:
    return dict(api().post("/api/auth/guest-login").body)


def signed(
    changes: dict[str, Any],
    *,
    key: bytes | None = None,
    headers: dict[str, Any] | None = None,
    algorithm: str = "HS256",
) -> str:
    """A token like ours with something changed; `None` leaves a claim out."""
    now = datetime.now(UTC)
    claims = {**CLAIMS, "iat": now, "exp": now + timedelta(hours=1), **changes}
    kept = {name: value for name, value in claims.items() if value is not None}
    secret = crypto.secrets()[0]
    ours = {"typ": "at+jwt", "kid": crypto.key_id(secret).hex()}
    return jwt.encode(
        kept, key or crypto.derive(secret, "token"), algorithm, headers={**ours, **(headers or {})}
    )


def unsigned(mine: dict[str, Any], header: dict[str, Any]) -> str:
    claims = {**CLAIMS, "iat": 1_700_000_000, "exp": 9_000_000_000, **mine}
    return f"{encoded({'typ': 'at+jwt', **header})}.{encoded(claims)}."


def altered(token: str, **claims: Any) -> str:
    """The same header and signature over other claims."""
    header, payload, signature = token.split(".")
    said = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return f"{header}.{encoded({**said, **claims})}.{signature}"


def doubled(mine: dict[str, Any], key: bytes) -> str:
    """A token that says everything twice, first about somebody else."""
    first, second = (json.dumps(claims)[1:-1] for claims in ({**mine, "sub": "somebody"}, mine))
    header = {"typ": "at+jwt", "kid": crypto.key_id(crypto.secrets()[0]).hex()}
    return jwt.api_jws.encode(f"{{{first}, {second}}}".encode(), key, "HS256", headers=header)


def encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


@pytest.mark.usefixtures("environment")
class TestA7Forgeries:
    def claims_of(self, user: User) -> dict[str, Any]:
        """What a token that opens this account says: only the forgery is wrong about what follows."""
        return {"sub": user.id, "sid": str(auth.read_token(a_login_of(user)).login_id)}

    def forged(self, mine: dict[str, Any]) -> Iterator[str]:
        jwk = {"kty": "oct", "k": base64.urlsafe_b64encode(b"k" * 32).decode()}
        yield ""
        yield "a.b.c"
        yield "x" * 100_000
        yield unsigned(mine, {"alg": "none"})
        yield unsigned(mine, {"alg": "none", "kid": crypto.key_id(crypto.secrets()[0]).hex()})
        yield unsigned(mine, {"alg": "HS256", "kid": crypto.key_id(crypto.secrets()[0]).hex()})
        yield unsigned(mine, {"alg": "RS256", "jku": "https://evil.example/keys"})
        yield signed(mine, algorithm="HS384", key=(b"k" * 48))
        yield signed(mine) + ".e30"
        yield doubled(mine, key=b"k" * 32)
        yield altered(signed({**mine, "sub": "somebody"}), **mine)
        yield signed(mine, key=b"k" * 32, headers={"jwk": jwk})
        yield signed(mine, key=b"k" * 32)
        yield signed(mine, key=SECRET.encode())
        yield signed(mine, headers={"kid": "../../dev/null"})
        yield signed(mine, headers={"kid": "' OR 1=1 --"})
        yield signed(mine, headers={"kid": ""})
        yield signed(mine, headers={"kid": "ключ"})
        yield auth.issue_token(mine["sub"], UUID(mine["sid"]), audience="ws")
        yield signed(mine, headers={"typ": "JWT"})
        yield signed(mine, headers={"typ": "ws+jwt"})
        yield signed({**mine, "iss": "somebody"})
        yield signed({**mine, "aud": "ws"})
        yield signed({**mine, "exp": None})
        yield signed({**mine, "exp": 10**30})
        yield signed({**mine, "exp": "tomorrow"})
        yield signed({**mine, "iat": datetime.now(UTC) + timedelta(hours=1)})
        yield signed({**mine, "sub": 7})
        yield signed({**mine, "sid": None})
        yield signed({**mine, "sid": "no uuid"})
        yield signed({**mine, "jti": None})
        yield signed({**mine, "nbf": datetime.now(UTC) + timedelta(hours=1)})
        yield signed({**mine, "exp": datetime.now(UTC) - timedelta(minutes=1)})
        yield signed(mine, headers={"crit": ["exp"]})

    def test_A7_none_of_them_opens_anything(self, api: Api, user: User) -> None:
        forged = list(self.forged(self.claims_of(user)))
        statuses = [Client(token=token or " ").get("/api/auth/me").status for token in forged]
        assert len(forged) >= 20
        assert [token[:99] for token, status in zip(forged, statuses, strict=True) if status != 401] == []

    def test_A7_nor_any_socket(self, switchboard: Switchboard, user: User) -> None:
        for token in filter(None, self.forged(self.claims_of(user))):
            assert Socket(switchboard, token).connect()["statusCode"] == 401, token[:99]

    def test_A7_the_same_token_without_a_forgery_does(self, api: Api, user: User) -> None:
        assert Client(token=signed(self.claims_of(user))).get("/api/auth/me").status == 200

    def test_A7_a_refresh_token_is_no_access_token(self, api: Api) -> None:
        assert Client(token=guest_tokens(api)["refresh_token"]).get("/api/auth/me").status == 401


@contextmanager
def secrets(monkeypatch: pytest.MonkeyPatch, newest: str, previous: str | None) -> Iterator[None]:
    with monkeypatch.context() as environment:
        environment.setenv("SECRET_KEY", newest)
        environment.setenv("SECRET_KEY_PREVIOUS", previous or "")
        config.settings.cache_clear()
        try:
            yield
        finally:
            config.settings.cache_clear()


def test_A8_an_old_key_reads_until_it_is_retired(
    api: Api, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = api(user)
    newer = "the newer secret key of the tests"
    with secrets(monkeypatch, newer, SECRET):
        assert client.get("/api/auth/me").status == 200
        signed_anew = api(user)
        assert signed_anew.get("/api/auth/me").status == 200
    with secrets(monkeypatch, newer, None):
        assert client.get("/api/auth/me").status == 401
        assert signed_anew.get("/api/auth/me").status == 200


def test_A8_a_short_key_does_not_start(monkeypatch: pytest.MonkeyPatch, environment: None) -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"), secrets(monkeypatch, "short", None):
        config.settings()


class TestA9Refreshing:
    def test_A9_each_token_brings_the_next(self, api: Api) -> None:
        first = guest_tokens(api)
        second = refresh(api(), first["refresh_token"])
        assert (second.status, second.body["user"]) == (200, first["user"])
        assert second.body["refresh_token"] != first["refresh_token"]
        assert refresh(api(), second.body["refresh_token"]).status == 200
        assert Client(token=second.body["access_token"]).get("/api/auth/me").status == 200

    def test_A9_a_lost_answer_can_be_had_again(self, api: Api) -> None:
        first = guest_tokens(api)["refresh_token"]
        lost, again = refresh(api(), first), refresh(api(), first)
        assert lost.body["refresh_token"] == again.body["refresh_token"]

    def test_A9_a_used_token_that_comes_late_ends_its_family(self, api: Api, session: Session) -> None:
        first = guest_tokens(api)["refresh_token"]
        second = refresh(api(), first).body
        long_ago = datetime.now(UTC) - timedelta(seconds=11)
        session.execute(
            update(RefreshToken).where(RefreshToken.used_at.is_not(None)).values(used_at=long_ago)
        )
        session.commit()
        assert refresh(api(), first).code == "refresh_reused"
        assert refresh(api(), second["refresh_token"]).status == 401
        assert Client(token=second["access_token"]).get("/api/auth/me").status == 401

    def test_A9_ten_seconds_are_not_late(self, api: Api, session: Session) -> None:
        first = guest_tokens(api)["refresh_token"]
        second = refresh(api(), first).body["refresh_token"]
        just_now = func.now() - timedelta(seconds=10)
        session.execute(
            update(RefreshToken).where(RefreshToken.used_at.is_not(None)).values(used_at=just_now)
        )
        session.commit()
        assert refresh(api(), first).body["refresh_token"] == second

    def test_A9_a_token_whose_successor_was_used_has_been_stolen(self, api: Api) -> None:
        first = guest_tokens(api)["refresh_token"]
        second = refresh(api(), first).body["refresh_token"]
        third = refresh(api(), second).body["refresh_token"]
        assert refresh(api(), first).code == "refresh_reused"
        assert refresh(api(), third).status == 401

    def test_A9_another_log_in_of_the_same_user_lives_on(self, api: Api, session: Session) -> None:
        tokens = guest_tokens(api)
        elsewhere = api(session.get_one(User, tokens["user"]["id"]))
        first = tokens["refresh_token"]
        refresh(api(), refresh(api(), first).body["refresh_token"])
        assert refresh(api(), first).code == "refresh_reused"
        assert Client(token=tokens["access_token"]).get("/api/auth/me").status == 401
        assert elsewhere.get("/api/auth/me").status == 200

    @pytest.mark.parametrize("kind", [RefreshToken, Login])
    def test_A9_an_idle_token_and_an_old_log_in_are_over(
        self, api: Api, session: Session, kind: type[RefreshToken] | type[Login]
    ) -> None:
        tokens = guest_tokens(api)
        session.execute(update(kind).values(expires_at=func.now()))
        session.commit()
        assert refresh(api(), tokens["refresh_token"]).code == "bad_refresh_token"

    def test_A9_a_deactivated_account_has_no_more_tokens(self, api: Api, session: Session) -> None:
        tokens = guest_tokens(api)
        session.execute(update(User).values(is_active=False))
        session.commit()
        assert refresh(api(), tokens["refresh_token"]).code == "bad_refresh_token"

    def test_who_waits_for_the_account_holds_nothing_else(
        self, committed: None, database: postgres.Server
    ) -> None:
        """As whoever upgrades or deletes it waits: two that lock in different orders wait for each other."""
        tokens = Client().post("/api/auth/guest-login").body
        with database.connect() as other, ThreadPoolExecutor(1) as pool:
            with other.transaction():
                other.execute("SELECT FROM users FOR UPDATE")
                waiting = pool.submit(
                    at_once, lambda token: refresh(Client(), token), [tokens["refresh_token"]]
                )
                eventually(lambda: waiting_for_locks(other))
                other.execute("SELECT FROM refresh_tokens FOR UPDATE NOWAIT")
                other.execute("SELECT FROM logins FOR UPDATE NOWAIT")
            assert [reply.status for reply in waiting.result()] == [200]

    def test_A9_twenty_at_once_rotate_once(self, committed: None) -> None:
        first = Client().post("/api/auth/guest-login").body["refresh_token"]
        replies = at_once(lambda _: refresh(Client(), first), range(20))
        assert {reply.status for reply in replies} == {200}
        assert len({reply.body["refresh_token"] for reply in replies}) == 1

    def test_only_its_hash_is_kept(self, api: Api, session: Session) -> None:
        token = guest_tokens(api)["refresh_token"]
        [stored] = session.scalars(select(RefreshToken.token_hash)).all()
        assert token.encode() not in stored

    @pytest.mark.parametrize("token", ["", "unknown", "я", "x" * 200])
    def test_an_unknown_token_is_refused(self, api: Api, token: str) -> None:
        assert refresh(api(), token).status == 401


class TestToTheMicrosecond:
    """A transaction has one `now`, and so has a test: what ends now has ended."""

    def test_A7_a_token_has_ended_when_its_time_has_come(self, user: User, session: Session) -> None:
        claims = auth.read_token(a_login_of(user))
        now = session.scalar(select(func.now()))
        assert now
        for seconds, is_good in ((0, False), (1, True)):
            ending = replace(claims, expires_at=now + timedelta(seconds=seconds))
            with nullcontext() if is_good else pytest.raises(Unauthorized):
                assert auth.user_of(session, ending).id == user.id

    @pytest.mark.parametrize("kind", [User, Login])
    def test_A10_an_account_and_a_log_in_have(
        self, api: Api, user: User, session: Session, kind: type[User] | type[Login]
    ) -> None:
        client = api(user)
        for at, status in ((func.now() + timedelta(seconds=1), 200), (func.now(), 401)):
            session.execute(update(kind).values(expires_at=at))
            session.commit()
            assert client.get("/api/auth/me").status == status

    def test_A9_an_account_has_for_its_refresh_token_too(self, api: Api, session: Session) -> None:
        token = guest_tokens(api)["refresh_token"]
        session.execute(update(User).values(expires_at=func.now()))
        session.commit()
        assert refresh(api(), token).code == "bad_refresh_token"


class TestA10LoggingOut:
    def test_A10_a_log_out_is_immediate_and_for_this_log_in_alone(self, api: Api, user: User) -> None:
        here, there = api(user), api(user)
        reply = here.post("/api/auth/logout")
        assert reply.status == 204
        assert reply.cookies[0].startswith('ws_token=""')
        assert (here.get("/api/auth/me").status, there.get("/api/auth/me").status) == (401, 200)

    def test_A10_logging_out_everywhere_ends_every_log_in(self, api: Api, user: User) -> None:
        here, there = api(user), api(user)
        assert here.post("/api/auth/logout-all").status == 204
        assert (here.get("/api/auth/me").status, there.get("/api/auth/me").status) == (401, 401)

    def test_A10_a_log_out_ends_the_refresh_token_too(self, api: Api) -> None:
        tokens = guest_tokens(api)
        Client(token=tokens["access_token"]).post("/api/auth/logout")
        assert refresh(api(), tokens["refresh_token"]).status == 401


def test_A10_the_sockets_token_ends_with_its_log_in(api: Api, user: User, session: Session) -> None:
    client = api(user)
    login_id = auth.read_token(client.token or "").login_id
    claims = auth.read_token(auth.issue_token(user.id, login_id, audience="ws"), audience="ws")
    assert auth.user_of(session, claims).id == user.id
    client.post("/api/auth/logout")
    with pytest.raises(Unauthorized):
        auth.user_of(session, claims)
