"""The keys that wrap data keys: KMS's in AWS, which never leaves it, or a file's where there is no KMS."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from academy import aws
from academy.config import settings
from academy.crypto import NONCE_BYTES, Unreadable
from academy.observability import logger
from academy.vault import SecretsUnavailable

Context = Mapping[str, str]
"""What a data key is for. It is no secret, it is not kept, and without the very same one nothing opens."""

KEY_BYTES = 32
FOR_OTHERS = 0o077
LINE = re.compile(r"([A-Za-z0-9._-]{1,32}) ([0-9a-f]{64})")

# Of KMS's answers, those that will be the same tomorrow: another context, or a key that was retired.
LOST = {
    "DisabledException",
    "IncorrectKeyException",
    "InvalidCiphertextException",
    "KMSInvalidStateException",
    "NotFoundException",
}


@dataclass(frozen=True, slots=True)
class DataKey:
    """A key for one record: `plain` to use and forget, `wrapped` to keep beside the record."""

    plain: bytes
    wrapped: bytes


class WrappingKey(Protocol):
    """What keeps data keys from whoever has only the database. Both raise `SecretsUnavailable`."""

    def generate_data_key(self, context: Context) -> DataKey: ...

    def decrypt_data_key(self, wrapped: bytes, context: Context) -> bytes:
        """The plain key. Raises `Unreadable` for another context, and if the wrapping key was retired."""

    def is_newest(self, wrapped: bytes) -> bool:
        """Whether a data key made now would be wrapped by the same key."""


def chosen() -> WrappingKey:
    """The wrapping key that the settings name."""
    config = settings()
    if config.key_file:
        return KeyFile(config.key_file)
    if config.key_encryption_key_arn:
        return KmsKey(config.key_encryption_key_arn)
    raise ValueError("KEY_ENCRYPTION_KEY_ARN is missing, and KEY_FILE, which stands in for it without AWS")


@dataclass(frozen=True, slots=True)
class KmsKey:
    """A symmetric key of AWS KMS, which rotates it and still opens what it wrapped before."""

    arn: str

    def generate_data_key(self, context: Context) -> DataKey:
        with _told_in_our_words():
            made = aws.client("kms").generate_data_key(
                KeyId=self.arn, KeySpec="AES_256", EncryptionContext=context
            )
        return DataKey(made["Plaintext"], made["CiphertextBlob"])

    def decrypt_data_key(self, wrapped: bytes, context: Context) -> bytes:
        with _told_in_our_words(lost=LOST):
            opened = aws.client("kms").decrypt(
                KeyId=self.arn, CiphertextBlob=wrapped, EncryptionContext=context
            )
        return opened["Plaintext"]

    def is_newest(self, wrapped: bytes) -> bool:  # noqa: ARG002 - KMS keeps to itself which of its keys it was
        return True


class KeyFile:
    """Keys in a file that nobody but its owner may touch: a line each, a name and 64 hex digits, newest last.

    Raises `ValueError`, in one sentence without a key in it, if that is not what the file is.
    """

    def __init__(self, path: Path) -> None:
        self._keys = _read(path)

    def generate_data_key(self, context: Context) -> DataKey:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        name, key = [*self._keys.items()][-1]
        plain, nonce = os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES)
        box = AESGCM(key).encrypt(nonce, plain, name + canonical(context))
        return DataKey(plain, bytes([len(name)]) + name + nonce + box)

    def decrypt_data_key(self, wrapped: bytes, context: Context) -> bytes:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        name, rest = _parts(wrapped)
        key = self._keys.get(name)
        if key is None:
            raise Unreadable("This can't be read any more: the key that it was wrapped with was retired.")
        try:
            return AESGCM(key).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], name + canonical(context))
        except (InvalidTag, ValueError):
            raise Unreadable("This can't be read: it was sealed for somebody or something else.") from None

    def is_newest(self, wrapped: bytes) -> bool:
        return _parts(wrapped)[0] == [*self._keys][-1]


def canonical(context: Context) -> bytes:
    """The same bytes for the same context, to bind to what is sealed."""
    return json.dumps(dict(context), sort_keys=True).encode()


@contextmanager
def _told_in_our_words(lost: set[str] | None = None) -> Iterator[None]:
    try:
        yield
    except aws.errors() as error:
        code = getattr(error, "response", {}).get("Error", {}).get("Code")
        logger.warning("data key not had", kind=type(error).__name__, code=code)
        if lost and code in lost:
            raise Unreadable("This can't be read any more: KMS does not open its key.") from None
        raise SecretsUnavailable from error


def _read(path: Path) -> dict[bytes, bytes]:
    """Every time anew: whoever adds a key need restart nothing."""
    try:
        with path.open(encoding="ascii") as file:
            if os.fstat(file.fileno()).st_mode & FOR_OTHERS:
                raise ValueError(f"KEY_FILE is open to others: chmod 600 {path}")
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"KEY_FILE can't be read ({type(error).__name__}): {path}") from None
    found = [LINE.fullmatch(line) for line in lines]
    keys = {line[1].encode(): bytes.fromhex(line[2]) for line in found if line}
    if not keys or len(keys) < len(lines):
        raise ValueError(f"KEY_FILE has to be lines of a name of its own and 64 hex digits each: {path}")
    return keys


def _parts(wrapped: bytes) -> tuple[bytes, bytes]:
    """The name of the key that a data key is wrapped with, and the rest."""
    end = 1 + int.from_bytes(wrapped[:1])
    return wrapped[1:end], wrapped[end:]
