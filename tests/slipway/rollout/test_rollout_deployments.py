"""Which ends count as which deployment, with which times."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.rollout import deployments
from slipway.rollout.deployments import Deployment, Result, ended
from slipway.rollout.observation import Rollout
from slipway.rollout.spec import Commit, RolloutSpec
from slipway.rollout.status import Colour, Phase, Reason, Revision, RolloutStatus
from slipway.rollout.telemetry import Telemetry

IMAGE, OTHER = (f"registry.test/app@sha256:{letter * 64}" for letter in "ab")
VERSION = Revision(hash="abc", image=IMAGE, number=2, colour=Colour.GREEN)
OLD = Revision(hash="old", image=OTHER, number=1, colour=Colour.BLUE)
BUILT = Commit(id="c" * 40, time=1000.0)


def rollout(phase, *, image=IMAGE, commit=BUILT, **status):
    spec = RolloutSpec(service="app", template="app", image=image, commit=commit)
    told = RolloutStatus(phase=phase, **{"candidate": VERSION, "stable": OLD, **status})
    return Rollout(name="app", namespace="dev", uid="1", generation=1, version="1", spec=spec, status=told)


def promoted(before, now=4600.0):
    status = replace(before.status, phase=Phase.PROMOTED, stable=VERSION, candidate=None, since=now)
    return status if before.status.promoted is not None else replace(status, promoted=now)


def taken_back(before, reason=Reason.ANALYSIS_FAILED, now=5000.0):
    return replace(before.status, phase=Phase.ROLLED_BACK, reason=reason, since=now)


def test_a_promotion_takes_as_long_as_since_its_commit():
    before = rollout(Phase.ANALYSING, exposed=4000.0)
    assert ended(before, promoted(before)) == Deployment(
        result=Result.PROMOTED, revision=VERSION, commit="c" * 40, lead=3600.0
    )


@pytest.mark.parametrize("told", [{"commit": None}, {"image": OTHER}], ids=["nobody said", "said of another image"])
def test_a_promotion_whose_commit_is_not_known_counts_without_a_time(told):
    before = rollout(Phase.ANALYSING, **told)
    assert ended(before, promoted(before)) == Deployment(result=Result.PROMOTED, revision=VERSION)


def test_a_pause_after_the_promotion_promotes_nothing_again():
    before = rollout(Phase.PAUSED, promoted=4000.0, candidate=None, stable=VERSION)
    assert ended(before, promoted(before)) is None


@pytest.mark.parametrize(
    ("status", "reason", "result", "restore"),
    [
        ({}, Reason.PREFLIGHT_FAILED, Result.UNSEEN, None),
        ({"exposed": 4990.0}, Reason.ANALYSIS_FAILED, Result.FAILED, 10.0),
        ({"exposed": 4990.0}, Reason.SUPERSEDED, Result.SUPERSEDED, None),
        ({"exposed": 4400.0, "promoted": 4700.0}, Reason.ABORTED, Result.REVERTED, 600.0),
    ],
)
def test_what_is_taken_back_counts_by_who_has_met_it(status, reason, result, restore):
    before = rollout(Phase.ROLLING_BACK, **status)
    found = ended(before, taken_back(before, reason))
    assert (found.result, found.restore, found.lead) == (result, restore, None)
    assert found.revision == VERSION


@given(st.sampled_from(Phase), st.sampled_from(Phase), st.floats(0, 1e9), st.none() | st.floats(0, 1e9))
def test_only_an_end_counts_and_no_time_is_below_0(first, then, now, exposed):
    before = rollout(first, exposed=exposed, commit=replace(BUILT, time=now + 5))
    after = promoted(before, now) if then is Phase.PROMOTED else replace(before.status, phase=then, since=now)
    found = ended(before, after)
    assert (found is not None) == (first is not then and then in {Phase.PROMOTED, Phase.ROLLED_BACK})
    if found is not None:
        assert all(it is None or it >= 0 for it in (found.lead, found.restore))


def sample(telemetry, name, **labels):
    return telemetry.registry.get_sample_value(name, {"namespace": "dev", "rollout": "app", **labels})


def test_counts_begin_at_0_so_that_the_first_one_is_an_increase():
    telemetry = Telemetry()
    telemetry.tell(rollout(Phase.ANALYSING))
    for result in Result:
        assert sample(telemetry, "slipway_deployments_total", result=result.value) == 0
    assert sample(telemetry, "slipway_deployment_lead_seconds_count") == 0
    assert sample(telemetry, "slipway_deployment_restore_seconds_bucket", le="+Inf") == 0
    telemetry.deployed("dev", "app", Deployment(result=Result.FAILED, revision=VERSION, restore=7.0))
    assert sample(telemetry, "slipway_deployments_total", result="failed") == 1
    assert sample(telemetry, "slipway_deployment_restore_seconds_sum") == 7
    assert sample(telemetry, "slipway_deployment_lead_seconds_count") == 0


def test_the_line_of_the_log_says_what_it_was_about():
    told = deployments.fields("dev", "app", Deployment(result=Result.PROMOTED, revision=VERSION, commit="c", lead=1.0))
    assert (told["image"], told["commit"], told["event.outcome"]) == (IMAGE, "c", "success")
