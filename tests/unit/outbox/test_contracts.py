"""Contracts: nothing is lost on the way through JSON, old versions are read, what does not fit is refused."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox import contracts
from outbox.contracts import Command, Event, Kind, Semantics, contract, contract_named, contract_of, encode
from outbox.errors import ContractConflict, InvalidPayload, UnknownContract

pytestmark = pytest.mark.requirement("M18")
SUBJECT = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
FIRST = b'{"parcel_id":"01890a5d-ac96-774b-bcce-b302099a8057","grams":"250"}'
SECOND = b'{"parcel_id":"01890a5d-ac96-774b-bcce-b302099a8057","weight":"0.25"}'


class Weighed(Event, frozen=True, kw_only=True):
    """A parcel was put on the scales."""

    parcel_id: UUID
    weight: Decimal
    unit: str = "kg"
    at: datetime | None = None


def grams_to_weight(payload: dict) -> dict:
    return {"parcel_id": payload["parcel_id"], "weight": str(Decimal(payload["grams"]) / 1000)}


def weight_to_unit(payload: dict) -> dict:
    return {**payload, "unit": "kg"}


@pytest.fixture
def registry(monkeypatch):
    """Registers that forget what the test declares."""
    monkeypatch.setattr(contracts, "_by_name", dict(contracts._by_name))
    monkeypatch.setattr(contracts, "_by_class", dict(contracts._by_class))


@pytest.fixture
def weighed(registry):
    upcasters = {1: grams_to_weight, 2: weight_to_unit}
    declare = contract(
        "test.weighed", version=3, owner="test", aggregate="parcel", key="parcel_id", upcasters=upcasters
    )
    return contract_of(declare(Weighed))


def test_a_message_comes_back_as_it_was_sent(weighed):
    sent = Weighed(parcel_id=SUBJECT, weight=Decimal("0.1000"), at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert weighed.decode(encode(sent), 3) == sent


def test_decimals_travel_as_strings_so_that_no_digit_is_lost(weighed):
    payload = msgspec.json.decode(encode(Weighed(parcel_id=SUBJECT, weight=Decimal("12.3400"))))
    assert payload["weight"] == "12.3400"


@given(weight=st.decimals(allow_nan=False, allow_infinity=False), unit=st.text())
def test_every_amount_and_text_survives(weight, unit):
    sent = Weighed(parcel_id=SUBJECT, weight=weight, unit=unit)
    assert msgspec.json.decode(encode(sent), type=Weighed) == sent


@pytest.mark.requirement("M19")
def test_every_older_version_is_brought_up_step_by_step(weighed):
    newest = Weighed(parcel_id=SUBJECT, weight=Decimal("0.25"))
    assert [weighed.decode(FIRST, 1), weighed.decode(SECOND, 2)] == [newest, newest]


@pytest.mark.requirement("M19")
@pytest.mark.parametrize("version", [0, 4, 99])
def test_a_version_that_nobody_can_read_is_unknown(weighed, version):
    with pytest.raises(UnknownContract, match=f"test.weighed v{version} is not known"):
        weighed.decode(SECOND, version)


@pytest.mark.requirement("M19")
def test_a_contract_tells_which_versions_it_reads(registry):
    declare = contract(
        "test.gap", version=5, owner="t", aggregate="p", key="parcel_id", upcasters={4: weight_to_unit, 2: dict}
    )
    assert contract_of(declare(Weighed)).readable_versions() == [5, 4]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{",
        b'{"weight":"1"}',
        b'{"parcel_id":"no uuid","weight":"1"}',
        b'{"parcel_id":"01890a5d-ac96-774b-bcce-b302099a8057","weight":"heavy"}',
        b'{"parcel_id":"01890a5d-ac96-774b-bcce-b302099a8057","weight":"1","surprise":1}',
        b'{"parcel_id":"01890a5d-ac96-774b-bcce-b302099a8057","weight":"1","unit":7}',
    ],
)
def test_a_payload_that_does_not_fit_is_refused_with_the_name_of_its_contract(weighed, payload):
    with pytest.raises(InvalidPayload, match=r"^test\.weighed v3: "):
        weighed.decode(payload, 3)


@pytest.mark.parametrize("payload", [b"{}", b'{"parcel_id":null,"grams":"x"}', b"[1]", b"7"])
def test_an_old_payload_that_cannot_be_brought_up_is_refused_as_well(weighed, payload):
    with pytest.raises(InvalidPayload, match=r"^test\.weighed v1: "):
        weighed.decode(payload, 1)


def test_a_name_belongs_to_one_class(weighed):
    class Other(Event, frozen=True, kw_only=True):
        parcel_id: UUID

    with pytest.raises(ContractConflict, match=r"test.weighed is declared twice: Weighed, .*Other"):
        contract("test.weighed", version=1, owner="test", aggregate="parcel", key="parcel_id")(Other)
    assert contract_named("test.weighed").cls is Weighed


def test_the_key_must_be_a_field(registry):
    with pytest.raises(ContractConflict, match="its key 'order_id' is not a field of Weighed"):
        contract("test.keyless", version=1, owner="test", aggregate="parcel", key="order_id")(Weighed)
    with pytest.raises(UnknownContract):
        contract_named("test.keyless")


def test_commands_and_events_are_told_apart(registry):
    class Weigh(Command, frozen=True, kw_only=True):
        parcel_id: UUID

    declare = contract("test.weigh", version=1, owner="test", aggregate="parcel", key="parcel_id")
    assert contract_of(declare(Weigh)).kind is Kind.COMMAND
    declare = contract("test.weighed", version=1, owner="test", aggregate="parcel", key="parcel_id")
    assert contract_of(declare(Weighed)).kind is Kind.EVENT


def test_an_undeclared_class_has_no_contract(registry):
    with pytest.raises(UnknownContract, match="Weighed has no @contract"):
        contract_of(Weighed)


def test_the_schema_says_what_the_message_is_and_which_fields_it_has(weighed):
    schema = weighed.schema()
    assert schema["$id"] == "test.weighed/v3"
    assert (schema["x-owner"], schema["x-kind"], schema["x-aggregate"]) == ("test", "event", "parcel")
    assert schema["x-semantics"] == Semantics.EXACTLY_ONCE.value
    declared = schema["$defs"]["Weighed"]
    assert declared["required"] == ["parcel_id", "weight"]
    assert declared["additionalProperties"] is False
    assert declared["properties"]["weight"] == {"type": "string", "format": "decimal"}


def test_a_message_cannot_be_changed():
    with pytest.raises(AttributeError):
        Weighed(parcel_id=SUBJECT, weight=Decimal(1)).unit = "g"  # type: ignore[misc]


def test_the_aggregate_is_the_key_field(weighed):
    assert contracts.aggregate_id(Weighed(parcel_id=SUBJECT, weight=Decimal(1))) == SUBJECT
