"""When the messages of an order are no longer kept its pages say so, and tell what is left."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.urls import reverse
from django.utils import timezone

from orders.case_file import case_file
from orders.models import Order
from outbox.models import Attempt, DroppedPartition, Message, Receipt

pytestmark = [pytest.mark.django_db, pytest.mark.requirement("M34", "M42")]


@pytest.fixture
def forgotten(shop) -> Order:
    """An order whose month was dropped."""
    shop.placed()
    order = Order.objects.get()
    begins = order.placed_at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    Message.objects.all().delete()
    Receipt.objects.all().delete()
    DroppedPartition.objects.create(
        name="outbox_message_gone", parent="outbox_message", begins=begins, ends=begins + timedelta(days=31),
        size_bytes=1, actor="system",
    )  # fmt: skip
    return order


def test_an_order_whose_messages_are_gone_says_so_and_tells_its_states(viewer, forgotten):
    html = viewer.get(reverse("staff:order", args=[forgotten.public_id])).content.decode()
    assert f"Messages of {forgotten.placed_at:%B %Y} are no longer kept." in html
    assert "The payment was noted." in html
    assert "Where the time went" not in html


def test_its_messages_tab_does_not_fail(viewer, forgotten):
    answer = viewer.get(reverse("staff:order", args=[forgotten.public_id]), {"tab": "messages"})
    assert answer.status_code == 200
    assert "they were removed after their retention time" in answer.content.decode()


def test_an_order_of_a_month_that_is_kept_says_nothing_of_it(viewer, shop, forgotten):
    DroppedPartition.objects.update(
        begins=timezone.now() - timedelta(days=90), ends=timezone.now() - timedelta(days=60)
    )
    file = case_file(forgotten)
    assert (file.forgotten, file.spent is None) == ("", False)


def test_the_console_says_what_became_of_a_dropped_message_and_shows_its_attempts(viewer, forgotten):
    message_id = UUID(int=int(forgotten.placed_at.timestamp() * 1000) << 80)
    Attempt.objects.create(
        message_id=message_id, consumer="payments.capture", number=1, kind="transient", error_class="Timeout",
        error="no answer in time", fingerprint="x",
    )  # fmt: skip
    answer = viewer.get(reverse("admin:outbox_message_change", args=[message_id]))
    assert answer.status_code == 404
    html = answer.content.decode()
    assert f"is of {forgotten.placed_at:%B %Y}" in html
    assert "no answer in time" in html
