"""What a benchmark makes of its rounds, and what it says of a peer that is not there."""

import json
from dataclasses import asdict

from tests.bench.measuring import Row, result_of, take_turns

ROW = Row("drain.orm", "messages/s", "drain.orm", ">= 4", "peer")


def test_the_ratio_is_the_median_of_the_rounds_ratios():
    rounds = [
        {"drain.orm": 400.0, "peer": 100.0},
        {"drain.orm": 900.0, "peer": 100.0},
        {"drain.orm": 10.0, "peer": 5.0},
    ]
    result = result_of(ROW, rounds)
    assert (result.value, result.baseline_value, result.ratio, result.rounds) == (400.0, 100.0, 4.0, 3)


def test_a_round_without_its_baseline_does_not_count_for_the_ratio():
    result = result_of(ROW, [{"drain.orm": 400.0, "peer": 100.0}, {"drain.orm": 900.0}])
    assert (result.ratio, result.rounds) == (4.0, 1)


def test_a_peer_that_is_missing_has_no_ratio_and_its_reason_is_told():
    result = result_of(ROW, [{"drain.orm": 400.0}], {"peer": "no RabbitMQ"})
    assert (result.value, result.ratio, result.baseline_value, result.reason) == (400.0, None, None, "no RabbitMQ")


def test_what_takes_long_is_measured_in_fewer_rounds_in_turn_with_the_rest():
    asked: list[str] = []

    def measure(name):
        return lambda: asked.append(name) or {name: 1.0}

    take_turns({"quick": measure("quick"), "long": measure("long")}, rounds=3, few=("long",), less=1)
    assert asked == ["quick", "long", "quick", "quick"]


def test_the_file_for_scripts_says_null_and_why():
    result = result_of(ROW, [{"drain.orm": 400.0}], {"peer": "no RabbitMQ"})
    written = json.loads(json.dumps(asdict(result)))
    assert {"name", "value", "unit", "baseline", "ratio", "rounds"} <= set(written)
    assert (written["baseline"], written["ratio"], written["reason"]) == ("peer", None, "no RabbitMQ")
