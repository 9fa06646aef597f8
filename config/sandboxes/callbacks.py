"""Delivers a sandbox's callbacks until the receiver takes them, over crashes and restarts."""

import asyncio
import time
from collections.abc import Callable
from sqlite3 import Row

import httpx

from config.sandboxes.faults import FaultBoard
from config.sandboxes.store import Store

FIRST_RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 30.0
ANSWER_TIMEOUT_SECONDS = 10.0
STREAMS_AT_ONCE = 16

SCHEMA = """
CREATE TABLE IF NOT EXISTS callback (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, stream TEXT NOT NULL, body TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'given_up')),
    due_at REAL NOT NULL, give_up_at REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    held INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS callback_due ON callback (due_at) WHERE state = 'pending';
"""

Signer = Callable[[str, str], dict[str, str]]


class CallbackSender:
    """Sends what `enqueue` stored, one at a time per stream, retrying with backoff for a bounded time.

    The receiver may see a callback twice or out of order, after a crash by nature and by a fault on demand.
    """

    def __init__(
        self, store: Store, board: FaultBoard, url: str, sign: Signer, *, give_up_after_seconds: float
    ) -> None:
        self._store = store
        self._board = board
        self._url = url
        self._sign = sign
        self._give_up_after = give_up_after_seconds
        self._busy: set[str] = set()
        self._bell = asyncio.Event()
        store.define(SCHEMA)

    def enqueue(self, callback_id: str, *, stream: str, body: str) -> None:
        """Remember a callback until it is delivered. Joins an open transaction."""
        now = time.time()
        self._store.execute(
            "INSERT INTO callback (id, stream, body, due_at, give_up_at) VALUES (?, ?, ?, ?, ?)",
            *(callback_id, stream, body, now, now + self._give_up_after),
        )
        self._bell.set()

    async def run(self) -> None:
        """Deliver for ever."""
        client = httpx.AsyncClient(timeout=ANSWER_TIMEOUT_SECONDS, trust_env=False)
        async with client, asyncio.TaskGroup() as group:
            while True:
                self._bell.clear()
                for row in self._due():
                    self._busy.add(row["stream"])
                    group.create_task(self._deliver(client, row))
                await self._wait()

    def _due(self) -> list[Row]:
        """At most one callback of each stream that has none under way."""
        rows = self._store.rows(
            "SELECT * FROM callback WHERE state = 'pending' AND due_at <= ? ORDER BY due_at, sequence LIMIT ?",
            *(time.time(), 4 * STREAMS_AT_ONCE),
        )
        first: dict[str, Row] = {}
        for row in rows:
            if row["stream"] not in self._busy:
                first.setdefault(row["stream"], row)
        return list(first.values())[: STREAMS_AT_ONCE - len(self._busy)]

    async def _wait(self) -> None:
        row = self._store.row(
            "SELECT min(due_at) AS due_at FROM callback WHERE state = 'pending' AND due_at > ?", time.time()
        )
        due_at = row["due_at"] if row and row["due_at"] else time.time() + 60
        try:
            await asyncio.wait_for(self._bell.wait(), max(0.01, due_at - time.time()))
        except TimeoutError:
            return

    async def _deliver(self, client: httpx.AsyncClient, row: Row) -> None:
        try:
            if self._held_back(row):
                return
            if not self._board.hits("drop") and await self._post(client, row):
                if self._board.hits("duplicate_callbacks"):
                    await self._post(client, row)
                self._finish(row)
            else:
                self._postpone(row)
        finally:
            self._busy.discard(row["stream"])
            self._bell.set()

    def _held_back(self, row: Row) -> bool:
        """Whether a reordering fault keeps this callback until a later one of its stream has gone out."""
        if row["held"] or row["attempts"]:
            return False
        if self._store.row("SELECT 1 FROM callback WHERE stream = ? AND held AND state = 'pending'", row["stream"]):
            return False
        fault = self._board.hits("reorder_callbacks").get("reorder_callbacks")
        if fault is None:
            return False
        until = time.time() + fault.latency_ms / 1000
        self._store.execute("UPDATE callback SET held = 1, due_at = ? WHERE id = ?", until, row["id"])
        return True

    async def _post(self, client: httpx.AsyncClient, row: Row) -> bool:
        headers = {"Content-Type": "application/json", **self._sign(row["id"], row["body"])}
        try:
            answer = await client.post(self._url, content=row["body"], headers=headers)
        except httpx.HTTPError:
            return False
        return answer.is_success

    def _finish(self, row: Row) -> None:
        with self._store.transaction():
            self._store.execute("DELETE FROM callback WHERE id = ?", row["id"])
            self._store.execute(
                "UPDATE callback SET due_at = 0 WHERE stream = ? AND held AND state = 'pending'", row["stream"]
            )

    def _postpone(self, row: Row) -> None:
        delay = min(FIRST_RETRY_SECONDS * 2 ** min(row["attempts"], 10), LONGEST_RETRY_SECONDS)
        due_at = time.time() + delay
        self._store.execute(
            "UPDATE callback SET attempts = attempts + 1, due_at = ?,"
            " state = CASE WHEN give_up_at < ? THEN 'given_up' ELSE 'pending' END WHERE id = ?",
            *(due_at, due_at, row["id"]),
        )
