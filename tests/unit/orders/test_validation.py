"""From a document to a request, or to everything that is wrong with it."""

import msgspec
import pytest

from orders.api.validation import convert
from orders.errors import ValidationFailed
from orders.requests import CancelOrder, PlaceOrder
from tests.shop import order_of


def faults(document, kind=PlaceOrder):
    with pytest.raises(ValidationFailed) as refused:
        convert(document, kind)
    return {error.pointer: error.code for error in refused.value.errors}


def test_a_complete_order_is_read():
    request = convert(order_of(("A", 2), reference="r", metadata={"k": "v"}), PlaceOrder)
    assert (request.lines[0].sku, request.lines[0].quantity, request.reference) == ("A", 2, "r")


@pytest.mark.parametrize(
    ("quantity", "code"),
    [(0, "too_small"), (-5, "too_small"), (10_001, "too_large"), (True, "invalid_type"), (1.0, "invalid_type"),
     ("1", "invalid_type"), (None, "invalid_type"), ([1], "invalid_type"), ({}, "invalid_type")],
)  # fmt: skip
def test_a_quantity_is_an_integer_within_bounds(quantity, code):
    assert faults(order_of(("A", quantity))) == {"/lines/0/quantity": code}


def test_everything_that_is_wrong_is_told_at_once():
    document = order_of(("A", 0), ("", 1), currency="eur", surprise=1)
    document["shipping_address"] = {"name": "A\nB", "line1": 5, "planet": "Mars"}
    assert faults(document) == {
        "/currency": "invalid_format",
        "/lines/0/quantity": "too_small",
        "/lines/1/sku": "too_short",
        "/shipping_address/name": "invalid_format",
        "/shipping_address/line1": "invalid_type",
        "/shipping_address/city": "required",
        "/shipping_address/postal_code": "required",
        "/shipping_address/country": "required",
        "/shipping_address/planet": "unknown_field",
        "/surprise": "unknown_field",
    }


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"lines": []}, {"/lines": "too_few"}),
        ({"lines": [{"sku": "A", "quantity": 1}] * 101}, {"/lines": "too_many"}),
        ({"lines": {}}, {"/lines": "invalid_type"}),
        ({"shipping_address": []}, {"/shipping_address": "invalid_type"}),
        ({"payment_method": "4242424242424242"}, {"/payment_method": "invalid_format"}),
        ({"currency": "EUR\n"}, {"/currency": "invalid_format"}),
        ({"metadata": {"k": 1}}, {"/metadata/k": "invalid_type"}),
        ({"metadata": {"k" * 41: "v"}}, {"/metadata/" + "k" * 40: "too_long"}),
        ({"metadata": {str(n): "v" for n in range(51)}}, {"/metadata": "too_many"}),
        ({"metadata": None}, {"/metadata": "invalid_type"}),
        ({"reference": ""}, {"/reference": "too_short"}),
        ({"expected_total": {"amount": 25.8, "currency": "EUR"}}, {"/expected_total/amount": "invalid_type"}),
        ({"expected_total": {"amount": "-1", "currency": "EUR"}}, {"/expected_total/amount": "invalid_format"}),
        ({"expected_total": {"amount": "1e2", "currency": "EUR"}}, {"/expected_total/amount": "invalid_format"}),
        ({"a/b~c": 1}, {"/a~1b~0c": "unknown_field"}),
    ],
)  # fmt: skip
def test_each_fault_points_at_its_field(change, expected):
    assert faults(order_of(("A", 1), **change)) == expected


def test_a_cancellation_needs_no_reason():
    assert convert({}, CancelOrder).reason == "Cancelled by the customer."


def test_details_are_sentences_for_people():
    with pytest.raises(ValidationFailed) as refused:
        convert(order_of(("A", True)), PlaceOrder)
    assert refused.value.errors[0].detail == "This has to be an integer, not true or false."


def test_requests_cannot_be_changed_after_they_were_read():
    request = convert(order_of(("A", 1)), PlaceOrder)
    with pytest.raises(AttributeError):
        request.currency = "USD"
    assert msgspec.structs.asdict(request)["currency"] == "EUR"
