"""People's own model keys in the database: of no use to who has it, and to nobody but their owner."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, update
from sqlalchemy.orm import Session

from academy import config, crypto, db, envelope, wrapping
from academy.models import AIConfiguration, User
from academy.wrapping import Context, DataKey, KeyFile, WrappingKey
from dev.aws import create_key
from tests.canaries import API_KEY
from tests.conftest import Api, client_of
from tests.dumps import dumped
from tests.factories import a_key_file, a_user
from tests.fakes import ScriptedModel
from tests.functions.test_ai_flows import Learner
from tests.outages import no_kms
from tests.roles import looking

ANOTHER = "sk-canary-of-another"


@pytest.fixture(autouse=True)
def fresh(model: ScriptedModel) -> None:
    model.reset()


@pytest.fixture
def learner(api: Api, user: User) -> Learner:
    learner = Learner(api(user))
    assert save(learner, API_KEY) == 200
    return learner


@pytest.fixture
def kms(environment: None, aws_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The settings as in AWS."""
    monkeypatch.setenv("KEY_FILE", "")
    monkeypatch.setenv("KEY_ENCRYPTION_KEY_ARN", create_key(aws_settings["AWS_ENDPOINT_URL"]))
    config.settings.cache_clear()
    yield
    monkeypatch.undo()
    config.settings.cache_clear()


def save(learner: Learner, key: str) -> int:
    return learner.client.put("/api/ai/user-config", {"api_key": key}).status


def row_of(session: Session, user: User) -> AIConfiguration:
    session.expire_all()
    return session.get_one(AIConfiguration, user.id)


def test_D7_a_dump_holds_no_key(learner: Learner, transaction: Connection) -> None:
    assert learner.say().status == 200
    body = {"api_key": ANOTHER, "base_url": None}
    assert learner.client.post("/api/ai/test-connection", body, idempotency_key="once").status == 200
    dump = dumped(transaction)
    assert b"ai_configurations" not in dump
    assert b"https://" in dump or b"http://" in dump  # the origin, which is no secret: the row is there
    for key in (API_KEY.encode(), ANOTHER.encode(), b"platform-key"):
        for spelling in (
            key,
            key.hex().encode(),
            base64.b64encode(key)[:-4],
            base64.b64encode(key).hex().encode(),
        ):
            assert spelling not in dump


def test_D7_keys_that_change_places_open_for_nobody(
    learner: Learner, api: Api, user: User, session: Session, model: ScriptedModel
) -> None:
    other = a_user()
    neighbour = Learner(api(other))
    save(neighbour, ANOTHER)
    first, second = row_of(session, user).sealed_key, row_of(session, other).sealed_key
    for owner, sealed in ((user, second), (other, first)):
        mine = AIConfiguration.user_id == owner.id
        session.execute(update(AIConfiguration).where(mine).values(sealed_key=sealed))
    session.commit()
    for someone in (learner, neighbour):
        reply = someone.say()
        assert (reply.status, reply.code) == (424, "ai_key_unreadable")
        tested = someone.ask("test-connection").body
        assert (tested["success"], "Save it again" in tested["error"]) == (False, True)
    assert model.requests == []


def test_D7_a_row_with_another_origin_written_into_it_opens_for_nobody(
    learner: Learner, user: User, session: Session, model: ScriptedModel
) -> None:
    row = row_of(session, user)
    with ScriptedModel() as elsewhere:
        row.base_url, row.key_origin = elsewhere.base_url, f"http://{elsewhere.address}"
        session.commit()
        reply = learner.say()
        assert (reply.status, reply.code) == (424, "ai_key_unreadable")
        assert (model.requests, elsewhere.requests) == ([], [])


def test_D7_what_was_sealed_in_the_old_way_opens_and_is_sealed_anew(
    learner: Learner, user: User, session: Session, model: ScriptedModel
) -> None:
    row = row_of(session, user)
    context = f"model key/{user.id}/{row.key_origin}"
    row.sealed_key = crypto.seal(API_KEY.encode(), context=context)
    session.commit()
    assert learner.say().status == 200
    resealed = row_of(session, user).sealed_key or b""
    assert resealed[:1] == envelope.VERSION
    assert learner.say().status == 200
    assert row_of(session, user).sealed_key == resealed
    assert {request.key for request in model.requests} == {API_KEY}


def test_D7_the_old_way_opens_for_its_owner_alone(
    learner: Learner, user: User, session: Session, model: ScriptedModel
) -> None:
    row = row_of(session, user)
    row.sealed_key = crypto.seal(API_KEY.encode(), context=f"model key/somebody/{row.key_origin}")
    session.commit()
    assert learner.say().code == "ai_key_unreadable"
    assert model.requests == []


