"""`make dev` as somebody meets it whose machine is not as it should be: one sentence, and nothing left."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from academy.wrapping import KeyFile
from dev import environment, postgres, services
from dev.local import ROOT
from dev.sam import Template
from dev.trouble import Trouble
from tests.factories import a_key_file

PATHS = os.pathsep.join(map(str, (ROOT, ROOT / "functions", ROOT / "layers" / "common")))


def test_a_busy_port_is_one_sentence_that_names_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(Trouble, match=f"Port {port} cannot be used .* PORT=8001"):
            services.listen_on(port)


@pytest.mark.parametrize("port", ["http", "0", "65536"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(Trouble, match="PORT has to be a number"):
        environment.port({"PORT": port})


def test_an_unreachable_database_is_named_without_its_password() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Trouble) as trouble:
        environment.check_database(f"postgresql+psycopg://me:hidden-word@127.0.0.1:{port}/academy")
    assert f"127.0.0.1:{port}" in str(trouble.value)
    assert "hidden-word" not in str(trouble.value)


def test_a_broken_dotenv_names_its_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOG_LEVEL=INFO\n\nthis is not a setting\n")
    with pytest.raises(Trouble, match=r"\.env, line 3"):
        environment.load(tmp_path)


def test_a_weak_secret_key_is_refused_by_name() -> None:
    settings = {"DATABASE_URL": "postgresql://localhost/a", "SECRET_KEY": "short"}
    with pytest.raises(Trouble, match="SECRET_KEY needs at least 32 bytes"):
        environment.checked(settings)


def test_D7_a_file_of_keys_that_is_open_to_others_is_one_sentence(tmp_path: Path) -> None:
    file = a_key_file(tmp_path / "keys", first="1" * 64)
    file.chmod(0o644)
    settings = {"DATABASE_URL": "postgresql://localhost/a", "SECRET_KEY": "s" * 32, "KEY_FILE": str(file)}
    with pytest.raises(Trouble, match=re.escape(f"KEY_FILE is open to others: chmod 600 {file}.")):
        environment.checked(settings)


def test_D7_a_file_of_keys_is_made_once_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "LOCAL", tmp_path / ".local")
    file = Path(environment.with_defaults({}, 8000)["KEY_FILE"])
    made = file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    sealed = KeyFile(file).generate_data_key({})
    assert environment.with_defaults({}, 8000)["KEY_FILE"] == str(file)
    assert file.read_text() == made
    assert KeyFile(file).decrypt_data_key(sealed.wrapped, {}) == sealed.plain
    assert "KEY_FILE" not in environment.with_defaults({"KEY_ENCRYPTION_KEY_ARN": "arn:aws:kms:x"}, 8000)


def test_the_functions_are_told_where_their_clients_are_and_that_aws_is_here() -> None:
    template = Template(Path(__file__).with_name("template.yaml"), endpoint="http://127.0.0.1:1")
    settings = {"LOG_LEVEL": "INFO", "AWS_ENDPOINT_URL": "https://elsewhere.example"}
    told = services.functions_environment(template, settings, 8000)
    assert told["WEBSOCKET_MANAGEMENT_URL"] == "http://127.0.0.1:8000/ws"
    assert told["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert told["LOG_LEVEL"] == "INFO"


def test_postgres_keeps_its_data_and_never_outlives_a_killed_starter(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from dev import postgres\n"
        "with postgres.running(Path(sys.argv[1])) as server:\n"
        "    with server.connect() as connection:\n"
        "        connection.execute('CREATE TABLE kept (word text)')\n"
        "        connection.execute(\"INSERT INTO kept VALUES ('слово')\")\n"
        "    print(server.port, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment_ = {**os.environ, "PYTHONPATH": PATHS}
    killed = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env=environment_,
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr
    # Starting again takes the data folder's lock, which the old server holds as long as it lives.
    with postgres.running(tmp_path) as server, server.connect() as connection:
        assert connection.execute("SELECT word FROM kept").fetchall() == [("слово",)]


def test_the_application_cannot_change_the_schema(database: postgres.Server) -> None:
    import psycopg

    with database.connect(postgres.APP) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("CREATE TABLE intruder ()")
