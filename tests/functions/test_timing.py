"""What takes as long as something else, measured: run by `make prove`."""

import time
from statistics import median

import pytest

from academy import auth, config
from tests.client import Client
from tests.factories import PASSWORD, a_user
from tests.tiers import only_in_full, report

ROUNDS = 300


def seconds(email: str, address: str) -> float:
    started = time.perf_counter()
    reply = Client(address=address).post("/api/auth/login", {"email": email, "password": "a wrong guess"})
    assert reply.status == 401
    return time.perf_counter() - started


@only_in_full
@pytest.mark.prove
def test_A4_an_unknown_address_takes_as_long_as_a_wrong_password(
    transaction: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, unknown = [], []
    with monkeypatch.context() as changed:
        changed.setenv("THROTTLE_PER_ADDRESS", "off")
        config.settings.cache_clear()
        for number in range(ROUNDS):
            # An account each, because an account has only so many guesses.
            email = f"anna{number}@example.com"
            a_user(email=email, password_hash=auth.hash_password(PASSWORD))
            known.append(seconds(email, "203.0.113.7"))
            unknown.append(seconds(f"nobody{number}@example.com", "203.0.113.7"))
    config.settings.cache_clear()
    area = sum(k > u for k in known for u in unknown) / ROUNDS**2
    apart = abs(median(known) - median(unknown)) / median(known)
    report(
        "A4",
        log_ins=f"{ROUNDS}+{ROUNDS}",
        median_known=f"{median(known) * 1000:.2f} ms",
        median_unknown=f"{median(unknown) * 1000:.2f} ms",
        apart=f"{apart:.1%}",
        roc_auc=f"{area:.3f}",
    )
    assert apart < 0.05
    assert 0.45 <= area <= 0.55
