import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.stream import Answered, Failure, Second, percentile
from loadtests.verdict import ExitClass
from slipway.proof.prove.facts import Facts, Findings, Rules, bars, exposure, figures, stretches, within_bound
from slipway.rollout.observation import Rollout
from slipway.rollout.spec import RolloutSpec
from slipway.rollout.status import Intent, Observed, Phase, RolloutStatus
from slipway.rollout.story import Moment

AT = 1_000_000.0
SPEC = RolloutSpec(service="s", template="s", image=f"a/b@sha256:{'a' * 64}")


def moment(at, *, wanted=None, since=0.0, green=None, confirmed=0.0, phase=Phase.ANALYSING):
    intent = (
        None
        if wanted is None
        else Intent(candidate_weight=wanted, blue=0, green=0, initial=100, since=AT + since, routers={})
    )
    observed = None if green is None else Observed(blue=100 - green, green=green, routers=2, at=AT + confirmed)
    status = RolloutStatus(phase=phase, intent=intent, observed=observed)
    return Moment(AT + at, Rollout("app", "dev", "u", 1, "1", SPEC, status))


def named(found):
    return {bar.what: bar for bar in found}


def judged(rules, facts, load, requests=100, reloads=0.0):
    """The bars of rounds that found this."""
    rounds = facts if isinstance(facts, list) else [facts]
    return named(bars(rules, Findings(rounds, reloads), load, requests=requests, connections=20))


def test_a_good_end_without_a_failure_holds(good):
    found = judged(Rules(), Facts(ended="promoted"), good)
    assert all(bar.holds for bar in found.values())
    assert set(found) == {"ends as it must", "requests", "failed", "failed without a key", "reloads of the ingress"}


@pytest.mark.parametrize(
    ("change", "facts", "what"),
    [
        ({"failed": 1}, {}, "failed"),
        ({"unkeyed_failed": 1}, {}, "failed without a key"),
        ({"requests": 99}, {}, "requests"),
        ({}, {"ended": "paused"}, "ends as it must"),
        ({}, {"reverted": [0.1] * 98 + [3.2, 3.2]}, "old weights everywhere, p99 of 100"),
    ],
)
def test_each_bar_can_fail(good, change, facts, what):
    found = judged(Rules(), Facts(**({"ended": "promoted"} | facts)), replace(good, **change))
    assert [name for name, bar in found.items() if bar.holds is False] == [what]


def test_a_reload_fails_and_one_that_was_not_counted_is_not_run(good):
    what = "reloads of the ingress"
    assert judged(Rules(), Facts(ended="promoted"), good, reloads=1.0)[what].holds is False
    assert judged(Rules(), Facts(ended="promoted"), good, reloads=None)[what].holds is None


def test_every_round_must_end_as_it_must_and_each_end_is_told_once(good):
    fine, paused = Facts(ended="promoted"), Facts(ended="paused", reason="Inconclusive", approvals=2)
    end = judged(Rules(), [fine, fine], good)["ends as it must"]
    assert (end.holds, end.measured) == (True, "promoted, 2 times")
    end = judged(Rules(), [fine, paused, fine], good)["ends as it must"]
    assert (end.holds, end.measured) == (
        False,
        "promoted, 2 times; paused (Inconclusive), after 2 approvals by hand",
    )


def test_returns_of_the_weights_are_judged_over_all_rounds(good):
    rounds = [Facts(ended="rolled back", reverted=[0.5, 4.0]), Facts(ended="rolled back", reverted=[1.0])]
    assert judged(Rules(ends="rolled back"), rounds, good)["old weights everywhere, p99 of 3"].measured == 4.0
    numbers = figures(Findings(rounds), good)
    assert (numbers["rounds"], numbers["slowest return of the weights, s"]) == (2, 4.0)


def test_what_could_not_be_played_is_not_run_and_what_broke_fails(good):
    unplayed = Findings([Facts(ended="promoted"), Facts(not_run="no way")])
    (bar,) = bars(Rules(), unplayed, good, requests=1, connections=1)
    assert (bar.holds, bar.measured) == (None, "not run: no way")
    (bar,) = bars(Rules(), Findings(error="TookTooLongError: stuck"), None, requests=1, connections=1)
    assert bar.holds is False
    silent = replace(good, exit_class=ExitClass.INCONCLUSIVE, reasons=("k6 broke",))
    (bar,) = bars(Rules(), Findings([Facts(ended="promoted")]), silent, requests=1, connections=1)
    assert (bar.holds, bar.measured) == (None, "not run: k6 broke")


@pytest.mark.parametrize(("failed", "holds"), [(0, None), (3, True)])
def test_a_control_must_show_failures(good, failed, holds):
    (bar,) = bars(Rules(control=True), Findings(), replace(good, failed=failed), requests=1, connections=1)
    assert bar.holds is holds
    assert bar.what.startswith("control: ")


