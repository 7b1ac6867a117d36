"""How often argon2 ran: what makes two answers take equally long is countable, the clock is not."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from argon2 import PasswordHasher


@dataclass
class Hashes:
    made: int = 0
    verified: int = 0


@contextmanager
def counted() -> Iterator[Hashes]:
    """Counts the hashes that this thread makes and verifies inside the block."""
    hashes = Hashes()

    def watch(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            hashes.made += frame.f_code is PasswordHasher.hash.__code__
            hashes.verified += frame.f_code is PasswordHasher.verify.__code__

    sys.setprofile(watch)
    try:
        yield hashes
    finally:
        sys.setprofile(None)
