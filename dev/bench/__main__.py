"""Prints every figure, each from fresh processes on this machine."""

import sys

from dev.bench import cold, imports, sockets, warm
from dev.trouble import told

MEASURES = {"imports": imports.report, "cold": cold.report, "warm": warm.report, "sockets": sockets.report}

if __name__ == "__main__":
    with told():
        for name in sys.argv[1:] or MEASURES:
            MEASURES[name]()
