"""The real service, with its real Postgres, under the real k6: each scenario for a moment."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from ports import free_port, free_ports

from loadtests import k6
from loadtests.plan import LoadPlan
from loadtests.verdict import ExitClass


@pytest.fixture
def address(settings, tmp_path) -> Iterator[str]:
    """The service as a process, with a key to sign tokens with."""
    key = tmp_path / "signing.pem"
    made = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key.write_bytes(made)
    port, metrics = free_ports(2)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "TMPDIR": str(tmp_path),
        "SLIPWAY_DATABASE_URL_FILE": str(settings.database_url_file),
        "SLIPWAY_BOOTSTRAP_KEY_FILE": str(settings.bootstrap_key_file),
        "SLIPWAY_SIGNING_KEY_FILE": str(key),
        "SLIPWAY_PORT": str(port),
        "SLIPWAY_METRICS_PORT": str(metrics),
        "SLIPWAY_DRAIN_SECONDS": "0",
        # k6's users log in from one address to few accounts; what is measured is the service, not its limits.
        "SLIPWAY_RATE_LIMITS": '{"requests": 0, "logins": 0}',
    }
    process = subprocess.Popen([sys.executable, "-m", "app.serve"], env=environment, stdout=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        while True:  # the test's timeout ends a hopeless wait
            assert process.poll() is None
            try:
                if httpx.get(f"{url}/readyz", timeout=2).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


@pytest.fixture
def worker(settings, tmp_path, redis_server) -> Iterator[None]:
    """The worker as a process of its own, with a real Redis between."""
    redis_url = tmp_path / "redis-url"
    redis_url.write_text(redis_server.url)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "SLIPWAY_DATABASE_URL_FILE": str(settings.database_url_file),
        "SLIPWAY_BOOTSTRAP_KEY_FILE": str(settings.bootstrap_key_file),
        "SLIPWAY_REDIS_URL_FILE": str(redis_url),
        "SLIPWAY_METRICS_PORT": str(free_port()),
    }
    process = subprocess.Popen([sys.executable, "-m", "app.work"], env=environment, stdout=subprocess.DEVNULL)
    yield
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=30)


@pytest.fixture
def plan(address, settings, tmp_path) -> LoadPlan:
    key = settings.bootstrap_key_file.read_text()
    return LoadPlan(
        scenario="login", base_url=address, rate=20, duration=4, workdir=tmp_path / "runs", seeds=4, stall=4,
        secrets={"SLIPWAY_TOKEN": key},
    )  # fmt: skip


def run(plan, **changes):
    return k6.run(LoadPlan(**{name: getattr(plan, name) for name in plan.__slots__} | changes).guarded())


@pytest.mark.parametrize("scenario", ["login", "search", "read-mostly", "smoke"])
def test_each_scenario_passes(plan, scenario):
    result = run(plan, scenario=scenario)
    assert (result.exit_class, result.reasons) == (ExitClass.PASS, ()), result.failure_reasons
    assert result.requests == pytest.approx(80, abs=3)


@pytest.mark.usefixtures("worker")
def test_exports_are_ordered_written_and_fetched(plan):
    result = run(plan, scenario="async", rate=3)
    assert (result.exit_class, result.reasons) == (ExitClass.PASS, ()), result.failure_reasons
    assert result.finished.count == pytest.approx(12, abs=1)
    assert result.finished.p95 < 5000


def test_logins_are_of_every_kind(plan):
    result = run(plan)
    assert result.statuses["401"] == pytest.approx(8, abs=2)
    assert result.shares["uncached reads"] == pytest.approx(0.3, abs=0.02)
    assert result.shares["writes without a key"] == pytest.approx(0.7, abs=0.02)


def test_a_token_that_opens_nothing_fails(plan):
    result = run(plan, duration=2, secrets={"SLIPWAY_TOKEN": "not a key at all"})
    assert result.exit_class is ExitClass.FAIL
    assert "setup made 0 of 4 seed users" in " ".join(result.failure_reasons)
