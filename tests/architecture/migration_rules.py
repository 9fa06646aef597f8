"""What a migration may do while the release before it still runs, and while its tables are in use.

Two releases share one schema during a deploy: the old one inserts without the new columns, and reads those that the new
one has given up. So a change comes in two releases: first what both can live with, then, when only the new one runs,
the rest.
"""

import re
from collections.abc import Iterator

from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently
from django.db.migrations import Migration, operations
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models import CheckConstraint, Field
from django.db.models.fields import NOT_PROVIDED

STATEMENTS = {
    r"\bDROP\s+(TABLE|COLUMN)\b": "drops what the release before may use",
    r"\bRENAME\b": "renames what the release before uses",
    r"\bSET\s+NOT\s+NULL\b": "forbids NULL, and reads the whole table under a lock to see that it may",
    r"\bCREATE\s+(UNIQUE\s+)?INDEX\s+(?!CONCURRENTLY)": "builds an index while nobody may write",
    r"\bALTER\s+COLUMN\s+\w+\s+(SET\s+DATA\s+)?TYPE\b": "rewrites the table under a lock",
    r"\bADD\s+COLUMN\b(?![^;]*\bDEFAULT\b)[^;]*\bNOT\s+NULL\b": "adds a column that the release before leaves empty",
}
"""Regular expressions of SQL, and what is wrong with a statement that has one."""


def objections(migration: Migration, before: ProjectState) -> list[str]:
    """Say in sentences what in `migration`, applied to `before`, an old release or a table in use would not survive."""
    created = {
        operation.name_lower for operation in migration.operations if isinstance(operation, operations.CreateModel)
    }
    return [
        f"{operation.describe()}: {words}"
        for operation in _flat(migration.operations)
        if getattr(operation, "model_name_lower", "") not in created
        for words in _of(operation, migration.app_label, before)
    ]


def _flat(sequence: list[Operation]) -> Iterator[Operation]:
    for operation in sequence:
        if isinstance(operation, operations.SeparateDatabaseAndState):
            yield from _flat(operation.database_operations)
        else:
            yield operation


def _of(operation: Operation, app_label: str, before: ProjectState) -> Iterator[str]:
    match operation:
        case operations.RemoveField() | operations.DeleteModel():
            yield "drops what the release before may use"
        case operations.RenameField() | operations.RenameModel() | operations.AlterModelTable():
            yield "renames what the release before uses"
        case operations.AlterField():
            former = before.models[app_label, operation.model_name_lower].fields[operation.name]
            yield from _altered(former, operation.field)
        case operations.AddField():
            yield from _added(operation.field)
        case AddIndexConcurrently() | AddConstraintNotValid():
            return
        case operations.AddIndex():
            yield "builds an index while nobody may write: AddIndexConcurrently"
        case operations.AddConstraint():
            yield from _constrained(operation)
        case operations.RunSQL():
            yield from (words for pattern, words in STATEMENTS.items() if re.search(pattern, str(operation.sql), re.I))


def _added(field: Field) -> Iterator[str]:
    if not field.null and field.db_default is NOT_PROVIDED:
        yield "is NOT NULL without db_default: the release before cannot insert any more"
    if field.unique or field.db_index:
        yield "builds an index while nobody may write: db_index=False, then AddIndexConcurrently"


def _altered(former: Field, field: Field) -> Iterator[str]:
    if former.null and not field.null:
        yield "forbids NULL, which the release before may write"
    if former.get_internal_type() != field.get_internal_type() or _shorter(former, field):
        yield "changes the type under the release before, and rewrites the table under a lock"
    if former.db_default is not NOT_PROVIDED and field.db_default is NOT_PROVIDED and not field.null:
        yield "takes the default away that the release before relies on"


def _shorter(former: Field, field: Field) -> bool:
    return field.max_length is not None and (former.max_length is None or field.max_length < former.max_length)


def _constrained(operation: operations.AddConstraint) -> Iterator[str]:
    if isinstance(operation.constraint, CheckConstraint):
        yield "reads the whole table under a lock: AddConstraintNotValid, then ValidateConstraint"
    else:
        yield "builds an index while nobody may write: build it concurrently, then add the constraint with it"
