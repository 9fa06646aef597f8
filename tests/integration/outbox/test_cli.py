"""`manage.py outbox`: the console's verbs for people at a terminal, with the same checks and audit rows."""

import getpass
import json
import re
from dataclasses import replace
from io import StringIO
from typing import Annotated, Literal
from uuid import uuid4

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from msgspec import Meta

from outbox import contracts, control, samples, snapshots
from outbox.checks import check_consumers
from outbox.contracts import Event, Semantics, contract
from outbox.models import AuditEntry, ConsumerControl, Delivery, Receipt
from outbox.publishing import send, unit_of_work
from tests.integration.outbox.dead import make_dead
from tests.lab.commands import Note

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M27")]


@pytest.fixture(autouse=True)
def nothing_remembered():
    control.forget()
    yield
    control.forget()


def outbox(*arguments: object) -> str:
    out = StringIO()
    call_command("outbox", *(str(argument) for argument in arguments), stdout=out)
    return out.getvalue()


def outbox_json(*arguments: object):
    return json.loads(outbox(*arguments, "--json"))


def test_dead_letters_are_listed_and_shown(drain):
    (dead,) = make_dead(drain, 1)
    (row,) = outbox_json("list", "--state", "dead", "--consumer", "lab.note")
    assert (row["id"], row["message_id"], row["attempts"]) == (dead.id, str(dead.message_id), 1)
    assert outbox_json("list", "--state", "ready") == []
    shown = outbox_json("show", dead.message_id)
    assert (shown["message"]["name"], shown["deliveries"][0]["state"]) == ("lab.note", "dead")
    assert shown["attempts"][0]["error"] == "told to give up"


def test_an_unknown_message_is_said_to_be_unknown(transactional_db):
    with pytest.raises(CommandError, match="There is no message"):
        outbox("show", uuid4())


def test_retry_by_id_names_the_person_at_the_terminal(drain):
    (dead,) = make_dead(drain, 1)
    assert "1 done, 0 not" in outbox("retry", dead.id, "--reason", "mended")
    assert Delivery.objects.get().state == "ready"
    assert AuditEntry.objects.get().actor == f"command:{getpass.getuser()}"


def test_discard_by_consumer_and_by_cause(drain):
    first, second = make_dead(drain, 1, 2)
    (other,) = make_dead(drain, 3, behaviour="fail")
    outbox("discard", "--fingerprint", first.fingerprint, "--reason", "not wanted")
    assert list(Delivery.objects.values_list("id", flat=True)) == [other.id]
    outbox("discard", "--consumer", "lab.note", "--reason", "not wanted")
    assert not Delivery.objects.exists()
    assert Receipt.objects.filter(outcome="discarded").count() == 3
    assert second.message_id in set(Receipt.objects.values_list("message_id", flat=True))


@pytest.mark.parametrize("verb", ["retry", "discard"])
def test_a_dry_run_says_what_it_would_do_and_does_nothing(drain, verb):
    (dead,) = make_dead(drain, 1)
    would = outbox_json(verb, "--consumer", "lab.note", "--reason", "mended", "--dry-run")
    assert would == {"would": verb, "ids": [dead.id]}
    assert Delivery.objects.get().state == "dead"
    assert not AuditEntry.objects.exists()


def test_what_cannot_be_done_fails_the_command_after_the_rest_is_done(drain):
    (dead,) = make_dead(drain, 1)
    with pytest.raises(CommandError, match="1 of 2 could not be done"):
        outbox("retry", dead.id + 1000, dead.id, "--reason", "mended")
    assert Delivery.objects.get().state == "ready"


@pytest.mark.parametrize("chosen", [[], ["1", "--consumer", "lab.note"]])
def test_dead_letters_are_named_in_one_way(transactional_db, chosen):
    with pytest.raises(CommandError, match="Name the dead letters: either their ids, or"):
        outbox("retry", *chosen, "--reason", "mended")


@pytest.mark.parametrize("verb", ["retry", "discard", "pause", "resume"])
def test_a_change_needs_a_reason(transactional_db, verb):
    with pytest.raises(CommandError, match="--reason"):
        outbox(verb, "1")
    with pytest.raises(CommandError, match="a reason is required"):
        outbox(verb, "1", "--reason", " ")


@pytest.mark.requirement("M29")
def test_consumers_are_paused_and_resumed_by_name_and_all_together(transactional_db):
    assert outbox_json("pause", "lab.note", "--reason", "x") == {"changed": ["lab.note"], "unchanged": []}
    everyone = outbox_json("pause", "--all", "--reason", "x")
    assert everyone["unchanged"] == ["lab.note"]
    assert {"lab.call", "orders.follow", "payments.create_intent"} < set(everyone["changed"])
    assert "lab.note" in outbox_json("stats")["paused"]
    outbox("resume", "--all", "--reason", "over")
    assert not ConsumerControl.objects.filter(paused=True).exists()


