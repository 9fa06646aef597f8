"""A client that places the smallest order there is: one business row, with or without a message. Run as a program.

Each line on stdin, `KIND UNTIL`, makes it work until that time; it answers with the number of its commits.
"""

import sys
import time
from uuid import uuid4

import django

django.setup()

from django.db import connection, transaction  # noqa: E402 - needs the settings

from outbox.publishing import send, unit_of_work  # noqa: E402 - the same
from tests.bench.commands import Placed  # noqa: E402 - the same

BENCH = uuid4()


def insert() -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO bench_pickup (number, at) VALUES (nextval('bench_number'), 0)")


def order_only() -> None:
    with transaction.atomic():
        insert()


def publish() -> None:
    with unit_of_work():
        insert()
        send(Placed(bench_id=BENCH, number=1))


PLACE = {"order_only": order_only, "publish": publish}


def main() -> None:
    order_only()
    print("ready", flush=True)
    for line in sys.stdin:
        kind, until = line.split()
        place, commits = PLACE[kind], 0
        while time.time() < float(until):
            place()
            commits += 1
        print(commits, flush=True)


if __name__ == "__main__":
    main()
