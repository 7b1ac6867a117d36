"""How often: per account always, per network address unless it is switched off."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from academy import auth, aws, config
from academy.models import Throttle
from tests.client import Client
from tests.conftest import Api
from tests.factories import PASSWORD, a_user
from tests.hashes import counted
from tests.races import at_once

GUESS = {"email": "anna@example.com", "password": "a wrong guess"}


@pytest.fixture
def per_account_only(monkeypatch: pytest.MonkeyPatch, environment: None) -> Iterator[None]:
    with monkeypatch.context() as changed:
        changed.setenv("THROTTLE_PER_ADDRESS", "off")
        config.settings.cache_clear()
        try:
            yield
        finally:
            config.settings.cache_clear()


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


def test_A6_the_21st_log_in_of_a_minute_waits_whoever_it_is_for(api: Api) -> None:
    guesses = [{**GUESS, "email": f"anna{number}@example.com"} for number in range(21)]
    statuses = [api().post("/api/auth/login", guess).status for guess in guesses]
    assert statuses == [401] * 20 + [429]


def test_A6_of_twenty_guesses_at_once_five_are_looked_at(committed: None, per_account_only: None) -> None:
    statuses = at_once(lambda _: Client().post("/api/auth/login", GUESS).status, range(20))
    assert (statuses.count(401), statuses.count(429)) == (5, 15)
