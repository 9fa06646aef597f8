"""How the admin looks and what its sidebar holds: the same calm palette and words as the staff's pages."""

from functools import partial
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse

Item = tuple[str, str, str]
"""A title, an icon of Material Symbols, and `app_model`, or `app_model:page` for a page below the model's."""

SECTIONS: tuple[tuple[str, tuple[Item, ...]], ...] = (
    (
        "Needs a person",
        (
            ("Dead letters", "report", "outbox_deadletter"),
            ("Sagas", "account_tree", "outbox_saga"),
            ("Breakers", "electrical_services", "outbox_breaker"),
            ("Consumers", "pause_circle", "outbox_consumercontrol"),
        ),
    ),
    (
        "Messages",
        (
            ("Messages", "mail", "outbox_message"),
            ("Contracts", "contract", "outbox_message:contracts"),
            ("Deliveries", "local_shipping", "outbox_delivery"),
            ("Attempts", "history", "outbox_attempt"),
            ("Transitions", "conversion_path", "outbox_transition"),
            ("Workers", "engineering", "outbox_worker"),
            ("Audit", "policy", "outbox_auditentry"),
        ),
    ),
    (
        "Orders",
        (
            ("Orders", "receipt_long", "orders_order"),
            ("Customers", "group", "orders_customer"),
            ("API keys", "key", "orders_apikey"),
            ("Products", "inventory_2", "orders_product"),
        ),
    ),
    (
        "Money",
        (
            ("Payments", "payments", "payments_payment"),
            ("Operations", "swap_horiz", "payments_paymentoperation"),
            ("Provider callbacks", "call_received", "payments_providerevent"),
        ),
    ),
    (
        "Goods",
        (
            ("Stock", "warehouse", "fulfillment_stockitem"),
            ("Movements", "sync_alt", "fulfillment_stockmovement"),
            ("Consignments", "deployed_code", "fulfillment_consignment"),
            ("Reservations", "bookmark", "fulfillment_reservation"),
            ("Shipments", "package_2", "fulfillment_shipment"),
            ("Carrier callbacks", "call_received", "fulfillment_carriercallback"),
        ),
    ),
    (
        "People",
        (
            ("Staff", "badge", "auth_user"),
            ("Roles", "shield_person", "auth_group"),
        ),
    ),
)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the sidebar: what the person may see, in the order in which they need it."""
    staff = [
        {"title": "Pulse", "icon": "monitoring", "link": reverse("staff:pulse")},
        {"title": "Order pages", "icon": "list_alt", "link": reverse("staff:orders")},
    ]
    sections = [(title, [_item(item) for item in items if _may_see(request, item[2])]) for title, items in SECTIONS]
    groups = [{"title": title, "separator": True, "items": items} for title, items in sections if items]
    return [{"title": "Staff pages", "items": staff}, *groups]


def _item(item: Item) -> dict[str, Any]:
    title, icon, where = item
    model, _, page = where.partition(":")
    link = reverse(f"admin:{model}_changelist") + (page and f"{page}/")
    return {"title": title, "icon": icon, "link": link, "active": partial(_is_at, link, _links_below(model, link))}


def _links_below(model: str, link: str) -> list[str]:
    """Return the other items' links that begin as this one does, such as the contracts' below the messages'."""
    below = (where.partition(":") for _, items in SECTIONS for _, _, where in items)
    return [f"{link}{page}/" for of, _, page in below if of == model and page and not link.endswith(f"/{page}/")]


def _is_at(link: str, below: list[str], request: HttpRequest) -> bool:
    """Tell whether the page that is shown is the item's own, and not that of one below it."""
    return request.path.startswith(link) and not request.path.startswith(tuple(below))


def _may_see(request: HttpRequest, where: str) -> bool:
    model = where.partition(":")[0]
    app, _, name = model.partition("_")
    try:
        reverse(f"admin:{model}_changelist")
    except NoReverseMatch:  # not every model has an admin page
        return False
    return request.user.has_perm(f"{app}.view_{name}") or request.user.has_perm(f"{app}.change_{name}")


def _style(_request: HttpRequest) -> str:
    return static("tandem/admin.css")


def _favicon(_request: HttpRequest) -> str:
    return static("tandem/favicon.svg")


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Tandem",
    "SITE_HEADER": "Tandem",
    "SITE_SUBHEADER": "Console",
    "SITE_URL": "/staff/",
    "SITE_ICON": _favicon,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _favicon}],
    "SHOW_BACK_BUTTON": True,
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": [_style],
    "DASHBOARD_CALLBACK": "outbox.admin.overview.overview",
    "SIDEBAR": {"show_search": True, "show_all_applications": False, "navigation": navigation},
    "COLORS": {
        "base": {
            "50": "#f8f8f6",
            "100": "#f2f2ef",
            "200": "#e5e4df",
            "300": "#cfceca",
            "400": "#92959c",
            "500": "#6b6d72",
            "600": "#55575c",
            "700": "#3a3c41",
            "800": "#2b2d32",
            "900": "#1a1b1e",
            "950": "#121315",
        },
        "primary": {
            "50": "#f5f3fe",
            "100": "#ebe7fc",
            "200": "#d9d2fa",
            "300": "#bfb2f6",
            "400": "#9b86ee",
            "500": "#7459e0",
            "600": "#5b3fd6",
            "700": "#4b31b6",
            "800": "#3d2993",
            "900": "#31227a",
            "950": "#1e1450",
        },
    },
}
