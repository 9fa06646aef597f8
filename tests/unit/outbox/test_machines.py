"""State machines: what the table does not have does not happen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.errors import IllegalTransition
from outbox.machines import StateMachine

pytestmark = pytest.mark.requirement("M26")
TABLE = {"new": {"open"}, "open": {"closed", "lost"}, "lost": {"open"}}
MACHINE = StateMachine("case", initial="new", transitions=TABLE, final={"closed"})
STATES = st.sampled_from(["new", "open", "closed", "lost", "never heard of"])


@given(STATES, STATES)
def test_exactly_the_table_is_legal(a, b):
    legal = b in TABLE.get(a, ())
    assert MACHINE.allows(a, b) is legal
    assert ((a, b) in MACHINE.pairs()) is legal


@given(st.lists(STATES))
def test_no_walk_leaves_the_table(wishes):
    state, walked = MACHINE.initial, []
    for wish in wishes:
        try:
            MACHINE.check(state, wish)
        except IllegalTransition:
            continue
        walked.append((state, wish))
        state = wish
    assert set(walked) <= set(MACHINE.pairs())
    assert state in MACHINE.states


def test_an_illegal_step_is_named_in_full():
    with pytest.raises(IllegalTransition, match="case: there is no way from 'new' to 'closed'") as caught:
        MACHINE.check("new", "closed")
    assert (caught.value.machine, caught.value.from_state, caught.value.to_state) == ("case", "new", "closed")


def test_a_state_does_not_follow_itself():
    assert not MACHINE.allows("open", "open")


def test_final_states_are_the_declared_ones():
    assert [state for state in MACHINE.states if MACHINE.is_final(state)] == ["closed"]


def test_states_come_in_the_order_of_the_table_the_initial_one_first():
    machine = StateMachine("m", initial="b", transitions={"a": ("b",), "b": ("c",)}, final=("c",))
    assert machine.states == ("b", "a", "c")


def test_a_story_begins_in_the_initial_state_or_another_that_is_declared():
    machine = StateMachine("m", initial="b", other_starts=("x",), transitions={"b": ("c",), "x": ("b",)}, final=("c",))
    assert machine.starts == ("b", "x")
    assert MACHINE.starts == ("new",)


def test_a_start_outside_the_table_is_refused():
    with pytest.raises(ValueError, match=r"m: \['x'\] are not in the table"):
        StateMachine("m", initial="new", other_starts=("x",), transitions=TABLE, final={"closed"})


def test_a_final_state_outside_the_table_is_refused():
    with pytest.raises(ValueError, match=r"m: \['x'\] are not in the table"):
        StateMachine("m", initial="new", transitions=TABLE, final={"x"})
