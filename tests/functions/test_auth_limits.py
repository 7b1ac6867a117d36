"""How often: per account always, per network address unless it is switched off."""

from datetime import timedelta
from hashlib import sha256

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from academy import auth, aws, config, throttle
from academy.models import Throttle
from auth import service
from tests.client import Client, Reply
from tests.conftest import Api
from tests.factories import PASSWORD, a_user
from tests.hashes import counted
from tests.races import at_once

GUESS = {"email": "anna@example.com", "password": "a wrong guess"}


def test_A11_the_31st_guest_of_an_hour_waits(api: Api, session: Session) -> None:
    statuses = [api().post("/api/auth/guest-login").status for _ in range(30)]
    assert set(statuses) == {200}
    reply = api().post("/api/auth/guest-login")
    assert (reply.status, reply.code) == (429, "rate_limited")
    assert 1 <= int(reply.headers["retry-after"]) <= 3600
    assert Client(address="198.51.100.1").post("/api/auth/guest-login").status == 200
    session.execute(update(Throttle).values(window_ends_at=Throttle.window_ends_at - timedelta(hours=1)))
    session.commit()
    assert api().post("/api/auth/guest-login").status == 200


def test_A5_the_11th_registration_of_an_hour_waits(api: Api) -> None:
    account = {"password": PASSWORD, "first_name": "Анна", "last_name": "Петрова"}
    emails = [f"anna{number}@example.com" for number in range(11)]
    replies = [api().post("/api/auth/register", {**account, "email": email}) for email in emails]
    assert [reply.status for reply in replies] == [201] * 10 + [429]
    assert replies[-1].code == "rate_limited"
    assert int(replies[-1].headers["retry-after"]) >= 1


def test_A6_what_a_header_claims_changes_nothing(api: Api) -> None:
    for number in range(30):
        api().post("/api/auth/guest-login", x_forwarded_for=f"192.0.2.{number}")
    assert api().post("/api/auth/guest-login", x_forwarded_for="192.0.2.99").status == 429


