"""`manage.py outbox`: verbs about history and health, for people and for programs."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from outbox.models import AuditEntry, Delivery, DroppedPartition
from tests.integration.outbox.asking import ask, single, sql

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M42")]


def outbox(*arguments: object) -> str:
    out = StringIO()
    call_command("outbox", *(str(argument) for argument in arguments), stdout=out)
    return out.getvalue()


@pytest.fixture
def long_ago() -> str:
    """Months of 2019; return the name of the messages'."""
    for parent in ("outbox_message", "outbox_receipt"):
        sql("SELECT outbox_create_partition(%s, '2019-05-01')", parent)
    yield "outbox_message_y2019m05"
    sql("DROP TABLE IF EXISTS outbox_message_y2019m05, outbox_receipt_y2019m05")


def test_prune_says_what_would_go_and_does_nothing(long_ago):
    found = json.loads(outbox("prune", "--dry-run", "--reason", "look", "--json"))
    assert not found["done"]
    assert [(month["name"], month["goes"]) for month in found["months"]] == [
        (long_ago, True),
        ("outbox_receipt_y2019m05", False),
    ]
    assert found["months"][1]["kept_because"] == "its messages are still there"
    assert "would be dropped" in outbox("prune", "--dry-run", "--reason", "look")
    assert sql("SELECT to_regclass(%s)::text", long_ago) == [(long_ago,)]
    assert not AuditEntry.objects.exists()


def test_prune_drops_and_writes_down_who_and_why(long_ago):
    assert f"{long_ago}" in outbox("prune", "--reason", "the disk is full")
    assert sql("SELECT to_regclass(%s)", long_ago) == [(None,)]
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.reason) == ("outbox.prune", "the disk is full")
    assert [month["name"] for month in entry.after["months"]] == [long_ago, "outbox_receipt_y2019m05"]
    assert DroppedPartition.objects.get(name=long_ago).actor == entry.actor


def test_prune_needs_a_reason(long_ago):
    with pytest.raises(CommandError, match="a reason is required"):
        outbox("prune", "--reason", " ")
    assert sql("SELECT to_regclass(%s)::text", long_ago) == [(long_ago,)]


@pytest.mark.requirement("M38")
def test_verify_checks_the_engines_invariants_and_with_all_every_apps(transactional_db):
    ask(single())
    Delivery.objects.update(enqueued_at="2020-01-01T00:00:00Z")
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("outbox", "verify", "--json", stdout=out)
    report = json.loads(out.getvalue())
    assert (ended.value.code, report["broken"]) == (1, 1)
    assert {entry["name"].partition(".")[0] for entry in report["invariants"]} == {"outbox"}
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("outbox", "verify", "--all", "--json", stdout=out)
    everything = json.loads(out.getvalue())
    assert {"orders", "payments", "outbox"} < {entry["name"].partition(".")[0] for entry in everything["invariants"]}
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("verify", "--json", stdout=out)
    assert json.loads(out.getvalue()).keys() == everything.keys() == report.keys()


class Watched(StringIO):
    """Standard error that somebody watches."""

    def isatty(self) -> bool:
        return True


def test_progress_is_drawn_on_standard_error_and_only_where_somebody_watches(long_ago):
    for err, drawn in ((Watched(), True), (StringIO(), False)):
        out = StringIO()
        call_command("outbox", "prune", "--reason", "x", "--json", stdout=out, stderr=err)
        assert ("prune: " in err.getvalue()) is drawn
        json.loads(out.getvalue())
