"""Builds the layer: what requirements.txt pins and academy, slim and compiled, the same bytes every time.

Runs in the copy of this folder that `sam build` makes, so it may not look outside. Needs uv, and the Python
that Lambda runs, for bytecode is of one version only. Usage: build.py FOLDER [arm64|x86_64]
"""

import compileall
import hashlib
import io
import os
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path
from py_compile import PycInvalidationMode

HERE = Path(__file__).parent
PYTHON = (3, 13)
IN_LAMBDA = "/opt/python"
PLATFORMS = {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}
# Lambda refuses more than 250 MB with the functions, and loads what is imported from disk.
BUDGET_MB = 105
ZIPPED_BUDGET_MB = 36
# The runtime brings botocore, with what only botocore needs. Of the rest nothing is ever imported: dns looks
# up the domains of e-mail addresses, which we don't; cffi and pycparser only compile.
LEFT_OUT = (
    "bin",
    "botocore*",
    "jmespath*",
    "dateutil",
    "python_dateutil*",
    "six*",
    "urllib3*",
    "cffi*",
    "dns*",
    "pycparser*",
    "alembic/testing",
    "aws_lambda_powertools/event_handler/openapi/swagger_ui",
    "pydantic/v1",
    "sqlalchemy/testing",
    "sqlalchemy/dialects/mssql",
    "sqlalchemy/dialects/mysql",
    "sqlalchemy/dialects/oracle",
    "sqlalchemy/dialects/sqlite",
    "**/*.pyi",
    "**/*.pyx",
    "**/*.pxd",
    "**/*.c",
    "**/tests",
    "**/__pycache__",
)
MB = 1_000_000


def main() -> None:
    folder = Path(sys.argv[1])
    architecture = sys.argv[2] if len(sys.argv) > 2 else "arm64"
    if sys.version_info[:2] != PYTHON:
        sys.exit(
            "The layer has to be compiled by Python 3.13, as Lambda runs it: name one, as in BUILD_PYTHON=…"
        )
    _install(folder, PLATFORMS[architecture])
    whole = _sizes_in_mb(folder)
    _prune(folder)
    shutil.copytree(HERE / "academy", folder / "academy", ignore=shutil.ignore_patterns("__pycache__"))
    _compile(folder)
    _report(folder, architecture, whole)


def _install(folder: Path, platform: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    which = ["--python-platform", platform, "--python-version", "3.13", "--only-binary", ":all:"]
    target = ["--target", str(folder), "--link-mode", "copy", "--no-compile-bytecode"]
    pinned = ["--require-hashes", "-r", str(HERE / "requirements.txt")]
    uv = os.environ.get("UV", "uv")
    done = subprocess.run([uv, "pip", "install", "-q", *which, *target, *pinned], check=False)
    if done.returncode != 0:
        sys.exit("The layer's packages could not be installed (see above).")


def _prune(folder: Path) -> None:
    for pattern in LEFT_OUT:
        for path in list(folder.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for record in folder.glob("*.dist-info/RECORD"):
        # It lists files that are gone.
        record.unlink()
    if stripper := shutil.which("llvm-strip"):
        # They come with 8 MB of symbols for debuggers. Others have none, or break when they are touched.
        for module in sorted(folder.glob("sqlalchemy/**/*.so")):
            subprocess.run([stripper, "--strip-debug", module], check=True)


def _compile(folder: Path) -> None:
    # Unchecked, because a layer's files all have the same time and cannot be written to.
    done = compileall.compile_dir(
        folder,
        quiet=1,
        workers=1,
        stripdir=str(folder),
        prependdir=IN_LAMBDA,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )
    if not done:
        sys.exit("Not everything in the layer compiles (see above).")


def _report(folder: Path, architecture: str, whole: tuple[float, float]) -> None:
    for name, size in _sizes(folder).most_common():
        if size > MB / 10:
            print(f"  {size / MB:6.1f} MB  {name}")
    total, zipped = _sizes_in_mb(folder)
    print(f"  {total:6.1f} MB  in all for {architecture}, {zipped:.1f} MB zipped;", end=" ")
    print(f"{whole[0]:.1f} and {whole[1]:.1f} MB before it was pruned and compiled. Digest {_digest(folder)}")
    if total > BUDGET_MB or zipped > ZIPPED_BUDGET_MB:
        sys.exit(f"That is more than {BUDGET_MB} MB, or {ZIPPED_BUDGET_MB} MB zipped: leave something out.")


def _sizes_in_mb(folder: Path) -> tuple[float, float]:
    """As files, and zipped."""
    return sum(_sizes(folder).values()) / MB, len(_zipped(folder)) / MB


def _sizes(folder: Path) -> Counter[str]:
    """Bytes by top-level package."""
    sizes: Counter[str] = Counter()
    for file in _files(folder):
        sizes[file.relative_to(folder).parts[0].split(".")[0]] += file.stat().st_size
    return sizes


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in _files(folder):
        digest.update(f"{file.relative_to(folder)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _zipped(folder: Path) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for file in _files(folder):
            opened.write(file, file.relative_to(folder))
    return archive.getvalue()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