def test_D7_after_a_rotation_old_rows_open_and_the_old_key_can_be_retired(
    learner: Learner, user: User, session: Session, model: ScriptedModel, key_file: Path
) -> None:
    with_both = {"first": "1" * 64, "second": "2" * 64}
    a_key_file(key_file, **with_both)
    try:
        old = row_of(session, user).sealed_key
        assert learner.say().status == 200
        assert row_of(session, user).sealed_key != old
        a_key_file(key_file, second="2" * 64)
        assert learner.say().status == 200
        a_key_file(key_file, third="3" * 64)
        assert learner.say().code == "ai_key_unreadable"
    finally:
        a_key_file(key_file, first="1" * 64)
    assert [request.key for request in model.requests] == [API_KEY] * 2


@pytest.mark.usefixtures("kms")
class TestInAws:
    def test_D7_a_key_is_saved_and_used_by_way_of_kms(
        self, learner: Learner, user: User, session: Session, model: ScriptedModel
    ) -> None:
        assert learner.say().status == 200
        assert [request.key for request in model.requests] == [API_KEY]
        sealed = row_of(session, user).sealed_key or b""
        assert API_KEY.encode() not in sealed

    def test_D7_while_kms_is_down_no_model_is_asked_and_words_are_kept(
        self, learner: Learner, model: ScriptedModel
    ) -> None:
        with no_kms():
            reply = learner.say("Сохрани меня")
            assert (reply.status, reply.code) == (503, "secrets_unavailable")
            refused = learner.client.put("/api/ai/user-config", {"api_key": ANOTHER})
            assert (refused.status, refused.code) == (503, "secrets_unavailable")
        assert model.requests == []
        assert learner.say("Сохрани меня").status == 200
        assert [request.key for request in model.requests] == [API_KEY]

    def test_D7_who_has_no_key_of_their_own_does_not_wait_for_kms(self, api: Api, user: User) -> None:
        with no_kms():
            assert Learner(api(user)).say().status == 200

    def test_what_cannot_be_sealed_anew_still_serves(
        self, learner: Learner, user: User, session: Session
    ) -> None:
        row = row_of(session, user)
        row.sealed_key = crypto.seal(API_KEY.encode(), context=f"model key/{user.id}/{row.key_origin}")
        session.commit()
        old = row.sealed_key
        with no_kms():
            assert learner.say().status == 200
        assert row_of(session, user).sealed_key == old


class Watched:
    """A wrapping key that notes how many connections are held whenever it is asked."""

    def __init__(self, key: WrappingKey) -> None:
        self._key = key
        self.held: list[int] = []

    def generate_data_key(self, context: Context) -> DataKey:
        self.held.append(db.engine().pool.checkedout())  # type: ignore[attr-defined] # ours is a QueuePool
        return self._key.generate_data_key(context)

    def decrypt_data_key(self, wrapped: bytes, context: Context) -> bytes:
        self.held.append(db.engine().pool.checkedout())  # type: ignore[attr-defined] # as above
        return self._key.decrypt_data_key(wrapped, context)

    def is_newest(self, wrapped: bytes) -> bool:
        return self._key.is_newest(wrapped)


def test_no_connection_is_held_while_kms_answers(
    committed: None, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(KeyFile(key_file))
    monkeypatch.setattr(wrapping, "chosen", lambda: watched)
    user = a_user()
    learner = Learner(client_of(user))
    assert save(learner, API_KEY) == 200
    assert learner.say().status == 200
    assert learner.ask("test-connection").body["success"] is True
    with looking() as session:
        row = session.get_one(AIConfiguration, user.id)
        row.sealed_key = crypto.seal(API_KEY.encode(), context=f"model key/{user.id}/{row.key_origin}")
    assert learner.say().status == 200
    assert watched.held == [0] * 4


def test_a_key_is_not_kept_for_a_url_that_changes_while_it_is_sealed(
    learner: Learner, user: User, session: Session, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(KeyFile):
        def generate_data_key(self, context: Context) -> DataKey:
            mine = AIConfiguration.user_id == user.id
            session.execute(update(AIConfiguration).where(mine).values(base_url="https://api.example.com/v1"))
            session.commit()
            return super().generate_data_key(context)

    monkeypatch.setattr(wrapping, "chosen", lambda: Slow(key_file))
    reply = learner.client.put("/api/ai/user-config", {"api_key": ANOTHER})
    assert (reply.status, reply.code) == (409, "conflict")
    stored = session.scalars(
        select(AIConfiguration.sealed_key).where(AIConfiguration.user_id == user.id)
    ).one()
    assert stored is not None  # what was there before
