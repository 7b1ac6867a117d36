"""Secrets are read when they are needed, rotated without a deployment, and kept while they can't be read."""

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import jwt
import pytest

from academy import aws, config, crypto, vault
from academy.models import User
from academy.vault import SecretsUnavailable
from tests.client import Client
from tests.conftest import Api
from tests.factories import a_login_of

KEY, OLDER, NEXT = "k" * 32, "o" * 32, "n" * 32
Changed = Callable[..., None]


@pytest.fixture(autouse=True)
def _forgotten(environment: None) -> Iterator[None]:
    vault.forget()
    yield
    vault.forget()


@pytest.fixture
def secrets() -> Any:
    """Secrets Manager, played by moto."""
    return aws.client("secretsmanager")


@pytest.fixture
def arn(secrets: Any) -> Iterator[str]:
    """A secret that nobody has put a value in."""
    arn = secrets.create_secret(Name="one")["ARN"]
    yield arn
    secrets.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Changed]:
    """Set settings for one test; `None` unsets one."""

    def change(**settings: str | None) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(name.upper(), value or "")
        config.settings.cache_clear()

    yield change
    monkeypatch.undo()
    config.settings.cache_clear()


def put(secrets: Any, arn: str, **keys: str) -> None:
    secrets.put_secret_value(SecretId=arn, SecretString=json.dumps(keys))


def key_of(token: str) -> Any:
    return jwt.get_unverified_header(token)["kid"]


class TestReading:
    def test_a_secret_without_a_value_is_none(self, arn: str) -> None:
        assert vault.read(arn) is None

    def test_a_secret_is_read_once_and_again_when_it_is_no_longer_fresh(
        self, secrets: Any, arn: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        secrets.put_secret_value(SecretId=arn, SecretString="first")
        assert vault.read(arn) == "first"
        secrets.put_secret_value(SecretId=arn, SecretString="second")
        assert vault.read(arn) == "first"
        monkeypatch.setattr(vault, "FRESH_SECONDS", 0.0)
        vault.forget()
        assert [vault.read(arn), vault.read(arn)] == ["second", "second"]
        secrets.put_secret_value(SecretId=arn, SecretString="third")
        assert vault.read(arn) == "third"

    def test_an_old_copy_serves_while_secrets_manager_does_not(
        self, secrets: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        arn = secrets.create_secret(Name="short-lived", SecretString="old")["ARN"]
        monkeypatch.setattr(vault, "FRESH_SECONDS", 0.0)
        assert vault.read(arn) == "old"
        secrets.delete_secret(SecretId=arn)
        assert vault.read(arn) == "old"

    def test_without_any_copy_the_caller_is_asked_to_come_again(self, secrets: Any) -> None:
        arn = secrets.create_secret(Name="never-read", SecretString="old")["ARN"]
        secrets.delete_secret(SecretId=arn)
        with pytest.raises(SecretsUnavailable) as raised:
            vault.read(arn)
        assert raised.value.status == 503


class TestSecretKeys:
    def test_the_current_one_makes_and_the_other_still_reads(
        self, secrets: Any, arn: str, changed: Changed
    ) -> None:
        changed(secret_key=None, secret_keys_arn=arn)
        put(secrets, arn, current=OLDER)
        sealed = crypto.seal(b"words", context="me")
        put(secrets, arn, **{"2026": OLDER, "current": KEY})
        vault.forget()
        assert crypto.secrets() == (KEY.encode(), OLDER.encode())
        assert crypto.unseal(sealed, context="me") == b"words"

    @pytest.mark.parametrize(
        "keys",
        [
            {},
            {"next": KEY},
            {"current": "short"},
            {"current": KEY, "next": ""},
            {"current": KEY, "next": NEXT, "older": OLDER},
        ],
    )
    def test_A8_a_secret_that_would_sign_badly_is_refused(
        self, secrets: Any, arn: str, changed: Changed, keys: dict[str, str], api: Api, user: User
    ) -> None:
        token = a_login_of(user)
        changed(secret_key=None, secret_keys_arn=arn)
        put(secrets, arn, **keys)
        with pytest.raises(ValueError, match="named current"):
            crypto.secrets()
        # Nobody is told to log in again: the fault is ours.
        assert Client(token=token).get("/api/auth/me").status == 500

    def test_A8_a_rotation_needs_no_restart_and_logs_nobody_out_before_the_old_key_is_retired(
        self, secrets: Any, arn: str, changed: Changed, api: Api, user: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = [0.0]
        monkeypatch.setattr(vault, "time", SimpleNamespace(monotonic=lambda: now[0]))

        def rotate(**keys: str) -> None:
            put(secrets, arn, **keys)
            now[0] += vault.FRESH_SECONDS

        def opens(token: str) -> bool:
            return Client(token=token).get("/api/auth/me").status == 200

        changed(secret_key=None, secret_keys_arn=arn)
        rotate(current=OLDER)
        old = a_login_of(user)
        put(secrets, arn, current=OLDER, next=NEXT)
        assert key_of(a_login_of(user)) == key_of(old)
        now[0] += vault.FRESH_SECONDS
        assert (opens(old), key_of(a_login_of(user))) == (True, key_of(old))
        rotate(**{"current": NEXT, "2026": OLDER})
        new = a_login_of(user)
        assert key_of(new) != key_of(old)
        assert (opens(old), opens(new)) == (True, True)
        rotate(current=NEXT)
        assert (opens(old), opens(new)) == (False, True)

    def test_without_any_key_the_settings_are_refused_by_name(self, changed: Changed) -> None:
        changed(secret_key=None)
        with pytest.raises(ValueError, match="SECRET_KEY is missing"):
            config.settings()
