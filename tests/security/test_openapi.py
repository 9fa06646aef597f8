"""The OpenAPI document: complete, committed, and the same for everyone."""

import json
import re
from pathlib import Path

import pytest
from django.test import Client

from config.openapi import openapi_document
from config.problems import PROBLEMS
from orders.scopes import SCOPES

SNAPSHOT = Path(__file__).resolve().parents[2] / "docs" / "reference" / "openapi.json"


@pytest.fixture(scope="module")
def document() -> dict:
    return json.loads(openapi_document())


def test_the_committed_document_is_the_generated_one(document):
    assert json.loads(SNAPSHOT.read_text()) == document, "Run: ./tandem check --write, and look at the difference."


def test_it_is_shown_without_a_key(client: Client):
    assert json.loads(client.get("/api/v1/openapi.json").content)["openapi"] == "3.1.0"


def test_every_reference_leads_somewhere(document):
    for reference in set(re.findall(r'"#/components/(\w+/[\w-]+)"', json.dumps(document))):
        room, name = reference.split("/")
        assert name in document["components"][room]


@pytest.mark.requirement("M43")
def test_every_call_tells_its_problems(document):
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            assert {"401", "406", "429", "500", "503"} <= set(call["responses"]), (method, path)
            for status, response in call["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"]
                    for code in re.findall(r"`(\w+)`:", response["description"]):
                        assert PROBLEMS[code].status == int(status)


def test_every_call_names_its_scope_or_needs_none_at_all(document):
    without = set()
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            [(scheme, scopes)] = call["security"][0].items()
            assert scheme == "apiKey"
            assert set(scopes) <= set(SCOPES)
            assert ("403" in call["responses"]) == bool(scopes)
            without |= set() if scopes else {(method, path)}
    assert without == {("get", f"/api/v1/{path}") for path in ("account", "products", "products/{sku}")}


def test_every_problem_is_told_by_some_call_or_is_of_no_call(document):
    told = set(re.findall(r"`(\w+)`:", json.dumps(document)))
    assert set(PROBLEMS) - told == {"method_not_allowed"}


def test_requests_admit_no_unknown_fields(document):
    schemas = document["components"]["schemas"]
    for name in ("PlaceOrder", "LineRequest", "Address", "MoneyAmount", "CancelOrder"):
        assert schemas[name]["additionalProperties"] is False


def test_patterns_are_written_the_usual_way(document):
    assert r"[\s\S]" not in json.dumps(document)


def test_the_docs_need_nothing_from_the_internet_and_no_inline_script(client: Client):
    page = client.get("/docs").content.decode()
    assert not re.search(r'(src|href)="(https?:)?//', page)
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|style=|\bon\w+=", page)
    assert "/api/v1/openapi.json" in page
