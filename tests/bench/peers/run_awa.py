"""awa: `run_awa fill N` makes N jobs, `run_awa work` is one worker process.

Tuned: its newer storage, jobs inserted by COPY, several in flight, their work done by threads.
"""

import asyncio
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import django
from awa import AsyncClient

django.setup()

from tests.bench.work import touch  # noqa: E402 - needs the settings

URL = os.environ["DATABASE_URL"]
QUEUE = "bench"
JOBS = 32
THREADS = 4


@dataclass
class Touch:
    number: int


async def fill(jobs: int) -> None:
    client = AsyncClient(URL)
    await client.migrate()
    await client.install_queue_storage()
    await client.enqueue_many_copy([Touch(number) for number in range(1, jobs + 1)], queue=QUEUE)
    await client.close()


async def work() -> None:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    threads = ThreadPoolExecutor(THREADS)
    client = AsyncClient(URL)

    @client.task(Touch, queue=QUEUE)
    async def handle(job):
        await loop.run_in_executor(threads, touch, job.args.number)

    await client.start([(QUEUE, JOBS)], poll_interval_ms=50)
    await stopping.wait()
    await client.shutdown()


if __name__ == "__main__":
    asyncio.run(fill(int(sys.argv[2])) if sys.argv[1] == "fill" else work())
