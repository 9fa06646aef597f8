"""The staff's door to returns: translate, call one service, translate back."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from fulfillment import facade as fulfillment
from fulfillment.errors import FulfillmentError
from fulfillment.facade import Finding, ReturnView
from orders import returns
from orders.forms import DecisionForm, InspectionForm, ReceptionForm
from orders.models import Order
from orders.public_ids import RETURN, parse_public_id
from orders.return_pages import CHIPS, chips, page_of, rows
from orders.staff_access import RETURNS, staff_only, why_not
from outbox.errors import IllegalTransition
from outbox.publishing import unit_of_work

Act = Callable[[ReturnView, dict[str, Any]], str]
"""Does what a form asks for, and says what follows."""


@require_safe
@vary_on_headers("HX-Request")
@staff_only
def return_list(request: HttpRequest) -> HttpResponse:
    """Show the returns that are asked for, newest first."""
    show, before = request.GET.get("show", ""), request.GET.get("before", "")
    listed, older = rows(show, parse_public_id(RETURN, f"{RETURN}_{before}"))
    chip = show if show in CHIPS else ""
    context = {
        "here": "returns",
        "chips": chips(chip),
        "chip": chip,
        "rows": listed,
        "older": f"?show={chip}&before={older}" if older else "",
        "first": not before,
    }
    return render(request, _template(request, "staff/returns/list"), context)


@require_safe
@vary_on_headers("HX-Request")
@staff_only
def return_detail(request: HttpRequest, public_id: str) -> HttpResponse:
    """Show one return."""
    return render(request, _template(request, "staff/returns/detail"), _context(request, _find(public_id)))


@require_POST
@staff_only
def decision(request: HttpRequest, public_id: str) -> HttpResponse:
    """Approve a return, or end it."""
    return _act(request, public_id, DecisionForm(request.POST), _decide)


@require_POST
@staff_only
def reception(request: HttpRequest, public_id: str) -> HttpResponse:
    """Note that the goods arrived."""
    return _act(request, public_id, ReceptionForm(request.POST, warehouses=fulfillment.warehouses()), _receive)


@require_POST
@staff_only
def inspection(request: HttpRequest, public_id: str) -> HttpResponse:
    """Write down what was found."""
    form = InspectionForm(request.POST, lines=_find(public_id).lines)
    return _act(request, public_id, form, _inspect)


def _act(
    request: HttpRequest, public_id: str, form: DecisionForm | ReceptionForm | InspectionForm, act: Act
) -> HttpResponse:
    if why_not(request.user, RETURNS):
        raise PermissionDenied("This account may not change returns.")
    returned = _find(public_id)
    if not form.is_valid():
        return render(request, "staff/returns/detail.html", _context(request, returned, form), status=422)
    try:
        with unit_of_work():
            tone, text = "done", act(returned, form.cleaned_data)
    except (FulfillmentError, IllegalTransition):
        tone, text = "attention", "Somebody was faster, and the return has moved on. Nothing was done: read it again."
    messages.info(request, text, extra_tags=tone)
    return redirect(reverse("staff:return", args=[public_id]))


def _decide(returned: ReturnView, wish: dict[str, Any]) -> str:
    approved = wish["decision"] == "approve"
    returns.decide_return(returned=returned, approved=approved, reason=wish["reason"])
    return "The customer may send the goods." if approved else "The return has ended; the customer sees your reason."


def _receive(returned: ReturnView, wish: dict[str, Any]) -> str:
    returns.receive_return(returned=returned, warehouse=wish["warehouse"])
    return f"The goods are in {wish['warehouse']}. Inspect them next."


def _inspect(returned: ReturnView, wish: dict[str, Any]) -> str:
    findings = [
        Finding(sku=line.sku, sellable=wish[f"sellable_{place}"], damaged=wish[f"damaged_{place}"])
        for place, line in enumerate(returned.lines)
    ]
    returns.inspect_return(returned=returned, findings=findings)
    if not any(finding.sellable + finding.damaged for finding in findings):
        return "Nothing was taken back: the return has ended, and nothing is paid back."
    return "Written down. The refund follows by itself; this page shows it."


def _find(public_id: str) -> ReturnView:
    return_id = parse_public_id(RETURN, public_id)
    found = fulfillment.find_return(return_id) if return_id else None
    if found is None:
        raise Http404("There is no such return.")
    return found


def _context(request: HttpRequest, returned: ReturnView, form: Any = None) -> dict[str, Any]:
    order = Order.objects.select_related("customer").prefetch_related("lines").get(id=returned.order_id)
    return {
        "here": "returns",
        "return": page_of(returned, order),
        "may_not": why_not(request.user, RETURNS, "looks after returns"),
        "form": form,
        "reopen": form.data.get("decision", form.dialog) if form else "",
    }


def _template(request: HttpRequest, name: str) -> str:
    """Return the page, or only its body when the page refreshes itself."""
    return f"{name}_body.html" if request.headers.get("HX-Request") else f"{name}.html"
