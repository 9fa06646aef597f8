"""The committed OpenAPI document: `python -m config.runtime.openapi_snapshot [--check]` writes or compares it."""

import difflib
import subprocess
import sys
from itertools import islice

from config.runtime.files import ROOT, write_text

SNAPSHOT = ROOT / "docs" / "reference" / "openapi.json"
SHOWN_LINES = 60
GENERATE = [sys.executable, "manage.py", "spectacular", "--format", "openapi-json", "--validate", "--fail-on-warn"]


def main(arguments: list[str]) -> int:
    result = subprocess.run(GENERATE, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        print(result.stderr.rstrip())
        return 1
    current = result.stdout.rstrip() + "\n"
    if "--check" in arguments:
        return compare(current)
    SNAPSHOT.parent.mkdir(parents=True, exist_ok=True)
    write_text(SNAPSHOT, current)
    return 0


def compare(current: str) -> int:
    """0 when the committed document says the same; else show where they differ."""
    committed = SNAPSHOT.read_text() if SNAPSHOT.exists() else ""
    if committed == current:
        return 0
    lines = difflib.unified_diff(committed.splitlines(), current.splitlines(), "committed", "generated", lineterm="")
    print("\n".join(islice(lines, SHOWN_LINES)))
    print("The API differs from its committed description. If that is meant: ./tandem check --write, and commit it.")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
