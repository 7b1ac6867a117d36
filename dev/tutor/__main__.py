"""`python -m dev.tutor --port 8100`: the offline tutor as a program."""

import argparse

from dev.local import LOOPBACK
from dev.trouble import told
from dev.tutor import serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dev.tutor", description=__doc__)
    parser.add_argument("--address", default=LOOPBACK)
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--exit-with-parent", action="store_true", help="stop when standard input ends")
    arguments = parser.parse_args()
    with told():
        serve(arguments.port, arguments.address, exit_with_parent=arguments.exit_with_parent)


if __name__ == "__main__":
    main()
