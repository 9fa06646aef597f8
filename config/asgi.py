"""The site as it is served: a synchronous Django on threads that keep their database connections, and around it an
asynchronous layer for those who wait (docs/decisions/0006).
"""

import os
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from a2wsgi import WSGIMiddleware
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
site = get_wsgi_application()

from config.waiting.application import Waiting  # noqa: E402 - needs the apps that were loaded above

THREADS = int(os.environ.get("WEB_THREADS", "8"))
"""Requests that one process handles at a time; each thread keeps its own database connection."""


def whole_site(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The site, told that a body's end is known also when it came in chunks, without a length."""
    environ["wsgi.input_terminated"] = True
    return site(environ, start_response)


application = Waiting(WSGIMiddleware(whole_site, workers=THREADS), THREADS)  # type: ignore[arg-type]  # a2wsgi has types of its own
