"""The site as it is served: a synchronous Django on threads that keep their database connections, and around it an
asynchronous layer for those who wait (docs/decisions/0006).
"""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
site = get_wsgi_application()

# Both need the apps that were loaded above.
from config.waiting.application import Waiting  # noqa: E402
from config.waiting.threads import Threads  # noqa: E402

THREADS = int(os.environ.get("WEB_THREADS", "8"))
"""Requests that one process handles at a time; each thread keeps its own database connection."""

application = Waiting(Threads(site, THREADS), THREADS)
