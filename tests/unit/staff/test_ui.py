"""The vocabulary of the pages: money, times, spans, ids."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from config.templatetags.money import digits
from outbox.templatetags import ui


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("25.8", "EUR", "25.80"),
        ("1234567.5", "EUR", "1,234,567.50"),
        ("1500.000", "JPY", "1,500"),
        ("1", "KWD", "1.000"),
    ],
)
def test_money_has_the_digits_of_its_currency(amount, currency, shown):
    assert digits(Decimal(amount), currency) == shown


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "now"),
        (1.9, "now"),
        (2, "2 s ago"),
        (59.9, "59 s ago"),
        (60, "1 min ago"),
        (7200, "2 h ago"),
        (86400, "1 day ago"),
        (3 * 86400, "3 days ago"),
        (-12, "in 12 s"),
        (-90, "in 1 min"),
    ],
)
def test_a_time_is_told_relative_to_now(seconds, words):
    assert ui.rough(seconds) == words


def test_the_exact_time_is_one_hover_away():
    moment = datetime(2026, 3, 1, 12, 0, 5, 250_000, tzinfo=UTC)
    assert 'title="2026-03-01 12:00:05.250 UTC"' in ui.clock(moment)
    assert 'title="2026-03-01 12:00:05.250 UTC"' in ui.ago(moment)


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(milliseconds=340), "340 ms"),
        (4.2, "4.2 s"),
        (42.0, "42 s"),
        (185.0, "3 min 5 s"),
        (7800.0, "2 h 10 min"),
        (90000.0, "1 d 1 h"),
        (None, "\N{EN DASH}"),
    ],
)
def test_a_span_is_told_in_its_two_largest_units(span, words):
    assert ui.duration(span) == words


def test_an_id_is_shortened_to_its_random_end():
    assert ui.short("ord_0199a2f0c1d27c3b8e5f4a6b7c8d9e0f") == "ord_…7c8d9e0f"
    assert ui.short("TDM123") == "TDM123"


def test_what_is_copied_is_the_whole_id_and_it_is_escaped():
    html = ui.copyable('ord_"><script>alert(1)</script>')
    assert "<script>" not in html
    assert 'data-copy="ord_&quot;&gt;&lt;script&gt;' in html


def test_a_state_is_told_by_colour_shape_and_word():
    html = ui.pill("failed", "Rejected")
    assert 'data-tone="failed"' in html
    assert "icons.svg#failed" in html
    assert ">Rejected<" in html
