"""The least that a listening worker can be: wait for a ring, take one row, note when, forget the row."""

import os
import time

import psycopg

TAKE = "SELECT number FROM bench_inbox ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED"


def listen(url: str) -> None:
    with (
        psycopg.connect(url, autocommit=True, application_name="bare_listener") as bell,
        psycopg.connect(url, prepare_threshold=1) as work,
    ):
        bell.execute("LISTEN bench_bare")
        for _ in bell.notifies():
            while take_one(work):
                pass


def take_one(work: psycopg.Connection) -> bool:
    row = work.execute(TAKE).fetchone()
    began = time.time()
    if row:
        work.execute("INSERT INTO bench_pickup (number, at) VALUES (%s, %s)", (row[0], began))
        work.execute("DELETE FROM bench_inbox WHERE number = %s", row)
    work.commit()
    return row is not None


if __name__ == "__main__":
    listen(os.environ["DATABASE_URL"])
