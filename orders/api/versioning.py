"""Which version of the API's form a request asks for, and answering in it."""

import json

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from rest_framework.request import Request

from orders.callers import Caller
from orders.errors import UnknownVersion
from orders.versions import CURRENT, VERSIONS, as_of

HEADER = "Tandem-Version"
VERSION = "tandem.version"
"""Where a request keeps the version in which it is answered."""


def asked_version(request: Request, caller: Caller) -> str:
    """Return the version that the header names, or the one that the key is pinned to. Raises UnknownVersion."""
    asked = request.headers.get(HEADER)
    if asked is None:
        return caller.api_version
    if asked.strip() not in VERSIONS:
        raise UnknownVersion(asked, VERSIONS)
    return asked.strip()


def version_of(request: HttpRequest) -> str:
    """Return the version in which the request is answered."""
    version: str = request.META.get(VERSION, CURRENT)
    return version


def tag_of_version(tag: str, version: str) -> str:
    """Return the ETag of the same representation in another version: other bytes need another tag."""
    return tag if version == CURRENT else f'{tag[:-1]}{version.replace("-", "")}"'


def show_in_version(response: HttpResponse, version: str) -> None:
    """Bring an answer of the present version into the form of `version`, and let it say which one it is."""
    response.headers[HEADER] = version
    patch_vary_headers(response, [HEADER])
    if version == CURRENT:
        return
    if "ETag" in response:
        response.headers["ETag"] = tag_of_version(response.headers["ETag"], version)
    if response.headers.get("Content-Type") == "application/json":
        shown = as_of(version, json.loads(response.content))
        response.content = json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode()
