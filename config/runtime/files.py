"""The files start-up leaves behind: where they live and how they are written."""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from config.runtime.errors import StartupError

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_DATA = ROOT / "var"


class DataDirectory:
    """One installation's data: database, secrets, logs, and what its processes leave for each other."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def named(cls, name: str | None) -> "DataDirectory":
        """The directory a person named on the command line, relative to where they stood; `var/` when they did not."""
        called_from = Path(os.environ.get("TANDEM_CALLED_FROM") or Path.cwd())
        return cls((called_from / name).resolve() if name else DEFAULT_DATA)

    def make(self) -> None:
        """Make the directory and what belongs in it. Raises StartupError where that is impossible."""
        for folder in (self.path, self.logs, self.run, self.metrics, self.sandboxes, self.static):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StartupError(
                    f"{folder} cannot be made ({error.strerror}). Choose a place with --data."
                ) from error

    @property
    def logs(self) -> Path:
        return self.path / "log"

    @property
    def run(self) -> Path:
        """Holds what is true only while `up` runs."""
        return self.path / "run"

    @property
    def metrics(self) -> Path:
        """Where the processes of one run share their Prometheus values."""
        return self.run / "metrics"

    @property
    def sandboxes(self) -> Path:
        return self.path / "sandboxes"

    @property
    def static(self) -> Path:
        """Where `collectstatic` would put files; empty here, as they are served from the source."""
        return self.path / "static"

    @property
    def processes(self) -> Path:
        return self.path / "processes.json"

    @property
    def secrets(self) -> Path:
        return self.path / "secrets.json"

    @property
    def ports(self) -> Path:
        return self.path / "ports.json"

    @property
    def accounts(self) -> Path:
        """Keys and passwords of the demo accounts, written by `load_demo`."""
        return self.path / "accounts.json"

    @property
    def demo(self) -> Path:
        return self.path / "demo.json"

    @property
    def lock(self) -> Path:
        return self.path / "up.lock"


def read_json(path: Path) -> dict[str, Any]:
    """The object kept in `path`; empty when there is none yet."""
    if not path.exists():
        return {}
    content = json.loads(path.read_text())
    if not isinstance(content, dict):
        raise TypeError(f"{path} should hold a JSON object.")
    return content


def write_json(path: Path, content: Mapping[str, Any], mode: int = 0o644) -> None:
    """Replace `path` in one step: a reader sees the old file or the new one, never half of either."""
    write_text(path, json.dumps(content, indent=2) + "\n", mode)


def write_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace `path` in one step; `mode` holds from the first byte on."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)
