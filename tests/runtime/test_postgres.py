import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from config.runtime.binaries import Account, dropped_account
from config.runtime.cluster import Cluster
from config.runtime.errors import DatabaseUnavailable
from config.runtime.files import ROOT
from config.runtime.postgres import Server, database
from tests.runtime.waiting import eventually, is_alive, kill

USER = (
    "import sys, pathlib\n"
    "from config.runtime.postgres import database\n"
    "with database(pathlib.Path(sys.argv[1]), durable=False) as db:\n"
    "    print(db.pid, db.url, flush=True)\n"
    "    sys.stdin.readline()\n"
)


@pytest.fixture(autouse=True)
def _embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cluster that was made once and is at rest, for tests that need one but do not care how it came to be."""
    place = tmp_path_factory.mktemp("template")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DATABASE_URL", raising=False)
        with database(place, durable=False):
            pass
    return place


@pytest.fixture
def place(template: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "data"
    shutil.copytree(template, copy)
    (copy / "postgres" / "port").unlink()  # tests running side by side need ports of their own
    return copy


@pytest.fixture
def user(place: Path) -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate(timeout=10)
    with database(place, durable=False):  # the last one out takes along what a killed user left running
        pass


def start_user(place: Path, started: list[subprocess.Popen[str]]) -> tuple[subprocess.Popen[str], int]:
    command = [sys.executable, "-c", USER, str(place)]
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    started.append(process)
    assert process.stdout
    return process, int(process.stdout.readline().split()[0])


def test_the_first_user_starts_the_server_and_the_last_one_stops_it(place: Path, user: list) -> None:
    first, pid = start_user(place, user)
    second, same_pid = start_user(place, user)
    assert same_pid == pid
    first.communicate("\n", timeout=10)
    assert is_alive(pid)
    second.communicate("\n", timeout=10)
    assert not is_alive(pid)


def test_a_user_killed_with_sigkill_no_longer_counts(place: Path, user: list) -> None:
    killed, pid = start_user(place, user)
    polite, _ = start_user(place, user)
    killed.kill()
    killed.wait()
    assert is_alive(pid)
    polite.communicate("\n", timeout=10)
    assert not is_alive(pid)


def test_when_the_last_user_is_killed_the_server_stops_too(place: Path, user: list) -> None:
    killed, pid = start_user(place, user)
    killed.kill()
    killed.wait()
    eventually(lambda: not is_alive(pid))


def test_a_killed_server_is_back_within_a_second_at_the_same_address_with_its_data(place: Path) -> None:
    with database(place, durable=False) as db:
        with psycopg.connect(db.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (n int)")
            connection.execute("INSERT INTO kept VALUES (7)")
        old = db.pid
        assert old
        kill(old)
        eventually(lambda: db.pid is None)
        began = time.monotonic()
        assert db.revive()
        assert time.monotonic() - began < 5  # a quiet machine takes 0.2 s
        assert db.pid != old
        with psycopg.connect(db.url) as connection:
            assert connection.execute("SELECT n FROM kept").fetchall() == [(7,)]
        assert not db.revive()


def test_data_outlives_the_death_of_everybody(place: Path, user: list) -> None:
    orphaner, pid = start_user(place, user)
    with database(place, durable=False) as db, psycopg.connect(db.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    kill(pid)
    orphaner.kill()
    orphaner.wait()
    with database(place, durable=False) as db, psycopg.connect(db.url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(1,)]


def test_the_application_owns_its_database_without_being_superuser(place: Path) -> None:
    with database(place, durable=False) as db, psycopg.connect(db.url) as connection:
        rights = "SELECT rolname, rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        assert connection.execute(rights).fetchone() == ("tandem", False, False, False)
        owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
        assert connection.execute(owner).fetchone() == ("tandem",)
    assert (place / "postgres" / "credentials.json").stat().st_mode & 0o777 == 0o600


def test_another_database_is_made_when_it_is_named(place: Path) -> None:
    with database(place, durable=False) as db:
        for url in (db.named("second").url, db.named("second").url):
            with psycopg.connect(url) as connection:
                assert connection.execute("SELECT current_database(), current_user").fetchone() == ("second", "tandem")


def test_a_password_is_needed(place: Path) -> None:
    with database(place, durable=False) as db:
        wrong = db.url.replace(Cluster(place / "postgres").password("tandem"), "wrong")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)


@pytest.mark.parametrize(("durable", "fsync"), [(True, "on"), (False, "off")])
def test_only_a_server_for_tests_trades_safety_for_speed(place: Path, durable: bool, fsync: str) -> None:
    with database(place, durable=durable) as db, psycopg.connect(db.url) as connection:
        assert connection.execute("SHOW fsync").fetchone() == (fsync,)


def test_a_cluster_made_half_way_is_made_again(tmp_path: Path) -> None:
    abandoned = tmp_path / "postgres" / "initialising-dead"
    abandoned.mkdir(parents=True)
    (abandoned / "PG_VERSION").write_text("18\n")
    with database(tmp_path, durable=False) as db:
        assert db.pid
    assert not abandoned.exists()


def test_data_of_another_major_version_is_refused_with_a_way_out(place: Path) -> None:
    (place / "postgres" / "cluster" / "PG_VERSION").write_text("14\n")
    with pytest.raises(DatabaseUnavailable, match=r"made by PostgreSQL 14.*PG_BIN"), database(place):
        pass
    (place / "postgres" / "cluster" / "PG_VERSION").write_text("18\n")


def test_a_recycled_pid_in_the_pid_file_does_not_keep_the_server_from_starting(place: Path) -> None:
    with database(place, durable=False) as db:
        pid_file = Cluster(place / "postgres").pid_file
        lines = pid_file.read_text().splitlines()
        assert db.pid
        kill(db.pid)
        eventually(lambda: db.pid is None)
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    try:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        with database(place, durable=False) as db:
            assert db.pid not in (None, stranger.pid)
    finally:
        stranger.kill()
        stranger.wait()


def test_a_database_of_ones_own_needs_no_server_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me@db.example/shop")
    monkeypatch.setenv("DATABASE_LISTEN_URL", "postgresql://me@direct.example/shop")
    with database(tmp_path) as db:
        assert (db.url, db.listen_url, db.pid) == (
            "postgresql://me@db.example/shop",
            "postgresql://me@direct.example/shop",
            None,
        )
    assert not list(tmp_path.iterdir())


def test_pg_bin_without_postgresql_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_BIN", str(tmp_path))
    with pytest.raises(DatabaseUnavailable, match="PG_BIN="), database(tmp_path):
        pass


def test_erasing_waits_for_nobody_but_refuses_while_the_database_is_used(place: Path) -> None:
    with database(place, durable=False), pytest.raises(DatabaseUnavailable, match="is in use"):
        Server(place).erase()
    Server(place).erase()
    assert not (place / "postgres" / "cluster").exists()


class TestAsRoot:
    __test__ = os.geteuid() == 0  # nobody else can, or needs to, become somebody else

    def test_without_user_namespaces_the_server_runs_as_an_ordinary_user(self) -> None:
        place = Path("/tmp") / f"tandem-test-{os.getpid()}-{time.monotonic_ns()}"
        server = Server(place, durable=False, account=dropped_account())
        try:
            with server.in_use():
                state = server.cluster.server()
                assert state
                assert os.stat(f"/proc/{state.pid}").st_uid != 0
        finally:
            shutil.rmtree(place)

    def test_an_ordinary_user_can_run_the_server_too(self) -> None:
        if not shutil.which("setpriv") or not os.access(ROOT, os.X_OK) or not readable_by_all(Path(sys.executable)):
            pytest.skip("needs setpriv, and a Python that other users may run")
        place = Path("/tmp") / f"tandem-test-{os.getpid()}-{time.monotonic_ns()}"
        nobody = pwd.getpwnam("nobody")
        place.mkdir(mode=0o700)
        os.chown(place, nobody.pw_uid, nobody.pw_gid)
        command = ["setpriv", "--reuid=nobody", f"--regid={nobody.pw_gid}", "--clear-groups", sys.executable, "-c"]
        try:
            done = subprocess.run([*command, USER, str(place)], cwd=ROOT, input="\n", capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            assert "postgresql://tandem:" in done.stdout
        finally:
            shutil.rmtree(place)


def readable_by_all(path: Path) -> bool:
    real = path.resolve()
    return all(parent.stat().st_mode & 0o001 for parent in real.parents)


def test_an_account_of_our_own_needs_no_change_of_owner(tmp_path: Path) -> None:
    before = tmp_path.stat().st_uid
    Account().own(tmp_path)
    assert tmp_path.stat().st_uid == before
