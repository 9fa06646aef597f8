"""The vocabulary of the pages: states, times, ids, figures. Every helper gives words as well as a look."""

from datetime import datetime, timedelta
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

NOTHING = "\N{EN DASH}"
MINUTE, HOUR, DAY = 60, 3600, 86400
UNITS = ((31_536_000, "year"), (2_592_000, "month"), (DAY, "day"), (HOUR, "h"), (MINUTE, "min"), (1, "s"))


@register.simple_tag
def icon(name: str) -> SafeString:
    """A small picture from the sprite; decoration, since the word stands beside it."""
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"/></svg>', static("tandem/icons.svg"), name
    )


@register.simple_tag
def pill(tone: str, word: str) -> SafeString:
    """A state: colour, shape and word together."""
    return format_html('<span class="pill" data-tone="{}">{}<span>{}</span></span>', tone, icon(tone), word)


@register.simple_tag
def word(tone: str, text: str) -> SafeString:
    """A state inside running text or a table cell: shape and word without a background."""
    return format_html('<span class="word" data-tone="{}">{}<span>{}</span></span>', tone, icon(tone), text)


@register.simple_tag
def progress(percent: int, tone: str, label: str) -> SafeString:
    """How far something is, in percent."""
    return format_html(
        '<progress data-tone="{}" value="{}" max="100" aria-label="{}"></progress>', tone, percent, label
    )


@register.simple_tag
def copyable(text: str, shown: str = "") -> SafeString:
    """An id, shortened for the eye, whole for the clipboard."""
    return format_html(
        '<span class="copy"><span title="{0}">{1}</span>'
        '<button type="button" data-act="copy" data-copy="{0}" aria-label="Copy {0}">{2}</button></span>',
        text,
        shown or short(text),
        icon("copy"),
    )


@register.filter
def short(text: object) -> str:
    """The telling end of an id: `ord_…4f1c09ab`. The front of a UUIDv7 is a time, the end is random."""
    whole = str(text)
    prefix, separator, rest = whole.rpartition("_")
    return f"{prefix}{separator}…{rest[-8:]}" if len(rest) > 12 else whole


@register.filter
def ago(moment: datetime | None) -> str | SafeString:
    """A time relative to now, kept current by page.js, with the exact time on hover."""
    if moment is None:
        return NOTHING
    seconds = (timezone.now() - moment).total_seconds()
    return format_html(
        '<time datetime="{}" title="{}" data-relative>{}</time>', moment.isoformat(), exact(moment), rough(seconds)
    )


@register.filter
def clock(moment: datetime) -> SafeString:
    """A time of day to the second, with the exact time on hover."""
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact(moment), f"{moment:%H:%M:%S}"
    )


@register.filter
def exact(moment: datetime) -> str:
    """A time to the millisecond, in UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03} UTC"


@register.filter
def duration(span: timedelta | float | None) -> str:
    """A span of time (a timedelta, or seconds) with two telling figures: 340 ms, 4.2 s, 3 min 5 s, 2 h 10 min."""
    if span is None:
        return NOTHING
    seconds = span.total_seconds() if isinstance(span, timedelta) else float(span)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    return _long(int(seconds))


@register.filter
def figure(value: float) -> str:
    """A count with thousands apart."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


@register.filter
def at(sequence: Any, index: int) -> Any:
    """The element at `index`."""
    return sequence[index]


def rough(seconds: float) -> str:
    """How long ago, or in how long, in the same words as page.js."""
    size = abs(seconds)
    if size < 2:
        return "now"
    length, unit = next((length, unit) for length, unit in UNITS if size >= length)
    count = int(size // length)
    named = f"{count} {unit}{'s' if length >= DAY and count > 1 else ''}"
    return f"in {named}" if seconds < 0 else f"{named} ago"


def _long(seconds: int) -> str:
    if seconds < MINUTE:
        return f"{seconds} s"
    if seconds < HOUR:
        return f"{seconds // MINUTE} min {seconds % MINUTE} s"
    if seconds < DAY:
        return f"{seconds // HOUR} h {seconds % HOUR // MINUTE} min"
    return f"{seconds // DAY} d {seconds % DAY // HOUR} h"
