"""What the person at the terminal sees, and the log files that keep it."""

import os
import select
import sys
from pathlib import Path

COLOURS = (36, 32, 35, 34, 33, 96, 92, 95)
NAME_WIDTH = 10
LINE_BYTES = select.PIPE_BUF  # a pipe that is writable takes this much without blocking
LOG_BYTES = 20 * 1024 * 1024


class Console:
    """Lines on standard output, each under the coloured name of its process.

    Never blocks: when nobody reads the other end, lines are dropped here (the log files have them), because a stuck
    terminal must not stop the supervisor.
    """

    def __init__(self) -> None:
        self._descriptor = sys.stdout.fileno()
        self._coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._colour_of: dict[str, int] = {}
        self._closed = False

    def line(self, name: str, text: str) -> None:
        self._write(f"{self._label(name)} {text}\n")

    def block(self, text: str) -> None:
        """Text that stands by itself, without a name before it."""
        for line in text.splitlines():
            self._write(line + "\n")

    def _label(self, name: str) -> str:
        label = f"{name:<{NAME_WIDTH}}|"
        if not self._coloured:
            return label
        colour = self._colour_of.setdefault(name, COLOURS[len(self._colour_of) % len(COLOURS)])
        return f"\x1b[{colour}m{label}\x1b[0m"

    def _write(self, text: str) -> None:
        if self._closed:
            return
        encoded = text.encode(errors="replace")
        try:
            for start in range(0, len(encoded), LINE_BYTES):
                if select.select([], [self._descriptor], [], 0)[1]:
                    os.write(self._descriptor, encoded[start : start + LINE_BYTES])
        except OSError:
            self._closed = True  # the reader is gone; the log files go on


class LogFile:
    """A log that keeps its last 20 to 40 MB, in two files."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab", buffering=0)

    def write(self, line: str) -> None:
        if self._file.tell() > LOG_BYTES:
            self._file.close()
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            self._file = self._path.open("ab", buffering=0)
        self._file.write(line.encode(errors="replace") + b"\n")

    def close(self) -> None:
        self._file.close()
