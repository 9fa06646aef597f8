"""The context: scopes nest, end with their block, and do not leak into other threads."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from uuid import uuid4

import pytest

from outbox.context import Context, current, enter, scope

pytestmark = pytest.mark.requirement("M20")


def test_without_a_scope_the_context_is_empty():
    assert current() == Context(None, None, "", {})


def test_an_inner_scope_changes_only_what_it_names():
    conversation, cause = uuid4(), uuid4()
    with scope(correlation_id=conversation, actor="staff:ada"):
        with scope(causation_id=cause) as inner:
            assert (inner.correlation_id, inner.causation_id, inner.actor) == (conversation, cause, "staff:ada")
        assert current().causation_id is None
    assert current() == Context()


def test_a_scope_ends_with_an_error_too():
    with pytest.raises(ZeroDivisionError), scope(actor="system"):
        raise ZeroDivisionError
    assert current().actor == ""


def test_another_thread_has_a_context_of_its_own():
    with scope(actor="staff:ada"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(current).result() == Context()


def test_enter_returns_what_was_there_so_that_it_can_be_put_back():
    with scope(actor="a"):
        former = enter(Context(actor="b"))
        assert (former.actor, current().actor) == ("a", "b")
        enter(former)
        assert current().actor == "a"


def test_an_unknown_field_is_a_mistake():
    with pytest.raises(TypeError), scope(user="ada"):
        pass


def test_a_context_cannot_be_changed_in_place():
    with pytest.raises(FrozenInstanceError):
        current().actor = "x"  # type: ignore[misc]
