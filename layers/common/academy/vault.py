"""Secrets by their ARN: read from Secrets Manager on first use, and again when they may have been rotated."""

from __future__ import annotations

import time
from dataclasses import dataclass

from academy import aws
from academy.errors import AppError
from academy.observability import logger

FRESH_SECONDS = 300.0


class SecretsUnavailable(AppError):
    status, code = 503, "secrets_unavailable"

    def __init__(self) -> None:
        super().__init__("This can't be done right now. Try again in a few seconds.")


@dataclass(frozen=True, slots=True)
class _Copy:
    text: str | None
    fresh_until: float


_copies: dict[str, _Copy] = {}


def read(arn: str) -> str | None:
    """The secret, five minutes old at most; `None` while there is none. Raises `SecretsUnavailable`."""
    copy = _copies.get(arn)
    if copy is None or copy.fresh_until <= time.monotonic():
        copy = _copies[arn] = _Copy(_read_again(arn, copy), time.monotonic() + FRESH_SECONDS)
    return copy.text


def forget() -> None:
    """Read everything anew from now on."""
    _copies.clear()


def _read_again(arn: str, old: _Copy | None) -> str | None:
    try:
        return _fetch(arn)
    except aws.errors() as error:
        logger.warning("secret not read", kind=type(error).__name__, is_known=old is not None)
        if old is None:
            raise SecretsUnavailable from error
        # An old key is right far more often than no key is bearable.
        return old.text


def _fetch(arn: str) -> str | None:
    client = aws.client("secretsmanager")
    try:
        return client.get_secret_value(SecretId=arn)["SecretString"]
    except client.exceptions.ResourceNotFoundException:
        # Secrets Manager's word for a secret without a value, too.
        return None
