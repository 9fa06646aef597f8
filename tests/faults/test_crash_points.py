"""A worker is killed at every statement, COMMIT and call, one point after the other: everything happens once.

One point in five is tried by default, all with --all. Which fifth is drawn anew in each run and told when a test
fails; TANDEM_CRASH_OFFSET=0..4 chooses it.
"""

import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from outbox.invariants import verify
from outbox.models import Receipt
from tests.faults.conftest import database_url
from tests.faults.crash_flows import FLOWS, LEDGER, Flow, told
from tests.runtime.waiting import eventually

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.requirement("M8", "M9", "M14", "M39"),
    pytest.mark.timeout(600),
]
STRIDE = 5
OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


class Zygote:
    """A process that forks workers which kill themselves where they are told to."""

    def __init__(self, process: "subprocess.Popen[str]", trace: Path) -> None:
        self._process = process
        self._trace = trace

    def work(self, crash_at: int | str | None = None) -> tuple[bool, list[str]]:
        """Have a worker work until it is done or killed; tell whether it was killed, and its events."""
        self._process.stdin.write(json.dumps({"crash_at": crash_at, "trace": str(self._trace)}) + "\n")
        self._process.stdin.flush()
        ended = json.loads(self._process.stdout.readline())
        assert ended["killed"] or ended["code"] == 0, f"{ended} after {self._trace.read_text().splitlines()[-5:]}"
        eventually(lambda: not _others())
        return ended["killed"], self._trace.read_text().splitlines()


def _others() -> int:
    with connection.cursor() as cursor:
        cursor.execute(OTHERS)
        return cursor.fetchone()[0]


@pytest.fixture(scope="module")
def zygote_process(tmp_path_factory, django_db_setup, django_db_blocker) -> Iterator["subprocess.Popen[str]"]:
    """Started once: loading everything takes longer than many crashes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(LEDGER, str(tmp_path_factory.mktemp("outside") / "ledger"))
        patch.setenv("DATABASE_URL", database_url())
        patch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings")
        patch.delenv("COVERAGE_PROCESS_START", raising=False)
        command = [sys.executable, "-m", "tests.faults.zygote"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            yield process
            process.stdin.close()


@pytest.fixture
def zygote(zygote_process, tmp_path) -> Zygote:
    """Forks workers on the test's database; the outside world was told nothing yet."""
    Path(os.environ[LEDGER]).write_text("")
    return Zygote(zygote_process, tmp_path / "trace")


@pytest.fixture
def points(request) -> "itertools.count[int]":
    """The points to try, without an end."""
    if request.config.getoption("--all"):
        return itertools.count(1)
    offset = int(os.environ.get("TANDEM_CRASH_OFFSET", random.randrange(STRIDE)))
    print(f"TANDEM_CRASH_OFFSET={offset}")
    return itertools.count(1 + offset, STRIDE)


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_whatever_moment_a_worker_dies_at_everything_happens_as_often_as_promised(flow: Flow, zygote: Zygote, points):
    flow.begin(0)
    killed, events = zygote.work()
    assert (killed, flow.wrong(0)) == (False, [])
    assert "COMMIT" in events
    for point in itertools.takewhile(lambda point: point <= len(events), points):
        flow.begin(point)
        killed, passed = zygote.work(crash_at=point)
        assert killed or point > len(passed)
        zygote.work()
        died_before = f"point {point} of {len(events)}, before: {passed[-1]}"
        assert (died_before, flow.wrong(point, died=killed)) == (died_before, [])
    assert [verdict for verdict in verify() if verdict.violations] == []


def test_a_worker_that_dies_between_call_and_record_calls_again_with_the_same_key(zygote: Zygote):
    flow = next(flow for flow in FLOWS if flow.tells)
    flow.begin(1_000)
    assert zygote.work(crash_at="the answer comes")[0]
    zygote.work()
    assert flow.wrong(1_000) == []
    first, second = told(1_000)
    assert first == second


def test_a_worker_that_dies_between_call_and_record_never_repeats_a_call_of_at_most_once(zygote: Zygote):
    flow = next(flow for flow in FLOWS if flow.perhaps)
    flow.begin(1_000)
    assert zygote.work(crash_at="the answer comes")[0]
    zygote.work()
    assert len(told(1_000)) == 1
    assert list(Receipt.objects.values_list("consumer", "outcome")) == [("lab.flare", "begun")]
