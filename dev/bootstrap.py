"""Makes .venv with everything this project needs, from a Python alone; does nothing when it is up to date.

Only the standard library is at hand here. The file also has to parse and say its sentence on Pythons far
older than the project's, hence neither `match` nor subscripted types.
"""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NEEDED = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
INTERPRETER = VENV / "bin" / "python"
INSTALLER = ROOT / "dev" / "bootstrap-requirements.txt"
LISTS = (ROOT / "layers" / "common" / "requirements.txt", ROOT / "dev" / "requirements.txt")
STAMP = VENV / "installed"


def main() -> None:
    """Bring .venv up to date; every failure is one sentence and exit code 1."""
    if sys.version_info < NEEDED:
        sys.exit(
            f"This project needs Python {_dotted(NEEDED)} or newer, this is {_dotted(sys.version_info)}: "
            "name a newer one, for example PYTHON=python3.13 make dev."
        )
    with _alone():
        wanted = _fingerprint()
        if _installed() != wanted:
            _install(wanted)


@contextmanager
def _alone() -> "Iterator[None]":
    """Two commands at once install one after the other."""
    (ROOT / ".local").mkdir(exist_ok=True)
    with (ROOT / ".local" / "bootstrap.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fingerprint() -> str:
    digest = hashlib.sha256(repr(sys.version_info[:2]).encode())
    for file in (INSTALLER, *LISTS):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _installed() -> str:
    """The fingerprint of what .venv holds; empty if it is missing, broken or unfinished."""
    if not INTERPRETER.exists() or not STAMP.exists():
        return ""
    return STAMP.read_text()


def _install(wanted: str) -> None:
    started = time.monotonic()
    print("Installing what is pinned into .venv …", flush=True)
    if not _same_python():
        _make_venv()
    # Without its stamp a virtual environment counts as broken, so an interrupted installation heals.
    STAMP.unlink(missing_ok=True)
    if not _with_uv() and not _with_pip():
        sys.exit(
            "The packages could not be installed (see above): check the network and pip's configuration, "
            "then run the same command again."
        )
    STAMP.write_text(wanted)
    print(f"Installed in {time.monotonic() - started:.0f} s.", flush=True)


def _same_python() -> bool:
    """Whether .venv was finished once, by this version: then the installer only has to adjust it."""
    if not _installed():
        return False
    ask = "import sys; print(sys.version_info[:2])"
    answer = subprocess.run([INTERPRETER, "-c", ask], capture_output=True, text=True, check=False).stdout
    return answer.strip() == str(sys.version_info[:2])


def _make_venv() -> None:
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        sys.exit(
            "This Python cannot make virtual environments: install its venv module, "
            f"on Debian and Ubuntu with apt install python{_dotted(sys.version_info)}-venv."
        )
    shutil.rmtree(VENV, ignore_errors=True)
    # The base interpreter: this one may be that of the environment which has just been removed.
    base = getattr(sys, "_base_executable", None) or sys.executable
    made = subprocess.run([base, "-m", "venv", VENV], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        sys.exit(f"The virtual environment .venv could not be made: {(made.stdout + made.stderr).strip()}")


def _with_uv() -> bool:
    """Install with uv, which takes seconds; it ignores pip's configuration and may fail where pip works."""
    if not _run("pip", "install", "-qq", "--require-hashes", "-r", INSTALLER):
        return False
    return _run("uv", "pip", "install", "-q", "--python", INTERPRETER, *_hashed_lists())


def _with_pip() -> bool:
    print("uv could not do it; pip takes about a minute …", flush=True)
    return _run("pip", "install", "-qq", *_hashed_lists())


def _hashed_lists() -> "list[str | Path]":
    return ["--require-hashes", *(part for file in LISTS for part in ("-r", file))]


def _dotted(version: "tuple[object, ...]") -> str:
    return f"{version[0]}.{version[1]}"


def _run(module: str, *arguments: "str | Path") -> bool:
    environment = dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_USER="0")
    return (
        subprocess.run([INTERPRETER, "-m", module, *arguments], env=environment, check=False).returncode == 0
    )


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted: run the same command again to finish.")
