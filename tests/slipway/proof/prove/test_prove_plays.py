import pytest

from slipway.proof.clock import TookTooLongError
from slipway.proof.prove import plays
from slipway.proof.prove.facts import Facts
from slipway.proof.timeline import Timeline


@pytest.fixture
def played(setting, stage, clock):
    def go(play):
        facts = Facts()
        facts.moments = stage.record()
        play(setting, Timeline(clock), facts)
        return facts

    return go


def test_a_canary_goes_to_the_other_image_and_back_the_next_time(played, stage):
    first, second = stage.images
    assert played(plays.canary).ended == "promoted"
    assert played(plays.canary).ended == "promoted"
    assert [order for order in stage.orders if order[0] == "start"] == [("start", second), ("start", first)]


def test_the_end_of_the_last_version_is_not_taken_for_that_of_the_next(played, stage):
    played(plays.aborts(1))
    stage.notes = True
    assert played(plays.canary).ended == "promoted"


def test_a_rollback_is_timed_from_the_wish_to_the_confirmation_of_every_router(played):
    facts = played(plays.rollback)
    assert (facts.ended, len(facts.reverted)) == ("rolled back", 1)
    assert facts.reverted[0] == pytest.approx(0.6, abs=0.05)
    assert (facts.old, facts.new) == ("green", "blue")


def test_aborts_walk_the_steps_and_leave_the_delay_as_it_was(played, stage):
    facts = played(plays.aborts(4))
    assert (facts.ended, len(facts.reverted)) == ("rolled back", 4)
    assert stage.plain["scaleDownDelay"] == "30s"
    assert all(0.5 < seconds < 0.8 for seconds in facts.reverted)


def test_quick_aborts_give_each_weight_at_once_and_leave_the_spec_as_it_was(played, stage):
    stage.plain |= {"analysis": {"metrics": ["errors"]}, "migrations": {"command": ["migrate"]}}
    before = stage.spec()
    facts = played(plays.quick_aborts(4))
    assert (facts.ended, len(facts.reverted)) == ("rolled back", 4)
    changes = [order[1] for order in stage.orders if order[0] == "change"]
    left_out = dict.fromkeys(("analysis", "preview", "migrations"))
    assert changes[0] == {**left_out, "scaleDownDelay": "1s"}
    first = [change["strategy"]["canary"]["steps"] for change in changes[1:-1]]
    assert [(len(steps), steps[0]["weight"]) for steps in first] == [(1, 5), (1, 50), (1, 100), (1, 5)]
    assert changes[-1] == {**before, "preview": None, "strategy": {"blueGreen": None, **before["strategy"]}}


def test_blue_green_gives_the_strategy_back(played, stage):
    before = stage.spec()["strategy"]
    assert played(plays.blue_green).ended == "rolled back"
    changes = [order[1] for order in stage.orders if order[0] == "change"]
    assert changes[0] == {"strategy": {"canary": None, "blueGreen": {"approval": False}}}
    assert changes[-1] == {"strategy": {"blueGreen": None, **before}}


def test_a_bad_version_goes_back_and_everything_is_as_before(played, stage):
    stage.refuses = True
    facts = played(plays.bad({"error_rate": 0.5}, change={"progressDeadline": "60s"}))
    assert (facts.ended, facts.reason) == ("rolled back", "AnalysisFailed")
    assert stage.orders[-2:] == [("misconfigure", None), ("change", {"progressDeadline": None})]
    assert facts.reverted == [pytest.approx(0.5, abs=0.05)]


def test_a_bad_version_that_is_promoted_is_told(played):
    assert played(plays.bad({"error_rate": 0.5})).ended == "promoted"


def test_a_change_may_depend_on_what_stands_there(played, stage):
    stage.plain["analysis"] = {"metrics": [{"name": "errors", "interval": "5s", "maximum": 0.1}]}
    stage.refuses = True
    played(plays.bad({}, change={"analysis": lambda found: {"metrics": [*found["metrics"], 2]}}))
    changes = [order[1] for order in stage.orders if order[0] == "change"]
    assert changes[0]["analysis"]["metrics"][1] == 2
    assert changes[-1]["analysis"]["metrics"] == [{"name": "errors", "interval": "5s", "maximum": 0.1}]


@pytest.mark.parametrize("moment", plays.MOMENTS)
def test_a_kill_comes_at_its_moment_and_is_healed(played, stage, moment):
    facts = played(plays.killed("controller", moment))
    assert stage.killed == ["controller", "controller healed"]
    assert facts.ended == ("rolled back" if moment == "rollback" else "promoted")
    assert len(facts.killed_at) == 1


def test_what_a_cluster_cannot_kill_is_not_run(played, stage):
    facts = played(plays.killed("apiserver", "analysis"))
    assert "no way to kill apiserver" in facts.not_run
    assert stage.orders == []


@pytest.mark.parametrize("moment", ["analysis", "rollback"])
def test_the_rollout_goes_on_without_its_client(played, stage, moment):
    facts = played(plays.client_killed(moment))
    assert stage.killed == ["client"]
    assert facts.ended == ("rolled back" if moment == "rollback" else "promoted")


def test_a_pause_is_ended_by_hand_and_counted(played, stage):
    stage.pauses = True
    facts = played(plays.canary)
    assert (facts.ended, facts.approvals) == ("promoted", 1)


def test_a_rollout_that_stands_still_fails_with_where_it_stands(played, stage):
    stage.stuck = True
    with pytest.raises(TookTooLongError, match="Preview"):
        played(plays.canary)


def test_an_api_server_that_is_away_is_waited_for(played, stage):
    stage.away = 20
    assert played(plays.canary).ended == "promoted"


def test_restart_drain_and_control_leave_the_version_that_served(played, stage):
    assert played(plays.restart).ended == "unchanged"
    assert played(plays.unprotected).ended == "unchanged"
    assert stage.killed == ["protection", "app-old", "app-old healed", "app-old", "app-old healed", "protection healed"]
    assert played(plays.drain).ended == "promoted"
    assert stage.killed[-2:] == ["drain", "drain healed"]
