"""What `up` runs beside the database, in the order it is started."""

import sys
from collections.abc import Mapping

from config.runtime.environment import Sandboxes, address
from config.runtime.files import ROOT, DataDirectory
from config.runtime.supervisor import Program

PYTHON = sys.executable
SANDBOX_PYTHON = ROOT / ".venv-sandbox" / "bin" / "python"
WEB_GRACE_SECONDS = 25.0  # gunicorn gives requests 20
CLUSTER_GRACE_SECONDS = 30.0


def programs(
    data: DataDirectory, sandboxes: Sandboxes, environment: Mapping[str, str], *, base_url: str, bind: str, workers: int
) -> list[Program]:
    """The sandboxes of the sides that have no real system, the web server, and the workers unless there are none."""
    callbacks = f"{base_url}/callbacks"
    chosen = []
    if sandboxes.payments_port:
        chosen.append(Program("payments", payments_command(data, sandboxes, callbacks), environment))
    if sandboxes.carrier_port:
        chosen.append(Program("carrier", carrier_command(data, sandboxes.carrier_port, callbacks), environment))
    web = [PYTHON, "-m", "gunicorn", "--config", "python:config.runtime.gunicorn", "--bind", bind]
    chosen.append(Program("web", [*web, "config.asgi:application"], environment, grace_seconds=WEB_GRACE_SECONDS))
    if workers:
        cluster = [PYTHON, "manage.py", "qcluster"]
        chosen.append(Program("cluster", cluster, environment, grace_seconds=CLUSTER_GRACE_SECONDS))
    return chosen


def payments_command(data: DataDirectory, sandboxes: Sandboxes, callbacks: str) -> list[str]:
    command = [PYTHON, "-m", "config.sandboxes.payments", "--port", str(sandboxes.payments_port)]
    command += ["--localstripe-python", str(SANDBOX_PYTHON), "--callback-url", f"{callbacks}/payments"]
    command += ["--data", str(data.sandboxes)]
    if sandboxes.carrier_port:
        command += ["--peer-url", address(sandboxes.carrier_port)]
    return command


def carrier_command(data: DataDirectory, port: int, callbacks: str) -> list[str]:
    command = [PYTHON, "-m", "config.sandboxes.carrier", "--port", str(port)]
    return [*command, "--callback-url", f"{callbacks}/carrier", "--data", str(data.sandboxes)]
