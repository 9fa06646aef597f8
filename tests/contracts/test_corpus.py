"""Every version ever published: its schema, a sample of it, and today's code that reads the sample."""

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import jsonschema_rs
import msgspec
import pytest
from django.conf import settings

from config.reference.data import APPS
from outbox import samples
from outbox.contracts import all_contracts, contract_named, encode

pytestmark = [pytest.mark.requirement("M18", "M19"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]
FOLDER = settings.CONTRACTS_FOLDER
PUBLISHED = [(name, version) for name, version, _ in samples.published(FOLDER)]


def schema_of(name: str, version: int) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.v{version}.json").read_text())


def text_of(name: str, version: int) -> str:
    return samples.path_of(name, version, FOLDER).read_text()


def complaints(schema: Mapping[str, Any], payload: object) -> list[str]:
    """What a validator that nobody here wrote has against the payload, formats included."""
    formats = {"decimal": lambda text: Decimal(text).is_finite()}
    validator = jsonschema_rs.Draft202012Validator(dict(schema), validate_formats=True, formats=formats)
    return [error.message for error in validator.iter_errors(payload)]


@pytest.mark.parametrize(("name", "version"), PUBLISHED)
def test_every_version_ever_published_can_be_read_and_its_sample_fits_its_schema_and_leaves_nothing_out(name, version):
    schema, text = schema_of(name, version), text_of(name, version)
    assert complaints(schema, json.loads(text)) == []
    declared = schema["$defs"][schema["$ref"].rpartition("/")[2]]
    assert set(json.loads(text)) == set(declared["properties"])
    message = contract_named(name).decode(text, version)
    assert isinstance(message, contract_named(name).cls)
    assert complaints(contract_named(name).schema(), json.loads(encode(message))) == []


def test_no_version_of_a_contract_is_missing_from_the_corpus():
    versions = defaultdict(list)
    for name, version in PUBLISHED:
        versions[name].append(version)
    ours = [declared for declared in all_contracts() if declared.owner in APPS]
    assert dict(versions) == {declared.name: list(range(1, declared.version + 1)) for declared in ours}


def test_the_corpus_holds_more_than_one_version_of_something():
    assert ("orders.order_placed", 1) in PUBLISHED
    assert contract_named("orders.order_placed").version > 1


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    when: Annotated[datetime, msgspec.Meta(tz=True)]
    prices: list[Decimal]


class Everything(msgspec.Struct, forbid_unknown_fields=True):
    """A field of every type that a contract may have."""

    an_id: UUID
    text: str
    currency: Annotated[str, msgspec.Meta(examples=["EUR", "JPY"])]
    count: int
    share: float
    flag: bool
    price: Decimal
    day: date
    size: Size
    word: Literal["yes", "no"]
    perhaps: int | None
    inner: Inner
    many: list[Inner]
    none: None
    open: dict[str, Any]


def test_the_generator_fills_fields_of_every_type_and_always_in_the_same_way():
    schema = msgspec.json.schema(Everything)
    payload = samples.sample_of(schema)
    assert samples.sample_of(schema) == payload
    assert complaints(schema, payload) == []
    filled = msgspec.json.decode(json.dumps(payload), type=Everything)
    assert (filled.currency, filled.size, filled.word, filled.perhaps) == ("EUR", Size.LARGE, "no", 1)
    assert filled.an_id.version == 7
    assert filled.inner == filled.many[0]


@pytest.mark.parametrize("name", [name for name, _ in PUBLISHED])
def test_what_the_generator_makes_of_a_published_schema_fits_it(name):
    schema = contract_named(name).schema()
    assert complaints(schema, samples.sample_of(schema)) == []
