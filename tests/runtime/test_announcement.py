import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from config.runtime import announcement as module
from config.runtime.announcement import Announcement
from config.runtime.files import DataDirectory


class Site(HTTPServer):
    """A web server that is ready and knows of `workers` workers."""

    workers = 0
    workers_status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.send_response(self.server.workers_status if self.path == "/health/workers" else 200)
        self.end_headers()
        self.wfile.write(json.dumps({"workers": self.server.workers}).encode())

    def log_message(self, *arguments: object) -> None:
        """Keep the tests' output free of access logs."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(module, "LOOK_EVERY_SECONDS", 0.0)
    with Site(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def headline(text: str | None) -> str:
    assert text is not None
    return text.splitlines()[1].strip()


def test_the_announcement_waits_until_all_workers_signed_in(site: Site, tmp_path: Path) -> None:
    announcement = Announcement(site.url, DataDirectory(tmp_path), workers=2)
    assert announcement.due() is None
    site.workers = 1
    assert announcement.due() is None
    site.workers = 2
    assert headline(announcement.due()) == "Tandem is ready, with 2 worker processes."
    assert announcement.due() is None


def test_overdue_work_does_not_hide_workers_that_signed_in(site: Site, tmp_path: Path) -> None:
    site.workers, site.workers_status = 1, 503
    text = Announcement(site.url, DataDirectory(tmp_path), workers=1).due()
    assert headline(text) == "Tandem is ready, with 1 worker process."


def test_workers_that_do_not_come_are_told_with_their_log(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WORKERS_SIGN_IN_SECONDS", 0.0)
    site.workers = 1
    text = Announcement(site.url, DataDirectory(tmp_path), workers=2).due()
    assert headline(text) == (
        "Tandem is ready, but only 1 of 2 worker processes came within 0 s: orders are accepted and may wait. "
        f"{tmp_path}/log/cluster.log says why."
    )


def test_nobody_waits_for_workers_that_were_not_asked_for(site: Site, tmp_path: Path) -> None:
    text = Announcement(site.url, DataDirectory(tmp_path), workers=0).due()
    assert headline(text) == "Tandem is ready, with no workers: orders are accepted and wait for them."
