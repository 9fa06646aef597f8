"""The benchmarks: `./tandem bench [engine] [door] [placing] [webhooks]`, or single rows such as `drain.noop` or
`door.etag`, or all of `engine.drain`.

Other queues that rows are held against are installed on the way, or left out: `--no-peers`. Writes bench.json beside
the table it prints.

They run in a database of their own on the server of DATABASE_URL, made anew each time.
"""

import json
import os
import sys
from dataclasses import asdict
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql


def own_database(url: str) -> str:
    """Make the benchmarks' database anew on the server of `url`; return its address."""
    parts = urlsplit(url)
    name = parts.path.lstrip("/") + "_bench"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return urlunsplit(parts._replace(path=f"/{name}"))


try:
    os.environ["DATABASE_URL"] = own_database(os.environ["DATABASE_URL"])
except psycopg.Error as error:
    sys.exit(f"The benchmarks need a database of their own, and the server refuses: {error}")
os.environ.pop("DATABASE_LISTEN_URL", None)
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.bench.settings"

import django  # noqa: E402 - the settings read the address of the database

django.setup()

from django.core.management import call_command  # noqa: E402 - the same

from tests.bench.door import table as door_table  # noqa: E402
from tests.bench.engine import table  # noqa: E402
from tests.bench.measuring import DATA, LOG, Result  # noqa: E402
from tests.bench.placing import placing  # noqa: E402
from tests.bench.webhooks import webhooks  # noqa: E402

ALONE = {"placing": placing, "webhooks": webhooks}
"""Rows that are measured each for itself."""
NO_PEERS = "--no-peers"
HEADINGS = ("", "value", "baseline", "ratio", "shall be", "against", "")


def row(result: Result) -> tuple[str, ...]:
    value = "" if result.value is None else f"{result.value:,.2f} {result.unit}"
    baseline = "" if result.baseline_value is None else f"{result.baseline_value:,.2f}"
    ratio = "" if result.ratio is None else f"{result.ratio:.2f}"
    return result.name, value, baseline, ratio, result.bound, result.baseline or "", result.reason


def show(results: list[Result]) -> None:
    rows = [HEADINGS, *(row(result) for result in results)]
    widths = [max(len(line[column]) for line in rows) for column in range(len(HEADINGS))]
    print()
    for line in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def rows_of(name: str) -> list[str]:
    """Return the rows that `name` means: one, those under it, or with the word `engine` all of the engine's."""
    if name in ALONE:
        return [name]
    if name.partition(".")[0] == "door":
        return [row for row in door_table.names() if row == name or row.startswith(f"{name}.")]
    prefix = name.removeprefix("engine").removeprefix(".")
    return [row for row in table.names() if not prefix or row == prefix or row.startswith(f"{prefix}.")]


def main(arguments: list[str]) -> int:
    names = [argument for argument in arguments if argument != NO_PEERS]
    wanted = {name: rows_of(name) for name in names or ("engine", "door", *ALONE)}
    if unknown := [name for name, rows in wanted.items() if not rows]:
        there = ", ".join(("engine", *table.names(), *door_table.names(), *ALONE))
        print(f"There is no benchmark {', '.join(unknown)}. There are: {there}.", file=sys.stderr)
        return 2
    DATA.mkdir(parents=True, exist_ok=True)
    LOG.write_bytes(b"")
    call_command("migrate", verbosity=0)
    measured = {row for rows in wanted.values() for row in rows}
    rows = sorted(measured & set(table.names()))
    results = table.engine(rows, peers=NO_PEERS not in arguments) if rows else []
    if measured & set(door_table.names()):
        results += door_table.door(sorted(measured & set(door_table.names())))
    for name, measure in ALONE.items():
        if name in measured:
            results += measure()
    (DATA / "bench.json").write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n")
    show(results)
    print(f"\nFigures depend on the machine; ratios were taken in turn. Written to {DATA / 'bench.json'}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
