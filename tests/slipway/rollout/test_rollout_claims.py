"""Two Rollouts on one Service: the older one keeps it, the other one says so and touches nothing."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.rollout.claims import holder
from slipway.rollout.decide import decide
from slipway.rollout.observation import Act, ColourView, Observation, Rollout, Wait, Wanted, Write
from slipway.rollout.spec import RolloutSpec
from slipway.rollout.status import Colour, Phase, Reason, Revision, RolloutStatus

IMAGE = "registry.test/app@sha256:" + "a" * 64
SPEC = RolloutSpec(service="payload", template="payload", image=IMAGE)
SEEN = Observation(1, Wanted("abc", IMAGE), {colour: ColourView() for colour in Colour}, None, {})


def manifest(name, service="payload", made="2026-11-28T10:00:00Z", uid=None, *, going=False):
    metadata = {"name": name, "creationTimestamp": made, "uid": uid or name}
    return {"metadata": metadata | ({"deletionTimestamp": made} if going else {}), "spec": {"service": service}}


@pytest.mark.parametrize(
    ("others", "found"),
    [
        ([], ""),
        ([manifest("older", made="2026-11-28T09:00:00Z")], "older"),
        ([manifest("younger", made="2026-11-28T11:00:00Z")], ""),
        ([manifest("elsewhere", "notes", made="2026-11-28T09:00:00Z")], ""),
        ([manifest("leaving", made="2026-11-28T09:00:00Z", going=True)], ""),
    ],
)
def test_the_older_one_on_the_same_service_has_it(others, found):
    assert holder([*others, manifest("one")], "one") == found
    assert holder(others, "one") == "", "one that is gone asks for nothing"


@given(st.permutations([manifest("a"), manifest("b"), manifest("c", made="2026-11-28T10:00:01Z")]))
def test_all_agree_who_has_it_whatever_the_order(rollouts):
    assert {holder(rollouts, name) for name in "abc"} == {"", "a"}


def rollout(**status):
    return Rollout("second", "dev", "u", 1, "1", SPEC, RolloutStatus(**status))


def test_the_other_one_waits_and_says_why_once():
    seen = replace(SEEN, holder="first")
    said = decide(rollout(), seen, 100.0)
    assert isinstance(said, Write)
    assert "the Service payload is rolled out by first" in said.event
    assert (said.status.phase, said.status.reason, said.status.candidate) == (Phase.PENDING, Reason.SERVICE_TAKEN, None)
    assert decide(replace(rollout(), status=said.status), seen, 101.0) == Wait(None)


def test_it_begins_when_the_service_is_free():
    told = decide(rollout(), replace(SEEN, holder="first"), 100.0)
    assert isinstance(told, Write)
    free = decide(replace(rollout(), status=told.status), SEEN, 200.0)
    assert isinstance(free, Write)
    assert (free.status.reason, free.status.conditions) == (Reason.NONE, ())
    begun = decide(replace(rollout(), status=free.status), SEEN, 201.0)
    assert isinstance(begun, Write)
    assert begun.status.candidate is not None


def test_one_that_comes_to_a_taken_service_touches_nothing_of_it():
    stable = Revision(hash="old", image=IMAGE, number=1, colour=Colour.BLUE)
    status = RolloutStatus(phase=Phase.DONE, stable=stable, observed_generation=1)
    alone = decide(replace(rollout(), status=status), replace(SEEN, wanted=None), 100.0)
    assert isinstance(alone, Act), "it would make its pods"
    seen = replace(SEEN, wanted=None, holder="first")
    said = decide(replace(rollout(), status=status), seen, 100.0)
    assert isinstance(said, Write)
    assert (said.status.phase, said.status.stable) == (Phase.DONE, stable)
    assert decide(replace(rollout(), status=said.status), seen, 101.0) == Wait(None)
