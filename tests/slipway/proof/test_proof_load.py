from dataclasses import replace

import pytest

from slipway.proof.clock import TookTooLongError
from slipway.proof.load import Load, LoadEndedError
from slipway.proof.timeline import Timeline


def load(plan, clock, runs, **changes):
    timeline = Timeline(clock)
    made = Load(plan, timeline, clock, begin=runs.begin, **({"longest": 60.0} | changes))
    return made, timeline


def test_load_flows_before_and_after(plan, clock, runs):
    made, timeline = load(plan, clock, runs, before=5, after=20)
    with made:
        assert clock.passed >= 5
        clock.wait(30)
        made.check()
        at = clock.passed
        result = made.finish()
        assert clock.passed - at >= 20
    assert result.requests == runs[0].totals().requests
    assert runs[0].left
    assert [event.label for event in timeline.events()] == ["load before", "load after"]
    assert made.finish() is result


def test_the_plan_lasts_longer_than_everything(plan, clock, runs):
    made, _ = load(plan, clock, runs, before=5, after=20, longest=100)
    assert made.plan.duration > 125
    assert made.plan.rate == plan.rate


def test_it_goes_on_until_the_count_is_reached(plan, clock, runs):
    made, _ = load(replace(plan, duration=300, min_requests=20_000), clock, runs)
    with made:
        assert made.finish().requests >= 20_000
    assert made.plan.duration >= 200


def test_after_covers_the_answer_limit(plan, clock, runs):
    with pytest.raises(ValueError, match="answer limit"):
        load(plan, clock, runs, after=9)
    with pytest.raises(ValueError, match="before is 0"):
        load(plan, clock, runs, before=0)


def test_a_load_that_ends_by_itself_is_no_proof(plan, clock, runs):
    made, timeline = load(plan, clock, runs)
    with made:
        runs[0].dies_at = clock.steady() + 3
        clock.wait(5)
        with pytest.raises(LoadEndedError):
            made.check()
        with pytest.raises(LoadEndedError):
            made.finish()
    assert not runs[0].finished
    assert "load ended by itself" in [event.label for event in timeline.events()]


def test_a_load_that_never_flows_is_ended(plan, clock, runs):
    made, _ = load(plan, clock, runs)
    begin = runs.begin

    def silent(plan):
        run = begin(plan)
        run.plan = type("Silent", (), {"rate": 0})()
        return run

    made._begin = silent
    with pytest.raises(TookTooLongError, match="first answer"):
        made.__enter__()
    assert runs[0].left


def test_what_was_not_started_cannot_be_asked(plan, clock, runs):
    made, _ = load(plan, clock, runs)
    with pytest.raises(RuntimeError, match="not started"):
        made.totals()


def test_figures_so_far(plan, clock, runs):
    made, _ = load(plan, clock, runs)
    with made:
        assert made.totals().requests > 0
        assert made.seconds() == ()
