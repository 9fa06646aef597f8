"""docs/reuse-outbox.md: `outbox/` works in a project that has nothing else of this one."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection
from psycopg.rows import dict_row

from tests.runtime.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "tests" / "example_project"
PAGE = (ROOT / "docs" / "reuse-outbox.md").read_text()
DATABASE = f"example_{os.getpid()}"
pytestmark = pytest.mark.requirement("M40")


class Provider(BaseHTTPRequestHandler):
    """The mail provider: refuses the first letter of each key, takes the second."""

    asked: list[tuple[str, str]] = []

    def do_POST(self) -> None:
        key = self.headers["Idempotency-Key"]
        letter = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        again = key in [former for former, _ in self.asked]
        self.asked.append((key, letter["to"]))
        self.send_response(200 if again else 503)
        self.end_headers()
        self.wfile.write(b'{"id": "letter-1"}')

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Project:
    """The example in a place of its own, on a database of its own."""

    def __init__(self, place: Path, mail_url: str) -> None:
        self.place = place
        where = connection.settings_dict
        self.address = {
            "PGHOST": where["HOST"] or "127.0.0.1",
            "PGPORT": str(where["PORT"] or 5432),
            "PGUSER": where["USER"],
            "PGPASSWORD": where["PASSWORD"],
            "PGDATABASE": DATABASE,
        }
        self.environment = {"PATH": os.environ["PATH"], "SECRET_KEY": "x" * 50, "MAIL_URL": mail_url, **self.address}

    def manage(self, *arguments: str, **environment: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=self.place, env={**self.environment, **environment}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def workers(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "manage.py", "qcluster"], cwd=self.place, env=self.environment)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        with psycopg.connect(conninfo_of(self.address), row_factory=dict_row) as session:
            return session.execute(sql).fetchall()


def conninfo_of(address: dict[str, str]) -> str:
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password", "PGDATABASE": "dbname"}
    return psycopg.conninfo.make_conninfo("", **{names[name]: value for name, value in address.items() if value})


@pytest.fixture
def mail_url() -> Iterator[str]:
    Provider.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def project(transactional_db, tmp_path: Path, mail_url: str) -> Iterator[Project]:
    """Copied as the page says, migrated, nothing running."""
    place = tmp_path / "project"
    shutil.copytree(EXAMPLE, place, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "outbox", place / "outbox", ignore=shutil.ignore_patterns("__pycache__"))
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {DATABASE}")
    project = Project(place, mail_url)
    try:
        project.manage("migrate", "--verbosity", "0")
        yield project
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


SUBSCRIBE = """
from django.test import Client
answer = Client().post("/subscribers", {"email": "ada@example.org"})
print(answer.status_code, answer.json()["id"])
"""
LOOK = """
from django.contrib.auth.models import User
from django.test import Client
client = Client()
client.force_login(User.objects.create_superuser("ada"))
for page in ("message", "delivery", "deadletter", "saga", "worker", "breaker"):
    print(page, client.get(f"/admin/outbox/{page}/").status_code)
from outbox.models import Message
message = Message.objects.get(name="newsletter.subscribed")
answer = client.get(f"/admin/outbox/message/{message.id}/change/")
print("case", answer.status_code, "newsletter.tally" in answer.content.decode())
"""


def test_the_example_runs_with_the_outbox_alone(project):
    assert project.manage("check") == "System check identified no issues (0 silenced).\n"
    status, subscriber = project.manage("shell", "--verbosity", "0", "-c", SUBSCRIBE).split()
    assert (status, UUID(subscriber).version) == ("202", 7)
    workers = project.workers()
    try:
        eventually(lambda: len(project.rows("SELECT * FROM outbox_receipt")) == 2, 60)
    finally:
        workers.terminate()
        assert workers.wait(60) == 0, "stops in order"
    receipts = project.rows("SELECT consumer, attempts FROM outbox_receipt ORDER BY consumer")
    assert [tuple(row.values()) for row in receipts] == [("newsletter.send_welcome", 2), ("newsletter.tally", 1)]
    assert [row["subscribed"] for row in project.rows("SELECT * FROM newsletter_tally")] == [1]
    assert [row["welcome"] for row in project.rows("SELECT * FROM newsletter_subscriber")] == ["letter-1"]
    assert [email for _, email in Provider.asked] == ["ada@example.org"] * 2
    assert len({key for key, _ in Provider.asked}) == 1, "one key for both attempts"
    assert "0 broken" in project.manage("verify")
    assert json.loads(project.manage("outbox", "stats", "--json"))["queue"] == []


ORDER_PRINTS = """
from editions.models import Edition
from editions.sagas import order_print
from outbox.publishing import unit_of_work
with unit_of_work():
    edition = Edition.objects.create(number=1, copies=1)
    print(order_print(edition, ""))
