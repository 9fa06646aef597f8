"""Consumers that shall be looked at again at a moment of their own: a limit was in their way."""

import time


class Alarms:
    """When to look again, by consumer; of one worker process, by its own clock, since only waits are measured."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}

    def set(self, consumer: str, seconds: float) -> None:
        """Look at `consumer` in `seconds`, or earlier when that was asked for before."""
        at = time.monotonic() + seconds
        self._at[consumer] = min(at, self._at.get(consumer, at))

    def due(self) -> list[str]:
        """Return the consumers whose moment has come, and forget them."""
        if not self._at:
            return []
        now = time.monotonic()
        names = [name for name, at in self._at.items() if at <= now]
        for name in names:
            del self._at[name]
        return names

    def next(self) -> float:
        """Return the nearest moment; infinity when there is none."""
        return min(self._at.values(), default=float("inf"))
