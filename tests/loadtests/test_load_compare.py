"""Two runs beside each other: the rules, and two runs of the real k6."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from loadtests import k6, written
from loadtests.compare import FLOOR, TOLERANCE, Change, bars, changed, rank_score
from loadtests.plan import LoadPlan
from loadtests.stream import Second
from loadtests.verdict import ExitClass, Judgement, Summary
from loadtests.written import WrittenError
from slipway import cli, reports
from slipway.reports import Verdict

milliseconds = st.floats(0.1, 5000)
series = st.lists(milliseconds, min_size=10, max_size=40)
COUNTS = Summary(
    started=1000, requests=1000, failed=0, dropped=0, resent=0, unkeyed_failed=0, allowed=0, uncached_reads=500,
    cached_reads=100, keyed_writes=300, unkeyed_writes=100, p50=5.0, p95=9.0, p99=12.0, slowest=20.0,
    statuses={"200": 1000}, broken_thresholds=(), seconds=20.0,
)  # fmt: skip


def second(at, p50):
    return Second(at, 50, 0, 0, 0, 0, p50, p50 * 2, p50 * 3, {"200": 50})


def a_run(latency=5.0, exit_class=ExitClass.PASS, counts=COUNTS, **plan):
    asked = {"scenario": "crud", "workload": "constant", "rate": 50, "duration": 20.0, "protocol": "h2", "vus": 110}
    timeline = tuple(second(at, latency + at % 3 / 10) for at in range(20))
    return written.Written("r", asked | {"answer_limit": 10.0} | plan, Judgement(exit_class), counts, timeline)


def verdict(first, after):
    return reports.derive(bars(first, after))


@given(series)
def test_nothing_changes_from_a_run_to_itself(values):
    assert changed(values, values) is Change.SAME
    assert rank_score(values, values) == pytest.approx(0)


@given(series, series)
def test_worse_one_way_is_better_the_other_way(first, after):
    assert rank_score(first, after) == pytest.approx(-rank_score(after, first))
    turned = {Change.WORSE: Change.BETTER, Change.BETTER: Change.WORSE}
    there = changed(first, after)
    assert changed(after, first) is turned.get(there, there)


@given(series, series, st.floats(0, 1000))
def test_nothing_gets_better_by_being_slower(first, after, more):
    order = (Change.BETTER, Change.SAME, Change.WORSE)
    there, later = changed(first, after), changed(first, [value + more for value in after])
    middle = {Change.UNCLEAR: Change.SAME}
    assert order.index(middle.get(later, later)) >= order.index(middle.get(there, there))


@given(st.lists(milliseconds, min_size=20, max_size=40), st.floats(1.01, 10))
def test_every_second_slower_than_every_other_is_worse(values, times):
    slow = [max(values) * times * (1 + TOLERANCE) + FLOOR] * len(values)
    assert changed(values, slow) is Change.WORSE


@given(series, st.floats(0, TOLERANCE))
def test_what_stays_within_the_tolerance_is_the_same(values, more):
    assert changed(values, [value * (1 + more) for value in values]) is Change.SAME


@given(st.lists(milliseconds, max_size=9), series)
def test_few_seconds_say_nothing(few, many):
    assert changed(few, many) is changed(many, few) is Change.UNCLEAR


def test_large_but_rare_is_no_answer():
    assert changed([1.0, 100.0] * 10, [100.0, 1.0] * 9 + [100.0, 100.0]) is Change.UNCLEAR


@pytest.mark.parametrize(
    ("after", "answer"),
    [
        (a_run(), Verdict.PASS),
        (a_run(2.0), Verdict.PASS),
        (a_run(8.0), Verdict.FAIL),
        (a_run(counts=replace(COUNTS, failed=1)), Verdict.FAIL),
        (a_run(counts=replace(COUNTS, unkeyed_failed=1)), Verdict.FAIL),
        (a_run(counts=replace(COUNTS, requests=970)), Verdict.FAIL),
        (a_run(rate=51), Verdict.INCONCLUSIVE),
        (a_run(scenario="search"), Verdict.INCONCLUSIVE),
        (a_run(8.0, exit_class=ExitClass.ABORTED), Verdict.INCONCLUSIVE),
        (a_run(exit_class=ExitClass.INCONCLUSIVE), Verdict.INCONCLUSIVE),
    ],
)
def test_the_verdict(after, answer):
    assert verdict(a_run(), after) is answer


def test_a_share_that_failed_before_may_fail_again():
    bad = a_run(counts=replace(COUNTS, failed=10), exit_class=ExitClass.FAIL)
    assert verdict(bad, bad) is Verdict.PASS


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("plan.json", None, "plan.json cannot be read"),
        ("answer.json", '{"answer": "perhaps", "reasons": []}', "perhaps"),
        ("summary.json", "{", "summary is not readable"),
        ("seconds.json", '[{"at": 1}]', "holds no run that can be read"),
    ],
)
def test_a_folder_that_is_no_run_is_refused_by_name(tmp_path, fake_k6, name, text, message):
    plan = LoadPlan(scenario="crud", base_url="https://a.test", rate=50, duration=2, workdir=tmp_path)
    folder = k6.run(plan, binary=fake_k6("summary()")).folder
    assert written.read(folder).summary.requests == 100
    (folder / name).unlink() if text is None else (folder / name).write_text(text)
    with pytest.raises(WrittenError, match=message):
        written.read(folder)


def test_the_command_tells_a_slower_server_apart(server, tls, tmp_path, monkeypatch):
    plan = LoadPlan(
        scenario="page", path="/v1/users", base_url=server.url, rate=60, duration=12, workdir=tmp_path / "runs",
        ca=tls.ca, address="127.0.0.1",
    )  # fmt: skip
    fast = k6.run(plan).folder
    server.fault = lambda _asked: 0.15
    slow = k6.run(plan).folder
    monkeypatch.chdir(tmp_path)

    def compare(a, b):
        return CliRunner().invoke(cli.cli, ["loadtest", "compare", str(a), str(b)])

    worse = compare(fast, slow)
    assert worse.exit_code == 1, worse.output
    assert "p50: worse" in worse.output
    page = Path("build/reports/loadtest-compare.html").read_text()
    assert page.count("<svg") == 1
    assert slow.name in page
    assert compare(slow, fast).exit_code == 0
    assert compare(fast, fast).exit_code == 0
