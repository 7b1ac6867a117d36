"""The whole platform on one port, as `make dev` starts it: nothing to install, no account, no key."""

from dev.local import interrupt_on_signals
from dev.trouble import told


def main() -> None:
    interrupt_on_signals()
    with told():
        try:
            # Imported here, because its imports take a second in which somebody may press Ctrl-C.
            from dev import supervisor

            supervisor.run()
        except KeyboardInterrupt:
            print("\nStopped. The data stays in .local/.")


if __name__ == "__main__":
    main()
