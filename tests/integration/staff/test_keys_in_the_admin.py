"""Keys that leaked are revoked in the admin: by permission, with a reason, and no hash is ever shown."""

import pytest

from orders.models import ApiKey
from outbox.models import AuditEntry
from tests.integration.staff.conftest import signed_in
from tests.integration.staff.test_stock_in_the_admin import act

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.requirement("M46")]


def test_an_operator_revokes_a_key_and_says_why(busy_shop):
    key = ApiKey.objects.get()
    page = act(signed_in("ada", "operator"), "orders/apikey", "revoke", [key.id], reason="Seen in a log")
    assert f"{key.prefix}… revoked" in page
    assert busy_shop.get("account").status_code == 401
    entry = AuditEntry.objects.get(action="revoke_api_key")
    assert (entry.actor, entry.reason, entry.subject) == ("staff:ada", "Seen in a log", key.public_id)


def test_without_a_reason_nothing_is_revoked(busy_shop):
    page = act(signed_in("ada", "operator"), "orders/apikey", "revoke", [ApiKey.objects.get().id], reason=" ")
    assert "Nothing was changed." in page
    assert busy_shop.get("account").status_code == 200


def test_a_viewer_sees_keys_and_revokes_none(busy_shop):
    vera = signed_in("vera", "viewer")
    act(vera, "orders/apikey", "revoke", [ApiKey.objects.get().id])
    assert busy_shop.get("account").status_code == 200
    page = vera.get(f"/admin/orders/apikey/{ApiKey.objects.get().id}/change/").content.decode()
    assert busy_shop.key[:12] in page
    assert "ecret hash" not in page
