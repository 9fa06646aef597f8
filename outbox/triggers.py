"""Migration operations that make the database keep a state machine and its history."""

from collections.abc import Collection, Mapping
from typing import Any

from django.db.migrations.operations import RunSQL

_GUARD = """
CREATE FUNCTION {table}_guard_{column}() RETURNS trigger LANGUAGE plpgsql AS $guard$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.{column} NOT IN ({starts}) THEN
            RAISE EXCEPTION '{machine} starts as {initial}, not as %', NEW.{column}
                USING ERRCODE = 'check_violation', CONSTRAINT = '{table}_guard_{column}';
        END IF;
        INSERT INTO outbox_transition (machine, entity_id, seq, from_state, to_state)
            VALUES ('{machine}', NEW.id, 1, '', NEW.{column});
    ELSIF NEW.{column} <> OLD.{column} THEN
        IF NOT (OLD.{column}, NEW.{column}) IN ({pairs}) THEN
            RAISE EXCEPTION '{machine}: there is no way from % to %', OLD.{column}, NEW.{column}
                USING ERRCODE = 'check_violation', CONSTRAINT = '{table}_guard_{column}';
        END IF;
        INSERT INTO outbox_transition (machine, entity_id, seq, from_state, to_state)
            SELECT '{machine}', NEW.id, coalesce(max(seq), 0) + 1, OLD.{column}, NEW.{column}
            FROM outbox_transition WHERE machine = '{machine}' AND entity_id = NEW.id;
    END IF;
    RETURN NULL;
END $guard$;
CREATE TRIGGER {table}_guard_{column} AFTER INSERT OR UPDATE OF {column} ON {table}
    FOR EACH ROW EXECUTE FUNCTION {table}_guard_{column}();
"""
_UNGUARD = """
DROP TRIGGER IF EXISTS {table}_guard_{column} ON {table};
DROP FUNCTION IF EXISTS {table}_guard_{column}();
"""


class GuardStateMachine(RunSQL):
    """Refuse illegal states of `table.column` in the database, and record each transition in outbox_transition.

    The table needs a UUID primary key named `id`. The transitions are frozen into the migration as a literal; a later
    migration with `replaces=True` installs a changed table.
    """

    def __init__(
        self,
        *,
        table: str,
        column: str,
        machine: str,
        initial: str,
        transitions: Mapping[str, Collection[str]],
        other_starts: Collection[str] = (),
        replaces: bool = False,
    ) -> None:
        pairs = ", ".join(f"('{a}', '{b}')" for a, targets in transitions.items() for b in targets)
        names: dict[str, Any] = {
            "table": table,
            "column": column,
            "machine": machine,
            "initial": " or ".join((initial, *other_starts)),
            "starts": ", ".join(f"'{state}'" for state in (initial, *other_starts)),
            "pairs": pairs,
        }
        install, remove = _GUARD.format(**names), _UNGUARD.format(**names)
        super().__init__(sql=remove + install if replaces else install, reverse_sql=RunSQL.noop if replaces else remove)
