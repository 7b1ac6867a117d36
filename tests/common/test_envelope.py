"""Keys at rest open for whom they were sealed, with the key that wrapped them, and not otherwise."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from academy import aws, config, crypto, envelope, wrapping
from academy.crypto import Unreadable
from academy.vault import SecretsUnavailable
from academy.wrapping import KeyFile, KmsKey
from dev.aws import create_key
from tests.factories import a_key_file
from tests.outages import no_kms

MINE, THEIRS = {"user_id": "me", "origin": "https://a.com"}, {"user_id": "you", "origin": "https://a.com"}
ELSEWHERE = {"user_id": "me", "origin": "https://b.com"}
KEY = b"sk-canary-of-a-person"
Use = Callable[..., None]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch, environment: None) -> Iterator[Use]:
    """Choose the wrapping key: `use(key_file=…)` or `use(key_encryption_key_arn=…)`."""

    def change(key_file: Path | str = "", key_encryption_key_arn: str = "") -> None:
        monkeypatch.setenv("KEY_FILE", str(key_file))
        monkeypatch.setenv("KEY_ENCRYPTION_KEY_ARN", key_encryption_key_arn)
        config.settings.cache_clear()

    yield change
    monkeypatch.undo()
    config.settings.cache_clear()


@pytest.fixture
def arn(environment: None) -> str:
    """A key of KMS's, played by moto."""
    return create_key(os.environ["AWS_ENDPOINT_URL"])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return a_key_file(tmp_path / "keys", first="1" * 64)


@pytest.fixture(params=["file", "kms"])
def wrapped(request: pytest.FixtureRequest, use: Use, file: Path) -> None:
    """The same with both implementations."""
    if request.param == "file":
        use(key_file=file)
    else:
        use(key_encryption_key_arn=request.getfixturevalue("arn"))


@pytest.mark.usefixtures("wrapped")
class TestD7Sealing:
    def test_D7_what_is_sealed_opens_for_the_same_context(self) -> None:
        sealed = envelope.seal(KEY, context=MINE)
        assert sealed[:1] == envelope.VERSION
        assert KEY not in sealed
        assert envelope.unseal(sealed, context=MINE) == KEY
        assert envelope.is_current(sealed)

    @pytest.mark.parametrize("context", [THEIRS, ELSEWHERE, {}, {**MINE, "more": "x"}])
    def test_D7_it_opens_for_no_other_context(self, context: dict[str, str]) -> None:
        sealed = envelope.seal(KEY, context=MINE)
        with pytest.raises(Unreadable):
            envelope.unseal(sealed, context=context)

    def test_D7_no_two_records_share_a_data_key_or_a_nonce(self) -> None:
        first, second = (envelope.seal(KEY, context=MINE) for _ in range(2))
        assert first[3:] != second[3:]
        assert not set(_pieces(first)) & set(_pieces(second))

    def test_D7_a_record_with_the_data_key_of_another_does_not_open(self) -> None:
        first, second = (envelope._parts(envelope.seal(KEY, context=MINE)) for _ in range(2))
        with pytest.raises(Unreadable):
            envelope.unseal(first[0] + second[2], context=MINE)

    def test_D7_a_record_with_a_byte_changed_anywhere_does_not_open(self) -> None:
        sealed = envelope.seal(KEY, context=MINE)
        for position in range(0, len(sealed), 5):
            changed = bytearray(sealed)
            changed[position] ^= 1
            # The play of KMS calls it forbidden, where a byte of the key's own id was changed.
            with pytest.raises((Unreadable, SecretsUnavailable)):
                envelope.unseal(bytes(changed), context=MINE)

    @pytest.mark.parametrize("length", [0, 1, 2, 3, 20, 100])
    def test_D7_a_record_that_was_cut_does_not_open(self, length: int) -> None:
        with pytest.raises(Unreadable):
            envelope.unseal(envelope.seal(KEY, context=MINE)[:length], context=MINE)

    def test_D7_what_the_derived_key_sealed_is_not_taken_for_it(self) -> None:
        old = crypto.seal(KEY, context="mine")
        assert not envelope.is_current(old)
        with pytest.raises(Unreadable):
            envelope.unseal(old, context=MINE)


