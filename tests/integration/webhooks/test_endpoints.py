"""What customers do with their endpoints over the API."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from config.openapi import openapi_document
from orders import events
from outbox.models import DisabledReason, WebhookDelivery, WebhookEndpoint
from outbox.sealing import Unsealable, seal, unseal
from outbox.webhooks import keys
from tests.shop import make_caller

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M44")]
URL = "https://example.com/hooks"


def make(caller, **wish) -> dict:
    response = caller.post("webhook_endpoints", {"url": URL, "events": ["*"], **wish})
    assert response.status_code == 201, response.content
    return response.json()


def change(caller, endpoint: dict, body: dict, **headers):
    path = f"/api/v1/webhook_endpoints/{endpoint['id']}"
    content = json.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return caller.http.patch(path, content, content_type="application/json", headers=named)


def test_a_new_endpoint_is_shown_with_its_secret_this_once(shop):
    response = shop.post("webhook_endpoints", {"url": URL, "events": ["order.completed"], "description": "Books"})
    made = response.json()
    assert response["Location"].endswith(f"/webhook_endpoints/{made['id']}")
    assert made["secret"].startswith("whsec_")
    assert (made["ordered"], made["enabled"], made["version"]) == (False, True, 1)
    shown = shop.get(f"webhook_endpoints/{made['id']}")
    assert shown.json() == {name: value for name, value in made.items() if name != "secret"}
    assert shown["ETag"] == response["ETag"]
    assert shop.get("webhook_endpoints").json()["data"] == [shown.json()]
    assert b"secret" not in shop.get("webhook_endpoints").content.replace(b"former_secret_until", b"")


def test_secrets_do_not_lie_readable_in_the_database(shop):
    secret = make(shop)["secret"].removeprefix("whsec_").encode()
    row = WebhookEndpoint.objects.get()
    assert secret not in bytes(row.secret)
    assert keys.signing_secrets(row, datetime.now(UTC)) == ("whsec_" + secret.decode(),)


def test_a_repeated_request_makes_one_endpoint_and_repeats_its_secret(shop):
    body = {"url": URL, "events": ["*"]}
    first = shop.post("webhook_endpoints", body, idempotency_key="k-1")
    again = shop.post("webhook_endpoints", body, idempotency_key="k-1")
    assert (again.status_code, again.content, again["Idempotent-Replayed"]) == (201, first.content, "true")
    assert WebhookEndpoint.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"events": ["*"]}, "/url", "required"),
        ({"url": URL}, "/events", "required"),
        ({"url": URL, "events": []}, "/events", "too_few"),
        ({"url": URL, "events": ["order.eaten"]}, "/events/0", "unknown_event"),
        ({"url": URL, "events": ["*"], "secret": "mine"}, "/secret", "unknown_field"),
        ({"url": "ftp://example.com", "events": ["*"]}, "/url", "invalid_format"),
        ({"url": URL, "events": ["*"], "ordered": "yes"}, "/ordered", "invalid_type"),
        ({"url": URL, "events": ["*"], "description": "x" * 201}, "/description", "too_long"),
    ],
)
def test_wishes_that_cannot_be_granted_say_why(shop, body, pointer, code):
    response = shop.post("webhook_endpoints", body)
    assert response.status_code == 422
    assert [(e["pointer"], e["code"]) for e in response.json()["errors"]] == [(pointer, code)]


def test_an_account_has_so_many_endpoints_and_no_more(shop, stranger, settings):
    settings.WEBHOOK_ENDPOINTS = 2
    first = make(shop)
    make(shop)
    refused = shop.post("webhook_endpoints", {"url": URL, "events": ["*"]})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "too_many_endpoints")
    make(stranger)
    shop.delete(f"webhook_endpoints/{first['id']}")
    make(shop)


def test_changes_name_what_they_change_and_heed_the_version(shop):
    endpoint = make(shop)
    tag = shop.get(f"webhook_endpoints/{endpoint['id']}")["ETag"]
    changed = change(shop, endpoint, {"events": ["order.placed"], "description": "New"}, if_match=tag).json()
    assert (changed["events"], changed["description"], changed["url"]) == (["order.placed"], "New", URL)
    assert changed["version"] == 2
    stale = change(shop, endpoint, {"ordered": True}, if_match=tag)
    assert (stale.status_code, stale.json()["code"]) == (412, "version_conflict")
    assert shop.delete(f"webhook_endpoints/{endpoint['id']}", if_match='"1"').status_code == 412
    assert change(shop, endpoint, {"secret": "x"}).status_code == 422
    assert change(shop, endpoint, {"url": "https://10.0.0.1/"}).json()["errors"][0]["code"] == "not_allowed"


def test_a_removed_endpoint_is_gone_with_its_secret_and_gets_nothing_more(hooked, receiver, served):
    endpoint = hooked.endpoint(receiver.url)
    receiver.answer = lambda number: (500, {}, b"")
    hooked.happens(events.OrderConfirmed)
    served()
    assert hooked.caller.delete(f"webhook_endpoints/{endpoint['id']}").status_code == 200
    for path in ("", "/deliveries"):
        assert hooked.caller.get(f"webhook_endpoints/{endpoint['id']}{path}").status_code == 404
    hooked.happens(events.OrderCompleted)
    served()
    assert hooked.states() == ["discarded"]
    assert bytes(WebhookEndpoint.objects.get().secret) == b""


def test_while_a_secret_is_replaced_both_verify_and_then_only_the_new_one(hooked, receiver, served):
    endpoint = hooked.endpoint(receiver.url)
    rotated = hooked.caller.post(f"webhook_endpoints/{endpoint['id']}/rotation", {"overlap_seconds": 3600})
    assert rotated.status_code == 201
    new = rotated.json()["secret"]
    assert new != endpoint["secret"]
    until = datetime.fromisoformat(rotated.json()["former_secret_until"])
    assert timedelta(minutes=59) < until - datetime.now(UTC) <= timedelta(minutes=60)
    hooked.happens(events.OrderConfirmed)
    served()
    assert receiver.types(endpoint["secret"]) == receiver.types(new) == ["order.confirmed"]
    WebhookEndpoint.objects.update(former_until=datetime.now(UTC) - timedelta(seconds=1))
    receiver.got.clear()
    hooked.happens(events.OrderCompleted)
    served()
    assert receiver.types(new) == ["order.completed"]
    with pytest.raises(WebhookVerificationError):
        receiver.types(endpoint["secret"])


def test_a_test_reaches_the_endpoint_whatever_it_chose(hooked, receiver, served):
    endpoint = hooked.endpoint(receiver.url, events=["order.rejected"])
    response = hooked.caller.post(f"webhook_endpoints/{endpoint['id']}/test")
    assert (response.status_code, response.json()["cause"]) == (202, "test")
    served()
    ((headers, body),) = receiver.got
    sent = Webhook(endpoint["secret"]).verify(body, headers)
    assert (sent["type"], sent["order"], sent["sequence"], sent["id"]) == (
        "webhook.test",
        None,
        None,
        headers["webhook-id"],
    )
    assert [d["status"] for d in hooked.deliveries(endpoint)] == ["succeeded"]
    assert hooked.caller.get("events").json()["data"] == []


def test_a_disabled_endpoint_gets_nothing_until_it_is_enabled_and_can_ask_for_what_it_missed(hooked, receiver, served):
    endpoint = hooked.endpoint(receiver.url, events=["order.completed"])
    began = datetime.now(UTC).isoformat()
    off = change(hooked.caller, endpoint, {"enabled": False}).json()
    assert (off["enabled"], off["disabled_reason"]) == (False, "owner")
    hooked.happens(events.OrderConfirmed, events.OrderCompleted)
    served()
    assert receiver.got == []
    on = change(hooked.caller, endpoint, {"enabled": True}).json()
    assert (on["enabled"], on["disabled_reason"], on["disabled_at"]) == (True, None, None)
    replay = hooked.caller.post(f"webhook_endpoints/{endpoint['id']}/replay", {"since": began})
    assert (replay.status_code, replay.json()["object"]) == (202, "webhook_replay")
    served()
    assert receiver.types(endpoint["secret"]) == ["order.completed"]
    assert [d["cause"] for d in hooked.deliveries(endpoint)] == ["replay"]


def test_a_replay_goes_through_the_feed_in_portions(hooked, receiver, served, monkeypatch):
    monkeypatch.setattr("outbox.webhooks.offering.REPLAYED_AT_ONCE", 2)
    before = hooked.happens(events.OrderConfirmed)
    since = datetime.now(UTC).isoformat()
    wanted = hooked.happens(*[events.OrderHeld] * 5)
    endpoint = hooked.endpoint(receiver.url, ordered=True)
    hooked.caller.post(f"webhook_endpoints/{endpoint['id']}/replay", {"since": since})
    served()
    sent = [event["id"] for event in receiver.verified(endpoint["secret"])]
    assert sent == [f"evt_{id_.hex}" for id_ in wanted]
    assert f"evt_{before[0].hex}" not in sent


def test_what_belongs_to_others_does_not_exist(shop, stranger):
    endpoint = make(shop)
    for method, path in [
        ("get", ""), ("delete", ""), ("get", "/deliveries"), ("post", "/rotation"), ("post", "/test"),
        ("post", f"/deliveries/whd_{uuid4().hex}/redelivery"),
    ]:  # fmt: skip
        for id_ in (endpoint["id"], f"whk_{uuid4().hex}", "whk_x", "x"):
            response = getattr(stranger, method)(f"webhook_endpoints/{id_}{path}")
            assert (response.status_code, response.json()["code"]) == (404, "not_found"), (method, path)
    assert change(stranger, endpoint, {"enabled": False}).status_code == 404
    replay = stranger.post(f"webhook_endpoints/{endpoint['id']}/replay", {"since": "2026-01-01T00:00:00Z"})
    assert replay.status_code == 404
    assert stranger.get("webhook_endpoints").json()["data"] == []
    assert shop.get(f"webhook_endpoints/{endpoint['id']}").json()["enabled"] is True


def test_no_path_of_an_endpoint_is_left_out_above():
    paths = [path for path in json.loads(openapi_document())["paths"] if "{endpoint_id}" in path]
    assert {path.partition("{endpoint_id}")[2] for path in paths} == {
        "", "/deliveries", "/rotation", "/test", "/replay", "/deliveries/{delivery_id}/redelivery",
    }  # fmt: skip


def test_reading_and_changing_need_their_scopes(shop):
    reader = make_caller("Reads", scopes=["webhooks:read"])
    nobody = make_caller("Nothing", scopes=["orders:read"])
    assert reader.get("webhook_endpoints").status_code == 200
    assert reader.post("webhook_endpoints", {"url": URL, "events": ["*"]}).status_code == 403
    assert nobody.get("webhook_endpoints").status_code == 403


def test_deliveries_are_paged_and_filtered(hooked, receiver, served):
    endpoint = hooked.endpoint(receiver.url)
    hooked.happens(*[events.OrderHeld] * 3)
    served()
    WebhookDelivery.objects.filter(id=WebhookDelivery.objects.last().id).update(state="failed")
    path = f"webhook_endpoints/{endpoint['id']}/deliveries"
    page = hooked.caller.get(f"{path}?limit=2").json()
    rest = hooked.caller.get(page["next"]).json()
    assert (len(page["data"]), len(rest["data"]), rest["next"]) == (2, 1, None)
    assert [d["status"] for d in hooked.caller.get(f"{path}?status=failed").json()["data"]] == ["failed"]
    assert hooked.caller.get(f"{path}?status=lost").status_code == 422


def test_an_endpoint_that_staff_disabled_says_so(shop):
    endpoint = make(shop)
    WebhookEndpoint.objects.update(enabled=False, disabled_reason=DisabledReason.STAFF)
    assert shop.get(f"webhook_endpoints/{endpoint['id']}").json()["disabled_reason"] == "staff"


def test_a_replaced_secret_key_opens_what_the_former_sealed_and_seals_it_anew(shop, settings):
    secret = make(shop)["secret"]
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another-key-" + "y" * 40
    row = WebhookEndpoint.objects.get()
    assert keys.signing_secrets(row, datetime.now(UTC)) == (secret,)
    assert keys.renew() == 1
    assert keys.renew() == 0
    settings.SECRET_KEY_FALLBACKS = []
    assert keys.signing_secrets(WebhookEndpoint.objects.get(), datetime.now(UTC)) == (secret,)


def test_what_is_sealed_opens_for_its_purpose_and_unchanged_only(settings):
    sealed = seal(b"text", "one")
    assert unseal(sealed, "one").text == b"text"
    for changed in (sealed[:-1] + bytes([sealed[-1] ^ 1]), sealed[1:], b""):
        with pytest.raises(Unsealable):
            unseal(changed, "one")
    with pytest.raises(Unsealable):
        unseal(sealed, "other")
    settings.SECRET_KEY = "lost-" + "z" * 50
    with pytest.raises(Unsealable):
        unseal(sealed, "one")
