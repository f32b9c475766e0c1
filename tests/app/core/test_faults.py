import pytest
from prometheus_client import CollectorRegistry, generate_latest

from app.core import faults
from app.core.faults import Faults
from app.core.parts import parts_of
from app.core.settings import SettingsError, load_settings
from app.factory import create_app


@pytest.fixture
def bad(settings):
    """Clients of versions with something wrong."""
    made = []

    def make(**values):
        app = create_app(settings.model_copy(update={"faults": Faults(**values)}), CollectorRegistry())
        made.append(app)
        return app.test_client()

    yield make
    for app in made:
        parts_of(app).database.close()


def test_nothing_is_wrong_unless_configured(client):
    assert "X-Fault" not in client.get("/v1/users").headers


def test_errors_are_500s_that_say_they_are_injected_and_probes_stay_truthful(bad):
    client = bad(error_rate=1)
    answer = client.get("/v1/users")
    assert (answer.status_code, answer.json["code"]) == (500, "injected_fault")
    assert answer.headers["X-Fault"] == "injected"
    assert [client.get(path).status_code for path in ("/livez", "/readyz", "/version")] == [200, 200, 200]


def test_a_share_of_requests_fails(bad, monkeypatch):
    rolls = iter([0.1, 0.3, 0.2, 0.9])
    monkeypatch.setattr(faults.random, "random", lambda: next(rolls))
    client = bad(error_rate=0.25)
    assert [client.get("/v1/users").status_code for _ in range(4)] == [500, 200, 500, 200]


def test_latency_is_added_before_the_work_and_measured(settings, monkeypatch):
    slept = []
    monkeypatch.setattr(faults.time, "sleep", slept.append)
    registry = CollectorRegistry()
    app = create_app(settings.model_copy(update={"faults": Faults(latency_seconds=0.3)}), registry)
    answer = app.test_client().get("/v1/users")
    assert (answer.status_code, answer.headers["X-Fault"], slept) == (200, "injected", [0.3])
    assert b'url_rule="/v1/users"' in generate_latest(registry)
    parts_of(app).database.close()


def test_never_ready_is_alive_all_the_same(bad):
    client = bad(never_ready=True)
    assert (client.get("/readyz").status_code, client.get("/livez").status_code) == (503, 200)


def test_a_crash_ends_the_process_without_ceremony(monkeypatch):
    started = []

    class Clock:
        daemon = False

        def __init__(self, seconds, function, arguments):
            started.append((seconds, function.__name__, arguments))

        def start(self):
            started.append("started")

    monkeypatch.setattr(faults, "Timer", Clock)
    faults.arm_crash(Faults())
    assert started == []
    faults.arm_crash(Faults(crash_after_seconds=2))
    assert started == [(2, "_exit", (70,)), "started"]


def test_faults_need_their_permission(settings, monkeypatch):
    monkeypatch.setenv("SLIPWAY_DATABASE_URL_FILE", str(settings.database_url_file))
    monkeypatch.setenv("SLIPWAY_FAULTS", '{"error_rate": 0.5}')
    with pytest.raises(SettingsError, match="SLIPWAY_FAULTS_ALLOWED"):
        load_settings()
    monkeypatch.setenv("SLIPWAY_FAULTS_ALLOWED", "true")
    assert load_settings().faults.error_rate == 0.5
    monkeypatch.setenv("SLIPWAY_FAULTS", '{"error_rate": 2, "typo": 1}')
    with pytest.raises(SettingsError, match=r"(?s)ERROR_RATE.*TYPO"):
        load_settings()