class TestD7KeyFile:
    def test_D7_after_a_rotation_the_newest_seals_and_all_still_open(self, use: Use, file: Path) -> None:
        use(key_file=file)
        old = envelope.seal(KEY, context=MINE)
        a_key_file(file, first="1" * 64, second="2" * 64)
        new = envelope.seal(KEY, context=MINE)
        assert [envelope.unseal(sealed, context=MINE) for sealed in (old, new)] == [KEY, KEY]
        assert [envelope.is_current(sealed) for sealed in (old, new)] == [False, True]
        a_key_file(file, second="2" * 64)
        assert envelope.unseal(new, context=MINE) == KEY
        with pytest.raises(Unreadable, match="retired"):
            envelope.unseal(old, context=MINE)

    @pytest.mark.parametrize("wrapped", [b"", b"\x05", b"\x05fir", b"\x05first", b"\x05first" + bytes(12)])
    def test_D7_a_data_key_that_was_cut_does_not_open(self, file: Path, wrapped: bytes) -> None:
        with pytest.raises(Unreadable, match="This can't be read"):
            KeyFile(file).decrypt_data_key(wrapped, MINE)

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
    def test_D7_a_file_that_is_open_to_others_is_refused_in_one_sentence(self, file: Path, mode: int) -> None:
        file.chmod(mode)
        with pytest.raises(ValueError, match=re.escape(f"KEY_FILE is open to others: chmod 600 {file}")):
            KeyFile(file)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "\n",
            "1" * 64,
            "first " + "1" * 63,
            "first " + "g" * 64,
            f"a {'1' * 64}\na {'2' * 64}\n",
            f"ключ {'1' * 64}",
        ],
    )
    def test_what_is_no_list_of_keys_is_refused_without_showing_them(self, tmp_path: Path, text: str) -> None:
        file = tmp_path / "keys"
        file.write_text(text)
        file.chmod(0o600)
        with pytest.raises(ValueError, match="KEY_FILE") as refused:
            KeyFile(file)
        assert "1" * 60 not in str(refused.value)

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"can't be read \(FileNotFoundError\)"):
            KeyFile(tmp_path / "nowhere")


class TestD7Kms:
    def test_D7_after_a_rotation_what_was_sealed_before_still_opens(self, use: Use, arn: str) -> None:
        use(key_encryption_key_arn=arn)
        old = envelope.seal(KEY, context=MINE)
        aws.client("kms").rotate_key_on_demand(KeyId=arn)
        assert envelope.unseal(old, context=MINE) == KEY

    def test_D7_what_another_key_wrapped_does_not_open(self, arn: str, use: Use, file: Path) -> None:
        use(key_file=file)
        sealed = envelope.seal(KEY, context=MINE)
        use(key_encryption_key_arn=arn)
        with pytest.raises(Unreadable):
            envelope.unseal(sealed, context=MINE)

    def test_while_kms_is_down_the_caller_is_asked_to_come_again(self, arn: str) -> None:
        key = KmsKey(arn)
        wrapped = key.generate_data_key(MINE).wrapped
        with no_kms():
            with pytest.raises(SecretsUnavailable) as raised:
                key.generate_data_key(MINE)
            with pytest.raises(SecretsUnavailable):
                key.decrypt_data_key(wrapped, MINE)
        assert (raised.value.status, raised.value.code) == (503, "secrets_unavailable")

    def test_a_key_that_is_gone_makes_nothing_and_opens_nothing(self, arn: str) -> None:
        gone = KmsKey(arn[:-1] + ("0" if arn[-1] != "0" else "1"))
        wrapped = KmsKey(arn).generate_data_key(MINE).wrapped
        with pytest.raises(SecretsUnavailable):
            gone.generate_data_key(MINE)
        assert KmsKey(arn).decrypt_data_key(wrapped, MINE)


def test_without_any_wrapping_key_the_settings_to_set_are_named(use: Use) -> None:
    use()
    with pytest.raises(ValueError, match="KEY_ENCRYPTION_KEY_ARN is missing, and KEY_FILE"):
        wrapping.chosen()


def test_the_file_stands_in_for_kms_where_both_are_named(use: Use, file: Path) -> None:
    use(key_file=file, key_encryption_key_arn="arn:aws:kms:x")
    assert isinstance(wrapping.chosen(), KeyFile)


def _pieces(sealed: bytes) -> list[bytes]:
    """What must be another each time: of the wrapped key its box, and the nonce with what follows it."""
    _, wrapped, rest = envelope._parts(sealed)
    return [wrapped[-48:], rest[:12], rest[12:]]
