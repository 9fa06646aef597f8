"""The disk of the database server fills up while orders come in."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection

from config.runtime.ports import free_port
from config.runtime.postgres import Server
from orders.models import Order
from outbox.invariants import verify
from outbox.models import IdempotencyRecord
from tests.faults.conftest import run_cluster
from tests.faults.server import NOBODY, Buyers, Site, own_server
from tests.reporting import needs
from tests.runtime.waiting import eventually
from tests.shop import fill_shop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.requirement("M5", "M8", "M39")]
DISK = "300m"
FEW = {"max_wal_size": "48MB", "min_wal_size": "32MB", "fsync": "off"}


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """A small disk in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or not shutil.which("mount"):
        needs("root, to mount a small disk,")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def server(disk, django_db_blocker) -> Iterator[Server]:
    with django_db_blocker.unblock(), own_server(Server(disk / "server"), **FEW) as own:
        fill_shop()
        yield own


@pytest.fixture
def site(server, tmp_path) -> Iterator[Site]:
    port, outside = free_port(), {"PAYMENT_API_BASE": NOBODY, "CARRIER_API_BASE": NOBODY}
    for cluster in run_cluster(tmp_path, outside, web_port=port):
        yield Site(f"http://127.0.0.1:{port}", cluster)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Leave no byte on the disk."""
    ballast = disk / "ballast"
    _fill(ballast)
    try:
        yield
    finally:
        ballast.unlink()


def _fill(ballast: Path) -> None:
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def test_on_a_full_disk_nothing_is_acknowledged_that_is_not_kept_and_work_resumes_when_there_is_room(
    disk, server, site
):
    with Buyers(site, 4) as buyers:
        eventually(lambda: len(buyers.placed) > 10, 60)
        with full(disk):
            eventually(lambda: _refused(buyers, disk), 120)
            placed = len(buyers.placed)
        eventually(lambda: server.revive() or site.ready(), 60)
        eventually(lambda: len(buyers.placed) > placed + 10, 60)
    connection.close()
    assert 500 not in buyers.statuses
    assert 503 in buyers.statuses
    orders = {f"ord_{order_id.hex}" for order_id in Order.objects.values_list("id", flat=True)}
    assert set(buyers.placed.values()) <= orders
    assert len(set(buyers.placed.values())) == len(buyers.placed)
    assert IdempotencyRecord.objects.filter(key__in=list(buyers.placed)).count() == len(buyers.placed)
    eventually(lambda: site.ready() and site.cluster.whole(), 60)
    assert [verdict for verdict in verify() if verdict.violations] == []


def _refused(buyers: Buyers, disk: Path) -> bool:
    """Tell whether the last answers were all refusals; what the server frees meanwhile is taken again."""
    _fill(disk / "ballast")
    return len(buyers.statuses) > 20 and all(status in (0, 503) for status in buyers.statuses[-8:])
