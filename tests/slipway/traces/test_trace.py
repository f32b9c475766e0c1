"""A trace is read in the order of a tree, whatever order Jaeger tells it in, and whatever is missing of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.traces.trace import Span, UnknownTraceError, bar, parse

BEGAN = 1_700_000_000_000_000


def raw(identifier, parent="", start=0, duration=10, **tags):
    return {
        "spanID": identifier,
        "processID": "p1",
        "operationName": f"do {identifier}",
        "startTime": BEGAN + start,
        "duration": duration,
        "references": [{"refType": "CHILD_OF", "spanID": parent}] if parent else [],
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }


def answer(*spans):
    return {"data": [{"traceID": "ab" * 16, "spans": list(spans), "processes": {"p1": {"serviceName": "payload"}}}]}


def test_what_is_inside_of_a_span_follows_it():
    trace = parse(
        answer(raw("c", "b", 20, 5), raw("d", "a", 60, 10), raw("a", duration=100), raw("b", "a", 10, 30, error=True))
    )
    assert [(it.depth, it.span.identifier) for it in trace.spans] == [(0, "a"), (1, "b"), (2, "c"), (1, "d")]
    assert (trace.began, trace.seconds) == (BEGAN / 1e6, 0.0001)
    assert [it.span.failed for it in trace.spans] == [False, True, False, False]


def test_a_span_whose_parent_was_never_kept_is_a_root():
    trace = parse(answer(raw("b", "lost", 5), raw("a")))
    assert [(it.depth, it.span.identifier) for it in trace.spans] == [(0, "a"), (0, "b")]


@pytest.mark.parametrize("text", [{"data": []}, {"data": None}, {"data": [{"spans": []}]}, {}])
def test_no_span_is_no_trace(text):
    with pytest.raises(UnknownTraceError):
        parse(text)


@st.composite
def trees(draw):
    count = draw(st.integers(1, 30))
    spans = []
    for number in range(count):
        parent = "" if number == 0 else draw(st.sampled_from([f"s{it}" for it in range(number)] + ["lost", ""]))
        spans.append(raw(f"s{number}", parent, draw(st.integers(0, 10**6)), draw(st.integers(0, 10**6))))
    return draw(st.permutations(spans))


@given(trees())
def test_every_span_is_shown_once_right_below_what_it_is_inside_of(spans):
    placed = parse(answer(*spans)).spans
    assert sorted(it.span.identifier for it in placed) == sorted(it["spanID"] for it in spans)
    above = []
    for it in placed:
        above = above[: it.depth]
        assert len(above) == it.depth
        assert it.span.parent == (above[-1] if above else "")
        above.append(it.span.identifier)


@given(st.floats(0, 10), st.floats(0, 10), st.floats(0, 100), st.integers(1, 80))
def test_a_bar_is_seen_and_stays_inside(start, seconds, whole, width):
    begin, length = bar(Span("a", "", "s", "n", start, seconds, failed=False, tags={}), whole, width)
    assert length >= 1
    assert begin >= 0
    assert begin + length <= width
