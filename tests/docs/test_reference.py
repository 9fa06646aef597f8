"""The documents say what the code says: nothing undocumented, nothing that is not there."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from config.reference import PAGES
from config.reference.data import APPS, MEANINGS, meaning, models_of
from config.reference.machines import machines
from config.reference.messages import field_meaning, producers
from config.waiting import application, intake, streams, turns
from orders import api_keys, rate_limits
from orders.api import pagination, reading
from orders.scopes import SCOPES
from orders.states import ORDER
from outbox.catalogue import catalogue

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
OWN_APPS = ("config", *APPS)
NOT_SETTINGS = {"DJANGO_SETTINGS_MODULE", "PATH", "UV_SYSTEM_CERTS"}
READS = re.compile(r"""(?:\benv\.\w+|environ\.get|environ\.setdefault)\(\s*"([A-Z_]+)"|environ\["([A-Z_]+)"\]""")


def first_cells(page: Path) -> list[str]:
    """Return the code in the first cell of each table row."""
    return re.findall(r"^\| `([^`]+)`", page.read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_up_to_date(name):
    assert (REFERENCE / name).read_text() == PAGES[name](), "run ./tandem manage reference --write"


def test_every_setting_is_described_and_no_other():
    sources = [ROOT / "tandem", *(path for app in OWN_APPS for path in (ROOT / app).rglob("*.py"))]
    read = {name for path in sources for found in READS.findall(path.read_text()) for name in found if name}
    described = first_cells(REFERENCE / "settings.md")
    assert sorted(described) == sorted(read - NOT_SETTINGS)


def test_the_front_doors_commands_are_described_and_no_others():
    declared = re.search(r"^COMMANDS = (\(.*\))$", (ROOT / "tandem").read_text(), re.MULTILINE)
    assert declared
    described = {cell.split()[1] for cell in first_cells(REFERENCE / "commands.md") if cell.startswith("./tandem ")}
    assert described == set(ast.literal_eval(declared[1]))


def test_every_command_of_ours_is_described_and_no_other():
    ours = {name for name, app in get_commands().items() if app in OWN_APPS}
    described = {cell.split()[0] for cell in first_cells(REFERENCE / "commands.md")} - {"./tandem"}
    assert described == ours


def test_every_subcommand_of_outbox_is_described():
    parser = load_command_class("outbox", "outbox").create_parser("manage.py", "outbox")
    (subcommands,) = [action for action in parser._actions if action.dest == "verb"]
    verbs = set(subcommands.choices)
    assert len(verbs) >= 8
    described = {cell.split()[1] for cell in first_cells(REFERENCE / "commands.md") if cell.startswith("outbox ")}
    assert described == verbs


def test_every_direct_dependency_is_described_and_no_other():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = [re.match(r"[A-Za-z0-9-]+", requirement)[0] for requirement in declared]
    assert first_cells(DOCS / "dependencies.md") == names


@pytest.mark.parametrize("app", APPS)
def test_every_column_has_a_meaning(app):
    silent = [
        f"{model._meta.db_table}.{field.column}"
        for model in models_of(app)
        for field in model._meta.concrete_fields
        if field.column and not meaning(model, field)
    ]
    assert silent == []


@pytest.mark.requirement("M18")
def test_every_field_of_every_message_has_a_meaning_and_every_message_somebody_who_says_it():
    ours = [entry for entry in catalogue() if entry.contract.owner in APPS]
    assert len(ours) > 40
    silent = [f"{entry.contract.name}.{f.name}" for entry in ours for f in entry.fields if not field_meaning(f)]
    assert silent == []
    assert [name for name, modules in producers([entry.contract for entry in ours]).items() if not modules] == []


def test_no_meaning_is_left_of_a_column_that_is_gone():
    columns = {
        f"{model._meta.db_table}.{field.column}"
        for app in APPS
        for model in models_of(app)
        for field in model._meta.concrete_fields
    }
    assert set(tomllib.loads(MEANINGS.read_text())["columns"]) - columns == set()


@pytest.mark.requirement("M26")
def test_every_machine_is_drawn_with_every_transition():
    page = (REFERENCE / "machines.md").read_text()
    drawn = [re.search(r"## Order\n.*?```\n", page, re.DOTALL)]
    assert drawn[0]
    assert all(f"    {source} --> {target}\n" in drawn[0][0] for source, target in ORDER.pairs())
    names = {machine.name for machine in machines()}
    assert names == {"order", "payment", "payment_operation", "reservation", "consignment", "shipment", "return"}


@pytest.mark.requirement("M43")
def test_the_how_to_of_keys_lists_every_scope_as_it_is():
    page = (DOCS / "how-to" / "use-api-keys.md").read_text()
    assert dict(re.findall(r"^\| `(\w+:\w+)` \| (.+) \|$", page, re.MULTILINE)) == SCOPES


@pytest.mark.requirement("M43")
def test_the_page_of_limits_tells_the_limits_in_force():
    page = (REFERENCE / "limits.md").read_text()
    told = {row[0]: row[1] for row in re.findall(r"^\| ([^|]+) \| ([^|]+) \| .+ \|$", page, re.MULTILINE)}
    in_force = {
        "Requests a second, per customer": 200,
        "Progress streams at the same time, per customer and web process": 100,
        "Progress streams of one web process": streams.MOST_STREAMS,
        "A stream that is not read": streams.SLOW_READER_SECONDS,
        "Wrong keys a minute, per address": rate_limits.FAILURES_PER_MINUTE["address"],
        "Wrong keys a minute, per key's prefix": rate_limits.FAILURES_PER_MINUTE["prefix"],
        "Address and headers": intake.MOST_HEADER_BYTES,
        "Body": reading.MAX_BYTES,
        "Arrival of the body": intake.LONGEST_BODY_SECONDS,
        "Nesting of JSON": reading.MAX_DEPTH,
        "Digits of a number": reading.MAX_INTEGER_DIGITS,
        "Members and entries of JSON, all together": reading.MAX_NODES,
        "Page of a list": pagination.MAX_LIMIT,
        "API keys that work, per customer": api_keys.MOST_KEYS,
        "`Prefer: wait=N`": application.LONGEST_WAIT_SECONDS,
    }
    for name, limit in in_force.items():
        assert re.match(rf"{limit:.0f}\b", told[name].replace(" ", "", 1 if limit >= 1_000 else 0)), name
    assert (
        f"{turns.MOST_IN_LINE:,}".replace(",", " ") in told["Requests at the same time, per customer and web process"]
    )
