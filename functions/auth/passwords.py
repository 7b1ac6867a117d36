"""Which passwords are too weak to protect an account (NIST 800-63B-4, 3.1.1.2)."""

from functools import lru_cache
from pathlib import Path

from academy.errors import Invalid

PRODUCT = "academy"


class WeakPassword(Invalid):
    code = "weak_password"

    def __init__(self) -> None:
        super().__init__("This password is among the first that somebody would guess. Choose another one.")


def refuse_weak(password: str, *, email: str) -> None:
    """Raises `WeakPassword` for a common password, and for one made of the e-mail or the product's name."""
    folded = password.casefold()
    guesses = {email.casefold(), email.casefold().partition("@")[0], PRODUCT}
    if (
        folded in _common()
        or any(folded.strip("0123456789!?.") == guess for guess in guesses)
        or folded in guesses
    ):
        raise WeakPassword


@lru_cache(maxsize=1)
def _common() -> frozenset[str]:
    lines = Path(__file__).with_name("common_passwords.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("# "))
