import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from config.runtime.commands import place_of_run, split_data_option
from config.runtime.environment import generated_secrets
from config.runtime.errors import StartupError
from config.runtime.files import DEFAULT_DATA, ROOT, DataDirectory
from config.runtime.ports import free_port
from config.runtime.up import Options, only_one, require_port


def runtime(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "config.runtime", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_second_up_on_the_same_data_says_so_and_exits_1(tmp_path: Path) -> None:
    options = Options(DataDirectory(tmp_path), "127.0.0.1", 8000, 2, fresh=False)
    with only_one(options):
        second = runtime("up", "--data", str(tmp_path), "--port", str(free_port()))
    assert second.returncode == 1
    assert f"already running on {tmp_path} (process {os.getpid()})" in second.stderr


def test_a_taken_port_is_named_and_exits_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = runtime("up", "--data", str(tmp_path), "--port", str(port))
    assert answer.returncode == 1
    assert f"Port {port} on 127.0.0.1 is taken" in answer.stderr


def test_a_taken_port_is_found_before_a_data_directory_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        runtime("up", "--data", str(tmp_path / "new"), "--port", str(taken.getsockname()[1]))
    assert not (tmp_path / "new").exists()


def test_a_taken_port_costs_no_data_even_with_fresh(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    generated_secrets(data)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        runtime("up", "--data", str(tmp_path), "--port", str(taken.getsockname()[1]), "--fresh")
    assert data.secrets.exists()


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "Port 80 on 127.0.0.1 is not open to this user. Choose one from 1024 on with --port."),
        (errno.EADDRINUSE, "Port 80 on 127.0.0.1 is taken by another program. Choose one with --port."),
        (errno.EADDRNOTAVAIL, "Port 80 on 127.0.0.1 cannot be used (no such address). Look at HOST and --port."),
    ],
)
def test_a_port_that_cannot_be_had_is_refused_with_its_reason(
    number: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("config.runtime.up.obstacle", lambda port, host: OSError(number, "no such address"))
    with pytest.raises(StartupError) as refusal:
        require_port(Options(DataDirectory(tmp_path), "127.0.0.1", 80, 2, fresh=False))
    assert str(refusal.value) == words


def test_fresh_refuses_to_empty_a_server_that_is_not_embedded(tmp_path: Path) -> None:
    url = "postgresql://nobody@127.0.0.1:1/none"
    answer = runtime("up", "--data", str(tmp_path), "--port", str(free_port()), "--fresh", DATABASE_URL=url)
    assert answer.returncode == 1
    assert "Empty the one DATABASE_URL names yourself" in answer.stderr


def test_secrets_are_generated_once_and_only_for_their_owner(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    first = generated_secrets(data)
    assert generated_secrets(data) == first
    assert data.secrets.stat().st_mode & 0o777 == 0o600
    assert set(first) == {
        "secret_key",
        "payment_api_key",
        "payment_webhook_secret",
        "carrier_api_key",
        "carrier_webhook_secret",
    }


@pytest.mark.parametrize(
    ("arguments", "data", "remaining"),
    [
        (["--data", "/x", "verify", "--json"], "/x", ["verify", "--json"]),
        (["--data=/x", "verify"], "/x", ["verify"]),
        (["verify", "--data", "/x"], str(DEFAULT_DATA), ["verify", "--data", "/x"]),
    ],
)
def test_the_data_option_of_manage_stands_in_front(arguments: list[str], data: str, remaining: list[str]) -> None:
    call = split_data_option(arguments)
    assert (str(call.data.path), call.arguments) == (data, remaining)


def test_two_test_runs_at_once_get_numbers_of_their_own(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    with place_of_run(data) as first, place_of_run(data) as second:
        assert (first, second) == (1, 2)
    with place_of_run(data) as again:
        assert again == 1


def test_a_data_directory_that_cannot_be_made_is_reported_in_a_sentence() -> None:
    answer = runtime("manage", "--data", "/proc/1/tandem", "migrate")
    assert answer.returncode == 1
    assert answer.stderr.startswith("tandem: /proc/1/tandem cannot be made (")


def test_managing_a_directory_without_a_database_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    mistyped = tmp_path / "never"
    answer = runtime("manage", "--data", str(mistyped), "verify")
    assert (answer.returncode, answer.stderr) == (
        1,
        f"tandem: There is no database in {mistyped}. Name the directory of an installation with --data in front of "
        "the command, or make one with ./tandem up.\n",
    )
    assert not mistyped.exists()


def test_an_interrupted_step_ends_without_a_word() -> None:
    step = "import sys, time; print('begun', flush=True); time.sleep(60)"
    script = (
        "from config.runtime.foreground import run_step; import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored where the tests run in the background
        f"try: run_step([sys.executable, '-c', {step!r}], os.environ)\n"
        "except KeyboardInterrupt: sys.exit(130)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of the group
        remaining = process.communicate(timeout=20)
    assert (process.returncode, *remaining) == (130, "", "")


def test_a_relative_data_directory_is_meant_from_where_the_caller_stood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CALLED_FROM", "/somewhere")
    assert DataDirectory.named("data").path == Path("/somewhere/data")


def test_a_command_killed_by_a_signal_is_reported_as_shells_do(tmp_path: Path) -> None:
    call = "run(['sh', '-c', 'kill -9 $$'], os.environ)"
    script = f"from config.runtime.foreground import run; import sys, os; sys.exit({call})"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert done.returncode == 128 + signal.SIGKILL


def test_the_front_door_lists_its_commands() -> None:
    done = subprocess.run([str(ROOT / "tandem")], capture_output=True, text=True, check=True)
    assert [f"  {name} " in done.stdout for name in ("up", "test", "check", "bench", "manage")] == [True] * 5


@pytest.mark.parametrize("arguments", [("up", "--port", "9000", "-h"), ("test", "--help"), ("lock", "--help")])
def test_help_installs_nothing(arguments: tuple[str, ...], tmp_path: Path) -> None:
    door = shutil.copy(ROOT / "tandem", tmp_path)  # an empty checkout: whatever else it tried would fail
    done = subprocess.run([sys.executable, door, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Tandem's front door.")
    assert os.listdir(tmp_path) == ["tandem"]


def test_the_front_door_refuses_an_unknown_command() -> None:
    done = subprocess.run([str(ROOT / "tandem"), "fly"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "tandem: no command named 'fly'. ./tandem --help lists them.\n")
