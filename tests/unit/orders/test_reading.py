"""Reading JSON strictly."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.api.reading import parse
from orders.errors import MalformedRequest

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(DOCUMENTS)
def test_an_ordinary_document_is_read_as_json_reads_it(document):
    body = json.dumps(document).encode()
    assert parse(body) == json.loads(body)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": 1,}', "not JSON"),
        (b'{"a": 1, "a": 1}', "'a' twice"),
        (b'{"b": {"a": 1, "a": 2}}', "'a' twice"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": Infinity}', "Infinity"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "18 digits"),
        (b'{"a": "\\u0000"}', "U\\+0000"),
        (b'{"\\u0000": 1}', "U\\+0000"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"a": ["\\udfff"]}', "surrogate"),
        (b'{"a": "\x00"}', "not JSON"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b"\xff\xfe{\x00}\x00", "UTF-8"),
        (b"[" * 100_000, "deeper than 32"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "deeper than 32"),
        (b"[" * 33 + b"]" * 33, "deeper than 32"),
    ],
)
def test_what_is_not_plain_json_is_refused_and_named(body, says):
    with pytest.raises(MalformedRequest, match=says):
        parse(body)


def test_32_levels_are_not_too_deep():
    assert parse(b"[" * 32 + b"]" * 32)


def test_a_surrogate_pair_is_one_character():
    assert parse(b'{"a": "\\ud83d\\ude00"}') == {"a": "\N{GRINNING FACE}"}
