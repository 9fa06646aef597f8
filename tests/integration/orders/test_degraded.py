"""What is down is told to customers, and orders are still accepted."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from outbox.models import Breaker, Delivery, Worker
from tests.integration.outbox.asking import sql
from tests.shop import TEA

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M41", "M43")]

CONSUMERS = ["payments.create_intent"]


def open_breaker() -> Breaker:
    return Breaker.objects.create(
        destination="payments", state="open", consumers=CONSUMERS, open_until=Now() + timedelta(minutes=1)
    )


def components(shop) -> dict:
    answer = shop.get("/health/ready")
    assert answer.status_code == 200
    return answer.json()


def test_while_the_payment_provider_is_away_orders_are_accepted_and_say_what_they_wait_for(busy_shop):
    breaker = open_breaker()
    order = busy_shop.placed((TEA, 1))
    progress = busy_shop.get(f"orders/{order['id']}/progress").json()
    assert progress["state"] == "waiting"
    assert progress["awaiting"] == "payment authorisation"
    assert progress["next_attempt_at"]
    assert progress["delay"]["code"] == "provider_unavailable"
    assert progress["delay"]["detail"].startswith("The payment provider does not answer.")
    assert progress["delay"]["since"].startswith(breaker.changed_at.isoformat()[:19])
    assert busy_shop.get(f"orders/{order['id']}").json()["progress"] == progress
    assert components(busy_shop)["components"]["payments"] == "degraded: breaker open"
    assert "payments" in components(busy_shop)["degraded"]


def test_the_progress_of_an_order_changes_when_the_provider_is_back(busy_shop):
    breaker = open_breaker()
    path = f"orders/{busy_shop.placed()['id']}/progress"
    tag = busy_shop.get(path)["ETag"]
    assert busy_shop.get(path, if_none_match=tag).status_code == 304
    Breaker.objects.filter(pk=breaker.pk).update(state="closed", open_until=None)
    answer = busy_shop.get(path, if_none_match=tag)
    assert (answer.status_code, answer.json()["delay"]) == (200, None)


def test_work_that_waits_long_for_its_turn_is_called_behind(busy_shop):
    path = f"orders/{busy_shop.placed()['id']}/progress"
    assert busy_shop.get(path).json()["delay"] is None
    Delivery.objects.update(enqueued_at=Now() - timedelta(minutes=5))
    delay = busy_shop.get(path).json()["delay"]
    assert delay["code"] == "backlog"
    tag = busy_shop.get(path)["ETag"]
    assert busy_shop.get(path, if_none_match=tag).status_code == 304
    assert components(busy_shop)["components"]["queue"] == "degraded: no worker, oldest due work 300 s"


def test_health_tells_the_age_of_the_oldest_work_although_a_worker_is_there(busy_shop):
    sql("INSERT INTO outbox_worker (id, host, pid, lock, release) VALUES (gen_random_uuid(), 'here', 1, 1, 'r')")
    assert Worker.objects.count() == 1
    assert components(busy_shop)["components"]["queue"] == "ok"
    assert components(busy_shop)["degraded"] == []
    busy_shop.placed()
    Delivery.objects.update(enqueued_at=Now() - timedelta(minutes=5))
    assert components(busy_shop)["components"]["queue"] == "degraded: oldest due work 300 s"
    assert busy_shop.place().status_code == 201


def test_an_order_that_goes_as_usual_tells_of_no_delay(busy_shop):
    assert busy_shop.placed()["progress"]["delay"] is None
