"""Shows that the tests of the guards bite: each guard is changed a little, and some test has to notice.

Mutmut changes the code, in a copy below .local/: never in this checkout. It finds out itself which test runs
which function, so that a mutant costs seconds; which files of tests it may choose from is said here.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from dev.local import ROOT
from dev.trouble import Trouble, told
from tests.lent import lent

COPIES = ROOT / ".local" / "mutants"
PACKAGES = (*(ROOT / "functions").glob("[a-z]*/"), ROOT / "layers" / "common" / "academy")
BESIDE = ("dev", "docs", "infra", "tests")
IN_A_PROCESS_OF_ITS_OWN = "importing_it"  # which finds no code here
BEHIND_POLICIES = "policies or test_B3"


@dataclass(frozen=True, slots=True)
class Guard:
    """What is changed, by whose tests it is guarded, and how many percent of the changes may go unnoticed."""

    code: tuple[str, ...]
    tests: tuple[str, ...]
    percent: float = 0.0
    lines: str = ""
    """A pattern: other lines of the code are left as they are."""
    alone: bool = False
    """Without the database's policies, behind which what has become of this guard would not show."""


GUARDS = {
    "egress": Guard(
        ("academy/egress/*.py",),
        ("common/test_egress.py", "common/test_llm.py", "functions/test_ai_egress.py"),
    ),
    "tokens": Guard(
        ("academy/auth.py", "auth/tokens.py"),
        (
            "common/test_formats.py",
            "functions/test_auth_accounts.py",
            "functions/test_auth_tokens.py",
            "functions/test_clocks.py",
            "functions/test_ws_connect.py",
            "functions/test_ws_frames.py",
        ),
    ),
    "ownership": Guard(
        ("academy/repositories/*.py",),
        (
            "functions/test_ownership.py",
            "functions/test_lock_order.py",
            "functions/test_chat.py",
            "functions/test_tracks.py",
            "functions/test_pages.py",
            "functions/test_ai_flows.py",
            "functions/test_ai_trust.py",
            "functions/test_ws_chats.py",
            "functions/test_ws_frames.py",
            "functions/test_replies_once.py",
            "functions/test_replies_faults.py",
            "functions/test_replies_streaming.py",
            "functions/test_sweeper.py",
        ),
        lines="owner_id|user_id|track_id|session_id|session_key|chat_id|ChatSession.key",
        alone=True,
    ),
    "throttle": Guard(
        ("academy/throttle.py",),
        ("common/test_formats.py", "functions/test_auth_limits.py", "functions/test_clocks.py"),
        percent=5,
    ),
    "idempotency": Guard(
        ("academy/http/idempotency.py",),
        (
            "common/test_formats.py",
            "functions/test_idempotency.py",
            "functions/test_idempotency_everywhere.py",
            "faults/test_lost_answers.py",
        ),
        percent=5,
    ),
    "paging": Guard(
        ("academy/paging.py", "academy/http/pagination.py"),
        ("common/test_formats.py", "functions/test_pages.py"),
        percent=5,
    ),
    "keys": Guard(
        ("academy/crypto.py", "academy/vault.py", "academy/envelope.py", "academy/wrapping.py", "ai/keys.py"),
        (
            "common/test_formats.py",
            "common/test_vault.py",
            "common/test_envelope.py",
            "functions/test_ai_trust.py",
            "functions/test_auth_tokens.py",
            "functions/test_keys_at_rest.py",
        ),
        percent=5,
    ),
    "budgets": Guard(("ai/budget.py",), ("functions/test_budgets.py",), percent=5),
    "outages": Guard(("academy/outages.py",), ("common/test_outages.py",), percent=5),
}

SETTINGS = """\
[tool.mutmut]
source_paths = ["src"]
also_copy = {beside}
only_mutate = {code}
# What a person reads may be worded in any way.
do_not_mutate_patterns = ['^\\s*f?"[^"]*"$', 'logger\\.', 'super\\(\\).__init__\\(', '^(?!.*({lines}))']
pytest_add_cli_args = ["-m", "not prove and not artifact", "-k", "{chosen}", "-p", "no:cacheprovider"]
pytest_add_cli_args_test_selection = {tests}
process_isolation = "forkserver"  # settings and engine are kept once they are made
timeout_constant = 20.0  # every run gets a database, and starts what plays AWS
timeout_multiplier = 3.0
use_git_change_detection = false

[tool.pytest.ini_options]
pythonpath = ["src", "."]
addopts = ["--strict-markers"]
filterwarnings = ["error"]
markers = ["prove", "artifact"]
"""


def main(names: list[str]) -> int:
    """Try the guards of these names, or all; 1 if more mutants survive than may."""
    if unknown := set(names) - GUARDS.keys():
        raise Trouble(
            f"There is no guard named {', '.join(sorted(unknown))}: choose from {', '.join(GUARDS)}."
        )
    too_many = [name for name in names or GUARDS if not _holds(name, GUARDS[name])]
    return 1 if too_many else 0


def _holds(name: str, guard: Guard) -> bool:
    copy = COPIES / name
    _copy(copy, guard)
    with lent(copy / "postgres", policies=not guard.alone) as postgres:
        _mutmut(copy, "run", "--max-children", "1", **postgres)
    _mutmut(copy, "results")
    _mutmut(copy, "export-cicd-stats")
    counts: dict[str, int] = json.loads((copy / "mutants" / "mutmut-cicd-stats.json").read_text())
    unnoticed = counts["survived"] + counts["no_tests"] + counts["suspicious"]
    share = 100 * unnoticed / counts["total"]
    print(
        f"{name}: {counts['total']} mutants, {unnoticed} unnoticed: {share:.1f} % of {guard.percent} allowed"
    )
    return share <= guard.percent


def _copy(copy: Path, guard: Guard) -> None:
    """The checkout in Mutmut's own layout: it names modules by their path below `src`."""
    shutil.rmtree(copy, ignore_errors=True)
    for package in PACKAGES:
        shutil.copytree(package, copy / "src" / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in BESIDE:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    code = [f"src/{pattern}" for pattern in guard.code]
    tests = [f"tests/{file}" for file in guard.tests]
    settings = SETTINGS.format(
        beside=json.dumps(BESIDE),
        code=json.dumps(code),
        tests=json.dumps(tests),
        lines=guard.lines,
        chosen=f"not ({BEHIND_POLICIES})" if guard.alone else f"not {IN_A_PROCESS_OF_ITS_OWN}",
    )
    (copy / "pyproject.toml").write_text(settings)


def _mutmut(copy: Path, *arguments: str, **variables: str) -> None:
    # Without PYTHONPATH, or the checkout's own code would be tested instead of the mutants.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(["mutmut", *arguments], cwd=copy, env=environment | variables, check=True)


if __name__ == "__main__":
    with told():
        sys.exit(main(sys.argv[1:]))
