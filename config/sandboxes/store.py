"""A sandbox's memory: one SQLite file that survives `kill -9`."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Store:
    """Rows in one SQLite file, used from one event loop; a statement outside `transaction` commits by itself."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        # NORMAL loses nothing when a process dies, only when the machine does.
        self._connection.execute("PRAGMA synchronous = NORMAL")

    def define(self, schema: str) -> None:
        """Create what `schema` names and is not there yet."""
        self._connection.executescript(schema)

    def execute(self, statement: str, *parameters: object) -> int:
        """Run a writing statement; answer how many rows it changed."""
        return self._connection.execute(statement, parameters).rowcount

    def rows(self, query: str, *parameters: object) -> list[sqlite3.Row]:
        return self._connection.execute(query, parameters).fetchall()

    def rows_named(self, query: str, parameters: dict[str, object]) -> list[sqlite3.Row]:
        return self._connection.execute(query, parameters).fetchall()

    def row(self, query: str, *parameters: object) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self._connection.execute(query, parameters).fetchone()
        return found

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; one inside another joins it. Never await inside, or another task's statements join in."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
