"""What takes as long as something else, measured: run by `make prove`."""

import time
from statistics import median
from uuid import uuid4

import pytest

from academy import auth, config
from tests.client import Client
from tests.conftest import client_of
from tests.factories import PASSWORD, a_course, a_user
from tests.functions.test_ownership import FILLERS, TARGETS, Target, send
from tests.limits import forget_counts
from tests.tiers import only_in_full, report

pytestmark = [pytest.mark.prove, only_in_full]
LOG_INS = 500
QUESTIONS = 200


def seconds(email: str, address: str) -> float:
    started = time.perf_counter()
    reply = Client(address=address).post("/api/auth/login", {"email": email, "password": "a wrong guess"})
    assert reply.status == 401
    return time.perf_counter() - started


def test_A4_an_unknown_address_takes_as_long_as_a_wrong_password(
    transaction: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, unknown = [], []
    with monkeypatch.context() as changed:
        changed.setenv("THROTTLE_PER_ADDRESS", "off")
        config.settings.cache_clear()
        for number in range(LOG_INS):
            # An account each, because an account has only so many guesses.
            email = f"anna{number}@example.com"
            a_user(email=email, password_hash=auth.hash_password(PASSWORD))
            known.append(seconds(email, "203.0.113.7"))
            unknown.append(seconds(f"nobody{number}@example.com", "203.0.113.7"))
    config.settings.cache_clear()
    area = sum(k > u for k in known for u in unknown) / LOG_INS**2
    apart = abs(median(known) - median(unknown)) / median(known)
    report(
        "A4",
        log_ins=f"{LOG_INS}+{LOG_INS}",
        median_known=f"{median(known) * 1000:.2f} ms",
        median_unknown=f"{median(unknown) * 1000:.2f} ms",
        apart=f"{apart:.1%}",
        roc_auc=f"{area:.3f}",
    )
    assert apart < 0.05
    assert 0.45 <= area <= 0.55


def test_B1_a_foreign_id_takes_as_long_as_one_that_nobody_has(committed: None) -> None:
    user = a_user()
    mine, theirs = a_course(user, key=FILLERS["session_id"]), a_course(a_user())
    client = client_of(user)

    def seconds(target: Target, value: str) -> float:
        forget_counts()
        started = time.perf_counter()
        assert send(client, target, mine.ids, value).status == 404
        return time.perf_counter() - started

    apart = {}
    for target in TARGETS:
        foreign, nobodys = [], []
        for _ in range(QUESTIONS):
            foreign.append(seconds(target, theirs.ids[target.name]))
            nobodys.append(seconds(target, str(uuid4())))
        apart[target] = median(foreign) / median(nobodys) - 1
    furthest = max(apart, key=lambda target: abs(apart[target]))
    report(
        "B1",
        ids=len(TARGETS),
        questions=f"{QUESTIONS}+{QUESTIONS} each",
        medians_apart_at_most=f"{apart[furthest]:+.1%} at {furthest}",
        all_together=f"{median(apart.values()):+.1%}",
    )
    assert abs(apart[furthest]) < 0.05
