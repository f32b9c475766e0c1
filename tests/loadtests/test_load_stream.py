import random
import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.stream import Answered, Gap, Seconds, StreamReader, gaps, percentile, telling

HEAD = b"metric_name,timestamp,metric_value,error_code,method,name,scenario,status,extra_tags,metadata\n"


def line(at, ms=1.0, outcome="ok", code="200", op="read", *, reason="none", colour="none"):
    tags = f"code={code}&reason={reason}&outcome={outcome}&op={op}&colour={colour}"
    return f"slipway_ms,{at},{ms:.6f},,,,crud,,{tags},\n".encode()


def gathered(*lines):
    seconds = Seconds()
    for one in (HEAD, *lines):
        seconds.add(one)
    return seconds


def test_seconds_hold_their_requests_and_gaps_stay():
    seen = gathered(
        line(5_000, 1), line(5_999, 3), line(7_000, 2, "failed", "500", "create", reason="status 500")
    ).seconds()
    assert [(s.at, s.requests, s.failed, s.p50, s.p99, dict(s.statuses)) for s in seen] == [
        (5, 2, 0, 1.0, 3.0, {"200": 2}),
        (6, 0, 0, None, None, {}),
        (7, 1, 1, 2.0, 2.0, {"500": 1}),
    ]


def test_columns_stand_apart():
    seen = gathered(line(1000, outcome="unkeyed_failed"), line(1000, outcome="allowed", code="503"), line(1000))
    (second,) = seen.seconds()
    assert (second.requests, second.failed, second.unkeyed_failed, second.allowed) == (3, 0, 1, 1)
    assert seen.totals().failed == 0


def test_each_colour_answers_for_itself():
    seen = gathered(
        line(1000, colour="blue"),
        line(1500, outcome="failed", code="500", colour="green"),
        line(2000, outcome="unkeyed_failed", code="500", colour="green"),
        line(2000, outcome="allowed", code="503", colour="green"),
        line(2000, outcome="failed", code="0"),
    )
    assert seen.colours() == {"blue": Answered(1, 0), "green": Answered(3, 2)}
    assert [dict(second.colours) for second in seen.seconds()] == [{"blue": 1, "green": 1}, {"green": 2}]


def test_dropped_iterations_are_counted_in_their_second():
    (second,) = gathered(b"dropped_iterations,1500,2.000000,,,,crud,,,\n").seconds()
    assert (second.dropped, second.requests) == (2, 0)


def test_a_failed_setup_is_a_failure_and_no_request():
    seen = gathered(line(1000, 0, "failed", "0", "setup", reason="setup seeds not readable"))
    (second,) = seen.seconds()
    assert (second.requests, second.failed) == (0, 1)
    assert seen.reasons() == {"failed: setup: setup seeds not readable": 1}


def test_failures_are_kept_with_their_reason_up_to_a_number_and_all_are_counted():
    seen = gathered(*(line(i, outcome="failed", code="0", reason="transport 1212") for i in range(300)))
    assert len(seen.failures()) == 200
    assert seen.failures()[0].reason == "transport 1212"
    assert seen.reasons() == {"failed: read: transport 1212": 300}


def test_other_lines_and_torn_lines_are_passed_over():
    seen = gathered(b"http_reqs,1000,1,,,,,,,\n", b"slipway_ms,10", b"", b"slipway_msx,1,1\n")
    assert seen.seconds() == ()
    early = Seconds()
    early.add(line(1000))  # before the head nobody knows where the tags are
    assert early.seconds() == ()


@given(st.lists(st.floats(0, 1e6, width=32), min_size=1, max_size=50), st.floats(0.01, 1))
def test_a_percentile_is_a_value_with_its_share_below(values, share):
    ordered = sorted(values)
    found = percentile(ordered, share)
    assert found in ordered
    assert sum(v <= found for v in ordered) >= share * len(ordered) - 1e-6


@given(st.lists(st.tuples(st.integers(0, 20_000), st.sampled_from(["ok", "failed", "allowed"])), max_size=60))
def test_nothing_is_lost_between_seconds(events):
    seen = gathered(*(line(at, outcome=outcome) for at, outcome in events))
    assert sum(s.requests for s in seen.seconds()) == len(events) == seen.totals().requests
    assert sum(s.failed for s in seen.seconds()) == sum(o == "failed" for _, o in events)


def test_gaps_are_between_successes_of_their_kind():
    seen = gathered(
        *(line(at, op="read") for at in (1000, 1200, 4000, 4100)),
        *(line(at, op="create") for at in (1000, 1400)),
        line(2000, outcome="failed", op="read"),
    )
    assert seen.gaps(reads=True, rate=50) == (Gap(1.3, 4.0),)
    assert seen.gaps(reads=True, rate=50)[0].seconds == pytest.approx(2.7)
    assert seen.gaps(reads=False, rate=50) == ()


@pytest.mark.parametrize("rate", [10, 25, 50, 200])
def test_chance_makes_no_gap_and_an_outage_does(rate):
    lot = random.Random(rate)  # noqa: S311 - the same each time
    events = [(index * 1000 // rate, "create" if lot.random() < 0.37 else "read") for index in range(600 * rate)]
    calm = gathered(*(line(at, op=op) for at, op in events))
    assert calm.gaps(reads=False, rate=rate) == calm.gaps(reads=True, rate=rate) == ()
    stopped = gathered(*(line(at, op=op) for at, op in events if op == "read" or not 60_000 <= at < 64_000))
    (outage,) = stopped.gaps(reads=False, rate=rate)
    assert outage.start <= 60.1
    assert outage.end >= 64
    assert stopped.gaps(reads=True, rate=rate) == ()


@given(st.floats(0, 1), st.floats(1, 1000))
def test_half_a_second_is_the_least_that_tells(share, rate):
    assert telling(share, rate) >= 0.5


def test_what_tells_is_as_long_as_25_requests_where_a_third_are_writes():
    assert telling(0.37, 25) == pytest.approx(1.0, abs=0.01)
    assert telling(0.37, 50) == pytest.approx(0.5, abs=0.01)


@given(st.sets(st.integers(0, 300)))
def test_gaps_cover_every_long_hole(tenths):
    found = gaps(tenths, 0.5)
    for gap in found:
        assert not [t for t in tenths if gap.start <= t / 10 < gap.end]
    ordered = sorted(tenths)
    assert len(found) == sum(b - a - 1 >= 5 for a, b in pairwise(ordered))


def test_the_reader_takes_all_that_was_written_before_the_end(tmp_path):
    seconds = Seconds()
    with StreamReader(tmp_path / "pipe", seconds), (tmp_path / "pipe").open("wb") as writer:
        writer.write(HEAD)
        for index in range(5000):
            writer.write(line(index))
    assert seconds.totals().requests == 5000
    assert not (tmp_path / "pipe").exists()
    assert "k6-stream" not in [thread.name for thread in threading.enumerate()]


def test_the_reader_ends_though_nobody_ever_wrote(tmp_path):
    with StreamReader(tmp_path / "pipe", Seconds()):
        pass
    assert not (tmp_path / "pipe").exists()
