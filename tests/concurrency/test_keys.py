"""Many changes of an account's keys at once."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from orders.models import ApiKey
from tests.shop import Caller

pytestmark = pytest.mark.requirement("M43")


def at_once(shop: Caller, work, times: int = 12) -> list:
    """Do `work` as the customer from as many threads."""

    def one(_: int):
        try:
            return work(Caller(shop.customer, shop.key))
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(one, range(times)))


def test_an_account_never_gets_more_keys_than_it_may_have(busy_shop, monkeypatch):
    monkeypatch.setattr("orders.api_keys.MOST_KEYS", 3)
    answers = at_once(busy_shop, lambda caller: caller.post("api_keys", {"name": "x", "scopes": ["orders:read"]}))
    assert Counter(answer.status_code for answer in answers) == {201: 2, 422: 10}
    assert ApiKey.objects.count() == 3


def test_of_many_who_rotate_the_version_they_read_one_does(busy_shop):
    key = busy_shop.get("account").json()["api_key"]
    path, tag = f"api_keys/{key['id']}/rotation", f'"{key["version"]}"'
    answers = at_once(busy_shop, lambda caller: caller.post(path, if_match=tag))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 412: 11}
    assert ApiKey.objects.count() == 2
