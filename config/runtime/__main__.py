"""`python -m config.runtime COMMAND …`, which `./tandem` becomes once everything is installed."""

import signal
import sys
from collections.abc import Callable, Sequence

from config.runtime.check import check
from config.runtime.commands import bench, manage, test
from config.runtime.errors import StartupError
from config.runtime.up import up

COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "up": up,
    "test": test,
    "check": check,
    "bench": bench,
    "manage": manage,
}


def leave(number: int, frame: object) -> None:
    """Being asked to end unwinds as Ctrl-C does, so that what was started is stopped."""
    sys.exit(128 + number)


def main(arguments: Sequence[str]) -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    try:
        return COMMANDS[arguments[0]](arguments[1:])
    except StartupError as error:
        print(f"tandem: {error}", file=sys.stderr)
        return 1
    except PermissionError as error:
        print(f"tandem: {error.filename} is not ours to use. Choose another directory with --data.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
