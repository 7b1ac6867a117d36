"""Ends whatever of this checkout was left running, by `make dev` say or `make db-up`, and nothing else."""

from dev import local, postgres
from dev.trouble import told


def main() -> None:
    with told():
        stopped = [
            name
            for name, ended in (
                ("the stack", local.stop(local.STACK)),
                ("the database", local.stop(local.DATABASE)),
                ("a Postgres without its keeper", postgres.stop_orphan(local.POSTGRES)),
            )
            if ended
        ]
    print(f"Stopped {' and '.join(stopped)}." if stopped else "Nothing of this checkout was running.")


if __name__ == "__main__":
    main()
