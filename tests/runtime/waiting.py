"""Waiting for conditions of the outside world, and a few facts about processes."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

import psutil

Value = TypeVar("Value")


def eventually(condition: Callable[[], Value], seconds: float = 10.0) -> Value:
    """The first true value of `condition`; fails the test when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)
    return value


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def all_gone(pids: list[int]) -> bool:
    return not any(is_alive(pid) for pid in pids)


def kill(pid: int) -> None:
    os.kill(pid, 9)
