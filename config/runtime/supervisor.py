"""Runs named processes, starts again what dies, and takes all of them down together.

One thread, so that forking is safe and a child's tie to its parent is a tie to this process. Every program leads a
session and process group of its own: Ctrl-C reaches the supervisor alone, and a program that dies takes what it
started with it before it is started again, so that there are never two of it.
"""

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from config.runtime.console import Console, LogFile
from config.runtime.files import ROOT
from config.runtime.lifelines import adopt_orphans, lifeline
from config.runtime.processes import ProcessList

FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 5.0
HEALTHY_SECONDS = 10.0
GROUP_END_SECONDS = 2.0
PULSE_SECONDS = 0.1
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Program:
    """What to run. `grace_seconds` pass between the stop signal to the process and SIGKILL to its whole group."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    cwd: Path = ROOT
    stop_signal: int = signal.SIGTERM
    grace_seconds: float = 10.0


class Child:
    """A program and the process that currently runs it, if any."""

    def __init__(self, program: Program, log: LogFile) -> None:
        self.program = program
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.next_start = 0.0
        self.backoff = FIRST_BACKOFF_SECONDS
        self._unfinished = b""

    def start(self) -> IO[bytes]:
        """Start the process and return the pipe its output comes through. Raises OSError."""
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            self.program.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(self.program.environment),
            cwd=self.program.cwd,
            start_new_session=True,
            preexec_fn=lifeline(),  # safe here: this process has one thread
        )
        assert self.process.stdout
        os.set_blocking(self.process.stdout.fileno(), False)
        return self.process.stdout

    def schedule_restart(self) -> float:
        """Decide when to start again: soon after a long life, later and later after short ones."""
        now = time.monotonic()
        if now - self.started_at >= HEALTHY_SECONDS:
            self.backoff = FIRST_BACKOFF_SECONDS
        delay = self.backoff
        self.next_start = now + delay
        self.backoff = min(delay * 2, LONGEST_BACKOFF_SECONDS)
        return delay

    def read_lines(self) -> tuple[list[str], bool]:
        """The complete lines that came since the last call, and whether the pipe has ended."""
        assert self.process
        assert self.process.stdout
        ended = False
        with contextlib.suppress(BlockingIOError):
            data = os.read(self.process.stdout.fileno(), 65536)
            ended = not data
            self._unfinished += data
        *complete, self._unfinished = self._unfinished.split(b"\n")
        if ended and self._unfinished:
            complete.append(self._unfinished)
            self._unfinished = b""
        return [line.decode(errors="replace") for line in complete], ended


class Supervisor:
    """Runs `programs` until a signal asks it to stop; `on_pulse` is called about ten times a second meanwhile."""

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        logs: Path,
        process_list: ProcessList,
        console: Console,
        on_pulse: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self._children = [Child(program, LogFile(logs / f"{program.name}.log")) for program in programs]
        self._process_list = process_list
        self._console = console
        self._on_pulse = on_pulse
        self._selector = selectors.DefaultSelector()
        self._stop_requests = 0

    def run(self) -> None:
        """Run until SIGINT, SIGTERM or SIGHUP, then stop all in reverse order; a second signal kills at once.

        `on_pulse` returns further processes to list, by name.
        """
        adopt_orphans()
        with self._listening_to_signals():
            try:
                while not self._stop_requests:
                    self._start_due()
                    self._pump(PULSE_SECONDS)
                    self._reap()
                    self._process_list.refresh({**self._on_pulse(), **self._running()})
            finally:
                self._stop_all()

    def say(self, text: str) -> None:
        self._console.line("supervisor", text)

    def _running(self) -> dict[str, int]:
        return {child.program.name: child.process.pid for child in self._children if child.process}

    # --- signals ----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _listening_to_signals(self) -> Iterator[None]:
        """Count stop signals, and let them interrupt the wait for output."""
        receiver, sender = socket.socketpair()
        receiver.setblocking(False)
        sender.setblocking(False)
        self._selector.register(receiver, selectors.EVENT_READ)
        signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        for number in STOP_SIGNALS:
            signal.signal(number, self._note_stop_request)  # for good: what comes after us must end in order too
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            self._selector.unregister(receiver)
            receiver.close()
            sender.close()

    def _note_stop_request(self, number: int, frame: object) -> None:
        self._stop_requests += 1

    # --- starting and restarting ------------------------------------------------------------------------------------

    def _start_due(self) -> None:
        for child in self._children:
            if child.process is None and time.monotonic() >= child.next_start:
                self._start(child)

    def _start(self, child: Child) -> None:
        try:
            pipe = child.start()
        except OSError as error:
            delay = child.schedule_restart()
            self.say(f"{child.program.name} cannot be started ({error}); next try in {delay:.1f} s")
        else:
            self._selector.register(pipe, selectors.EVENT_READ, child)

    def _reap(self) -> None:
        """Notice processes that ended: our programs, and orphans that were left to us."""
        by_pid = {child.process.pid: child for child in self._children if child.process}
        while (pid := ended_process()) is not None:
            if child := by_pid.get(pid):
                reason = self._bury(child)
                delay = child.schedule_restart()
                self.say(f"{child.program.name} ({pid}) {reason}; starting it again in {delay:.1f} s")
            else:
                os.waitpid(pid, os.WNOHANG)

    def _bury(self, child: Child) -> str:
        """Kill what is left of an ended program's group, collect its last output, and say how it ended."""
        process = child.process
        assert process
        assert process.stdout
        signal_group(process.pid, signal.SIGKILL)
        code = process.wait()
        await_group_end(process.pid)
        self._show(child)
        if process.stdout in self._selector.get_map():
            self._selector.unregister(process.stdout)
        process.stdout.close()
        child.process = None
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"

    # --- output -----------------------------------------------------------------------------------------------------

    def _pump(self, seconds: float) -> None:
        """Wait up to `seconds` for output or a signal, and pass the output on."""
        for key, _ in self._selector.select(seconds):
            if isinstance(key.data, Child):
                if self._show(key.data):
                    self._selector.unregister(key.fileobj)
            elif isinstance(key.fileobj, socket.socket):
                key.fileobj.recv(1024)

    def _show(self, child: Child) -> bool:
        """Pass on what a program wrote; True when it will write no more."""
        lines, ended = child.read_lines()
        for line in lines:
            child.log.write(line)
            self._console.line(child.program.name, line)
        return ended

    # --- stopping ---------------------------------------------------------------------------------------------------

    def _stop_all(self) -> None:
        for child in reversed(self._children):
            if child.process:
                self._stop(child)
            child.log.close()
        self._process_list.remove()

    def _stop(self, child: Child) -> None:
        """Ask, wait for the grace time, then kill. A second stop signal ends the patience with every program."""
        process = child.process
        assert process
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, child.program.stop_signal)
        deadline = time.monotonic() + child.program.grace_seconds
        while not has_ended(process.pid):
            if self._stop_requests > 1 or time.monotonic() > deadline:
                self.say(f"{child.program.name} ({process.pid}) does not stop; killing it")
                signal_group(process.pid, signal.SIGKILL)
                break
            self._pump(0.02)
        self._bury(child)


def ended_process() -> int | None:
    """The pid of a child that ended and was not waited for yet."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return found.si_pid if found else None


def has_ended(pid: int) -> bool:
    """Whether our child `pid` ended; it stays to be waited for."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def signal_group(group: int, number: int) -> bool:
    """Signal every process of `group`; False when there is none."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False  # macOS refuses with EPERM when only zombies are left
    return True


def await_group_end(group: int) -> None:
    """Wait until a killed group is gone; the orphans among it are ours to wait for."""
    deadline = time.monotonic() + GROUP_END_SECONDS
    while signal_group(group, 0) and time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-group, os.WNOHANG)
        time.sleep(0.005)
