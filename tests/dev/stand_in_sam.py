"""Stands in for `sam` where there is no Docker: a build that copies, and one event for one function.

The function gets what a container would: the values of the file of settings, and nothing else.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

CALL = """
from types import SimpleNamespace
from auth.routes import handler
from dev.events import http_event
names = dict(function_name="auth", invoked_function_arn="", aws_request_id="")
context = SimpleNamespace(memory_limit_in_mb=1024, **names)
print("A guest gets", handler(http_event("POST", "/api/auth/guest-login"), context)["statusCode"])
"""


def option(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1]


def build() -> None:
    folder = Path(option("--build-dir"))
    folder.mkdir(parents=True)
    shutil.copy(option("-t"), folder / "template.yaml")


def start_api() -> None:
    assert Path(option("--template")).is_file()
    values = json.loads(Path(option("--env-vars")).read_text())["AuthFunction"]
    lambdas = {"PYTHONPATH": os.environ["PYTHONPATH"], "AWS_LAMBDA_FUNCTION_NAME": "AuthFunction"}
    subprocess.run([sys.executable, "-c", CALL], env={**lambdas, **values}, check=True)


if __name__ == "__main__":
    build() if sys.argv[1] == "build" else start_api()
