"""The peers' packages: each in an environment of its own under .venv-peers, made when a row asks for it.

Nothing of the product needs them, and none of them comes near its environment.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.measuring import LOG

ROOT = Path(__file__).resolve().parents[3]
PLACE = ROOT / ".venv-peers"
REQUIREMENTS = Path(__file__).parent / "requirements"


class NotHere(Exception):
    """A peer cannot run on this machine; the message says why."""


def python_of(peer: str) -> Path:
    """Return the Python that has the packages of `peer`. Raises NotHere when they cannot be installed."""
    place, lock = PLACE / peer, REQUIREMENTS / f"{peer}.txt"
    python = place / "bin" / "python"
    if not is_current(place, lock):
        shutil.rmtree(place, ignore_errors=True)
        say(f"installing {peer} into {place.relative_to(ROOT)}")
        run([sys.executable, "-m", "venv", "--without-pip", place], f"no environment can be made for {peer}")
        if not installed_by_uv(python, lock):
            pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"]
            run([*pip, "--require-hashes", "--requirement", lock], f"the packages of {peer} cannot be installed")
        note(place, lock)
    return python


def installed_by_uv(python: Path, lock: Path) -> bool:
    uv = Path(sys.executable).with_name("uv")
    sync = [uv, "pip", "sync", "--quiet", "--system-certs", "--python", python, "--require-hashes", lock]
    return uv.exists() and succeeds(sync)


def node_packages_of(peer: str) -> Path:
    """Return the node_modules that has the packages of `peer`. Raises NotHere."""
    if not (shutil.which("node") and shutil.which("npm")):
        raise NotHere("node and npm are not installed")
    place, wanted = PLACE / peer, REQUIREMENTS / peer
    lock = wanted / "package-lock.json"
    if not is_current(place, lock):
        shutil.rmtree(place, ignore_errors=True)
        say(f"installing {peer} into {place.relative_to(ROOT)}")
        shutil.copytree(wanted, place)
        npm = ["npm", "ci", "--prefix", place, "--ignore-scripts", "--no-audit", "--no-fund"]
        run(npm, f"the packages of {peer} cannot be installed")
        note(place, lock)
    return place / "node_modules"


def is_current(place: Path, lock: Path) -> bool:
    stamp = place / "installed"
    return stamp.exists() and stamp.read_text() == identity(place, lock)


def note(place: Path, lock: Path) -> None:
    (place / "installed").write_text(identity(place, lock))


def identity(place: Path, lock: Path) -> str:
    return f"{hashlib.sha256(lock.read_bytes()).hexdigest()} {sys.version} {place}"


def run(command: Sequence[str | Path], failure: str) -> None:
    if not succeeds(command):
        raise NotHere(f"{failure}; see {LOG}")


def succeeds(command: Sequence[str | Path]) -> bool:
    """Run with its output going to the log; False when it fails or does not exist."""
    with LOG.open("ab") as log:
        try:
            return subprocess.run(command, stdout=log, stderr=log, check=False, cwd=ROOT).returncode == 0
        except OSError as error:
            log.write(f"{command[0]}: {error}\n".encode())
            return False


def say(message: str) -> None:
    print(f"    {message}", file=sys.stderr, flush=True)
