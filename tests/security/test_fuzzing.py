"""Whatever is sent, the answer is one that the OpenAPI document announces, and never our own failure.

The short rows take the same examples each time, so that a red one is about the change at hand; the long ones, with
--all, take others each time, and Hypothesis prints how to repeat what they find.
"""

import json
from collections.abc import Callable

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from config.openapi import openapi_document
from config.openapi.operations import operations_of
from tests.shop import Caller, make_caller

document = schemathesis.openapi.from_file(openapi_document().decode())
document.app = get_wsgi_application()

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
ALWAYS = {"deadline": None, "suppress_health_check": list(HealthCheck)}
SHORT = settings(max_examples=10, derandomize=True, **ALWAYS)
LONG = settings(max_examples=150, **ALWAYS)
pytestmark = pytest.mark.requirement("M43")


@pytest.fixture
def unlimited(busy_shop: Caller, settings) -> Caller:
    """A customer whose limits no fuzzer reaches: what is looked for lies behind them."""
    settings.RATE_LIMIT_PER_SECOND = 100_000
    return busy_shop


def fuzzed(operation: str, bounds: settings) -> Callable:
    """Return a test of one call. Each has a name of its own: pytest-xdist runs one of those that have the same."""

    @document.include(operation_id=operation).parametrize()
    @bounds
    def test(case, unlimited: Caller):
        case.call_and_validate(headers={"Authorization": f"Bearer {unlimited.key}"}, checks=CHECKS)

    return test


for name in sorted(call["operationId"] for _, _, call in operations_of(json.loads(openapi_document()))):
    globals()[f"test_every_answer_of_{name}_is_announced"] = fuzzed(name, SHORT)
    globals()[f"test_every_answer_of_{name}_to_many_more_requests_is_announced"] = pytest.mark.slow(
        pytest.mark.timeout(600)(fuzzed(name, LONG))
    )


class Workflow(document.as_state_machine()):
    """Follows the document's links: makes objects, and goes on with what was made.

    Each workflow is that of a customer of its own, so that it finds nothing that another one has left.
    """

    def setup(self) -> None:
        self.caller = make_caller("Workflow")

    def get_call_kwargs(self, case):
        return {"headers": {"Authorization": f"Bearer {self.caller.key}"}}

    def validate_response(self, response, case, **options) -> None:
        case.validate_response(response, checks=CHECKS)


@pytest.mark.usefixtures("unlimited")
def test_every_answer_on_the_way_from_call_to_call_is_announced():
    Workflow.run(settings=settings(SHORT, max_examples=8, stateful_step_count=12, phases=[Phase.generate]))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("unlimited")
def test_every_answer_on_many_more_ways_is_announced():
    Workflow.run(settings=settings(LONG, max_examples=60, stateful_step_count=30, phases=[Phase.generate]))
