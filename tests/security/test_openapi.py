"""The OpenAPI document: complete, committed, and the same for everyone."""

import json
import re
from pathlib import Path

import jsonschema_rs
import pytest
from django.test import Client

from config.openapi import openapi_document
from config.openapi.examples import NO_EXAMPLE
from config.openapi.operations import operations_of
from config.openapi.rules import faults_of
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


def test_nothing_is_missing_that_a_caller_would_look_for(document):
    assert faults_of(document) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [(lambda call: call.pop("description"), "docstring"),
     (lambda call: call["requestBody"]["content"]["application/json"].pop("example"), "the body has no example"),
     (lambda call: call["responses"]["201"]["content"]["application/json"]["example"].update(id=NO_EXAMPLE),
      "the answer 201 has no example at /id"),
     (lambda call: call["responses"]["409"]["content"]["application/problem+json"]["examples"].popitem(), "409 tells"),
     (lambda call: call["responses"]["401"].pop("headers"), "the answer 401 does not tell of its headers"),
     (lambda call: call["responses"].pop("503"), "503"),
     (lambda call: call["parameters"][0].pop("description"), "has no description"),
     (lambda call: call["parameters"][0].update(example=NO_EXAMPLE), "has no example"),
     (lambda call: call.pop("security"), "authenticate")],
)  # fmt: skip
def test_a_call_that_lacks_something_is_named(change, fault):
    document = json.loads(openapi_document())
    change(document["paths"]["/api/v1/orders"]["post"])
    [found] = faults_of(document)
    assert found.startswith("place_order: ")
    assert fault in found


def test_every_example_is_one_by_its_own_schema(document):
    resources = {"components": document["components"]}
    for _, path, call in operations_of(document):
        contents = [call.get("requestBody", {}), *call["responses"].values()]
        for kind, media in ((k, m) for part in contents for k, m in part.get("content", {}).items()):
            shown = [one["value"] for one in media.get("examples", {}).values()]
            shown += [media["example"]] if kind == "application/json" else []
            validator = jsonschema_rs.validator_for({**media["schema"], **resources})
            for example in shown:
                faults = [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(example)]
                assert faults == [], (path, kind)
        for parameter in call["parameters"]:
            assert jsonschema_rs.is_valid(parameter["schema"], parameter["example"]), (path, parameter["name"])


def test_what_is_made_leads_to_the_calls_that_go_on_with_it(document):
    links = document["paths"]["/api/v1/orders"]["post"]["responses"]["201"]["links"]
    assert links["get_order"]["parameters"] == {"path.order_id": "$response.body#/id"}
    assert {"get_order", "cancel_order", "get_order_progress", "list_order_payments"} <= set(links)
