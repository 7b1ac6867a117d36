"""What a terminal holds until Ctrl-C: the whole platform on one port, or `services`, or `sam-local`.

Nothing to install, no account, no key; only `sam-local` needs Docker, and is told how to call `sam`.
"""

import sys
from importlib import import_module

from dev.local import interrupt_on_signals
from dev.trouble import told

PROGRAMS = {"dev": "dev.supervisor", "services": "dev.services", "sam-local": "dev.containers"}


def main(name: str = "dev", *arguments: str) -> None:
    interrupt_on_signals()
    with told():
        try:
            # Imported here, because its imports take a second in which somebody may press Ctrl-C.
            import_module(PROGRAMS[name]).run(*arguments)
        except KeyboardInterrupt:
            print("\nStopped. The data stays in .local/.")


if __name__ == "__main__":
    main(*sys.argv[1:])
