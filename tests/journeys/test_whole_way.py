"""An order travels the whole way through the real system; and a crowd of them does while things break."""

import os
import re
import signal
import time
from collections import Counter
from uuid import uuid4

import pytest

from tests.journeys.orders import Crowd, await_final, basket, disagreements
from tests.runtime.waiting import eventually

pytestmark = [pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def system(start_system):
    return start_system()


def place(customer, **arguments):
    lines = arguments.pop("lines", {"TEA-EARL-100": 2})
    headers = {"Idempotency-Key": str(uuid4()), **arguments.pop("headers", {})}
    answer = customer.post("/api/v1/orders", json=basket(lines, **arguments), headers=headers)
    assert answer.status_code == 201, answer.text
    return answer


def available(customer):
    return customer.get("/api/v1/products/TEA-EARL-100").json()["availability"]["quantity"]


def progress(customer, order_id):
    return customer.get(f"/api/v1/orders/{order_id}/progress").json()


@pytest.mark.requirement("M1", "M2", "M3", "M24", "M43")
def test_an_order_is_answered_at_once_and_carried_to_completion(system):
    with system.customer() as customer:
        order = place(customer).json()
        assert (order["status"], order["payment_status"], order["fulfillment_status"]) == (
            "placed", "authorising", "reserved",
        )  # fmt: skip
        final = await_final(system, [order["id"]], 60)[order["id"]]
    assert (final["status"], final["payment_status"]) == ("completed", "captured")
    assert final["progress"]["state"] == "done"
    assert {step["status"] for step in final["progress"]["steps"]} == {"done"}
    assert disagreements(system, {order["id"]: final}) == []


@pytest.mark.requirement("M25")
def test_a_declined_card_rejects_the_order_and_gives_the_stock_back(system):
    with system.customer() as customer:
        before = available(customer)
        order = place(customer, payment_method="pm_card_chargeDeclined").json()
        assert available(customer) == before - 2
        final = await_final(system, [order["id"]], 60)[order["id"]]
        after = available(customer)
    assert (final["status"], final["payment_status"], final["fulfillment_status"]) == (
        "rejected",
        "declined",
        "released",
    )
    assert after == before
    assert final["reason"]


@pytest.mark.requirement("M25")
def test_an_address_the_carrier_refuses_undoes_everything_and_says_why(system):
    nowhere = {"name": "N", "line1": "1", "city": "Nowhere", "postal_code": "00000", "country": "PT"}
    with system.customer() as customer:
        order = place(customer, shipping_address=nowhere).json()
        final = await_final(system, [order["id"]], 60)[order["id"]]
    assert (final["status"], final["payment_status"], final["fulfillment_status"]) == (
        "cancelled",
        "voided",
        "released",
    )
    assert final["reason"] == "No carrier route serves this postal code."
    assert disagreements(system, {order["id"]: final}) == []


def send_back(customer, order_id, sku, quantity):
    lines = [{"sku": sku, "quantity": quantity, "reason": "Too strong"}]
    path, key = f"/api/v1/orders/{order_id}/returns", {"Idempotency-Key": str(uuid4())}
    answer = customer.post(path, json={"lines": lines}, headers=key)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def press(staff, return_id, what, **fields):
    """Press a button on a return's page, as a browser would."""
    page = staff.get(f"/staff/returns/{return_id}/").text
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token, page
    form = {**fields, "csrfmiddlewaretoken": token[1]}
    answer = staff.post(f"/staff/returns/{return_id}/{what}/", data=form, follow_redirects=True)
    assert answer.status_code == 200, answer.text


@pytest.mark.requirement("M3", "M24", "M43")
def test_goods_come_back_and_the_customer_gets_the_money_back(system):
    with system.customer() as customer, system.staff() as staff:
        order_id = place(customer, lines={"TEA-EARL-100": 2}).json()["id"]
        path = f"/api/v1/orders/{order_id}"
        eventually(lambda: customer.get(path).json()["fulfillment_status"] == "delivered", 60)
        before = available(customer)
        return_id = send_back(customer, order_id, "TEA-EARL-100", 1)
        press(staff, return_id, "reception", warehouse="LIS")
        press(staff, return_id, "inspection", sellable_0="1", damaged_0="0")
        eventually(lambda: customer.get(f"/api/v1/returns/{return_id}").json()["status"] == "closed", 60)
        order = customer.get(path).json()
        after = available(customer)
    assert (order["status"], order["payment_status"]) == ("completed", "partially_refunded")
    (paid,) = [p for p in system.sandbox("GET", "/ledger")["payments"] if p["order"] == order_id]
    assert (paid["captured"], paid["refunded"]) == ("25.80", "12.90")
    assert after == before + 1


@pytest.mark.requirement("M5")
def test_a_customer_can_wait_for_the_outcome_of_the_payment(system):
    with system.customer() as customer:
        answer = place(customer, headers={"Prefer": "wait=15"})
        assert answer.headers["Preference-Applied"] == "wait=15"
        assert answer.json()["payment_status"] == "authorised"


@pytest.mark.requirement("M5")
def test_progress_streams_until_it_is_final(system):
    with system.customer() as customer:
        order = place(customer).json()
        path = f"/api/v1/orders/{order['id']}/progress"
        with customer.stream("GET", path, headers={"Accept": "text/event-stream"}, timeout=60) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            told = [line for line in stream.iter_lines() if line.startswith("data: ")]
    assert len(told) >= 3
    assert '"done"' in told[-1]


@pytest.mark.requirement("M4", "M12")
def test_with_every_provider_down_orders_are_accepted_and_complete_later(system):
    for target in ("payments", "carrier"):
        system.sandbox("POST", "/faults", json={"target": target, "mode": "drop", "rate": 1.0, "for_s": 60})
    try:
        with system.customer() as customer:
            ids = [place(customer).json()["id"] for _ in range(3)]
            eventually(lambda: progress(customer, ids[0])["state"] == "waiting", 30)
    finally:
        system.sandbox("DELETE", "/faults")
    final = await_final(system, ids, 90)
    assert {order["status"] for order in final.values()} == {"completed"}


@pytest.mark.requirement("M8", "M24", "M25", "M38")
@pytest.mark.parametrize("count", [60, pytest.param(200, marks=pytest.mark.slow)])
def test_a_crowd_is_served_while_a_worker_and_the_web_server_are_killed_and_the_provider_is_down(system, count):
    crowd = Crowd(system, count, clients=8, seed=count)
    crowd.start()
    time.sleep(1.0)  # load, not synchronisation: let some orders be under way
    system.kill("worker-1")
    system.sandbox(
        "POST", "/faults", json={"target": "payments", "mode": "error", "rate": 1.0, "status": 503, "for_s": 10}
    )
    time.sleep(1.0)
    system.kill("web")
    time.sleep(2.0)
    system.kill("worker-2")
    crowd.join()
    assert not crowd.refused, [answer.text for answer in crowd.refused]
    assert len(crowd.placed) == count
    final = await_final(system, list(crowd.placed), 180)
    assert disagreements(system, final) == []
    assert Counter(order["status"] for order in final.values())["completed"] >= count * 0.6
    report = system.verify()
    assert report["broken"] == 0, [row for row in report["invariants"] if row["violations"]]


@pytest.mark.requirement("M4")
def test_without_workers_orders_are_accepted_and_complete_when_workers_return(start_system, tmp_path):
    idle = start_system("--workers", "0", home=tmp_path)
    with idle.customer() as customer:
        ids = [place(customer).json()["id"] for _ in range(5)]
        assert {customer.get(f"/api/v1/orders/{i}").json()["status"] for i in ids} == {"placed"}
    assert idle.stop() == 0
    final = await_final(start_system(home=tmp_path), ids, 90)
    assert {order["status"] for order in final.values()} == {"completed"}


@pytest.mark.requirement("M5", "M7")
def test_a_stream_outlives_the_web_process_that_began_it(start_system, tmp_path):
    idle = start_system("--workers", "0", home=tmp_path)
    with idle.customer() as customer:
        path = f"/api/v1/orders/{place(customer).json()['id']}/progress"
        headers = {"Accept": "text/event-stream"}
        with customer.stream("GET", path, headers=headers, timeout=60) as stream:
            lines = stream.iter_lines()
            told = next(line for line in lines if line.startswith("id: "))
            os.kill(idle.pid("web"), signal.SIGHUP)  # gunicorn's word for new workers in place of the present ones
            assert not [line for line in lines if line.startswith("data: ")][1:]
    eventually(idle.ready, 30)
    with idle.customer() as customer:
        back = {**headers, "Last-Event-ID": told.removeprefix("id: ")}
        with customer.stream("GET", path, headers=back, timeout=60) as stream:
            assert stream.status_code == 200
            order = path.removesuffix("/progress")
            assert customer.post(f"{order}/cancellation", json={"reason": "No"}).status_code == 202
            news = next(line for line in stream.iter_lines() if line.startswith("data: "))
    assert '"state":"compensating"' in news
