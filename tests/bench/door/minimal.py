"""What the door is held against: the least that DRF does for an order through the ORM, and for nothing at all."""

from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tests.bench.models import PlainLine, PlainMessage, PlainOrder, PlainStock


class Orders(APIView):
    """Places an order without a key, idempotency, a payment, a saga or a representation worth the name."""

    def post(self, request: Request) -> Response:
        """Insert the order, its lines and a message, and take the stock."""
        lines = request.data["lines"]
        with transaction.atomic():
            order = PlainOrder.objects.create(
                currency=request.data["currency"],
                shipping_address=request.data["shipping_address"],
                payment_method=request.data["payment_method"],
            )
            PlainLine.objects.bulk_create(
                [PlainLine(order=order, sku=line["sku"], quantity=line["quantity"]) for line in lines]
            )
            for line in sorted(lines, key=lambda line: line["sku"]):
                stock = PlainStock.objects.filter(sku=line["sku"], left__gte=line["quantity"])
                assert stock.update(left=F("left") - line["quantity"]) == 1
            PlainMessage.objects.create(name="order.placed", payload={"order": str(order.id), "lines": lines})
        return Response({"id": str(order.id), "lines": lines}, status=201)


class Nothing(APIView):
    """Answers without a database."""

    def get(self, request: Request, order_id: UUID) -> Response:
        """Say so."""
        return Response({"id": str(order_id)})


urlpatterns = [path("orders", Orders.as_view()), path("orders/<uuid:order_id>", Nothing.as_view())]
