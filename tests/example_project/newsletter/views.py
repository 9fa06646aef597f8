from django.http import HttpRequest, JsonResponse

from newsletter.services import subscribe
from outbox.publishing import unit_of_work


def subscribers(request: HttpRequest) -> JsonResponse:
    """POST an `email`: one short transaction, then the answer. The rest is the workers'."""
    with unit_of_work():
        subscriber_id = subscribe(request.POST["email"])
    return JsonResponse({"id": subscriber_id}, status=202)
