"""JSON as RFC 8259 means it and no further: each way to abuse it is refused, by name, and leaves nothing behind."""

import json

import pytest

from orders.api.reading import MAX_DEPTH, MAX_NODES
from orders.models import Order
from tests.shop import order_of

pytestmark = pytest.mark.requirement("M43")

BODY = json.dumps(order_of(reference="R", metadata={"a": "b"}))


def changed(old: str, new: str) -> bytes:
    assert BODY.count(old) == 1
    return BODY.replace(old, new).encode()


def refused(shop, body: bytes, **headers) -> dict:
    response = shop.http.post(
        "/api/v1/orders",
        body,
        content_type=headers.pop("content_type", "application/json"),
        headers={"idempotency-key": "k", **headers},
    )
    assert response["Content-Type"] == "application/problem+json"
    assert not Order.objects.exists()
    return {"status": response.status_code, **response.json()}


UNREADABLE = {
    "nested lists": (b"[" * 60_000, "nested"),
    "nested objects": (b'{"a":' * 10_000, "nested"),
    "one level too deep": (changed('{"a": "b"}', "[" * MAX_DEPTH + "]" * MAX_DEPTH), "nested"),
    "too many entries": (changed('{"a": "b"}', "[" + "0," * MAX_NODES + "0]"), "5000"),
    "a member twice": (changed('"reference": "R"', '"reference": "R", "reference": "S"'), "'reference' twice"),
    "a member twice, written differently": (changed('"reference"', '"\\u0072eference": "S", "reference"'), "twice"),
    "a member twice, deep inside": (changed('"quantity": 2', '"quantity": 2, "quantity": 200'), "'quantity' twice"),
    "NaN": (changed('"quantity": 2', '"quantity": NaN'), "NaN"),
    "Infinity": (changed('"quantity": 2', '"quantity": -Infinity'), "Infinity"),
    "a number beyond all doubles": (changed('"quantity": 2', '"quantity": 1e999'), "too large"),
    "an integer of 5000 digits": (changed('"quantity": 2', f'"quantity": {"9" * 5_000}'), "18 digits"),
    "U+0000": (changed('"R"', '"a\\u0000b"'), "/reference"),
    "U+0000 in a name": (changed('"a": "b"', '"a\\u0000": "b"'), "/metadata"),
    "half a surrogate pair": (changed('"R"', '"\\ud83d"'), "/reference"),
    "a surrogate pair the wrong way round": (changed('"a": "b"', '"a": "\\ude00\\ud83d"'), "/metadata/a"),
    "bytes that are no UTF-8": (changed('"R"', '"RRR"').replace(b"RRR", b"\xc3\x28"), "UTF-8"),
    "an encoded surrogate": (changed('"R"', '"RRR"').replace(b"RRR", b"\xed\xa0\x80"), "UTF-8"),
    "an overlong encoding": (changed('"R"', '"RRR"').replace(b"RRR", b"\xc0\xaf"), "UTF-8"),
    "UTF-16": (BODY.encode("utf-16"), "UTF-8"),
    "a byte order mark": (b"\xef\xbb\xbf" + BODY.encode(), "JSON"),
    "a raw control character": (changed('"R"', '"a\x01b"'), "JSON"),
    "single quotes": (BODY.replace('"', "'").encode(), "JSON"),
    "a comment": (b"/* */" + BODY.encode(), "JSON"),
    "a trailing comma": (changed('"R"', '"R",,'), "JSON"),
    "a second document": (BODY.encode() * 2, "JSON"),
    "only blanks": (b"   ", "JSON"),
    "a list": (b"[" + BODY.encode() + b"]", "object"),
    "a text": (b'"order"', "object"),
    "null": (b"null", "object"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_body_that_is_not_quite_json(shop, case):
    body, words = UNREADABLE[case]
    problem = refused(shop, body)
    assert (problem["status"], problem["code"]) == (400, "malformed_request")
    assert words in problem["detail"]


WRONG = {
    "a quantity as a text": ('"quantity": 2', '"quantity": "2"', "/lines/0/quantity", "invalid_type"),
    "a quantity with a point": ('"quantity": 2', '"quantity": 2.5', "/lines/0/quantity", "invalid_type"),
    "a quantity below zero": ('"quantity": 2', '"quantity": -5', "/lines/0/quantity", "too_small"),
    "a quantity of nothing": ('"quantity": 2', '"quantity": 0', "/lines/0/quantity", "too_small"),
    "a quantity beyond all measure": ('"quantity": 2', '"quantity": 999999999', "/lines/0/quantity", "too_large"),
    "true for a quantity": ('"quantity": 2', '"quantity": true', "/lines/0/quantity", "invalid_type"),
    "null for a quantity": ('"quantity": 2', '"quantity": null', "/lines/0/quantity", "invalid_type"),
    "a list for a text": ('"R"', '["R"]', "/reference", "invalid_type"),
    "an object for a text": ('"R"', '{"$ne": ""}', "/reference", "invalid_type"),
    "a line break": ('"R"', '"a\\nb"', "/reference", "invalid_format"),
    "nested metadata": ('{"a": "b"}', '{"a": {"b": "c"}}', "/metadata/a", "invalid_type"),
    "a name that looks like a path": ('{"a": "b"}', '{"a/b~c": 1}', "/metadata/a~1b~0c", "invalid_type"),
    "a member of the prototype": ('"R"', '"R", "__proto__": {"admin": true}', "/__proto__", "unknown_field"),
    "a member of another spelling": ('"R"', '"R", "Reference": "S"', "/Reference", "unknown_field"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_field_of_the_wrong_kind_is_named_by_its_pointer(shop, case):
    old, new, pointer, code = WRONG[case]
    problem = refused(shop, changed(old, new))
    assert (problem["status"], problem["code"]) == (422, "validation_failed")
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, code)]


def test_everything_that_is_wrong_is_told_at_once(shop):
    body = order_of(currency="euro", reference="", lines=[{"sku": "X", "quantity": 0}, {"sku": 1, "colour": "red"}])
    pointers = {error["pointer"] for error in refused(shop, json.dumps(body).encode())["errors"]}
    assert pointers == {
        "/currency",
        "/reference",
        "/lines/0/quantity",
        "/lines/1/sku",
        "/lines/1/quantity",
        "/lines/1/colour",
    }


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "text/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
     "application/json; charset=latin-1", "application/json; charset=utf-16", "application/jsonx", "application/xml",
     "application/json, text/html"],
)  # fmt: skip
def test_a_body_of_another_type_or_charset(shop, content_type):
    problem = refused(shop, BODY.encode(), content_type=content_type)
    assert (problem["status"], problem["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
def test_a_compressed_body_is_not_unpacked(shop, encoding):
    problem = refused(shop, BODY.encode(), **{"content-encoding": encoding})
    assert (problem["status"], problem["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", 'application/json;charset="UTF-8"', "APPLICATION/JSON"]
)
def test_json_by_another_spelling_of_its_name_is_read(shop, content_type):
    response = shop.http.post("/api/v1/orders", BODY, content_type=content_type, headers={"idempotency-key": "k"})
    assert response.status_code == 201


def test_characters_beyond_the_basic_plane_come_back_as_they_were(shop):
    shown = shop.placed(reference="茶 😀 e\u0301", metadata={"n\u00b0": "\U0010ffff"})
    assert shown["reference"] == "茶 😀 e\u0301"
    assert shown["metadata"] == {"n\u00b0": "\U0010ffff"}


@pytest.mark.parametrize(
    ("query", "pointer", "code"),
    [("limit=1&limit=100", "?limit", "repeated"), ("status=placed&status=completed", "?status", "repeated"),
     ("colour=red", "?colour", "unknown_parameter"), ("limit=1e2", "?limit", "out_of_range"),
     ("limit=%EF%BC%91", "?limit", "out_of_range"), ("placed_after=yesterday", "?placed_after", "invalid"),
     ("placed_after=2026-01-01", "?placed_after", "invalid"), ("reference=%00", "?reference", "invalid"),
     ("status[]=placed", "?status[]", "unknown_parameter")],
)  # fmt: skip
def test_a_query_that_can_be_read_in_two_ways_or_none_is_refused(shop, query, pointer, code):
    response = shop.get(f"orders?{query}")
    assert response.status_code == 422
    assert [(error["pointer"], error["code"]) for error in response.json()["errors"]] == [(pointer, code)]


def test_more_parameters_than_anybody_needs(shop):
    response = shop.get("orders?" + "&".join(f"p{number}=1" for number in range(2_000)))
    assert (response.status_code, response.json()["code"]) == (400, "malformed_request")
