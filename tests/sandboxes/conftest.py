"""One pair of sandboxes per module, without faults at the start of each test."""

from collections.abc import Iterator

import pytest

from tests.sandboxes.processes import LOCALSTRIPE_PYTHON, Receiver, Sandbox, carrier_sandbox, payments_sandbox


@pytest.fixture(scope="package")
def localstripe_available() -> None:
    if not LOCALSTRIPE_PYTHON.exists():
        pytest.skip(f"localstripe's environment is missing: {LOCALSTRIPE_PYTHON}")


@pytest.fixture(scope="package")
def receivers() -> Iterator[dict[str, Receiver]]:
    made = {"payments": Receiver(), "carrier": Receiver()}
    for receiver in made.values():
        receiver.start()
    yield made
    for receiver in made.values():
        receiver.stop()


@pytest.fixture(scope="package")
def shared_carrier(tmp_path_factory, receivers) -> Iterator[Sandbox]:
    sandbox = carrier_sandbox(tmp_path_factory.mktemp("carrier"), receivers["carrier"].url)
    sandbox.start()
    yield sandbox
    sandbox.stop()


@pytest.fixture(scope="package")
def shared_payments(tmp_path_factory, receivers, shared_carrier, localstripe_available) -> Iterator[Sandbox]:
    data = tmp_path_factory.mktemp("payments")
    sandbox = payments_sandbox(data, receivers["payments"].url, "--peer-url", shared_carrier.url)
    sandbox.start()
    yield sandbox
    sandbox.stop()


@pytest.fixture
def carrier(shared_carrier) -> Iterator[Sandbox]:
    yield shared_carrier
    shared_carrier.client.delete("/faults")


@pytest.fixture
def payments(shared_payments) -> Iterator[Sandbox]:
    yield shared_payments
    shared_payments.client.delete("/faults")


@pytest.fixture
def receiver(receivers) -> Receiver:
    """Where the payment sandbox calls back."""
    return receivers["payments"]


@pytest.fixture
def carrier_receiver(receivers) -> Receiver:
    return receivers["carrier"]
