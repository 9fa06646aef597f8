"""How the hot tables are kept: updated in place where they can be, vacuumed by count."""

import pytest

from tests.integration.outbox.asking import ask, call, sql
from tests.runtime.waiting import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M42")]

IN_PLACE = ["outbox_breaker", "outbox_rollup", "outbox_worker"]
"""Tables of few rows that are updated all day, and keep room on their pages for it."""


def updates() -> dict[str, tuple[int, int]]:
    """Return (all, in place) of each table so far."""
    sql("SELECT pg_stat_force_next_flush()")
    rows = sql("SELECT relname, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = ANY(%s)", IN_PLACE)
    return {name: (all_, hot) for name, all_, hot in rows}


def test_small_tables_that_change_all_day_are_updated_in_place(drain):
    before = updates()

    def work() -> bool:
        ask(*[call(number, "transient_once") for number in range(5)])
        drain()
        return all(updates()[name][0] - before[name][0] >= 5 for name in IN_PLACE)

    eventually(work, 30)
    after = updates()
    for name in IN_PLACE:
        (all_, hot), (all_before, hot_before) = after[name], before[name]
        assert hot - hot_before >= 0.9 * (all_ - all_before), name


@pytest.mark.parametrize("name", ["outbox_delivery", "outbox_worker", "outbox_breaker", "outbox_rollup"])
def test_tables_that_are_rewritten_all_day_are_vacuumed_by_count_not_by_share(name):
    ((options,),) = sql("SELECT reloptions FROM pg_class WHERE relname = %s", name)
    assert "autovacuum_vacuum_scale_factor=0" in options


def test_the_live_queue_wastes_no_room_on_updates_that_cannot_be_in_place():
    ((options,),) = sql("SELECT reloptions FROM pg_class WHERE relname = 'outbox_delivery'")
    assert "fillfactor=100" in options
