import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from config.runtime.files import ROOT, read_json
from config.runtime.processes import end_leftovers
from config.runtime.supervisor import Child, Program
from tests.runtime.waiting import all_gone, eventually, is_alive, kill

Start = Callable[..., subprocess.Popen[str]]

STAY = "import time; time.sleep(1000)"
STAY_AND_NOTE_TERM = (
    "import signal, sys, pathlib, time\n"
    "def leave(*_):\n    pathlib.Path(sys.argv[1]).open('a').write(sys.argv[2] + ' '); sys.exit(0)\n"
    "signal.signal(signal.SIGTERM, leave)\n"
    "print('up', flush=True)\n"
    "time.sleep(1000)"
)
IGNORE_TERM = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(1000)"
)
WITH_OFFSPRING = (
    "import pathlib, subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1000)'])\n"
    "pathlib.Path(sys.argv[1]).open('a').write(f'{child.pid} ')\n"
    "time.sleep(1000)"
)


def program(name: str, script: str, *arguments: str, **options: float) -> dict[str, object]:
    return {"name": name, "command": [sys.executable, "-c", script, *arguments], **options}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def run(*programs: dict[str, object]) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.runtime.supervised", str(tmp_path), json.dumps(programs)]
        started.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield run
    for process in started:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


def listed(place: Path, *names: str) -> dict[str, int] | None:
    """processes.json once it names all of `names`."""
    path = place / "processes.json"
    processes = read_json(path) if path.exists() else {}
    return processes if set(names) <= processes.keys() else None


def log_has(place: Path, name: str, text: str) -> bool:
    path = place / "log" / f"{name}.log"
    return path.exists() and text in path.read_text()


def test_a_program_that_dies_is_started_again(start: Start, tmp_path: Path) -> None:
    supervisor = start(program("shop", STAY))
    first = eventually(lambda: listed(tmp_path, "shop"))
    assert first["supervisor"] == supervisor.pid
    kill(first["shop"])
    second = eventually(lambda: (now := listed(tmp_path, "shop")) and now["shop"] != first["shop"] and now)
    assert is_alive(second["shop"])
    assert second["supervisor"] == supervisor.pid