@pytest.mark.requirement("M29")
def test_a_dry_run_pauses_nobody(transactional_db):
    assert outbox_json("pause", "lab.note", "--reason", "x", "--dry-run")["consumers"] == ["lab.note"]
    assert not ConsumerControl.objects.exists()


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_consumers_are_named_or_all(transactional_db, verb):
    with pytest.raises(CommandError, match="Name the consumers, or say --all"):
        outbox(verb, "--reason", "x")


def test_stats_tell_the_queue_per_consumer(transactional_db):
    with unit_of_work():
        send(Note(bench_id=uuid4(), number=1))
    (depth,) = outbox_json("stats")["queue"]
    assert (depth["consumer"], depth["ready"], depth["dead"]) == ("lab.note", 1, 0)
    assert "lab.note" in outbox("stats")


# --- contracts -----------------------------------------------------------------------------------------------------


Unit = Literal["cm", "m"]
FIELDS = {"trial_id": str, "size": int, "unit": Unit, "note": str | None}


@pytest.fixture
def trial(monkeypatch):
    """Declare contracts that no other test sees; return a function that declares `lab.trial`."""
    monkeypatch.setattr(contracts, "_by_name", {})
    monkeypatch.setattr(contracts, "_by_class", {})

    def declare(version: int = 1, *, doc: str = "Something happened.", fields=FIELDS, owner="lab", **declared) -> None:
        contracts._by_name.clear()
        optional = {name: None for name, kind in fields.items() if kind == str | None}
        cls = type("Trial", (Event,), {"__annotations__": fields, "__doc__": doc, **optional}, kw_only=True)
        contract("lab.trial", version=version, owner=owner, aggregate="trial", key="trial_id", **declared)(cls)

    return declare


@pytest.mark.requirement("M18")
def test_the_catalogue_lists_every_contract_with_its_consumers():
    catalogue = {entry["name"]: entry for entry in outbox_json("contracts")}
    assert catalogue["lab.note"]["consumers"] == ["lab.note"]
    assert catalogue["orders.order_placed"]["x-owner"] == "orders"
    assert "payments.authorise_payment" in outbox("contracts")


@pytest.mark.requirement("M19")
def test_a_contract_without_a_snapshot_fails_the_check_until_it_is_written(tmp_path, trial):
    trial()
    with pytest.raises(CommandError, match=r"lab\.trial v1 has no snapshot"):
        outbox("contracts", "--check", "--folder", tmp_path)
    outbox("contracts", "--write", "--folder", tmp_path)
    assert "The contracts are as published" in outbox("contracts", "--check", "--folder", tmp_path)
    assert json.loads((tmp_path / "lab.trial.v1.json").read_text())["$id"] == "lab.trial/v1"


@pytest.mark.requirement("M19")
@pytest.mark.parametrize("mode", ["--check", "--write"])
def test_a_published_version_never_changes(tmp_path, trial, mode):
    trial()
    snapshots.write(tmp_path)
    published = (tmp_path / "lab.trial.v1.json").read_text()
    trial(fields={**FIELDS, "size": str})
    with pytest.raises(CommandError, match="make it version 2 with an upcaster from 1"):
        outbox("contracts", mode, "--folder", tmp_path)
    assert (tmp_path / "lab.trial.v1.json").read_text() == published


INCOMPATIBLE = {
    "a field removed": ({"size": None}, "`size` is gone"),
    "a field renamed": ({"size": None, "length": int}, "`size` is gone; `length` is new and required"),
    "a type changed": ({"size": str}, '`size` was {"type":"integer"}'),
    "a type narrowed": ({"size": Annotated[int, Meta(ge=1)]}, '`size` was {"type":"integer"}'),
    "a type widened": ({"size": int | None}, '`size` was {"type":"integer"}'),
    "a new required field": ({"colour": str}, "`colour` is new and required"),
    "a new optional field": ({"colour": str | None}, "`colour` is new and unknown to older readers"),
    "an optional field required": ({"note": str}, "`note` is required now"),
    "a value of an enum removed": ({"unit": Literal["m"]}, "`unit` was"),
    "a value of an enum added": ({"unit": Literal["cm", "m", "km"]}, "`unit` was"),
}
"""Changes of the trial's fields that no message in the queue, or no older release, would survive."""


@pytest.mark.requirement("M19")
@pytest.mark.parametrize("change", INCOMPATIBLE)
def test_the_gate_refuses_an_incompatible_change_and_says_what_it_is(tmp_path, trial, change):
    fields, words = INCOMPATIBLE[change]
    trial()
    outbox("contracts", "--write", "--folder", tmp_path)
    trial(fields={name: kind for name, kind in {**FIELDS, **fields}.items() if kind is not None})
    with pytest.raises(CommandError, match=f"^lab.trial v1 differs from lab.trial.v1.json: .*{re.escape(words)}"):
        outbox("contracts", "--check", "--folder", tmp_path)


@pytest.mark.requirement("M19")
def test_the_gate_refuses_another_promise_under_the_same_version(tmp_path, trial):
    trial()
    outbox("contracts", "--write", "--folder", tmp_path)
    trial(semantics=Semantics.AT_LEAST_ONCE)
    with pytest.raises(CommandError, match="x-semantics was 'exactly once in effect'"):
        outbox("contracts", "--check", "--folder", tmp_path)


