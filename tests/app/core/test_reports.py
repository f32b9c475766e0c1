import pytest
import sentry_sdk
from hypothesis import given
from hypothesis import strategies as st
from sentry_sdk.transport import Transport

from app.core import reports
from app.core.parts import parts_of


@pytest.fixture
def sent(settings, tmp_path):
    """What Sentry would get."""
    events = []

    class Recorder(Transport):
        def capture_envelope(self, envelope):
            events.extend(item.get_event() for item in envelope.items)

        def flush(self, timeout, callback=None):
            """Nothing waits."""

    path = tmp_path / "dsn"
    path.write_text("https://public@errors.example.test/1")
    reports.configure(settings.model_copy(update={"sentry_dsn_file": path}), Recorder)
    yield events
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)


def break_reads(client, monkeypatch, error):
    def broken(*_, **__):
        raise error

    monkeypatch.setattr(parts_of(client.application).database, "read", broken)


def test_an_unexpected_error_is_reported_once_without_anything_about_people(client, sent, monkeypatch):
    break_reads(client, monkeypatch, RuntimeError("row of ann@example.test\nDETAIL: Failing row contains (Ann)"))
    answer = client.get("/v1/users", headers={"X-Request-ID": "r-1"})
    assert answer.status_code == 500
    (event,) = sent
    assert event["exception"]["values"][0]["value"] == "row of [address]\n[row]"
    assert (event["tags"]["route"], event["tags"]["request_id"]) == ("/v1/users", "r-1")
    assert (event["release"], event["environment"], event["server_name"]) == ("1.2.3", "dev", "blue")
    assert not {"request", "user", "modules"} & set(event)
    assert event["breadcrumbs"]["values"] == []


def test_expected_answers_are_not_errors(client, sent):
    client.get("/no/such/path")
    client.post("/v1/users", json={})
    assert sent == []


def test_without_an_address_nothing_is_sent(client, settings, monkeypatch):
    reports.configure(settings)
    break_reads(client, monkeypatch, RuntimeError("x"))
    assert client.get("/v1/users").status_code == 500
    assert not sentry_sdk.get_client().is_active()
    reports.flush()


@given(st.text(), st.emails(), st.text())
def test_no_address_survives_scrubbing(before, address, after):
    assert address not in reports.scrubbed(f"{before} {address} {after}")
