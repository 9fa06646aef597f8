"""A minimal site, served as ours is, with nothing around it."""

from django.core.wsgi import get_wsgi_application

from config.waiting.inner import Receive, Scope, Send
from config.waiting.intake import taken_in
from config.waiting.threads import Threads

_site = Threads(get_wsgi_application(), 8)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request as soon as it is there."""
    if scope["type"] == "http":
        await _site(scope, await taken_in(receive), send)
