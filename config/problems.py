"""The kinds of problem that the customers' door answers with: what the answer says, and what its page explains."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ProblemType:
    """A kind of problem: what its answer says, and what its page explains."""

    code: str
    status: int
    title: str
    meaning: str
    remedy: str
    retry_after: int | None = None
    """Seconds."""


PROBLEMS = {
    problem.code: problem
    for problem in (
        ProblemType(
            "malformed_request", 400, "The request cannot be read",
            "The body is not JSON by RFC 8259, is nested too deep, or a header is not written as it should be.",
            "Read `detail`, mend the request and send it again.",
        ),
        ProblemType(
            "idempotency_key_required", 400, "An Idempotency-Key is required",
            "This call changes something that must not happen twice.",
            "Make a key of your own (a UUID, say) for each order, and repeat the same key when you repeat the request.",
        ),
        ProblemType(
            "unknown_version", 400, "There is no such version of the API",
            "The header `Tandem-Version` names a version that does not exist or is not served any more.",
            "Use one of `versions`, or leave the header out: then the version that your key is pinned to holds.",
        ),
        ProblemType(
            "invalid_cursor", 400, "The cursor is not valid",
            "A `cursor` belongs to the list that handed it out and cannot be made by hand.",
            "Follow `next` and `previous` as they are, or start without a cursor.",
        ),
        ProblemType(
            "authentication_required", 401, "Authentication is required",
            "The request carries no API key.",
            "Send the header `Authorization: Bearer tdm_…`.",
        ),
        ProblemType(
            "invalid_key", 401, "The API key is not valid",
            "The key is unknown, expired or revoked.",
            "Check that the whole key was copied; make a new one if it was lost.",
        ),
        ProblemType(
            "insufficient_scope", 403, "The API key does not allow this",
            "Keys carry scopes; this call needs one that yours has not.",
            "Use a key with the scope named in `detail`.",
        ),
        ProblemType(
            "not_found", 404, "There is no such object",
            "Nothing of yours has this address. What belongs to others does not exist for you either.",
            "Check the id and that the key belongs to the right customer.",
        ),
        ProblemType(
            "method_not_allowed", 405, "The method is not allowed here",
            "The address exists, but not with this method.",
            "The header `Allow` lists the methods that work.",
        ),
        ProblemType(
            "not_acceptable", 406, "The answer cannot be given in that form",
            "The `Accept` header excludes every form that this call can answer in.",
            "Accept `application/json`, or leave the header out.",
        ),
        ProblemType(
            "request_timeout", 408, "The request took too long to arrive",
            "The body has to arrive within 20 seconds.",
            "Send it again over a better connection, with the same Idempotency-Key.",
        ),
        ProblemType(
            "insufficient_stock", 409, "There is not enough in stock",
            "A line asks for more than can be promised. Nothing was reserved; `shortages` tells what is there.",
            "Order less of what is short, or try again later. The same Idempotency-Key may be used again.",
        ),
        ProblemType(
            "total_changed", 409, "The total has changed",
            "The order costs something else than `expected_total`. `total` is what it costs now.",
            "Show the new total to the buyer, then order again and expect it.",
        ),
        ProblemType(
            "order_not_cancellable", 409, "The order cannot be cancelled any more",
            "A parcel is handed over to the carrier, or the order has ended in another way.",
            "Read the order to see where it is.",
        ),
        ProblemType(
            "idempotency_in_progress", 409, "A request with this key is under way",
            "Another request with the same Idempotency-Key has not been answered yet.",
            "Wait as long as `Retry-After` says, then repeat the request with the same key.",
            retry_after=1,
        ),
        ProblemType(
            "version_conflict", 412, "The object was changed in between",
            "`If-Match` names another version than the present one.",
            "Read the object again, decide again, and send its new ETag or version.",
        ),
        ProblemType(
            "payload_too_large", 413, "The body is too large",
            "Bodies may have up to 65 536 bytes.",
            "Split the order.",
        ),
        ProblemType(
            "unsupported_media_type", 415, "The body is not JSON",
            "The API reads `application/json` only.",
            "Send the header `Content-Type: application/json` and a JSON body.",
        ),
        ProblemType(
            "validation_failed", 422, "Fields of the request are wrong",
            "The request can be read, but some of its fields cannot be accepted. `errors` lists all of them.",
            "Mend every field that is listed and send the request again. The same Idempotency-Key may be used again.",
        ),
        ProblemType(
            "unknown_sku", 422, "A product is not in the catalogue",
            "A line names a product that does not exist or is not sold any more. `errors` points at the lines.",
            "Take SKUs from `GET /api/v1/products`.",
        ),
        ProblemType(
            "idempotency_key_reused", 422, "The Idempotency-Key was used for another request",
            "A key stands for one request; this one came with another body before.",
            "Use a new key for a new request.",
        ),
        ProblemType(
            "rate_limited", 429, "Too many at once",
            "A customer, or a key, makes more requests a second than it may, has too much open at the same time, or "
            "too many wrong keys came from one address.",
            "Wait as long as `Retry-After` says; the `RateLimit` headers of every answer tell what is left.",
            retry_after=1,
        ),
        ProblemType(
            "headers_too_large", 431, "The headers are too large",
            "The address and all headers together may have up to 32 768 bytes.",
            "Send fewer or shorter ones.",
        ),
        ProblemType(
            "internal_error", 500, "Something went wrong on our side",
            "This is our fault; it is logged under `correlation_id`.",
            "Repeat the request with the same Idempotency-Key. Quote `correlation_id` when you ask about it.",
        ),
        ProblemType(
            "service_degraded", 503, "The service is degraded",
            "A part that is needed to answer is not available right now. Nothing was changed, or it is safe to repeat.",
            "Wait as long as `Retry-After` says, then repeat the request with the same Idempotency-Key.",
            retry_after=5,
        ),
    )
}  # fmt: skip
