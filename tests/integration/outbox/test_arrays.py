"""What is written as an array's text arrives as it was."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outbox.postgresql.arrays import array
from tests.integration.outbox.asking import sql

pytestmark = pytest.mark.django_db
TEXTS = st.lists(st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=5)


def arrived(texts: list[str | None]) -> list[str | None]:
    ((found,),) = sql("SELECT %s::text[]", array(texts))
    return found


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(TEXTS)
def test_any_text_arrives_as_it_was(db, texts):
    assert arrived(texts) == texts


@pytest.mark.parametrize("text", ["", "NULL", "null", "a,b", "{}", '"', "\\", '\\"', " ", "\n", "é{1,2}"])
def test_what_means_something_in_an_array_is_only_text(text):
    assert arrived([text, None, text]) == [text, None, text]


def test_numbers_and_nothing_at_all_arrive():
    assert sql("SELECT %s::bigint[], %s::float[], %s::int[]", array([1, -2]), array([0.25, None]), array([])) == [
        ([1, -2], [0.25, None], [])
    ]
