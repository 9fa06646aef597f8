"""The web server's worker process: uvicorn under gunicorn.

It tells those who wait and stream before it stops: without a word they would hold it up for as long as it may take to
stop, and then be cut off.
"""

import asyncio
import signal
import sys
from socket import socket

import uvicorn
from uvicorn_worker import UvicornWorker

BOOT_FAILED = 3
"""What gunicorn's master takes for a worker that could not begin; it gives up instead of starting another."""


class Server(uvicorn.Server):
    """Lets the application send home those who wait, once no new connections are taken."""

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Stop in an orderly way."""
        if leave := getattr(self.config.app, "leave", None):
            leave()
        await super().shutdown(sockets)


class WebWorker(UvicornWorker):  # type: ignore[misc]  # uvicorn_worker ships no types
    """uvicorn with this server, which does not tell what it is."""

    CONFIG_KWARGS = {**UvicornWorker.CONFIG_KWARGS, "server_header": False}

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        server = Server(config=self.config)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGQUIT, self.handle_exit, signal.SIGQUIT, None)
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(BOOT_FAILED)
