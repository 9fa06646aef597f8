"""Migrations leave the release before running and the tables in use."""

import pytest
from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently
from django.db import models
from django.db.migrations import Migration, operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ModelState, ProjectState

from config.reference.data import APPS
from tests.architecture.migration_rules import objections

pytestmark = pytest.mark.requirement("M42")

FIRST_RELEASE = {
    "orders": "0002_order_by_id_ending",
    "payments": "0001_initial",
    "fulfillment": "0002_backorders",
    "outbox": "0008_fair_turns",
}
"""The last migration of each app that no installation runs without: they only ever meet empty tables."""
ACCEPTED: dict[tuple[str, str], str] = {}
"""Migrations that may do what the rules forbid, by app and name, and why: such as a column dropped one release after
the last that read it."""


def later_migrations() -> list[tuple[str, str]]:
    """Those that meet tables in use."""
    known = sorted(MigrationLoader(None).disk_migrations)
    return [(app, name) for app, name in known if app in APPS and name > FIRST_RELEASE[app]]


def test_what_belongs_to_the_first_release_exists():
    known = MigrationLoader(None).disk_migrations
    assert set(FIRST_RELEASE) == set(APPS)
    assert set(FIRST_RELEASE.items()) <= set(known)


def test_no_migration_breaks_the_release_before_it_or_stops_the_work():
    loader = MigrationLoader(None)
    found = {
        (app, name): objections(loader.disk_migrations[app, name], loader.project_state((app, name), at_end=False))
        for app, name in later_migrations()
        if (app, name) not in ACCEPTED
    }
    assert {key: words for key, words in found.items() if words} == {}


# --- the rules themselves --------------------------------------------------------------------------------------------


def before() -> ProjectState:
    """A table in use."""
    fields = [
        ("id", models.BigAutoField(primary_key=True)),
        ("name", models.CharField(max_length=20, null=True)),
        ("colour", models.TextField(db_default="grey", default="grey")),
    ]
    state = ProjectState()
    state.add_model(ModelState("shop", "Thing", fields))
    return state


def words_on(*steps) -> str:
    migration = Migration("0002_change", "shop")
    migration.operations = list(steps)
    return "; ".join(objections(migration, before()))


FORBIDDEN = {
    "a column that must be filled": (
        operations.AddField("thing", "size", models.IntegerField(default=1)),
        "NOT NULL without db_default",
    ),
    "a column dropped": (operations.RemoveField("thing", "colour"), "drops what the release before may use"),
    "a column renamed": (operations.RenameField("thing", "colour", "color"), "renames what the release before uses"),
    "a table dropped": (operations.DeleteModel("Thing"), "drops what the release before may use"),
    "a table renamed": (operations.RenameModel("Thing", "Item"), "renames what the release before uses"),
    "a table moved": (operations.AlterModelTable("thing", "things"), "renames what the release before uses"),
    "NULL forbidden": (
        operations.AlterField("thing", "name", models.CharField(max_length=20)),
        "forbids NULL, which the release before may write",
    ),
    "a type changed": (operations.AlterField("thing", "colour", models.IntegerField(null=True)), "changes the type"),
    "a text shortened": (
        operations.AlterField("thing", "name", models.CharField(max_length=10, null=True)),
        "changes the type",
    ),
    "a default taken away": (operations.AlterField("thing", "colour", models.TextField()), "takes the default away"),
    "an index built under a lock": (
        operations.AddIndex("thing", models.Index(fields=["name"], name="thing_name")),
        "AddIndexConcurrently",
    ),
    "an index that comes with a column": (
        operations.AddField("thing", "code", models.TextField(null=True, db_index=True)),
        "builds an index while nobody may write",
    ),
    "a table read under a lock": (
        operations.AddConstraint("thing", models.CheckConstraint(condition=models.Q(name="a"), name="a")),
        "AddConstraintNotValid",
    ),
    "a unique constraint": (
        operations.AddConstraint("thing", models.UniqueConstraint(fields=["name"], name="once")),
        "builds an index while nobody may write",
    ),
    "SQL: a column dropped": (
        operations.RunSQL("ALTER TABLE shop_thing DROP COLUMN colour"),
        "drops what the release before may use",
    ),
    "SQL: a column that must be filled": (
        operations.RunSQL("alter table shop_thing add column size int not null"),
        "leaves empty",
    ),
    "SQL: an index built under a lock": (
        operations.RunSQL("CREATE INDEX thing_name ON shop_thing (name)"),
        "builds an index",
    ),
    "SQL, hidden in a state operation": (
        operations.SeparateDatabaseAndState([operations.RunSQL("ALTER TABLE shop_thing RENAME colour TO color")], []),
        "renames",
    ),
}
ALLOWED = {
    "a column that may be empty": operations.AddField("thing", "size", models.IntegerField(null=True)),
    "a column with a default": operations.AddField("thing", "size", models.IntegerField(db_default=1, default=1)),
    "an index built beside the work": AddIndexConcurrently("thing", models.Index(fields=["name"], name="thing_name")),
    "a constraint for new rows": AddConstraintNotValid(
        "thing", models.CheckConstraint(condition=models.Q(name="a"), name="a")
    ),
    "a text lengthened": operations.AlterField("thing", "name", models.CharField(max_length=40, null=True)),
    "a constraint given up": operations.RemoveConstraint("thing", "once"),
    "SQL: an index built beside the work": operations.RunSQL("CREATE INDEX CONCURRENTLY a ON shop_thing (name)"),
    "SQL: a column with a default": operations.RunSQL("ALTER TABLE shop_thing ADD COLUMN size int NOT NULL DEFAULT 1"),
}


@pytest.mark.parametrize("step", FORBIDDEN)
def test_what_the_release_before_would_not_survive_is_refused(step):
    operation, words = FORBIDDEN[step]
    assert words in words_on(operation)


@pytest.mark.parametrize("step", ALLOWED)
def test_what_both_releases_can_live_with_is_allowed(step):
    assert words_on(ALLOWED[step]) == ""


def test_a_table_of_its_own_making_may_be_made_as_one_likes():
    fields = [("id", models.BigAutoField(primary_key=True)), ("name", models.TextField(unique=True))]
    index = operations.AddIndex("fresh", models.Index(fields=["name"], name="fresh_name"))
    assert words_on(operations.CreateModel("Fresh", fields), index) == ""
