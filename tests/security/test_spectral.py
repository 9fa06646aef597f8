"""The OpenAPI document by the rules of others: Spectral with OWASP's."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.reporting import needs

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent / "spectral"
HOME = ROOT / "var" / "spectral"
DOCUMENT = ROOT / "docs" / "reference" / "openapi.json"


@pytest.fixture(scope="module")
def spectral() -> Path:
    """Spectral, installed exactly as its lock says, once per checkout; a test NOT RUN where that cannot be had."""
    lock = (HERE / "package-lock.json").read_text()
    installed = HOME / "installed-lock.json"
    if not (installed.exists() and installed.read_text() == lock):
        npm = shutil.which("npm")
        if npm is None:
            needs("npm (for spectral)")
        HOME.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, HOME / name)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        if subprocess.run(command, cwd=HOME, capture_output=True, check=False, timeout=100).returncode != 0:
            needs("spectral (npm ci failed: is the package registry reachable?)")
        installed.write_text(lock)
    shutil.copy(HERE / "ruleset.yaml", HOME / "ruleset.yaml")
    return HOME / "node_modules" / ".bin" / "spectral"


def complaints(spectral: Path, document: Path) -> list[tuple[str, str]]:
    command = [spectral, "lint", "--ruleset", HOME / "ruleset.yaml", "--format", "json", "--quiet", document]
    result = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=False, timeout=100)
    assert result.returncode in (0, 1), result.stderr
    return [(found["code"], ".".join(map(str, found["path"]))) for found in json.loads(result.stdout or "[]")]


@pytest.mark.requirement("M43")
@pytest.mark.timeout(300)
def test_neither_owasps_rules_nor_spectrals_own_find_anything(spectral):
    assert complaints(spectral, DOCUMENT) == []


def test_an_answer_that_was_left_out_is_found(spectral, tmp_path):
    document = json.loads(DOCUMENT.read_text())
    del document["paths"]["/api/v1/orders"]["post"]["responses"]["429"]
    document["components"]["schemas"]["PlaceOrder"]["properties"]["lines"].pop("maxItems")
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    found = {code for code, _ in complaints(spectral, tmp_path / "openapi.json")}
    assert {"owasp:api4:2023-rate-limit-responses-429", "owasp:api4:2023-array-limit"} <= found
