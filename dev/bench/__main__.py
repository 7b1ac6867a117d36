"""Prints every figure, each from fresh processes on this machine."""

from dev.bench import imports, sockets

if __name__ == "__main__":
    imports.report()
    sockets.report()
