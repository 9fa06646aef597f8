"""What the documents show of each call works when it is copied."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable

import pytest

from config.openapi import openapi_document
from config.openapi.calls import PREPARED, Call, calls_of
from config.openapi.operations import operations_of
from tests.reporting import needs
from tests.shop import TEA, Caller, busy_shop

__all__ = ["busy_shop"]

DOCUMENT = json.loads(openapi_document())
CALLS = list(calls_of(DOCUMENT))
PARAMETERS = {
    call["operationId"]: [part for part in call["parameters"] if part["in"] == "path"]
    for _, _, call in operations_of(DOCUMENT)
}
pytestmark = pytest.mark.requirement("M43")


def an_endpoint(shop: Caller) -> str:
    wish = {"url": "https://hooks.example.com/tandem", "events": ["*"]}
    made = shop.post("webhook_endpoints", wish)
    assert made.status_code == 201, made.content
    return made.json()["id"]


MAKERS: dict[str, Callable[[Caller], str]] = {
    "order_id": lambda shop: shop.placed()["id"],
    "sku": lambda shop: TEA,
    "key_id": lambda shop: shop.post("api_keys", {"name": "x", "scopes": ["orders:read"]}).json()["id"],
    "endpoint_id": an_endpoint,
}
"""How to make what a path names. A path that names something else gets its line here."""
LATER = {"event_id", "delivery_id", "return_id", "invoice_id"}
"""Named in paths, but made by workers only: the calls that need them are shown here and tried elsewhere."""
NEEDS_DELIVERY = {"request_return"}
"""What can be asked for only when parcels have arrived: tried where they do."""


def real(text: str, call: Call, shop: Caller) -> str:
    """Put what there really is in the place of what the examples name."""
    for part in PARAMETERS[call.name]:
        text = text.replace(str(part["example"]), MAKERS[part["name"]](shop))
    return text


TRIED = [
    call
    for call in CALLS
    if call.name not in NEEDS_DELIVERY and not {part["name"] for part in PARAMETERS[call.name]} & LATER
]


def test_hardly_any_call_is_not_tried():
    named = {part["name"] for parts in PARAMETERS.values() for part in parts}
    assert named <= MAKERS.keys() | LATER, "say in MAKERS how to make it"
    assert len(TRIED) > 20


@pytest.mark.parametrize("call", TRIED, ids=lambda call: call.name)
def test_the_python_of_each_call_works(call, busy_shop, live_server, monkeypatch):
    monkeypatch.setenv("TANDEM_URL", live_server.url)
    monkeypatch.setenv("TANDEM_KEY", busy_shop.key)
    names: dict = {}
    exec(PREPARED + real(call.python, call, busy_shop), names)
    names["api"].close()
    assert str(names["answer"].status_code) == call.status


@pytest.mark.parametrize("call", TRIED, ids=lambda call: call.name)
def test_the_curl_of_each_call_works(call, busy_shop, live_server):
    if shutil.which("curl") is None:
        needs("curl")
    environment = {**os.environ, "TANDEM_URL": live_server.url, "TANDEM_KEY": busy_shop.key}
    command = real(call.curl, call, busy_shop).replace("curl ", "curl --silent --show-error --max-time 60 ", 1)
    result = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_page_shows_every_call(client):
    page = client.get("/docs/calls").content.decode()
    assert all(f'id="{call.name}"' in page and call.address in page for call in CALLS)
    assert "(no example)" not in page
