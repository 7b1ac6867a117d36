"""What somebody has who has the database."""

from sqlalchemy import Connection

from academy.models import Base


def dumped(connection: Connection) -> bytes:
    """Every row of every table, as `pg_dump` writes them."""
    driver = connection.connection.driver_connection
    assert driver is not None
    text = bytearray()
    for table in Base.metadata.sorted_tables:
        with driver.cursor().copy(f"COPY {table.name} TO STDOUT") as rows:
            for row in rows:
                text += row
    return bytes(text)
