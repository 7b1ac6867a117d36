"""Copies AWS's emulator of Lambda out of the SAM CLI, which carries it. Usage: take_emulator.py FILE"""

import platform
import shutil
import sys
from pathlib import Path

import samcli

MACHINE = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())

source = Path(samcli.__file__).parent / "local" / "rapid" / f"aws-lambda-rie-{MACHINE}"
shutil.copy(source, sys.argv[1])
Path(sys.argv[1]).chmod(0o755)
