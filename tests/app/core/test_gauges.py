"""How full a process is can be read while it is."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client import CollectorRegistry

from app.core.gauges import Gauges
from app.core.parts import parts_of
from app.factory import create_app


@pytest.fixture
def parts(settings):
    app = create_app(settings, CollectorRegistry())
    yield parts_of(app)
    parts_of(app).database.close()


def test_connections_in_use_are_told_from_idle_ones(parts):
    registry = CollectorRegistry()
    gauges = Gauges(parts, registry)

    def connections(server, state):
        gauges.look()
        return registry.get_sample_value("payload_database_connections", {"server": server, "state": state})

    assert connections("primary", "used") == connections("primary", "idle") == 0
    seen = parts.database.write(lambda _: (connections("primary", "used"), connections("primary", "idle")))
    assert seen == (1, 0)
    assert (connections("primary", "used"), connections("primary", "idle")) == (0, 1)
    assert connections("replica", "idle") == 0


def test_requests_that_work_and_wait_are_counted(parts):
    registry, go = CollectorRegistry(), threading.Event()
    gauges = Gauges(parts, registry)

    def requests():
        gauges.look()
        return [registry.get_sample_value("payload_requests", {"state": it}) for it in ("working", "waiting")]

    with ThreadPoolExecutor(4) as pool:
        parts.turns.serve(lambda request: pool.submit(parts.turns.run, request, lambda _request: go.wait(20)))
        assert all(parts.turns.ask(number) for number in range(6))
        assert requests() == [4, 2]  # four threads in these settings
        go.set()
    assert requests() == [0, 0]


def test_an_open_breaker_is_seen(parts):
    registry = CollectorRegistry()
    gauges = Gauges(parts, registry)
    for _ in range(5):
        parts.cache.breaker.failed()
    gauges.look()
    found = {it: registry.get_sample_value("payload_breaker_open", {"breaker": it}) for it in ("cache", "limits")}
    assert found == {"cache": 1, "limits": 0}
