"""One process of one release: publishes when it is told to, and is a worker while it is told to be.

Usage: LAB_RELEASE=2 python -m tests.faults.one_release. Each line of input is JSON: {"publish": [numbers]} or
{"work": bool}; it is answered with a line when it is carried out.
"""

import json
import select
import sys
from uuid import UUID

import django

django.setup()

from outbox.engine import shift  # noqa: E402 - needs the apps
from outbox.publishing import unit_of_work  # noqa: E402
from tests.lab.parcels import send_parcel  # noqa: E402

BENCH = UUID(int=1)


def told() -> bool:
    """Whether there is something to read."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


def run() -> None:
    """Do as told until the input ends."""
    working = False
    while True:
        if working and not told():
            shift.run_shift(stopping=told, seconds=1.0)
            continue
        line = sys.stdin.readline()
        if not line:
            break
        order = json.loads(line)
        for number in order.get("publish", []):
            with unit_of_work():
                send_parcel(BENCH, number)
        if "work" in order:
            working = order["work"]
            if not working:
                shift.sign_out()
        print("done", flush=True)
    shift.sign_out()


if __name__ == "__main__":
    run()
