"""Whatever is sent, the answer is one that the OpenAPI document announces, and never our own failure."""

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from config.openapi import openapi_document
from tests.shop import Caller

document = schemathesis.openapi.from_file(openapi_document().decode())
document.app = get_wsgi_application()

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]


@pytest.mark.requirement("M43")
@document.parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_announced(case, busy_shop: Caller):
    case.call_and_validate(headers={"Authorization": f"Bearer {busy_shop.key}"}, checks=CHECKS)
