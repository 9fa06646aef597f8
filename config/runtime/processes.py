"""`processes.json`: the name and pid of every process that runs."""

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from config.runtime.files import read_json, write_json

ROLES = ("sentinel", "monitor", "pusher", "worker")
REFRESH_SECONDS = 0.5


class ProcessList:
    """Keeps `processes.json` true: what the supervisor started, and what those processes started in turn.

    The worker cluster's processes tell their role by a file `ROLE-PID` in the run directory, which each of them
    writes when it starts; files of dead processes are removed here.
    """

    def __init__(self, path: Path, run: Path) -> None:
        self._path = path
        self._run = run
        self._written: dict[str, int] = {}
        self._next_refresh = 0.0

    def refresh(self, main_processes: Mapping[str, int]) -> None:
        """Look again, at most twice a second, and write what changed."""
        if time.monotonic() < self._next_refresh and main_processes.items() <= self._written.items():
            return
        self._next_refresh = time.monotonic() + REFRESH_SECONDS
        current = {"supervisor": os.getpid(), **main_processes}
        if web := main_processes.get("web"):
            current.update(numbered("web", children(web)))
        if cluster := main_processes.get("cluster"):
            current.update(self._cluster_processes(cluster))
        if current != self._written:
            write_json(self._path, current)
            self._written = current

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)

    def _cluster_processes(self, cluster: int) -> dict[str, int]:
        found: dict[str, list[int]] = {role: [] for role in ROLES}
        for note in self._run.glob("*-*"):
            role, _, pid = note.name.rpartition("-")
            if role not in found or not pid.isdigit():
                continue
            if in_group(int(pid), cluster):
                found[role].append(int(pid))
            else:
                note.unlink(missing_ok=True)
        single = {role: max(pids, key=started) for role, pids in found.items() if pids and role != "worker"}
        return {**single, **numbered("worker", found["worker"])}


def end_leftovers(path: Path) -> list[int]:
    """Kill what a supervisor that was killed left behind, by the list it kept; returns the process groups killed.

    A pid counts only if it is older than the list and in a group the list knows: others were recycled. The database
    server is not a leftover: it serves whoever comes next.
    """
    if not path.exists():
        return []
    listed = {name: pid for name, pid in read_json(path).items() if name not in ("supervisor", "postgres")}
    written = path.stat().st_mtime
    groups = {group for pid in listed.values() if (group := group_of(pid)) and 0 < started(pid)[0] <= written}
    ended = sorted(groups & set(listed.values()))
    for group in ended:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    path.unlink()
    return ended


def group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def numbered(name: str, pids: list[int]) -> dict[str, int]:
    """`name-1`, `name-2`, … in the order the processes started."""
    return {f"{name}-{number}": pid for number, pid in enumerate(sorted(pids, key=started), start=1)}


def children(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children() if child.status() != psutil.STATUS_ZOMBIE]
    except psutil.Error:
        return []  # it ended meanwhile


def in_group(pid: int, group: int) -> bool:
    """Whether `pid` lives in the process group of `group`: a recycled pid does not."""
    try:
        return group_of(pid) == group and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def started(pid: int) -> tuple[float, int]:
    try:
        return psutil.Process(pid).create_time(), pid
    except psutil.Error:
        return 0.0, pid  # it ended meanwhile
