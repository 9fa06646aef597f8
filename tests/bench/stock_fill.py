"""Fills stock django-q2's queue: `stock_fill WORK MESSAGES`."""

import sys

import django

django.setup()

from django_q.tasks import async_task  # noqa: E402 - needs the settings

work, messages = sys.argv[1], int(sys.argv[2])
for number in range(1, messages + 1):
    async_task(f"tests.bench.work.{work}", number)
