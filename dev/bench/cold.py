"""How long a function of the built artifact takes to come up, beside what it could not do without."""

import json
import os
import subprocess
from pathlib import Path
from statistics import median

from dev.emulator import ARTIFACT
from dev.sam import TEMPLATE, Template
from dev.trouble import Trouble

RUNS = 9
OURS = ("academy", "ai", "auth", "chat", "tracks", "ws")
# Imports what it is told, in order, and says how long that took and what it brought along. In processor time:
# importing takes little else, and on a shared machine the clock tells what the others do.
PROBE = """
import importlib, json, sys, time
names, before = json.loads(sys.argv[1]), set(sys.modules)
started = time.process_time()
for name in names:
    importlib.import_module(name)
seconds = time.process_time() - started
print(json.dumps([seconds * 1000, [name for name in sys.modules if name not in before]]))
"""
HELLO = """
import json, time
started = time.process_time()
from fastapi import FastAPI
from mangum import Mangum
app = FastAPI()
app.get("/")(lambda: {"hello": "world"})
handler = Mangum(app, lifespan="off")
print(json.dumps([(time.process_time() - started) * 1000, []]))
"""
COLUMNS = ("as shipped", "no bytecode", "libraries", "ours adds", "shipped/none")


def report() -> None:
    python = _python()
    modules = {f.name: f.handler.rpartition(".")[0] for f in Template(TEMPLATE).functions.values()}
    libraries = {name: _libraries(python, module) for name, module in modules.items()}
    taken: dict[str, list[tuple[float, float, float]]] = {name: [] for name in modules}
    hellos = []
    for _ in range(RUNS):
        # In turns, so that noise hits all alike.
        hellos.append(_run(python, HELLO)[0])
        for name, module in modules.items():
            taken[name].append(_measured(python, module, libraries[name]))
    print(f"Init of the built artifact, in ms of processor time, median of {RUNS} fresh processes each:")
    print("  " + " " * 16 + "".join(f"{column:>14}" for column in COLUMNS))
    for name, runs in taken.items():
        print(_line(name, *(median(figures) for figures in zip(*runs, strict=True))))
    print(f"  {'bare hello':16}{median(hellos):14.0f}")


def _libraries(python: Path, module: str) -> list[str]:
    """What a module imports that is not ours, in order."""
    return [name for name in _imported(python, [module])[1] if name.partition(".")[0] not in OURS]


def _measured(python: Path, module: str, libraries: list[str]) -> tuple[float, float, float]:
    """As shipped, without bytecode, and the libraries alone."""
    shipped, _ = _imported(python, [module])
    bare, _ = _imported(python, [module], PYTHONPYCACHEPREFIX="/nowhere")
    alone, _ = _imported(python, libraries)
    return shipped, bare, alone


def _line(name: str, shipped: float, bare: float, alone: float) -> str:
    figures = f"{shipped:14.0f}{bare:14.0f}{alone:14.0f}{shipped / alone - 1:14.0%}{shipped / bare:14.2f}"
    return f"  {name:16}{figures}"


def _imported(python: Path, names: list[str], **variables: str) -> tuple[float, list[str]]:
    return _run(python, PROBE, json.dumps(names), **variables)


def _run(python: Path, program: str, *arguments: str, **variables: str) -> tuple[float, list[str]]:
    folders = [str(ARTIFACT / part) for part in ("task", "layer/python", "runtime")]
    known = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(folders)}
    environment = {**known, "PYTHONDONTWRITEBYTECODE": "1", "POWERTOOLS_TRACE_DISABLED": "true", **variables}
    command = [str(python), "-s", "-c", program, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    milliseconds, modules = json.loads(done.stdout)
    return milliseconds, modules


def _python() -> Path:
    if not ARTIFACT.exists():
        raise Trouble("There is no artifact to measure: `make artifact` builds one.")
    return Path(os.environ["BUILD_PYTHON"])
