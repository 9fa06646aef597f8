"""Fills stock django-q2's queue."""

import sys

import django

django.setup()

from django_q.tasks import async_task  # noqa: E402 - needs the settings

for number in range(1, int(sys.argv[1]) + 1):
    async_task("tests.bench.work.touch", number)
