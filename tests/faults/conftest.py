"""A platform of a scenario's own: a Postgres that can die, a proxy before it, the gateway beside them."""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dev import aws as local_aws
from dev.postgres import APP, SWEEPER
from tests.canaries import SECRET
from tests.fakes import ScriptedModel
from tests.faults import invariants, processes
from tests.faults.ledger import Ledger
from tests.faults.mortal import MortalPostgres, Watch
from tests.faults.processes import POOL, Platform
from tests.faults.proxy import Proxy

SEED = 20261126
BUDGETS = ("DAILY_TOKENS_PER_GUEST", "DAILY_TOKENS_PER_LEARNER", "DAILY_TOKENS_IN_ALL")
"""What commits lose is held for a minute, and that is not what a scenario is about."""


@dataclass
class Scene:
    """Everything that a scenario plays with, and breaks."""

    platform: Platform
    postgres: MortalPostgres
    proxy: Proxy
    ledger: Ledger
    model: ScriptedModel
    watch: Watch
    chance: random.Random
    table: str
    aws_endpoint: str

    def connection_rows(self) -> int:
        return len(local_aws.client("dynamodb", self.aws_endpoint).scan(TableName=self.table)["Items"])

    def checked(
        self, *, under_fault: bool = True, stale_sockets: bool = False, pool: int = POOL
    ) -> dict[str, Any]:
        """The figures of I1 to I12, once every reply has ended; fails if one does not hold.

        Rows of `stale_sockets` may be left where nothing could be deleted; their table expires them.
        """
        seconds = invariants.settle(self.postgres.server)
        found = invariants.check(
            self.postgres.server,
            self.ledger,
            under_fault=under_fault,
            watch=self.watch,
            # Those that were given up end while their successors begin.
            limit=2 * pool if under_fault else pool,
            connection_rows=0 if stale_sockets else self.connection_rows(),
        )
        assert self.platform.is_the_same, "a process of ours ended"
        assert not found.broken, (invariants.told(found), str(self.ledger.path))
        statuses = dict(sorted(self.ledger.statuses().items()))
        return {
            "operations": len(self.ledger.operations),
            "answers": statuses,
            "slowest_answer": f"{self.ledger.slowest():.1f} s",
            "connections_at_most": self.watch.most,
            "idle_in_a_transaction_at_most": f"{self.watch.idlest:.1f} s",
            "settled_after": f"{seconds:.0f} s",
            **found.figures(),
        }


Setting = Callable[..., AbstractContextManager[Scene]]


@pytest.fixture
def scene(
    tmp_path: Path,
    aws_settings: dict[str, str],
    model: ScriptedModel,
    key_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Setting:
    """`with scene(max_connections="40") as scene`, with settings of Postgres and of the platform."""
    # Whatever other tests have told this process is not for the platform's.
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_settings["AWS_ENDPOINT_URL"])

    @contextmanager
    def set_up(
        postgres: dict[str, str] | None = None, log: int | None = None, **variables: str
    ) -> Iterator[Scene]:
        model.reset()
        with (
            MortalPostgres.running(tmp_path / "postgres", **(postgres or {})) as mortal,
            Proxy(mortal.server.port) as proxy,
        ):
            server = mortal.server
            url = f"postgresql+psycopg://{{}}:{server.password}@127.0.0.1:{proxy.port}/academy"
            environment = {
                **aws_settings,
                "DATABASE_URL": url.format(APP),
                "SWEEPER_DATABASE_URL": url.format(SWEEPER),
                "KEY_FILE": str(key_file),
                **dict.fromkeys(BUDGETS, str(10**9)),
                "DATABASE_POOL_SIZE": str(POOL),
                "SECRET_KEY": SECRET,
                "PASSWORD_HASH_MEMORY_KIB": "19456",
                "THROTTLE_PER_ADDRESS": "off",
                "DEFAULT_OPENAI_API_KEY": "platform-key",
                "DEFAULT_OPENAI_BASE_URL": model.base_url,
                "DEFAULT_OPENAI_MODEL": "scripted",
                "LLM_ALLOWED_PRIVATE": model.address,
                "ALLOWED_ORIGINS": "https://app.example.com",
                "POWERTOOLS_METRICS_DISABLED": "true",
                "POWERTOOLS_TRACE_DISABLED": "true",
                "LOG_LEVEL": "WARNING",
                **variables,
            }
            with (
                Ledger(tmp_path / "ledger.jsonl") as ledger,
                processes.running(tmp_path / "gateway.log", environment, log) as running,
                Watch(server) as watch,
            ):
                yield Scene(
                    running,
                    mortal,
                    proxy,
                    ledger,
                    model,
                    watch,
                    random.Random(SEED),
                    aws_settings["CONNECTIONS_TABLE"],
                    environment["AWS_ENDPOINT_URL"],
                )
        model.reset()

    return set_up
