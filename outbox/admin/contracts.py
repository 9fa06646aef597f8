"""The catalogue of contracts in the console: read-only, from the code; the figures are those of the last hour."""

from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Any

import msgspec
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone

from outbox.admin.base import ReadOnlyAdmin
from outbox.catalogue import Entry, catalogue, entry_of
from outbox.consumers import AnyConsumer, ExternalConsumer
from outbox.contracts import contract_named
from outbox.errors import UnknownContract
from outbox.models import Message, Rollup

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Handling:
    """How one consumer handles a message, and what it did in the last hour (of all its messages)."""

    name: str
    how: str
    done: str
    failed: str
    """Attempts that failed, in words; empty for none."""


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """Return the catalogue's addresses, to stand before those of the messages."""
    return [
        path("contracts/", site.admin_view(_list), {"site": site}, name="outbox_contracts"),
        path("contracts/<str:name>/", site.admin_view(_one), {"site": site}, name="outbox_contract"),
    ]


def _list(request: HttpRequest, site: admin.AdminSite) -> HttpResponse:
    entries = sorted(catalogue(), key=lambda entry: (entry.contract.owner, entry.contract.name))
    owners = [(owner, list(owned)) for owner, owned in groupby(entries, key=lambda entry: entry.contract.owner)]
    return _page(request, site, "list", "Contracts", {"owners": owners, "count": len(entries)})


def _one(request: HttpRequest, site: admin.AdminSite, name: str) -> HttpResponse:
    try:
        entry = entry_of(contract_named(name))
    except UnknownContract as error:
        raise Http404(str(error)) from error
    schema = msgspec.json.format(msgspec.json.encode(entry.contract.schema()), indent=2).decode()
    return _page(
        request, site, "one", entry.contract.name, {"entry": entry, "schema": schema, "handlings": _handlings(entry)}
    )


def _page(request: HttpRequest, site: admin.AdminSite, template: str, title: str, more: dict[str, Any]) -> HttpResponse:
    messages = site.get_model_admin(Message)
    assert isinstance(messages, ReadOnlyAdmin)
    if not messages.has_view_permission(request):
        raise PermissionDenied
    context = {**site.each_context(request), "opts": Message._meta, "title": title, "media": messages.media, **more}
    return TemplateResponse(request, f"admin/outbox/contracts/{template}.html", context)


def _handlings(entry: Entry) -> list[Handling]:
    names = [consumer.name for consumer in entry.consumers]
    figures = {
        consumer: (done, failed)
        for consumer, done, failed in Rollup.objects.filter(consumer__in=names, minute__gte=timezone.now() - HOUR)
        .values_list("consumer")
        .annotate(
            done=Sum("value", filter=Q(measure__startswith="le_"), default=0),
            failed=Sum("value", filter=Q(measure="failed"), default=0),
        )
    }
    return [_handling(one, *figures.get(one.name, (0, 0))) for one in entry.consumers]


def _handling(consumer: AnyConsumer, done: int, failed: int) -> Handling:
    return Handling(consumer.name, _how(consumer), f"{done:,} done", f"{failed:,} failed" if failed else "")


def _how(consumer: AnyConsumer) -> str:
    if isinstance(consumer, ExternalConsumer):
        how = f"calls {consumer.destination}"
    else:
        how = f"{consumer.batch} in a transaction" if consumer.batch > 1 else "one by one"
    return how + (", in order of its key" if consumer.order_by else "")