"""
ORDER_ANOTHER = """
from editions.models import Edition
from editions.sagas import order_print
from outbox.publishing import unit_of_work
for _ in range(2):
    with unit_of_work():
        print(order_print(Edition.objects.get(), "High Street 1"))
"""


def test_the_examples_saga_posts_a_copy_or_takes_back_what_it_has_done(project):
    def ended(count: int) -> bool:
        return len(project.rows("SELECT 1 FROM outbox_saga WHERE finished_at IS NOT NULL")) == count

    project.manage("makemigrations", "--check", "--dry-run", "newsletter", "editions")
    project.manage("shell", "--verbosity", "0", "-c", ORDER_PRINTS)
    workers = project.workers()
    try:
        eventually(lambda: ended(1), 60)
        undone = project.rows("SELECT name, status FROM outbox_sagastep ORDER BY position")
        assert [tuple(row.values()) for row in undone] == [("reserve", "compensated"), ("post", "failed")]
        assert project.rows("SELECT copies FROM editions_edition") == [{"copies": 1}], "the copy went back"
        project.manage("shell", "--verbosity", "0", "-c", ORDER_ANOTHER)
        eventually(lambda: ended(3), 60)
    finally:
        workers.terminate()
        assert workers.wait(60) == 0
    orders = project.rows("SELECT outcome, has_copy FROM editions_printorder ORDER BY outcome")
    assert [tuple(row.values()) for row in orders] == [
        ("There is no copy left", False),
        ("We do not know the street", False),
        ("posted", True),
    ]
    sagas = project.rows("SELECT status FROM outbox_saga ORDER BY status")
    assert [row["status"] for row in sagas] == ["compensated", "compensated", "completed"]
    assert project.rows("SELECT copies FROM editions_edition") == [{"copies": 0}]
    assert "0 broken" in project.manage("verify")


def test_the_console_comes_along_with_its_templates_and_styles(project):
    shutil.copytree(ROOT / "templates" / "admin" / "outbox", project.place / "templates" / "admin" / "outbox")
    shutil.copytree(ROOT / "static" / "tandem", project.place / "static" / "tandem")
    console = {"DJANGO_SETTINGS_MODULE": "mysite.console_settings"}
    project.manage("migrate", "--verbosity", "0", **console)
    project.manage("shell", "--verbosity", "0", "-c", SUBSCRIBE, **console)
    pages = project.manage("shell", "--verbosity", "0", "-c", LOOK, **console).splitlines()
    assert pages == [
        *(f"{page} 200" for page in ("message", "delivery", "deadletter", "saga", "worker", "breaker")),
        "case 200 True",
    ]


def test_the_page_shows_the_files_of_the_example_as_they_are():
    shown = dict(re.findall(r"^`([\w/]+\.py)`\n\n```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
    assert shown == {name: (EXAMPLE / name).read_text() for name in shown}
    apps = ("events", "services", "views", "handlers")
    assert set(shown) == {"mysite/settings.py", *(f"newsletter/{name}.py" for name in apps)}


def test_the_page_names_the_packages_that_the_engine_imports():
    modules = {
        name
        for path in (ROOT / "outbox").rglob("*.py")
        for name in re.findall(r"^\s*(?:from|import) (\w+)", path.read_text(), re.MULTILINE)
    }
    foreign = modules - set(sys.stdlib_module_names) - {"outbox"}
    packages = {"django_q": "django-q2", "uuid_utils": "uuid-utils", "prometheus_client": "prometheus-client"}
    named = {packages.get(name, name) for name in foreign - {"unfold"}}
    assert set(re.findall(r"'([\w-]+)", PAGE.partition("pip install")[2].partition("```")[0])) == named
    assert "django-unfold" in PAGE
