"""Limits and guests under load, with their counts printed: run by `make prove`."""

import random
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from uuid import uuid4

import pytest
from sqlalchemy import func, select, update

from academy.models import Message, User
from tests.client import Client, Reply
from tests.conftest import client_of
from tests.factories import PASSWORD, a_course, a_guest
from tests.races import at_once
from tests.roles import looking
from tests.tiers import report

SEED = 20261126
RACES = 200
pytestmark = [pytest.mark.prove, pytest.mark.usefixtures("committed")]


def register(client: Client) -> Reply:
    account = {"password": PASSWORD, "first_name": "Анна", "last_name": "Петрова"}
    return client.post("/api/auth/register", {**account, "email": f"{uuid4().hex}@example.com"})


def statuses(call: Callable[[Client], Reply], times: int) -> Counter[int]:
    return Counter(reply.status for reply in at_once(call, [Client() for _ in range(times)]))


def test_A5_A11_so_many_at_once_from_one_address_and_no_more() -> None:
    registered = statuses(register, 50)
    guests = statuses(lambda client: client.post("/api/auth/guest-login"), 100)
    report("A5, A11", registrations=50, ended=dict(registered), guests=100, ended_so=dict(guests))
    assert registered == {201: 10, 429: 40}
    assert guests == {200: 30, 429: 70}


def test_A11_a_guest_is_swept_or_becomes_an_account_never_both(per_account_only: None) -> None:
    chance = random.Random(SEED)
    outcomes: Counter[str] = Counter()
    lost = 0
    started = time.perf_counter()
    assert register(client_of(a_guest())).status == 201
    usual = time.perf_counter() - started
    for _ in range(RACES):
        guest = a_guest()
        course = a_course(guest)
        # The guest's time is over before the upgrade, while it hashes, or after it.
        expire = partial(expired, guest, after=chance.uniform(0, 1.5 * usual))
        upgraded, swept = at_once(lambda call: call(), [partial(register, client_of(guest)), expire])
        assert swept.status == 200
        with looking() as session:
            account = session.get(User, guest.id)
            messages = session.scalar(select(func.count()).where(Message.chat_id == course.chat.id))
        if upgraded.status == 201:
            lost += account is None or account.is_guest or messages != 2
        else:
            assert (upgraded.status, account, messages) == (401, None, 0)
        outcomes[f"{upgraded.status} {'kept' if account else 'swept'}"] += 1
    report("A11", seed=SEED, sweeps_against_upgrades=RACES, outcomes=dict(outcomes), lost=lost)
    assert lost == 0
    assert len(outcomes) == 2, "only one side ever won: this was no race"


def expired(guest: User, *, after: float) -> Reply:
    time.sleep(after)
    with looking() as session:
        over = update(User).where(User.id == guest.id, User.is_guest)
        session.execute(over.values(expires_at=func.now() - func.make_interval(0, 0, 0, 1)))
    return Client().post("/api/auth/guest-login")