def test_an_address_that_cloudfront_vouches_for_is_believed(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = aws.client("secretsmanager").create_secret(Name="front-door", SecretString="the key")["ARN"]
    monkeypatch.setenv("FRONT_DOOR_KEY_ARN", arn)
    config.settings.cache_clear()
    try:
        for number in range(30):
            come = {"x_viewer_address": f"192.0.2.{number}", "x_front_door_key": "the key"}
            assert api().post("/api/auth/guest-login", **come).status == 200
        come["x_front_door_key"] = "a guess"
        assert {api().post("/api/auth/guest-login", **come).status for _ in range(31)} == {200, 429}
        assert api().post("/api/auth/guest-login", x_viewer_address="192.0.2.99").status == 429
    finally:
        monkeypatch.undo()
        config.settings.cache_clear()


def test_addresses_count_nothing_where_that_is_switched_off(api: Api, per_account_only: None) -> None:
    assert {api().post("/api/auth/guest-login").status for _ in range(31)} == {200}


def test_A6_the_sixth_wrong_password_waits_even_there(api: Api, per_account_only: None) -> None:
    a_user(email="anna@example.com", password_hash=auth.hash_password(PASSWORD))
    assert {api().post("/api/auth/login", GUESS).status for _ in range(5)} == {401}
    with counted() as hashes:
        reply = api().post("/api/auth/login", {**GUESS, "password": PASSWORD})
    assert (reply.status, reply.code, hashes.verified) == (429, "rate_limited", 0)
    assert int(reply.headers["retry-after"]) >= 1
    elsewhere = Client(address="198.51.100.1")
    assert elsewhere.post("/api/auth/login", {**GUESS, "password": PASSWORD}).status == 200


def test_A6_the_right_password_forgives_the_wrong_ones(api: Api) -> None:
    a_user(email="anna@example.com", password_hash=auth.hash_password(PASSWORD))
    for _ in range(3):
        for _ in range(4):
            assert api().post("/api/auth/login", GUESS).status == 401
        assert api().post("/api/auth/login", {**GUESS, "password": PASSWORD}).status == 200


def test_A6_a_right_password_forgives_nobody_elses_wrong_ones(api: Api) -> None:
    a_user(email="anna@example.com", password_hash=auth.hash_password(PASSWORD))
    others = {**GUESS, "email": "bert@example.com"}
    assert [api().post("/api/auth/login", others).status for _ in range(6)] == [401] * 5 + [429]
    assert api().post("/api/auth/login", {**GUESS, "password": PASSWORD}).status == 200
    assert api().post("/api/auth/login", others).status == 429


def test_A6_the_21st_log_in_of_a_minute_waits_whoever_it_is_for(api: Api) -> None:
    guesses = [{**GUESS, "email": f"anna{number}@example.com"} for number in range(21)]
    statuses = [api().post("/api/auth/login", guess).status for guess in guesses]
    assert statuses == [401] * 20 + [429]


@pytest.mark.usefixtures("committed", "patience", "per_account_only")
def test_A6_of_a_hundred_guesses_at_once_five_reach_the_hash() -> None:
    def guess(_: int) -> tuple[int, bool, int]:
        with counted() as hashes:
            reply = Client().post("/api/auth/login", GUESS)
        return reply.status, "retry-after" in reply.headers, hashes.verified

    answers = at_once(guess, range(100))
    assert (answers.count((401, False, 1)), answers.count((429, True, 0))) == (5, 95)


def test_A6_after_five_guesses_each_takes_twice_as_long_as_the_one_before(
    api: Api, session: Session, per_account_only: None
) -> None:
    assert {guess_from().status for _ in range(5)} == {401}
    waits = []
    for _ in range(9):
        refused = [guess_from() for _ in range(3)]
        assert {reply.code for reply in refused} == {"rate_limited"}
        [wait] = {int(reply.headers["retry-after"]) for reply in refused}
        pass_time(session, timedelta(seconds=wait))
        assert guess_from().status == 401
        waits.append(wait)
    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_A6_guesses_are_forgotten_when_there_were_none_for_long_enough(
    api: Api, session: Session, per_account_only: None
) -> None:
    assert [guess_from().status for _ in range(6)] == [401] * 5 + [429]
    pass_time(session, service.GUESSES.window + timedelta(seconds=30))
    assert [guess_from().status for _ in range(6)] == [401] * 5 + [429]


@pytest.mark.parametrize(
    ("here", "same", "other"),
    [
        ("203.0.113.7", "203.0.113.250", "203.0.114.7"),
        ("2001:db8:1:2::7", "2001:db8:1:2:ffff::1", "2001:db8:1:3::7"),
    ],
)
def test_A6_a_network_guesses_as_one_and_keeps_nobody_else_out(
    here: str, same: str, other: str, api: Api, per_account_only: None
) -> None:
    a_user(email="anna@example.com", password_hash=auth.hash_password(PASSWORD))
    assert {guess_from(here).status for _ in range(5)} == {401}
    assert guess_from(same).status == 429
    assert guess_from(other, PASSWORD).status == 200


def test_A6_an_account_is_guessed_a_hundred_times_an_hour_from_everywhere(
    api: Api, session: Session, per_account_only: None
) -> None:
    assert guess_from("192.0.2.1").status == 401
    everywhere = throttle._key(service.GUESSES_FROM_ANYWHERE, GUESS["email"])
    session.execute(update(Throttle).where(Throttle.key == everywhere).values(count=99))
    session.commit()
    assert guess_from("198.51.100.1").status == 401
    with counted() as hashes:
        reply = guess_from("203.0.113.1")
    assert (reply.status, hashes.verified) == (429, 0)
    assert 1 <= int(reply.headers["retry-after"]) <= 3600


def test_A6_what_is_counted_tells_neither_address_nor_account(api: Api, session: Session) -> None:
    guess_from()
    keys = session.scalars(select(Throttle.key)).all()
    # By address, by account and network, by account.
    assert [len(key) for key in keys] == [32] * 3
    plain = ("203.0.113.7", "203.0.113.0/24", GUESS["email"], f"{GUESS['email']} 203.0.113.0/24")
    assert not {sha256(text.encode()).digest() for text in plain} & set(keys)


def guess_from(address: str = "203.0.113.7", password: str = GUESS["password"]) -> Reply:
    return Client(address=address).post("/api/auth/login", {**GUESS, "password": password})


def pass_time(session: Session, time: timedelta) -> None:
    session.execute(update(Throttle).values(window_ends_at=Throttle.window_ends_at - time))
    session.commit()