def test_a_killed_router_may_cut_off_what_it_held_and_nothing_later(good):
    facts = Facts(ended="promoted", killed_at=[AT])
    early, late = (Failure(AT + seconds, "read", "0", "failed", "x") for seconds in (1.0, 9.0))
    rules = Rules(in_flight=True, reloads=False)
    assert all(bar.holds for bar in judged(rules, facts, replace(good, failed=1, failures=(early,))).values())
    found = judged(rules, facts, replace(good, failed=2, failures=(early, late)))
    assert found["failed later than 5 s after the kill"].holds is False
    assert judged(rules, facts, replace(good, failed=21))["failed, against open connections"].holds is False
    assert judged(rules, [facts, facts], replace(good, failed=21))["failed, against open connections"].holds is True


def test_a_bad_version_may_fail_only_what_it_answered_in_its_share(good):
    rules = Rules(ends="rolled back", bad=True, reloads=False)
    moments = [moment(0, wanted=5, green=5), moment(10, wanted=0, since=10, green=0, confirmed=10)]
    facts = Facts(ended="rolled back", new="green", moments=moments)
    fine = replace(good, failed=25, colours={"blue": Answered(950, 0), "green": Answered(50, 25)})
    assert all(bar.holds for bar in judged(rules, facts, fine).values())
    stable_failed = replace(fine, colours={"blue": Answered(950, 1), "green": Answered(50, 24)})
    assert judged(rules, facts, stable_failed)["failed, not answered by the bad version"].holds is False
    too_many = replace(fine, colours={"blue": Answered(900, 0), "green": Answered(100, 25)})
    assert judged(rules, facts, too_many)["answered by the bad version, against weight x time"].holds is False
    assert all(bar.holds for bar in judged(rules, [facts, facts], too_many).values())


def test_exposure_is_weight_times_rate_until_every_router_is_back():
    moments = [
        moment(0),
        moment(10, wanted=5, since=10),
        moment(12, wanted=5, since=10, green=5.0, confirmed=12),
        moment(20, wanted=0, since=20, green=5.0, confirmed=12),
        moment(21, wanted=0, since=20, green=0.0, confirmed=21),
        moment(50, wanted=0, since=20, green=0.0, confirmed=21),
    ]
    assert exposure(moments, "green", 100.0) == pytest.approx(0.05 * 100 * 11)


def test_the_split_is_judged_only_where_the_weights_stood_still(good):
    moments = [
        moment(0, wanted=25, since=0),
        moment(5, wanted=25, since=0, green=25.0, confirmed=5),
        moment(25, wanted=25, since=0, green=25.0, confirmed=5),
        moment(26, wanted=50, since=26, green=25.0, confirmed=5),
    ]
    (stretch,) = stretches(moments, "green")
    assert (stretch.start - AT, stretch.end - AT, stretch.share) == (5, 25, 0.25)
    second = Second(int(AT), 100, 0, 0, 0, 0, 1.0, 1.0, 1.0, {}, {"blue": 75, "green": 25})
    even = tuple(replace(second, at=int(AT) + i) for i in range(27))
    facts = Facts(ended="promoted", new="green", moments=moments)
    rules, what = Rules(split=True), "split against the weights read back"
    assert judged(rules, facts, replace(good, timeline=even))[what].holds is True
    skewed = tuple(replace(one, colours={"blue": 60, "green": 40}) for one in even)
    assert judged(rules, facts, replace(good, timeline=skewed))[what].holds is False
    assert judged(rules, replace(facts, moments=[]), good)[what].holds is None


def test_rounds_in_which_the_colours_change_places_are_counted_together_by_their_share(good):
    def round_of(new, at):
        green = 25.0 if new == "green" else 75.0
        moments = [
            moment(at, wanted=25, since=at),
            moment(at + 5, wanted=25, since=at, green=green, confirmed=at + 5),
            moment(at + 25, wanted=25, since=at, green=green, confirmed=at + 5),
        ]
        return Facts(ended="promoted", new=new, moments=moments)

    second = Second(int(AT), 100, 0, 0, 0, 0, 1.0, 1.0, 1.0, {}, {"blue": 75, "green": 25})
    first = [replace(second, at=int(AT) + i) for i in range(27)]
    then = [replace(second, at=int(AT) + 30 + i, colours={"blue": 25, "green": 75}) for i in range(27)]
    rounds = [round_of("green", 0), round_of("blue", 30)]
    found = judged(Rules(split=True), rounds, replace(good, timeline=(*first, *then)))
    bar = found["split against the weights read back"]
    assert (bar.holds, bar.measured) == (True, "25.00 % at 25.00 %, n 3200")  # sixteen whole seconds of each


@given(st.integers(1, 100_000), st.floats(0.01, 0.99))
def test_the_bound_takes_the_expected_count_and_refuses_one_far_off(total, share):
    sigma = math.sqrt(total * share * (1 - share))
    assert within_bound(round(total * share), total, share)
    assert not within_bound(math.ceil(total * share + 4 * sigma + 2), total, share)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200))
def test_the_slowest_return_is_a_value_that_all_but_a_hundredth_do_not_exceed(values):
    found = percentile(sorted(values), 0.99)
    assert sum(value > found for value in values) <= len(values) / 100
