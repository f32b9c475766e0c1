import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.plan import LoadPlan
from loadtests.verdict import ExitClass, Finished, Summary, SummaryError, classify, faults, parse_summary

PLAN = LoadPlan(scenario="crud", base_url="https://a.test", rate=50, duration=10, workdir=Path("/w"), min_requests=490)
GOOD = Summary(
    started=500, requests=500, failed=0, dropped=0, resent=0, unkeyed_failed=0, allowed=0, uncached_reads=220,
    cached_reads=105, keyed_writes=150, unkeyed_writes=25, p50=1.0, p95=2.0, p99=3.0, slowest=9.0,
    statuses={"200": 500}, broken_thresholds=(), seconds=12.0,
)  # fmt: skip


def answer(code, summary=GOOD, made=PLAN, **how):
    return classify(code, summary, made, **how)


def test_a_good_run_passes_without_reasons():
    assert answer(0) == answer(0, replace(GOOD, started=501, requests=501))
    assert answer(0).exit_class is ExitClass.PASS
    assert answer(0).reasons == ()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"failed": 1}, "1 of 500 requests failed"),
        ({"dropped": 2}, "2 requests were dropped: 510 connections were all busy"),
        ({"requests": 0, "started": 0}, "0 requests were made, at least 490 are needed"),
        ({"unkeyed_failed": 3}, "3 of 25 writes without a key failed"),
        ({"started": 504}, "4 requests had no answer when the run ended"),
    ],
)
@pytest.mark.parametrize("code", [0, 99, 110])
def test_every_fault_of_the_service_fails_whatever_k6_says(code, changes, reason):
    judged = answer(code, replace(GOOD, **changes))
    assert judged.exit_class is ExitClass.FAIL
    assert reason in judged.reasons


@pytest.mark.parametrize("code", [97, 98, 100, 101, 102, 104, 106, 107, 109, 1, -9, -11, 255])
@pytest.mark.parametrize("summary", [GOOD, replace(GOOD, failed=9), None])
def test_faults_of_the_tool_neither_promote_nor_blame(code, summary):
    judged = answer(code, summary)
    assert judged.exit_class is ExitClass.INCONCLUSIVE
    assert str(code) in judged.reasons[0] or str(-code) in judged.reasons[0]


@pytest.mark.parametrize("code", [103, 105, 108])
def test_what_someone_stopped_is_aborted(code):
    assert answer(code).exit_class is ExitClass.ABORTED


def test_a_run_ended_on_purpose_is_judged():
    early = replace(GOOD, started=495, requests=491)
    assert answer(105, early, finished_early=True).exit_class is ExitClass.PASS
    assert answer(105, replace(early, failed=1), finished_early=True).exit_class is ExitClass.FAIL
    assert answer(105, None, finished_early=True).exit_class is ExitClass.INCONCLUSIVE
    assert answer(103, early, finished_early=True).exit_class is ExitClass.ABORTED


def test_no_summary_is_no_answer():
    for code in (0, 99, 110):
        assert answer(code, None).exit_class is ExitClass.INCONCLUSIVE


def test_a_killed_run_is_no_answer():
    judged = answer(0, killed=True)
    assert judged.exit_class is ExitClass.INCONCLUSIVE
    assert "was killed" in judged.reasons[0]


def test_k6_and_its_counts_must_agree():
    judged = answer(99, replace(GOOD, broken_thresholds=("x count>1",)))
    assert judged.exit_class is ExitClass.INCONCLUSIVE
    assert "x count>1" in judged.reasons[0]


def test_a_generator_that_did_not_keep_up_proves_nothing():
    slow = replace(PLAN, min_requests=1)
    judged = answer(0, replace(GOOD, started=400, requests=400), slow)
    assert judged.exit_class is ExitClass.INCONCLUSIVE
    assert "400 of 500 planned" in judged.reasons[0]


@pytest.mark.parametrize("changes", [{"uncached_reads": 149}, {"keyed_writes": 99}])
def test_a_mix_that_is_too_easy_proves_nothing(changes):
    judged = answer(0, replace(GOOD, **changes))
    assert judged.exit_class is ExitClass.INCONCLUSIVE
    assert "the mix was" in judged.reasons[0]


