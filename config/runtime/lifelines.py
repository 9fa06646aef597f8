"""Ties between parent and child processes that hold whatever kills either of them (Linux)."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with(parent: int, last_signal: int = signal.SIGKILL) -> None:
    """Make the kernel send `last_signal` to this process when `parent`, its parent, ends.

    To be called in the child. A parent that is gone already would not be noticed: then this process ends at once.
    """
    if _libc:
        _libc.prctl(PR_SET_PDEATHSIG, last_signal, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def lifeline() -> Callable[[], None]:
    """A function for the child, between fork and exec, that ties it to the process calling this one."""
    parent = os.getpid()
    return lambda: die_with(parent)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent dies, so that they can be waited for and none is left over."""
    if _libc:
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
