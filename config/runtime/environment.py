"""The environment that Tandem's processes run in: where things are, and generated secrets.

What the caller's environment already names always wins.
"""

import base64
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from config.runtime.files import DataDirectory, read_json, write_json
from config.runtime.ports import free_port
from config.runtime.postgres import Database


@dataclass(frozen=True)
class Sandboxes:
    """The addresses of the sandboxes that stand in for the outside; None where a real system is configured."""

    payments_port: int | None
    carrier_port: int | None

    @property
    def switchboard(self) -> str | None:
        """Faults and ledger of both sides are reached through the payments' side, if it is there."""
        port = self.payments_port or self.carrier_port
        return address(port) if port else None


def address(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def choose_sandboxes(data: DataDirectory) -> Sandboxes:
    """The sandboxes' ports of the last run where they are still free: what they remember refers to them."""
    last = read_json(data.ports)
    chosen = {name: free_port(last.get(name)) for name in ("payments", "carrier")}
    write_json(data.ports, chosen)
    return configured_sandboxes(data)


def configured_sandboxes(data: DataDirectory) -> Sandboxes:
    """The sandboxes of the current run, or of the last one."""
    ports = read_json(data.ports)
    return Sandboxes(
        payments_port=None if os.environ.get("PAYMENT_API_BASE") else ports.get("payments"),
        carrier_port=None if os.environ.get("CARRIER_API_BASE") else ports.get("carrier"),
    )


def generated_secrets(data: DataDirectory) -> dict[str, str]:
    """This installation's secrets, made once and kept where only its owner reads."""
    known = read_json(data.secrets)
    fresh = {
        "secret_key": secrets.token_urlsafe(50),
        "payment_api_key": f"sk_test_{secrets.token_hex(16)}",
        "payment_webhook_secret": f"whsec_{secrets.token_hex(24)}",
        "carrier_api_key": secrets.token_urlsafe(32),
        "carrier_webhook_secret": "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(),
    }
    complete = {**fresh, **known}
    if complete != known:
        write_json(data.secrets, complete, mode=0o600)
    return complete


def demo_environment(data: DataDirectory, database: Database) -> dict[str, str]:
    """The environment of a demo installation: plain http on this machine, sandboxes instead of the outside."""
    sandboxes = configured_sandboxes(data)
    defaults = {name.upper(): value for name, value in generated_secrets(data).items()}
    defaults["TANDEM_ENV"] = "development"
    defaults["WEBHOOK_ALLOWED_NETWORKS"] = "127.0.0.0/8,::1/128"
    if sandboxes.payments_port:
        defaults["PAYMENT_API_BASE"] = address(sandboxes.payments_port)
    if sandboxes.carrier_port:
        defaults["CARRIER_API_BASE"] = address(sandboxes.carrier_port)
    return {**defaults, **base_environment(data, database)}


def check_environment() -> dict[str, str]:
    """Production's settings with a throw-away key: what `check` judges must not depend on anybody's machine."""
    environment = {name: value for name, value in os.environ.items() if name != "TANDEM_ENV"}
    return {"SECRET_KEY": secrets.token_urlsafe(50), "DJANGO_SETTINGS_MODULE": "config.settings", **environment}


def test_environment(data: DataDirectory, database: Database) -> dict[str, str]:
    """The environment of the tests: their own database, and nothing of the demo's."""
    environment = {"SECRET_KEY": secrets.token_urlsafe(50), **base_environment(data, database)}
    return {**environment, "TANDEM_ENV": "development", "DJANGO_SETTINGS_MODULE": "tests.settings"}


def base_environment(data: DataDirectory, database: Database) -> dict[str, str]:
    return {
        "STATIC_ROOT": str(data.static),
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": database.url,
        "TANDEM_DATA_DIR": str(data.path),
    }


def multiprocess(environment: Mapping[str, str], data: DataDirectory) -> dict[str, str]:
    """`environment` for the processes that `up` keeps running: they share metrics and tell their roles."""
    return {**environment, "PROMETHEUS_MULTIPROC_DIR": str(data.metrics), "TANDEM_RUN_DIR": str(data.run)}
