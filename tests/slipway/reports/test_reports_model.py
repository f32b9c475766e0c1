from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from slipway.reports import Bar, Report, Verdict, derive

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ANSWERS = st.sampled_from([True, False, None])


def bars(answers):
    return tuple(Bar(what=f"bar {i}", measured=i, bar="as it is", holds=a) for i, a in enumerate(answers))


def report(**changes):
    values = {"name": "drill", "started": NOW, "seconds": 1.0, "bars": bars([True]), "verdict": Verdict.PASS}
    return Report(**(values | changes))


@given(st.lists(ANSWERS, max_size=8))
def test_a_failed_bar_and_only_a_failed_bar_fails(answers):
    assert (derive(bars(answers)) is Verdict.FAIL) == (False in answers)


@given(st.lists(ANSWERS, max_size=8))
def test_pass_means_that_every_bar_holds_and_that_there_is_one(answers):
    assert (derive(bars(answers)) is Verdict.PASS) == (bool(answers) and all(answers))


@given(st.lists(ANSWERS, max_size=8), st.sets(st.integers(0, 7)))
def test_optional_bars_may_stay_open_but_never_fail(answers, optional):
    names = {f"bar {i}" for i in optional}
    verdict = derive(bars(answers), optional=names)
    relevant = [a for i, a in enumerate(answers) if a is not None or i not in optional]
    assert verdict is derive(bars(relevant))


@given(st.lists(ANSWERS, max_size=6))
def test_what_derive_says_is_what_a_report_accepts(answers):
    assert report(bars=bars(answers), verdict=derive(bars(answers))).bars == bars(answers)


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [([False], "pass"), ([False], "inconclusive"), ([True], "fail"), ([], "pass"), ([None], "pass"), ([], "fail")],
)
def test_a_verdict_against_its_bars_is_refused(answers, verdict):
    with pytest.raises(ValidationError, match="verdict is"):
        report(bars=bars(answers), verdict=Verdict(verdict))


def test_inconclusive_may_stand_though_all_bars_hold():
    # negative controls that did not fail take the proof away
    assert report(verdict=Verdict.INCONCLUSIVE).verdict.exit_code == 3


@pytest.mark.parametrize("name", ["", "../up", "a/b", "Big", ".hidden", "x" * 101])
def test_names_that_are_no_file_names_are_refused(name):
    with pytest.raises(ValidationError, match="no file name"):
        report(name=name)


def test_time_without_a_zone_is_refused():
    with pytest.raises(ValidationError, match="timezone"):
        report(started=datetime(2026, 1, 1))  # noqa: DTZ001 -- the naive time is what is tested


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_figures_without_a_value_are_refused_by_their_path(value):
    with pytest.raises(ValidationError, match=r"latency\.p99\[0\]"):
        report(figures={"latency": {"p99": [value]}})


def test_unknown_fields_are_refused():
    with pytest.raises(ValidationError, match="Extra inputs"):
        report(colour="green")


@given(st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_limits(measured, limit):
    assert Bar.at_most("x", measured, limit).holds == (measured <= limit)
    assert Bar.at_least("x", measured, limit).holds == (measured >= limit)
    assert Bar.exactly("x", measured, limit).holds == (measured == limit)


def test_bars_say_their_limit_and_unit():
    assert Bar.at_least("requests", 5, 100_000).bar == ">= 100,000"
    assert Bar.at_most("recovery", 5.5, 15, "s").bar == "<= 15 s"
    assert Bar.not_run("split", "99 %", "no Prometheus").measured == "not run: no Prometheus"


def test_exit_codes():
    assert [Verdict(v).exit_code for v in ("pass", "fail", "inconclusive")] == [0, 1, 3]
