"""How long a function's code takes to import, and how much memory it leaves behind."""

import compileall
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from statistics import median
from typing import TypedDict

from dev.local import ROOT

FUNCTIONS = ("auth", "tracks", "chat", "ai", "ws")
RUNS = 9
# Runs in a fresh process: imports the handler, builds its application, and prints what that took.
PROBE = """
import json, resource, sys, time
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.perf_counter()
import importlib
handler = importlib.import_module(sys.argv[1] + ".routes").handler
imported = time.perf_counter()
getattr(handler, "app", None)
built = time.perf_counter()
print(json.dumps({
    "import_ms": (imported - started) * 1000,
    "app_ms": (built - imported) * 1000,
    "memory_mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
}))
"""


class Figures(TypedDict):
    """Of one fresh process; `modules` are the top-level packages that it had imported."""

    import_ms: float
    app_ms: float
    memory_mib: float
    modules: list[str]


def measure(function: str) -> Figures:
    paths = (ROOT, ROOT / "functions", ROOT / "layers" / "common")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, function], env=environment, capture_output=True, text=True, check=True
    )
    figures: Figures = json.loads(done.stdout)
    return figures


def report() -> None:
    _compile()
    print(f"Import of each handler with compiled bytecode, median of {RUNS} fresh processes:")
    for function in FUNCTIONS:
        runs = [measure(function) for _ in range(RUNS)]
        print(
            f"  {function:8} import {median(run['import_ms'] for run in runs):5.0f} ms, "
            f"application {median(run['app_ms'] for run in runs):5.1f} ms, "
            f"memory {median(run['memory_mib'] for run in runs):4.1f} MiB"
        )


def _compile() -> None:
    # Explicitly, because PYTHONDONTWRITEBYTECODE may be set, and timing would be of the compiler then.
    for folder in (ROOT / "functions", ROOT / "layers", Path(sysconfig.get_path("purelib"))):
        compileall.compile_dir(folder, quiet=2, workers=0)
