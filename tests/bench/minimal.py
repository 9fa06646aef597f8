"""A DRF view that does nothing but send the statements of a placed order, with ids of its own."""

import os
import pickle
import random
import re
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from uuid_utils.compat import uuid7

SKUS, ONE, OTHER = pickle.loads(Path(os.environ["BENCH_PLACEMENT"]).read_bytes())
"""The statements of two orders, of the first SKU and of the second: what differs is new in every order."""
UUIDS = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|(?<=ord_)[0-9a-f]{32}")
KEEP = {UUID(found) for found in UUIDS.findall(repr(ONE))} & {UUID(found) for found in UUIDS.findall(repr(OTHER))}


class Fresh:
    """New ids and a SKU for one order, in place of those that were recorded."""

    def __init__(self) -> None:
        self.ids: dict[UUID, UUID] = {}
        self.sku = random.choice(SKUS)

    def id_for(self, recorded: UUID) -> UUID:
        if recorded in KEEP:
            return recorded
        return self.ids.setdefault(recorded, uuid7())

    def text(self, recorded: str) -> str:
        def new(match: re.Match[str]) -> str:
            fresh = self.id_for(UUID(match[0]))
            return str(fresh) if "-" in match[0] else fresh.hex

        return UUIDS.sub(new, recorded).replace(SKUS[0], self.sku)

    def value(self, one: Any, other: Any) -> Any:
        """Return a parameter for this order, given the same one of two recorded orders."""
        if isinstance(one, dict):
            return {name: self.value(one[name], other[name]) for name in one}
        if isinstance(one, list):
            return [self.value(a, b) for a, b in zip(one, other, strict=True)]
        if one == other:
            return one
        if isinstance(one, UUID):
            return self.id_for(one)
        if isinstance(one, int):
            return random.getrandbits(62)
        if isinstance(one, bytes):
            return self.text(one.decode()).encode()
        return self.text(one) if isinstance(one, str) else one


STATEMENTS = [
    (in_transaction, [(sql, one, other) for (sql, one, _), (_, other, _) in statements])
    for in_transaction, statements in groupby(zip(ONE, OTHER, strict=True), key=lambda pair: pair[0][2])
]


class Minimal(APIView):
    """Places an order in the sense that the same statements are sent."""

    def post(self, request: Request) -> Response:
        """Send them, those of the transaction in one."""
        fresh = Fresh()
        for in_transaction, statements in STATEMENTS:
            if in_transaction:
                with transaction.atomic():
                    send(statements, fresh)
            else:
                send(statements, fresh)
        return Response({"lines": len(request.data["lines"])}, status=201)


def send(statements: list[tuple[str, Any, Any]], fresh: Fresh) -> None:
    with connection.cursor() as cursor:
        for sql, one, other in statements:
            cursor.execute(sql, fresh.value(one, other))
            if cursor.description:
                cursor.fetchall()


urlpatterns = [path("api/v1/orders", Minimal.as_view())]
