"""The staff's door to orders: translate, call one service, translate back."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from orders.api.pagination import Listing
from orders.case_file import cancel_plan, cancel_refusal, case_file
from orders.errors import (
    InvalidCursor,
    NotFound,
    OrderNotCancellable,
    OrderNotReviewable,
    ValidationFailed,
    VersionConflict,
)
from orders.forms import ReasonForm, ReviewForm
from orders.models import Order
from orders.public_ids import ORDER, parse_public_id
from orders.selectors import parse_time
from orders.services import cancel_order, review_order
from orders.staff_access import CANCEL, staff_only, why_not
from orders.staff_selectors import FILTERS, chips, find_orders, href_of, rows_of
from outbox import audit
from outbox.publishing import unit_of_work

NEWEST: Listing[Order] = Listing("staff_orders", ("placed_at", "id"), (parse_time, UUID), descending=True)


@require_safe
@vary_on_headers("HX-Request")
@staff_only
def order_list(request: HttpRequest) -> HttpResponse:
    """Show the orders that are searched for, newest first."""
    query = " ".join(request.GET.get("q", "").replace("\0", "").split())[:120]
    show = request.GET.get("show", "")
    try:
        page = NEWEST.page(request, find_orders(query, show), request.path)
    except (InvalidCursor, ValidationFailed):
        return redirect("staff:orders")
    context = {
        "here": "orders",
        "query": query,
        "chip": show if show in FILTERS else "",
        "chips": chips(query, show),
        "rows": rows_of(page.rows),
        "older": page.next,
        "newer": page.previous,
    }
    return render(request, _template(request, "staff/orders/list"), context)


@require_safe
@vary_on_headers("HX-Request")
@staff_only
def order_detail(request: HttpRequest, public_id: str) -> HttpResponse:
    """Show one order's case file."""
    order = _order(public_id)
    return render(request, _template(request, "staff/orders/detail"), _context(request, order))


@require_POST
@staff_only
def cancellation(request: HttpRequest, public_id: str) -> HttpResponse:
    """Cancel an order for a reason."""
    return _act(request, public_id, ReasonForm(request.POST), _cancel)


@require_POST
@staff_only
def review(request: HttpRequest, public_id: str) -> HttpResponse:
    """Let an order that is held for a review go on, or refuse it."""
    return _act(request, public_id, ReviewForm(request.POST), _review)


Outcome = tuple[str, str]
"""How it went: a tone and a sentence."""


def _act(
    request: HttpRequest, public_id: str, form: ReasonForm, act: Callable[[Order, dict[str, Any]], Outcome]
) -> HttpResponse:
    if why_not(request.user, CANCEL):
        raise PermissionDenied("This account may not change orders.")
    order = _order(public_id)
    if not form.is_valid():
        return render(request, "staff/orders/detail.html", _context(request, order, form), status=422)
    try:
        tone, text = act(order, form.cleaned_data)
    except VersionConflict:
        tone, text = "attention", "Somebody changed the order while you were looking. Nothing was done: read it again."
    except NotFound as error:
        raise Http404 from error
    messages.info(request, text, extra_tags=tone)
    return redirect(href_of(order))


def _review(order: Order, wish: dict[str, Any]) -> Outcome:
    passed = wish["decision"] == "pass"
    try:
        with unit_of_work():
            review_order(order_id=order.id, passed=passed, reason=wish["reason"], expected_version=wish["version"])
    except OrderNotReviewable as refusal:
        return "attention", f"Nothing was done. {refusal}"
    if passed:
        return "done", "The order goes on. This page follows it."
    return "done", "The order is refused and everything is undone; the customer sees your reason."


def _cancel(order: Order, wish: dict[str, Any]) -> Outcome:
    try:
        with unit_of_work():
            cancel_order(
                within=Order.objects.all(),
                order_id=order.id,
                reason=wish["reason"],
                expected_version=wish["version"],
            )
            audit.record("orders.cancel_order", order.public_id, reason=wish["reason"], before={"status": order.status})
    except OrderNotCancellable as refusal:
        return "attention", f"Not cancelled. {refusal}"
    return "done", "Cancelling began. This page follows it; the customer sees your reason."


def _order(public_id: str) -> Order:
    order_id = parse_public_id(ORDER, public_id)
    orders = Order.objects.select_related("customer").prefetch_related("lines")
    order = orders.filter(id=order_id).first() if order_id else None
    if order is None:
        raise Http404("There is no such order.")
    return order


def _context(request: HttpRequest, order: Order, form: ReasonForm | None = None) -> dict[str, Any]:
    file = case_file(order)
    return {
        "here": "orders",
        "order": file,
        "tab": "messages" if request.GET.get("tab") == "messages" else "story",
        "may_not": why_not(request.user, CANCEL),
        "cancel_refusal": cancel_refusal(order) or why_not(request.user, CANCEL),
        "cancel_plan": cancel_plan(file),
        "form": form,
        "decision": form.data.get("decision", "cancel") if form else "",
    }


def _template(request: HttpRequest, name: str) -> str:
    """Return the page, or only its body when the page refreshes itself."""
    return f"{name}_body.html" if request.headers.get("HX-Request") else f"{name}.html"