def test_unkeyed_writes_and_allowed_answers_may_stand_apart():
    apart = replace(PLAN, unkeyed_apart=True, allow_503=True)
    assert answer(0, replace(GOOD, unkeyed_failed=5, allowed=9), apart).exit_class is ExitClass.PASS


COUNTS = {name: st.integers(0, 1000) for name in ("started", "requests", "failed", "dropped", "unkeyed_failed")}
HOW = st.fixed_dictionaries({"finished_early": st.booleans(), "killed": st.booleans()})


@given(st.integers(-64, 255) | st.sampled_from([0, 99, 105]), st.fixed_dictionaries(COUNTS), HOW)
def test_pass_never_stands_over_a_fault(code, counts, how):
    requests = counts["requests"]
    summary = replace(GOOD, **counts, uncached_reads=requests, keyed_writes=requests)
    judged = answer(code, summary, **how)
    if judged.exit_class is ExitClass.PASS:
        assert not counts["failed"]
        assert not counts["dropped"]
        assert not counts["unkeyed_failed"]
        assert not how["killed"]
        assert requests >= PLAN.min_requests
        assert code == 0 or (code == 105 and how["finished_early"])
    else:
        assert judged.reasons
    if judged.exit_class is ExitClass.FAIL:
        assert faults(summary, PLAN, finished_early=how["finished_early"])


def document(**counts):
    metrics = {name: {"type": "counter", "values": {"count": n}, "thresholds": {}} for name, n in counts.items()}
    return {"schema": 1, "run": "r", "milliseconds": 1500, "metrics": metrics}


def test_a_summary_without_traffic_has_no_latency_and_no_counts():
    read = parse_summary(json.dumps(document()))
    assert (read.requests, read.failed, read.p99, read.statuses, read.seconds) == (0, 0, None, {}, 1.5)


def test_a_summary_is_read_by_columns():
    made = document(
        slipway_requests=3, slipway_failed=1, slipway_status_200=2, slipway_status_500=1, slipway_status_0=0
    )
    values = {"med": 1, "p(95)": 2, "p(99)": 3, "max": 4, "count": 3}
    made["metrics"]["slipway_ms"] = {"type": "trend", "values": values, "thresholds": {}}
    made["metrics"]["slipway_failed"]["thresholds"] = {"count==0": False}
    read = parse_summary(json.dumps(made))
    assert (read.p50, read.p95, read.p99, read.slowest) == (1.0, 2.0, 3.0, 4.0)
    assert read.statuses == {"200": 2, "500": 1}
    assert read.broken_thresholds == ("slipway_failed count==0",)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"schema": 2}', '{"schema": 1, "metrics": {}}'])
def test_what_is_no_summary_is_refused(text):
    with pytest.raises(SummaryError, match=r"summary (is not readable|has schema)"):
        parse_summary(text)


def test_exports_are_counted_by_their_files():
    made = document(slipway_requests=9, slipway_finished=2)
    for name in ("slipway_ms", "slipway_finished_ms"):
        values = {"med": 1100, "p(95)": 1200, "p(99)": 1300, "max": 1400, "count": 2}
        made["metrics"][name] = {"type": "trend", "values": values, "thresholds": {}}
    assert parse_summary(json.dumps(made)).finished == Finished(2, 1100.0, 1200.0, 1300.0, 1400.0)


@pytest.mark.parametrize(("count", "answered"), [(489, ExitClass.FAIL), (490, ExitClass.PASS)])
def test_answers_are_no_files(count, answered):
    summary = replace(GOOD, requests=1500, started=1500, finished=Finished(count, 1.0, 1.0, 1.0, 1.0))
    judged = answer(0, summary, replace(PLAN, scenario="async"))
    assert judged.exit_class is answered
    assert answer(0, replace(summary, finished=None), replace(PLAN, scenario="async")).exit_class is ExitClass.FAIL


def test_exit_codes_of_the_command():
    assert {one.value: one.exit_code for one in ExitClass} == {"pass": 0, "fail": 1, "inconclusive": 3, "aborted": 4}
