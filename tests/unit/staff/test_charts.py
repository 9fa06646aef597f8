"""The geometry of the charts."""

from datetime import UTC, datetime, timedelta

import pytest

from config.charts import Point, ceiling_of, chart, path

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def points(*values):
    return [Point(NOON + timedelta(minutes=n), (value,), f"{value}") for n, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "ceiling"),
    [([0], 5), ([5], 5), ([6], 10), ([11], 20), ([21], 40), ([41], 50), ([51], 100), ([100], 100), ([101], 200)],
)
def test_the_scale_ends_at_a_round_figure_at_or_above_the_greatest_value(values, ceiling):
    assert ceiling_of(values, least=5) == ceiling


def test_a_line_goes_through_the_middle_of_each_column():
    assert path([0, 50, 100], 100) == "M0.5 100.0L1.5 50.0L2.5 0.0"


def test_a_missing_reading_breaks_the_line():
    assert path([0, 50, None, 100, 0], 100) == "M0.5 100.0L1.5 50.0M3.5 0.0L4.5 100.0"


def test_a_reading_without_neighbours_is_drawn_as_a_dash():
    assert path([None, 50, None], 100) == "M1.2 50.0h0.6"


def test_a_bar_is_as_high_as_its_share_of_the_scale():
    drawn = chart("Orders", "orders", ("Orders",), points(0, 5, 10), rest="", least=5)
    assert [(mark.y, mark.height, mark.empty) for mark in drawn.marks] == [
        (99.0, 1.0, True),
        (50.0, 50.0, False),
        (0.0, 100.0, False),
    ]
    assert (drawn.first, drawn.middle, drawn.last) == (
        NOON,
        NOON + timedelta(minutes=1),
        NOON + timedelta(minutes=2),
    )
