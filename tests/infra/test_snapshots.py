"""Importing a function leaves nothing behind that a snapshot of it would keep for months."""

import json
import subprocess
import sys

from dev.local import ROOT
from dev.sam import TEMPLATE, Template

# Without any setting, so that whoever reads one at import fails; libpq, which is not watched, needs one too.
PROGRAM = """
import importlib, json, sys

opened = []
watched = ("socket.connect", "socket.getaddrinfo")
sys.addaudithook(lambda event, _: opened.append(event) if event in watched else None)
for module in sys.argv[1:]:
    importlib.import_module(module)

from academy import config

print(json.dumps([opened, config.settings.cache_info().currsize]))
"""
PATHS = ":".join(map(str, (ROOT / "functions", ROOT / "layers" / "common")))


def test_importing_every_handler_opens_no_connection_and_reads_no_setting_or_secret() -> None:
    modules = {function.handler.rpartition(".")[0] for function in Template(TEMPLATE).functions.values()}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *modules],
        env={"PYTHONPATH": PATHS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[], 0]
