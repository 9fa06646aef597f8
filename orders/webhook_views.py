"""The staff's door to customers' webhook endpoints: look, repeat, stop and start."""

from datetime import timedelta
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from orders.api.pagination import Listing
from orders.errors import InvalidCursor, ValidationFailed
from orders.forms import ReplayForm, SwitchForm
from orders.public_ids import WEBHOOK_DELIVERY, WEBHOOK_ENDPOINT, parse_public_id
from orders.selectors import parse_time
from orders.staff_access import CANCEL, staff_only, why_not
from orders.staff_webhooks import delivery_rows, endpoint_rows, find_endpoints
from outbox import audit
from outbox.models import WebhookDelivery, WebhookEndpoint, WebhookState
from outbox.publishing import unit_of_work
from outbox.webhooks import endpoints, offering

NEWEST: Listing[WebhookEndpoint] = Listing("staff_webhooks", ("created_at", "id"), (parse_time, UUID), descending=True)
SHOWN = (("", "All"), ("trouble", "In trouble"))


@require_safe
@vary_on_headers("HX-Request")
@staff_only
def endpoint_list(request: HttpRequest) -> HttpResponse:
    """Show the endpoints that are searched for, newest first."""
    query = " ".join(request.GET.get("q", "").replace("\0", "").split())[:120]
    show = "trouble" if request.GET.get("show") == "trouble" else ""
    try:
        page = NEWEST.page(request, find_endpoints(query, show), request.path)
    except (InvalidCursor, ValidationFailed):
        return redirect("staff:webhooks")
    context = {
        "here": "webhooks",
        "query": query,
        "show": show,
        "shown": SHOWN,
        "rows": endpoint_rows(page.rows),
        "older": page.next,
        "newer": page.previous,
    }
    return render(request, _template(request, "staff/webhooks/list"), context)


@require_safe
@vary_on_headers("HX-Request")
@staff_only
def endpoint_detail(request: HttpRequest, public_id: str) -> HttpResponse:
    """Show one endpoint with its newest deliveries."""
    endpoint = _endpoint(public_id)
    (row,) = endpoint_rows([endpoint])
    state = request.GET.get("state", "")
    context = {
        "here": "webhooks",
        "endpoint": row,
        "state": state if state in WebhookState.values else "",
        "states": [("", "All"), *WebhookState.choices],
        "rows": delivery_rows(endpoint, state),
        "may_not": why_not(request.user, CANCEL),
    }
    return render(request, _template(request, "staff/webhooks/detail"), context)


@require_POST
@staff_only
def switch(request: HttpRequest, public_id: str) -> HttpResponse:
    """Stop or start an endpoint, for a reason."""
    _require_permission(request)
    endpoint, form = _endpoint(public_id), SwitchForm(request.POST)
    if not form.is_valid():
        return _back(request, public_id, "attention", "Nothing was done. Say why, in a few words.")
    enabled = form.cleaned_data["enabled"] == "yes"
    with unit_of_work():
        held = WebhookEndpoint.objects.select_for_update().get(id=endpoint.id)
        endpoints.change(held, endpoints.Wish(enabled=enabled), by_staff=True, reason=form.cleaned_data["reason"])
    words = "It is enabled; what waits is sent now." if enabled else "It is disabled; nothing more is sent."
    return _back(request, public_id, "done", words)


@require_POST
@staff_only
def redelivery(request: HttpRequest, public_id: str, delivery_id: str) -> HttpResponse:
    """Send an event again."""
    _require_permission(request)
    endpoint, id_ = _endpoint(public_id), parse_public_id(WEBHOOK_DELIVERY, delivery_id)
    delivery = WebhookDelivery.objects.filter(endpoint=endpoint, id=id_).first() if id_ else None
    if delivery is None:
        raise Http404("There is no such delivery.")
    with unit_of_work():
        offering.redeliver(delivery)
        audit.record("redeliver_webhook", f"webhook_endpoint:{endpoint.id}", reason="", after={"delivery": delivery_id})
    return _back(request, public_id, "done", "The event is sent again; this page follows it.")


@require_POST
@staff_only
def replay(request: HttpRequest, public_id: str) -> HttpResponse:
    """Send again what happened within the last hours."""
    _require_permission(request)
    endpoint, form = _endpoint(public_id), ReplayForm(request.POST)
    if not form.is_valid():
        return _back(request, public_id, "attention", "Nothing was done. Name the hours, from 1 to 720.")
    since = timezone.now() - timedelta(hours=form.cleaned_data["hours"])
    with unit_of_work():
        offering.begin_replay(endpoint, since)
        subject = f"webhook_endpoint:{endpoint.id}"
        audit.record("replay_webhooks", subject, reason="", after={"since": since.isoformat()})
    return _back(
        request, public_id, "done", f"Everything since {since:%Y-%m-%d %H:%M} UTC is sent again, oldest first."
    )


def _require_permission(request: HttpRequest) -> None:
    if why_not(request.user, CANCEL):
        raise PermissionDenied("This account may not change webhook endpoints.")


def _endpoint(public_id: str) -> WebhookEndpoint:
    id_ = parse_public_id(WEBHOOK_ENDPOINT, public_id)
    endpoint = WebhookEndpoint.objects.filter(id=id_, deleted_at=None).first() if id_ else None
    if endpoint is None:
        raise Http404("There is no such webhook endpoint.")
    return endpoint


def _back(request: HttpRequest, public_id: str, tone: str, text: str) -> HttpResponse:
    messages.info(request, text, extra_tags=tone)
    return redirect("staff:webhook", public_id)


def _template(request: HttpRequest, name: str) -> str:
    """Return the page, or only its body when the page refreshes itself."""
    return f"{name}_body.html" if request.headers.get("HX-Request") else f"{name}.html"
