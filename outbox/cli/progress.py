"""A line on the terminal that shows how far long work is; nothing where nobody watches."""

import time
from types import TracebackType
from typing import Self

from django.core.management.base import OutputWrapper

EVERY_SECONDS = 0.1
WIDTH = 30


class Progress:
    """Draws over one line of `err`, and takes it away at the end."""

    def __init__(self, err: OutputWrapper, title: str) -> None:
        self._err, self._title = err, title
        self._watched = err.isatty()
        self._drawn_at = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._draw("")

    def say(self, words: str) -> None:
        """Tell what is being done now."""
        self._draw(f"{self._title}: {words} …")

    def reach(self, share: float, words: str = "") -> None:
        """Show that `share` (0 to 1) of the work is done; drawn ten times a second at most."""
        if time.monotonic() - self._drawn_at < EVERY_SECONDS:
            return
        filled = round(min(max(share, 0.0), 1.0) * WIDTH)
        self._draw(f"{self._title} [{'█' * filled}{'·' * (WIDTH - filled)}] {share:4.0%} {words}")

    def _draw(self, line: str) -> None:
        if self._watched:
            self._drawn_at = time.monotonic()
            self._err.write(f"\r\x1b[K{line}", style_func=str, ending="")  # not in the red of errors
            self._err.flush()
