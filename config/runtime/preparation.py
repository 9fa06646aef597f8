"""Brings the database up to date and loads the demo: `python -m config.runtime.preparation`.

One process for both, because loading Django takes longer than either has to do on a second start.
"""

import django
from django.core.management import call_command

from config.runtime.console import Console


def prepare() -> None:
    console = Console()
    django.setup()
    console.block("tandem: bringing the database up to date")
    call_command("migrate", interactive=False, verbosity=0)
    console.block("tandem: loading the demo catalogue, customers and accounts")
    call_command("load_demo")


if __name__ == "__main__":
    prepare()
