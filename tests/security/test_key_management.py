"""API keys in the customers' own hands: none gets more than the one that made it."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from orders.api_keys import MOST_KEYS, issue_key, revoke_keys
from orders.models import ApiKey, Customer
from orders.scopes import SCOPES
from orders.sealing import seal, unseal
from outbox.models import AuditEntry, IdempotencyRecord
from outbox.publishing import unit_of_work
from tests.shop import Caller

pytestmark = pytest.mark.requirement("M43")


def caller_with(customer: Customer, scopes: list[str], **options) -> Caller:
    with unit_of_work():
        return Caller(customer, issue_key(customer=customer, name="Limited", scopes=scopes, **options))


def make(shop: Caller, **changes) -> dict:
    response = shop.post("api_keys", {"name": "Till", "scopes": ["orders:read"], **changes})
    assert response.status_code == 201, response.content
    return response.json()


def faults(response) -> list[tuple[str, str]]:
    assert response.status_code == 422, response.content
    return [(error["pointer"], error["code"]) for error in response.json()["errors"]]


def test_a_new_key_works_at_once_and_does_what_it_was_made_for(shop):
    made = make(shop, scopes=["orders:read", "orders:read"])
    till = Caller(shop.customer, made["key"])
    assert (made["object"], made["name"], made["scopes"]) == ("api_key", "Till", ["orders:read"])
    assert made["key"].startswith(made["prefix"] + "_")
    assert till.get("orders").status_code == 200
    assert till.place().json()["code"] == "insufficient_scope"
    assert till.get("account").json()["api_key"]["id"] == made["id"]


def test_a_key_is_shown_once_and_its_answer_is_kept_nowhere(shop):
    response = shop.post("api_keys", {"name": "Till", "scopes": ["orders:read"]})
    made = response.json()
    assert response["Cache-Control"] == "no-store"
    assert response["Location"].endswith(f"/api/v1/api_keys/{made['id']}")
    shown = shop.get(f"api_keys/{made['id']}")
    assert shown.json() == {name: value for name, value in made.items() if name != "key"}
    assert response["ETag"] == shown["ETag"]
    assert made["key"] not in shop.get("api_keys").content.decode()


def test_an_answer_with_a_key_is_repeated_byte_for_byte_and_lies_sealed_in_the_database(shop):
    body = {"name": "Till", "scopes": ["orders:read"]}
    first, again = (shop.post("api_keys", body, idempotency_key="k") for _ in range(2))
    assert (again.status_code, again.content, again["Idempotent-Replayed"]) == (201, first.content, "true")
    assert {name: again[name] for name in ("Location", "ETag", "Cache-Control")} == {
        name: first[name] for name in ("Location", "ETag", "Cache-Control")
    }
    assert ApiKey.objects.filter(name="Till").count() == 1
    assert first.json()["key"].encode() not in bytes(IdempotencyRecord.objects.get().response_body)
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(r::text, '') FROM outbox_idempotencyrecord AS r")
        assert first.json()["key"][13:] not in cursor.fetchone()[0]


def test_another_key_of_the_same_customer_is_not_told_that_answer(shop):
    colleague = caller_with(shop.customer, list(SCOPES))
    body = {"name": "Till", "scopes": ["orders:read"]}
    first = shop.post("api_keys", body, idempotency_key="k")
    second = colleague.post("api_keys", body, idempotency_key="k")
    assert "Idempotent-Replayed" not in second
    assert first.json()["id"] != second.json()["id"]


@given(st.binary(max_size=300), st.text(st.characters(max_codepoint=126), min_size=20, max_size=60))
def test_what_is_sealed_opens_with_its_key_and_never_looks_the_same_twice(text, key):
    sealed = seal(text, key)
    assert unseal(sealed, key) == text
    assert sealed != seal(text, key)
    assert len(text) < 8 or unseal(sealed, key + "x") != text


def test_keys_are_listed_newest_first_with_those_that_do_not_work_any_more(shop, stranger):
    ids = [make(shop, name=f"K{number}")["id"] for number in range(3)]
    shop.delete(f"api_keys/{ids[0]}")
    page = shop.get("api_keys?limit=3").json()
    assert {key["name"] for key in page["data"]} == {"K0", "K1", "K2"}
    rest = shop.get(page["next"]).json()
    assert [key["name"] for key in rest["data"]] == ["Test"]
    assert [key["name"] for key in stranger.get("api_keys").json()["data"]] == ["Test"]
    assert shop.get("api_keys?name=x").status_code == 422


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [({"name": ""}, "/name", "too_short"), ({"name": None}, "/name", "invalid_type"),
     ({"name": "a\nb"}, "/name", "invalid_format"), ({"scopes": []}, "/scopes", "too_few"),
     ({"scopes": "orders:read"}, "/scopes", "invalid_type"),
     ({"scopes": ["orders:read", "*"]}, "/scopes/1", "unknown_scope"),
     ({"scopes": [1]}, "/scopes/0", "invalid_type"), ({"expires_at": "tomorrow"}, "/expires_at", "invalid_format"),
     ({"expires_at": "2030-01-01T00:00:00"}, "/expires_at", "invalid_format"),
     ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at", "in_the_past"),
     ({"rate_limit": 0}, "/rate_limit", "too_small"), ({"prefix": "tdm_mine"}, "/prefix", "unknown_field"),
     ({"customer": "cus_1"}, "/customer", "unknown_field")],
)  # fmt: skip
def test_a_wish_that_makes_no_sense_names_its_field(shop, change, pointer, code):
    response = shop.post("api_keys", {"name": "Till", "scopes": ["orders:read"], **change})
    assert faults(response) == [(pointer, code)]
    assert ApiKey.objects.count() == 1


def test_no_key_makes_one_that_may_do_more(shop):
    limited = caller_with(shop.customer, ["keys:write", "orders:read"])
    response = limited.post("api_keys", {"name": "More", "scopes": ["orders:read", "orders:write"]})
    assert (response.status_code, response.json()["code"]) == (403, "insufficient_scope")
    assert "orders:write" in response.json()["detail"]
    assert limited.post("api_keys", {"name": "As much", "scopes": ["keys:write", "orders:read"]}).status_code == 201


def test_no_key_gets_hold_of_one_that_may_do_more(shop):
    more = make(shop, scopes=["orders:write"])["id"]
    limited = caller_with(shop.customer, ["keys:read", "keys:write"])
    assert limited.post(f"api_keys/{more}/rotation").json()["code"] == "insufficient_scope"
    assert limited.delete(f"api_keys/{more}").json()["code"] == "insufficient_scope"
    assert ApiKey.objects.get(name="Till").revoked_at is None


def test_no_key_makes_one_that_lasts_longer(shop):
    end = timezone.now() + timedelta(hours=1)
    brief = caller_with(shop.customer, list(SCOPES), expires_at=end)
    later = (end + timedelta(seconds=1)).isoformat()
    assert faults(brief.post("api_keys", {"name": "x", "scopes": ["orders:read"], "expires_at": later})) == [
        ("/expires_at", "too_late")
    ]
    assert make(brief)["expires_at"] is not None


def test_no_key_makes_one_with_a_higher_limit(shop):
    slow = Caller(shop.customer, make(shop, scopes=["keys:write", "orders:read"], rate_limit=5)["key"])
    assert faults(slow.post("api_keys", {"name": "x", "scopes": ["orders:read"], "rate_limit": 6})) == [
        ("/rate_limit", "too_large")
    ]
    assert make(slow)["rate_limit"] == 5


def test_an_account_has_a_bounded_number_of_keys(shop):
    ApiKey.objects.bulk_create(
        ApiKey(customer=shop.customer, name="x", prefix=f"tdm_{n:08}", secret_hash=b"x" * 32, scopes=[])
        for n in range(MOST_KEYS - 1)
    )
    assert faults(shop.post("api_keys", {"name": "x", "scopes": ["orders:read"]})) == [("", "too_many_keys")]
    ApiKey.objects.filter(prefix="tdm_00000000").update(revoked_at=timezone.now())
    make(shop)


def test_a_rotated_key_works_on_for_the_overlap_by_the_databases_clock(shop):
    old = make(shop)
    response = shop.post(f"api_keys/{old['id']}/rotation", {"overlap_seconds": 60})
    new = response.json()
    assert response.status_code == 201
    assert (new["name"], new["scopes"], new["replaces"]) == (old["name"], old["scopes"], old["id"])
    assert [Caller(shop.customer, key["key"]).get("orders").status_code for key in (old, new)] == [200, 200]
    row = ApiKey.objects.get(prefix=old["prefix"])
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s - now()", [row.expires_at])
        assert cursor.fetchone()[0] == timedelta(seconds=60)
    ApiKey.objects.filter(id=row.id).update(expires_at=row.expires_at - timedelta(seconds=61))
    assert [Caller(shop.customer, key["key"]).get("orders").status_code for key in (old, new)] == [401, 200]


def test_without_an_overlap_the_old_key_is_refused_at_once(shop):
    old = make(shop)
    new = shop.post(f"api_keys/{old['id']}/rotation", {"overlap_seconds": 0}).json()
    assert [Caller(shop.customer, key["key"]).get("orders").status_code for key in (old, new)] == [401, 200]


def test_a_key_may_rotate_itself_and_the_old_one_never_lasts_longer_for_it(shop):
    end = timezone.now() + timedelta(minutes=5)
    brief = caller_with(shop.customer, ["keys:write", "keys:read"], expires_at=end)
    own = brief.get("account").json()["api_key"]["id"]
    new = brief.post(f"api_keys/{own}/rotation").json()
    assert ApiKey.objects.get(prefix=brief.key[:12]).expires_at == end
    assert new["expires_at"] == end.isoformat().replace("+00:00", "Z")


def test_a_key_that_works_no_more_cannot_be_taken_over(shop):
    old = make(shop)["id"]
    shop.delete(f"api_keys/{old}")
    assert faults(shop.post(f"api_keys/{old}/rotation")) == [("", "key_not_live")]


@pytest.mark.parametrize("overlap", [-1, 604_801, 1.5, "60", True])
def test_an_overlap_is_a_number_of_seconds_up_to_a_week(shop, overlap):
    old = make(shop)["id"]
    [(pointer, _)] = faults(shop.post(f"api_keys/{old}/rotation", {"overlap_seconds": overlap}))
    assert pointer == "/overlap_seconds"


def test_a_revoked_key_is_refused_on_the_next_request_and_revoking_again_changes_nothing(shop):
    made = make(shop)
    first, again = (shop.delete(f"api_keys/{made['id']}") for _ in range(2))
    assert first.status_code == again.status_code == 200
    assert first.json()["revoked_at"]
    assert first.content == again.content
    assert Caller(shop.customer, made["key"]).get("account").json()["code"] == "invalid_key"


def test_a_change_is_refused_when_the_key_was_changed_in_between(shop):
    made = make(shop)
    tag = shop.get(f"api_keys/{made['id']}")["ETag"]
    shop.post(f"api_keys/{made['id']}/rotation")
    for response in (
        shop.delete(f"api_keys/{made['id']}", if_match=tag),
        shop.post(f"api_keys/{made['id']}/rotation", if_match=tag),
    ):
        assert (response.status_code, response.json()["code"]) == (412, "version_conflict")
    now = shop.get(f"api_keys/{made['id']}")["ETag"]
    assert shop.delete(f"api_keys/{made['id']}", if_match=now).status_code == 200


def test_another_customers_key_does_not_exist(shop, stranger):
    made = make(shop)["id"]
    absent = f"key_{'0' * 32}"
    for call in ("get", "delete"):
        foreign, none = (getattr(stranger, call)(f"api_keys/{key}") for key in (made, absent))
        assert foreign.status_code == none.status_code == 404
    assert stranger.post(f"api_keys/{made}/rotation").status_code == 404
    assert ApiKey.objects.get(name="Till").revoked_at is None


def test_who_changed_a_key_is_in_the_audit_log(shop):
    made = make(shop)
    shop.post(f"api_keys/{made['id']}/rotation")
    shop.delete(f"api_keys/{made['id']}")
    rows = AuditEntry.objects.filter(subject=made["id"]).order_by("id").values_list("action", "actor")
    actor = f"customer:{shop.customer.public_id}"
    assert list(rows) == [(action, actor) for action in ("create_api_key", "rotate_api_key", "revoke_api_key")]
    assert not re.search(re.escape(made["key"][12:]), str(list(AuditEntry.objects.values())))


def test_staff_revoke_any_key_and_say_why(shop):
    made = make(shop)
    key = ApiKey.objects.get(prefix=made["prefix"])
    with unit_of_work():
        assert revoke_keys(key_ids=[key.id], reason="Found in a public repository.") == [key]
        assert revoke_keys(key_ids=[key.id], reason="Again") == []
    assert Caller(shop.customer, made["key"]).get("account").status_code == 401
    assert AuditEntry.objects.get(action="revoke_api_key").reason == "Found in a public repository."


def test_the_account_tells_who_calls_with_which_key(shop, settings):
    settings.RATE_LIMIT_PER_SECOND = 200
    account = shop.get("account").json()
    assert (account["object"], account["id"], account["name"]) == ("account", shop.customer.public_id, "Quay & Sons")
    assert account["rate_limit"] == 200
    assert account["created_at"]
    own = account["api_key"]
    assert (own["object"], own["prefix"], own["scopes"]) == ("api_key", shop.key[:12], sorted(SCOPES))
    assert shop.get(f"api_keys/{own['id']}").json()["id"] == own["id"]