@pytest.mark.requirement("M19")
def test_the_gate_of_this_very_project_refuses_a_field_removed_from_a_published_event(monkeypatch):
    """What `./tandem check` would say of a careless commit."""

    class OrderConfirmed(Event, frozen=True, kw_only=True):
        """It has lost its only field, and got another."""

        id: str

    declared = contracts.contract_named("orders.order_confirmed")
    monkeypatch.setitem(contracts._by_name, declared.name, replace(declared, cls=OrderConfirmed))
    with pytest.raises(CommandError, match=r"orders\.order_confirmed v1 differs .*`order_id` is gone; `id` is new"):
        outbox("contracts", "--check")


@pytest.mark.requirement("M19")
def test_a_version_without_a_sample_fails_the_check_until_one_is_written(tmp_path, trial):
    trial()
    snapshots.write(tmp_path)
    with pytest.raises(CommandError, match=r"^lab\.trial v1 has no sample: run"):
        outbox("contracts", "--check", "--folder", tmp_path)
    outbox("contracts", "--write", "--folder", tmp_path)
    assert json.loads((tmp_path / "samples/lab.trial.v1.json").read_text())["size"] == 1


@pytest.mark.requirement("M19")
def test_an_upcaster_that_cannot_read_what_was_sent_fails_the_check(tmp_path, trial):
    trial()
    outbox("contracts", "--write", "--folder", tmp_path)
    trial(version=2, upcasters={1: lambda payload: {**payload, "size": payload["length"]}})
    with pytest.raises(CommandError, match=r"The sample of lab\.trial v1 cannot be read any more.*KeyError: 'length'"):
        outbox("contracts", "--write", "--folder", tmp_path)


@pytest.mark.requirement("M19")
def test_a_sample_of_nothing_published_is_noticed(tmp_path, trial):
    trial()
    outbox("contracts", "--write", "--folder", tmp_path)
    (tmp_path / "samples/lab.trial.v2.json").write_text("{}")
    assert samples.problems(tmp_path) == ["samples/lab.trial.v2.json belongs to no published version."]


@pytest.mark.requirement("M19")
def test_a_sample_that_a_person_has_edited_stays(tmp_path, trial):
    trial()
    outbox("contracts", "--write", "--folder", tmp_path)
    path = tmp_path / "samples/lab.trial.v1.json"
    edited = path.read_text().replace('"size": 1', '"size": 42')
    path.write_text(edited)
    outbox("contracts", "--write", "--folder", tmp_path)
    assert path.read_text() == edited


@pytest.mark.requirement("M19")
def test_a_new_version_needs_a_way_from_the_old_one(tmp_path, trial):
    trial()
    snapshots.write(tmp_path)
    trial(version=2, fields={**FIELDS, "size": str})
    snapshots.write(tmp_path)
    assert snapshots.problems(tmp_path) == [
        "lab.trial.v1.json is published, but no chain of upcasters leads from it to version 2."
    ]
    upcasters = {1: lambda payload: {**payload, "size": str(payload["size"])}}
    trial(version=2, fields={**FIELDS, "size": str}, upcasters=upcasters)
    assert snapshots.problems(tmp_path) == []


@pytest.mark.requirement("M19")
def test_a_contract_that_vanished_is_noticed(tmp_path, trial, monkeypatch):
    trial()
    snapshots.write(tmp_path)
    monkeypatch.setattr(contracts, "_by_name", {})
    (problem,) = snapshots.problems(tmp_path)
    assert "no contract has that name any more" in problem


@pytest.mark.requirement("M19")
def test_words_may_change_and_are_written_anew(tmp_path, trial):
    trial()
    snapshots.write(tmp_path)
    trial(doc="Something happened, said better.", owner="somebody else")
    (problem,) = snapshots.problems(tmp_path)
    assert problem.startswith("The words of lab.trial.v1.json are out of date")
    assert [path.name for path in snapshots.write(tmp_path)] == ["lab.trial.v1.json"]
    assert snapshots.problems(tmp_path) == []


# --- system checks ---------------------------------------------------------------------------------------------------


@pytest.mark.requirement("M18")
def test_the_declared_contracts_and_consumers_fit_together():
    assert [found for found in run_checks() if found.id.startswith("outbox.")] == []


@pytest.mark.requirement("M18")
def test_a_message_without_a_consumer_stops_the_start(trial):
    trial()
    (error,) = check_consumers()
    assert (error.id, error.msg, error.is_serious()) == ("outbox.E001", "lab.trial has no consumer", True)


@pytest.mark.requirement("M9")
def test_a_promise_that_its_consumer_cannot_keep_stops_the_start(monkeypatch):
    declared = contracts.contract_named("lab.call")
    broken = type(declared)(**{**vars(declared), "semantics": Semantics.EXACTLY_ONCE})
    monkeypatch.setitem(contracts._by_name, "lab.call", broken)
    (error,) = check_consumers()
    assert error.msg == "lab.call promises exactly once in effect, but lab.call calls someone outside"
