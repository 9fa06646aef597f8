"""Programs that run in front of the caller, one at a time."""

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

from config.runtime.files import ROOT
from config.runtime.lifelines import lifeline

PYTHON = sys.executable


def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run `command` with our terminal and return its exit code; it never outlives us.

    Ctrl-C reaches it directly, so we only wait for it to finish; a SIGTERM meant for us is passed on.
    """
    sys.stdout.flush()
    process = subprocess.Popen(command, cwd=ROOT, env=dict(environment), preexec_fn=lifeline())
    try:
        return exit_code(process.wait())
    except KeyboardInterrupt:
        return exit_code(process.wait())
    except SystemExit:
        process.terminate()
        process.wait()
        raise


def run_step(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run `command` as a part of ours and return its exit code; what ends us ends it, without a word of its own.

    Ctrl-C does not reach it, or it would show a traceback for what its user meant.
    """
    sys.stdout.flush()
    tie = lifeline()

    def begin() -> None:
        tie()
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    process = subprocess.Popen(command, cwd=ROOT, env=dict(environment), preexec_fn=begin)
    try:
        return exit_code(process.wait())
    except (KeyboardInterrupt, SystemExit):
        process.terminate()
        process.wait()
        raise


def exit_code(returned: int) -> int:
    """As a shell tells it: 128 and the signal for a program that a signal ended."""
    return 128 - returned if returned < 0 else returned
