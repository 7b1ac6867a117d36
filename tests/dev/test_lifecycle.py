"""`make dev` through a day's work: start, a broken edit, its repair, a second start, and a sudden end."""

import fcntl
import signal

import pytest

from tests.dev.checkout import SECONDS, Checkout, eventually


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return Checkout(tmp_path_factory.mktemp("checkout"))


def test_it_starts_reloads_survives_a_broken_edit_and_ends_on_sigterm(checkout: Checkout) -> None:
    routes = checkout.root / "functions" / "chat" / "routes.py"
    sound = routes.read_text()
    with checkout.stack() as stack:
        assert eventually(lambda: checkout.status("/api/health") == 200), checkout.log
        assert checkout.status("/docs") == checkout.status("/openapi.json") == 200

        second = checkout.run("dev.stack")
        assert (second.returncode, second.stderr.splitlines()) == (
            1,
            ["The local stack already runs in this checkout: use that one, or end it with `make stop-all`."],
        )

        routes.write_text(sound + "def (\n")
        assert eventually(lambda: checkout.status("/api/chat/sessions") == 500), checkout.log
        assert "SyntaxError" in checkout.log
        assert checkout.status("/api/health") == 200

        routes.write_text(sound)
        assert eventually(lambda: checkout.status("/api/chat/sessions") == 401), checkout.log

        assert "Stopped the stack" in checkout.run("dev.stop").stdout
        assert stack.wait(SECONDS) == 0
    assert checkout.status("/api/health") is None


def test_a_killed_supervisor_leaves_nothing_behind(checkout: Checkout) -> None:
    with checkout.stack() as stack:
        assert eventually(lambda: checkout.status("/api/health") == 200), checkout.log
        stack.send_signal(signal.SIGKILL)
        assert stack.wait(SECONDS) == -signal.SIGKILL
    # Postgres inherited this lock: who gets it knows that the server is gone.
    with (checkout.root / ".local" / "postgres" / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
    assert eventually(lambda: checkout.status("/api/health") is None)


def test_the_database_alone_comes_up_keeps_its_data_is_reset_and_stops(checkout: Checkout) -> None:
    up = checkout.run("dev.database", "up")
    for name, role in {"": "app", "SWEEPER_": "sweeper", "MIGRATION_": "owner"}.items():
        assert f"\n{name}DATABASE_URL=postgresql://academy_{role}:" in up.stdout, up.stderr
    assert "The schema is up to date" in checkout.run("dev.database", "migrate").stdout

    refused = checkout.run("dev.database", "reset")
    assert (refused.returncode, refused.stderr) == (1, "Nothing was dropped.\n")
    done = checkout.run("dev.database", "reset", CONFIRM="yes")
    assert (done.returncode, done.stdout) == (0, "All data is gone; the schema is new.\n"), done.stderr

    assert "Stopped the database" in checkout.run("dev.stop").stdout
    assert "Nothing of this checkout was running" in checkout.run("dev.stop").stdout


def test_a_database_of_ones_own_is_never_reset(checkout: Checkout) -> None:
    done = checkout.run("dev.database", "reset", CONFIRM="yes", DATABASE_URL="postgresql://me@localhost/mine")
    assert done.returncode == 1
    assert "never a database of yours" in done.stderr
