"""Where in a trace one is: what a `traceparent` says, and what is done with one that says nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import trace
from app.core.trace import Kind, Trace, parse

ROOT = Path(__file__).parents[3]
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
LOADED = {"app.core.tracing", "opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http", "google.protobuf"}
HEX = "0123456789abcdef"


def digits(count):
    return st.text(HEX, min_size=count, max_size=count).filter(lambda text: set(text) != {"0"})


@given(digits(32), digits(16), st.booleans())
def test_what_is_written_is_read(trace_id, span_id, sampled):
    made = Trace(trace_id, span_id, sampled)
    assert parse(made.header) == made


@given(st.one_of(st.none(), st.text(), st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{0,40}-[0-9a-f]{0,20}-.*", fullmatch=True)))
def test_whatever_is_sent_is_a_place_in_a_trace_or_nothing(text):
    found = parse(text)
    assert found is None or (found.trace_id in text and found.span_id in text)


@pytest.mark.parametrize(
    "text",
    [
        f"ff{PARENT[2:]}",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
        f"{PARENT}-more",
        PARENT.upper(),
    ],
)
def test_what_the_standard_forbids_counts_as_none(text):
    assert parse(text) is None


def test_a_later_version_may_say_more():
    assert parse(f"01{PARENT[2:]}-more") == parse(PARENT)


def test_without_a_recorder_a_trace_is_continued_and_no_span_is_made():
    assert trace.begin("x", Kind.SERVER, PARENT, {}) is None
    assert trace.current() == parse(PARENT)
    with trace.span("y", Kind.CLIENT, {}):
        assert trace.current() == parse(PARENT)
    assert trace.begin("x", Kind.SERVER, None, {}) is None
    begun = trace.current()
    trace.enter(None)
    assert begun is not None
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", begun.header)


@pytest.mark.parametrize("wanted", [False, True])
def test_without_an_endpoint_the_library_is_not_even_loaded(settings, environment, wanted):
    code = (
        "import sys; from app.core import spans; from app.core.settings import load_settings;"
        "import app.server, app.work; from app.factory import create_app;"
        "create_app(load_settings()); spans.configure(load_settings()); spans.flush();"
        # The client of Redis loads the metrics of that library, if they are installed, by itself.
        f"print(sorted({LOADED} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment(settings, **({"SLIPWAY_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"} if wanted else {})),
        text=True,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == (str(sorted(LOADED)) if wanted else "[]")
