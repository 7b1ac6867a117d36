"""How long a warm function of the built artifact takes under AWS's runtime client, beside its SQL alone."""

import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any

import psycopg

from academy.migrate import upgrade
from dev import aws, environment, postgres
from dev.emulator import Emulator
from dev.events import http_event
from dev.sam import TEMPLATE, Template
from dev.services import functions_environment

RUNS = 300
SECONDS = 30
TRACKS, MODULES = 50, 5
ASKED = {"/api/auth/me": "AuthFunction", "/api/tracks": "TracksFunction"}
FILL = """
WITH made AS (
    INSERT INTO learning_tracks (id, user_id, title, status)
    SELECT gen_random_uuid(), (SELECT id FROM users), 'Track ' || n, 'active'
    FROM generate_series(1, %(tracks)s) n
    RETURNING id
)
INSERT INTO course_modules
    (id, track_id, title, module_number, description, learning_objectives, status)
SELECT gen_random_uuid(), made.id, 'Module ' || n, n, '', '[]', 'not_started'
FROM made, generate_series(1, %(modules)s) n
"""
# What log_statement writes of a query with parameters, which are on a line of their own.
STATEMENT = re.compile(
    r"LOG:  execute [^:]*: (?P<sql>(?:(?!LOG:).)*?)\n\d{4}-[^\n]*DETAIL:  Parameters: (?P<values>[^\n]*)",
    re.DOTALL,
)
PARAMETER = re.compile(r"\$(\d+) = ('(?:[^']|'')*'|NULL)")


@dataclass(frozen=True, slots=True)
class Bench:
    server: postgres.Server
    runtime: Emulator
    token: str

    def get(self, path: str) -> Any:
        headers = {"authorization": f"Bearer {self.token}", "host": "api.example.com"}
        event = http_event("GET", path, "", headers, None, source_ip="203.0.113.7", scheme="https")
        answer = self.runtime.invoke(ASKED[path], event).result(SECONDS)
        if answer["statusCode"] != 200:
            raise RuntimeError(answer["body"])
        return answer


def report() -> None:
    with _running() as bench:
        print(f"A warm invocation in ms, p50 and p99 of {RUNS}; {TRACKS} tracks of {MODULES} modules:")
        for path in ASKED:
            statements = _statements(bench, path)
            with bench.server.connect(postgres.APP) as connection:
                asked = _timed(partial(bench.get, path))
                alone = _timed(partial(_execute, connection, statements))
            figures = f"{asked[0]:7.1f} {asked[1]:7.1f}   its SQL alone {alone[0]:6.2f} {alone[1]:6.2f}"
            print(f"  {path:14} {figures} ({len(statements)} statements)")


def _timed(call: Callable[[], object]) -> tuple[float, float]:
    taken = []
    for _ in range(RUNS):
        started = time.perf_counter()
        call()
        taken.append((time.perf_counter() - started) * 1000)
    hundredths = quantiles(taken, n=100)
    return hundredths[49], hundredths[98]


def _execute(connection: "psycopg.Connection[Any]", statements: list[str]) -> None:
    # One transaction: the first of them says whose rows the others see.
    with connection.transaction():
        for statement in statements:
            connection.execute(statement.encode()).fetchall()


def _statements(bench: Bench, path: str) -> list[str]:
    """The queries that a request makes, with their parameters, as the database logged them."""
    log = bench.server.home / "postgres.log"
    bench.get(path)
    before = log.stat().st_size
    bench.get(path)
    with log.open("rb") as opened:
        opened.seek(before)
        said = opened.read().decode()
    return [_filled(found["sql"], found["values"]) for found in STATEMENT.finditer(said)]


def _filled(sql: str, parameters: str) -> str:
    values = dict(PARAMETER.findall(parameters))
    return re.sub(r"\$(\d+)", lambda found: values[found[1]], sql)


@contextmanager
def _running() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as folder, postgres.running(Path(folder) / "data") as server:
        upgrade(server.owner_url, app_role=postgres.APP)
        with server.connect(database="postgres") as connection:
            connection.execute(f"ALTER ROLE {postgres.APP} SET log_statement = 'all'".encode())
        with aws.running() as endpoint:
            template = Template(TEMPLATE, endpoint=endpoint)
            settings = environment.with_defaults({"SECRET_KEY": "only for benchmarks " * 2}, 0)
            settings["DATABASE_URL"] = server.url
            variables = functions_environment(template, settings, 0)
            used = {name: template.functions[name] for name in ASKED.values()}
            runtime = Emulator(used, variables, Path(folder), python=Path(os.environ["BUILD_PYTHON"]))
            try:
                runtime.load()
                yield Bench(server, runtime, _guest(runtime, server))
            finally:
                runtime.close(seconds=1)


def _guest(runtime: Emulator, server: postgres.Server) -> str:
    """The token of somebody with many tracks."""
    event = http_event("POST", "/api/auth/guest-login", "", {}, None, source_ip="203.0.113.7", scheme="https")
    answer = runtime.invoke("AuthFunction", event).result(SECONDS)
    with server.connect() as connection:
        connection.execute(FILL.encode(), {"tracks": TRACKS, "modules": MODULES})
    return str(json.loads(answer["body"])["access_token"])
