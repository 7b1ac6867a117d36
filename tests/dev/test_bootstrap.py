"""The first thing a newcomer runs: it must speak plainly on a Python that is too old for everything else."""

import ast
import subprocess
import sys
from pathlib import Path

from dev import bootstrap
from dev.local import ROOT


def test_it_parses_on_pythons_that_are_far_too_old() -> None:
    ast.parse(Path(bootstrap.__file__).read_text(encoding="utf-8"), feature_version=(3, 7))


def test_an_old_python_is_told_what_is_needed(tmp_path: Path) -> None:
    # Whoever has no old Python at hand can still claim to need a newer one than this.
    script = tmp_path / "dev" / "bootstrap.py"
    script.parent.mkdir()
    script.write_text(Path(bootstrap.__file__).read_text().replace("NEEDED = (3, 11)", "NEEDED = (9, 1)"))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("This project needs Python 9.1 or newer, this is 3.")
    assert len(done.stderr.splitlines()) == 1


def test_the_makefile_says_that_python_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "-C", ROOT, "install", f"PYTHON={tmp_path}/python"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "is missing: install Python 3.11 or newer" in done.stderr


def test_an_interrupted_installation_heals_and_a_finished_one_is_left_alone(tmp_path: Path) -> None:
    script = tmp_path / "dev" / "bootstrap.py"
    for file in (bootstrap.INSTALLER, *bootstrap.LISTS):
        empty = tmp_path / file.relative_to(ROOT)
        empty.parent.mkdir(parents=True, exist_ok=True)
        empty.touch()
    script.write_text(Path(bootstrap.__file__).read_text())
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    first, second = (
        subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
        for _ in range(2)
    )
    assert (first.returncode, "Installed in" in first.stdout) == (0, True), first.stderr
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
