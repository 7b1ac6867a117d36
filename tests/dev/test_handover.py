"""What containers are told: every local setting, declared, and by an address that leads out of them."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from dev import handover
from dev.local import LOOPBACK
from dev.sam import FUNCTION, TEMPLATE, Template, load
from dev.services import functions_environment

BRIDGE = "172.17.0.1"
LOCAL = {
    "DATABASE_URL": "postgresql+psycopg://academy_app:word@127.0.0.1:5433/academy",
    "DEFAULT_OPENAI_BASE_URL": "http://localhost:11434/v1",
    "ALLOWED_ORIGINS": "http://localhost:3000,http://127.0.0.1:3000",
    "DATABASE_AUTH": "password",
    "DATABASE_POOL_SIZE": "16",
    "LLM_ALLOWED_PRIVATE": "localhost:11434",
    "SECRET_KEY": "only for tests: 0123456789abcdef",
    "HOME": "/home/somebody",
    "PYTHONPATH": "functions",
}


@pytest.fixture
def template() -> Template:
    return Template(TEMPLATE, endpoint="http://127.0.0.1:4566")


def told(template: Template, address: str = LOOPBACK) -> dict[str, str]:
    return handover.settings(functions_environment(template, LOCAL, 3000), address)


@pytest.mark.parametrize(("address", "host"), [(LOOPBACK, "host.docker.internal"), (BRIDGE, BRIDGE)])
def test_every_url_leads_out_of_the_container(template: Template, address: str, host: str) -> None:
    known = told(template, address)
    assert known["DATABASE_URL"] == f"postgresql+psycopg://academy_app:word@{host}:5433/academy"
    assert known["DEFAULT_OPENAI_BASE_URL"] == f"http://{host}:11434/v1"
    assert known["AWS_ENDPOINT_URL"] == f"http://{host}:4566"
    assert known["REPLY_QUEUE_URL"].startswith(f"http://{host}:4566/")


def test_a_server_elsewhere_and_a_browsers_origin_keep_their_names(template: Template) -> None:
    elsewhere = "postgresql://me@localhost.example.com:5432/127.0.0.1"
    known = handover.settings({"DATABASE_URL": elsewhere, "ALLOWED_ORIGINS": "http://localhost:3000"}, BRIDGE)
    assert known == {"DATABASE_URL": elsewhere, "ALLOWED_ORIGINS": "http://localhost:3000"}


def test_what_only_programs_here_need_stays_here(template: Template) -> None:
    assert not told(template).keys() & {"HOME", "PYTHONPATH", "DATABASE_POOL_SIZE", "LLM_ALLOWED_PRIVATE"}


def test_every_function_declares_every_setting_and_is_for_this_machine(
    template: Template, tmp_path: Path
) -> None:
    built = tmp_path / "template.yaml"
    built.write_text(TEMPLATE.read_text())
    copy = handover.write_template(built, told(template), "x86_64")
    assert copy.parent == built.parent
    functions = functions_of(load(copy))
    assert functions.keys() == template.functions.keys()
    for properties in functions.values():
        declared = properties["Environment"]["Variables"]
        assert declared.keys() >= told(template).keys() | {"SECRET_KEYS_ARN", "DEFAULT_OPENAI_API_KEY_ARN"}
        assert set(declared.values()) == {""}
        assert properties["Architectures"] == ["x86_64"]
    layer = load(copy)["Resources"]["CommonLayer"]
    assert layer["Properties"]["CompatibleArchitectures"] == [layer["Metadata"]["BuildArchitecture"]]
    assert layer["Metadata"]["BuildArchitecture"] == "x86_64"


def test_the_rest_of_the_template_is_as_it_was_built(template: Template, tmp_path: Path) -> None:
    built = tmp_path / "template.yaml"
    built.write_text(TEMPLATE.read_text())
    copy, before = load(handover.write_template(built, told(template), "x86_64")), load(built)
    changed = [name for name, one in before["Resources"].items() if copy["Resources"][name] != one]
    assert set(changed) == {*template.functions, "CommonLayer"}
    del copy["Resources"], before["Resources"]
    assert copy == before


def test_the_file_of_settings_is_for_its_owner_alone_and_names_every_function(
    template: Template, tmp_path: Path
) -> None:
    file = tmp_path / "settings.json"
    file.touch(mode=0o644)
    handover.write_settings(file, told(template), template.functions)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text()) == dict.fromkeys(template.functions, told(template))


def functions_of(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    resources = document["Resources"].items()
    return {name: one["Properties"] for name, one in resources if one["Type"] == FUNCTION}