def test_a_program_that_keeps_dying_is_started_ever_more_slowly_up_to_five_seconds() -> None:
    child = Child(Program("shop", ["true"]), log=None)  # type: ignore[arg-type]
    child.started_at = time.monotonic()
    assert [child.schedule_restart() for _ in range(7)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_ten_good_seconds_make_the_next_restart_quick_again() -> None:
    child = Child(Program("shop", ["true"]), log=None)  # type: ignore[arg-type]
    child.backoff = 5.0
    child.started_at = time.monotonic() - 10.0
    assert child.schedule_restart() == 0.2


def test_a_program_that_cannot_be_started_does_not_stop_the_others(start: Start, tmp_path: Path) -> None:
    start({"name": "missing", "command": ["/nonexistent/program"]}, program("shop", STAY))
    assert is_alive(eventually(lambda: listed(tmp_path, "shop"))["shop"])


def test_what_a_dead_program_had_started_is_killed_before_it_starts_again(start: Start, tmp_path: Path) -> None:
    notes = tmp_path / "offspring"
    start(program("shop", WITH_OFFSPRING, str(notes)))
    eventually(lambda: notes.exists() and len(notes.read_text().split()) == 1)
    first = eventually(lambda: listed(tmp_path, "shop"))
    kill(first["shop"])
    eventually(lambda: len(notes.read_text().split()) == 2)
    old, new = map(int, notes.read_text().split())
    assert not is_alive(old)
    assert is_alive(new)


def test_sigterm_stops_all_programs_in_reverse_order_and_exits_0(start: Start, tmp_path: Path) -> None:
    notes = tmp_path / "stopped"
    supervisor = start(*(program(name, STAY_AND_NOTE_TERM, str(notes), name) for name in ("first", "second", "third")))
    eventually(lambda: all(log_has(tmp_path, name, "up") for name in ("first", "second", "third")))
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(timeout=10) == 0
    assert notes.read_text().split() == ["third", "second", "first"]
    assert not (tmp_path / "processes.json").exists()


def test_a_program_deaf_to_sigterm_is_killed_after_its_grace_time(start: Start, tmp_path: Path) -> None:
    supervisor = start(program("deaf", IGNORE_TERM, grace_seconds=0.5))
    eventually(lambda: log_has(tmp_path, "deaf", "deaf"))
    pid = eventually(lambda: listed(tmp_path, "deaf"))["deaf"]
    began = time.monotonic()
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(timeout=10) == 0
    assert 0.5 <= time.monotonic() - began < 3
    assert not is_alive(pid)


def test_a_second_interrupt_kills_at_once(start: Start, tmp_path: Path) -> None:
    supervisor = start(program("deaf", IGNORE_TERM, grace_seconds=60))
    eventually(lambda: log_has(tmp_path, "deaf", "deaf"))
    began = time.monotonic()
    while supervisor.poll() is None and time.monotonic() - began < 10:
        supervisor.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            supervisor.wait(timeout=0.2)
    assert supervisor.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_no_program_outlives_a_supervisor_killed_with_sigkill(start: Start, tmp_path: Path) -> None:
    supervisor = start(program("one", STAY), program("two", IGNORE_TERM))
    processes = eventually(lambda: listed(tmp_path, "one", "two"))
    supervisor.kill()
    eventually(lambda: all_gone([processes["one"], processes["two"]]), seconds=3)


def test_the_next_start_ends_what_a_killed_supervisor_left_behind(start: Start, tmp_path: Path) -> None:
    run = tmp_path / "run"
    fork = (
        "import os, pathlib, sys, time\n"
        "if os.fork() == 0:\n    pathlib.Path(sys.argv[1], f'worker-{os.getpid()}').touch()\n"
        "time.sleep(1000)"
    )
    supervisor = start(program("cluster", fork, str(run)))
    processes = eventually(lambda: listed(tmp_path, "cluster", "worker-1"))
    supervisor.kill()
    eventually(lambda: all_gone([processes["cluster"]]))
    assert is_alive(processes["worker-1"])
    assert end_leftovers(tmp_path / "processes.json") == [processes["cluster"]]
    eventually(lambda: all_gone([processes["worker-1"]]))
    assert end_leftovers(tmp_path / "processes.json") == []


def test_a_recycled_pid_is_not_taken_for_a_leftover(tmp_path: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", STAY], start_new_session=True)
    path = tmp_path / "processes.json"
    path.write_text(json.dumps({"web": stranger.pid, "web-1": stranger.pid}))
    os.utime(path, (0, time.time() - 60))
    try:
        assert end_leftovers(path) == []
        assert is_alive(stranger.pid)
    finally:
        stranger.kill()
        stranger.wait()


def test_output_nobody_reads_does_not_stop_the_supervisor(start: Start, tmp_path: Path) -> None:
    chatter = "import time\nfor n in range(5000): print('x' * 100)\nprint('done', flush=True)\ntime.sleep(1000)"
    supervisor = start(program("chatter", chatter))
    eventually(lambda: log_has(tmp_path, "chatter", "done"))
    supervisor.send_signal(signal.SIGTERM)
    os.set_blocking(supervisor.stdout.fileno(), False)  # type: ignore[union-attr]
    assert supervisor.wait(timeout=10) == 0


def test_cluster_processes_are_listed_by_the_role_they_noted(start: Start, tmp_path: Path) -> None:
    roles = ["sentinel", "monitor", "pusher", "worker", "worker"]
    script = (
        "import json, os, pathlib, sys, time\n"
        "for role in json.loads(sys.argv[2]):\n"
        "    if os.fork() == 0:\n"
        "        pathlib.Path(sys.argv[1], f'{role}-{os.getpid()}').touch()\n"
        "        break\n"
        "    time.sleep(0.05)\n"
        "time.sleep(1000)"
    )
    run = tmp_path / "run"
    run.mkdir()
    (run / f"worker-{os.getpid()}").touch()  # a pid that was recycled by a stranger: us
    start(program("cluster", script, str(run), json.dumps(roles)))
    processes = eventually(lambda: listed(tmp_path, "sentinel", "monitor", "pusher", "worker-1", "worker-2"))
    assert set(processes) == {"supervisor", "cluster", "sentinel", "monitor", "pusher", "worker-1", "worker-2"}
    assert not (run / f"worker-{os.getpid()}").exists()
    kill(processes["worker-1"])
    remaining = eventually(lambda: (now := listed(tmp_path, "worker-1")) and "worker-2" not in now and now)
    assert remaining["worker-1"] == processes["worker-2"]
