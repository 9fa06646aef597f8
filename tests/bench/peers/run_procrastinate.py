"""procrastinate: `run_procrastinate fill N` makes N tasks, `run_procrastinate work` is one worker process.

Tuned: several tasks in flight, finished ones deleted, no statement more than it needs.
"""

import asyncio
import logging
import os
import sys

import django
import procrastinate

django.setup()

from tests.bench.work import touch  # noqa: E402 - needs the settings

CONCURRENCY = 4
app = procrastinate.App(
    connector=procrastinate.PsycopgConnector(conninfo=os.environ["DATABASE_URL"], min_size=2, max_size=CONCURRENCY + 2)
)
task = app.task(touch, name="touch")


async def fill(tasks: int) -> None:
    async with app.open_async():
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        await task.batch_defer_async(*({"number": number} for number in range(1, tasks + 1)))


async def work() -> None:
    async with app.open_async():
        await app.run_worker_async(concurrency=CONCURRENCY, delete_jobs="always", fetch_job_polling_interval=0.5)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(fill(int(sys.argv[2])) if sys.argv[1] == "fill" else work())
