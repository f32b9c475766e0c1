"""Ways of a rollout that the random schedules do not take, on the simulated cluster: checks, gates, dry runs."""

from dataclasses import replace

import pytest
from rollout_faults import Schedule
from rollout_world import SPEC, Nature, image

from slipway.rollout.spec import (
    Analysis,
    BlueGreen,
    Canary,
    JobCheck,
    Order,
    QueueScaling,
    Step,
    Strategy,
    Workers,
)
from slipway.rollout.status import Phase, Reason

QUEUED = Workers(
    template="payload-worker", autoscaling=QueueScaling(query="messages", messages_per_worker=100, max_replicas=4)
)
CHECK = JobCheck(image=image(9))


class Quiet(Schedule):
    """A schedule in which nothing goes wrong, with one version that serves; every status that was written is kept."""

    def __init__(self, **spec):
        super().__init__(1)
        self.rate, self.restless = 0.0, False
        self.written = []
        self.world.watchers.append(self)
        self.until_settled(60)
        self.written.clear()
        self.world.respec(**spec)

    def after_time(self, world): ...
    def on_weights(self, world, action): ...
    def on_colour(self, world, action): ...

    def on_write(self, _world, _before, after):
        self.written.append(after)

    def want(self, nature=None):
        self.world.respec(image=image(2))
        self.world.natures[self.world.wanted().hash] = nature or Nature()

    def until(self, done, seconds=120.0):
        end = self.world.time + seconds
        while not done(self.world.status):
            assert self.world.time < end, self.world.log[-10:]
            self.one_step()
        return self.world.status

    @property
    def weighed(self):
        return [found for found in self.written if found.intent is not None and found.intent.candidate_weight > 0]


@pytest.mark.parametrize(
    ("code", "phase", "reason"),
    [
        (0, Phase.DONE, Reason.NONE),
        (99, Phase.ROLLED_BACK, Reason.PREVIEW_FAILED),
        (108, Phase.ROLLED_BACK, Reason.PAUSE_TIMEOUT),
    ],
    ids=["holds", "does not hold", "nobody answered"],
)
def test_the_preview_is_asked_before_the_first_request_moves(code, phase, reason):
    run = Quiet(preview=CHECK)
    run.want(Nature(preview=code))
    run.until_settled(200)
    assert (run.world.status.phase, run.world.status.reason) == (phase, reason)
    assert bool(run.weighed) is (code == 0)
    paused = [found for found in run.written if found.phase is Phase.PAUSED]
    assert [found.reason for found in paused][:1] == ([Reason.INCONCLUSIVE] if code == 108 else [])


def test_a_dry_run_ends_before_the_first_request_moves():
    run = Quiet(preview=CHECK, dry_run=True)
    run.want()
    run.until_settled(200)
    assert (run.world.status.phase, run.world.status.reason) == (Phase.ROLLED_BACK, Reason.DRY_RUN)
    assert Phase.PREVIEW in {found.phase for found in run.written}
    assert not run.weighed
    assert run.world.switch is run.world.status.stable.colour


def test_a_step_waits_for_a_person_whose_name_is_kept():
    run = Quiet(strategy=Strategy(canary=Canary(steps=(Step(weight=10, approval=True),))))
    run.want()
    waits = run.until(lambda status: status.phase is Phase.APPROVAL)
    assert (waits.gate, waits.intent.candidate_weight) == ("step-0", 10)
    run.world.respec(approve=Order(revision=waits.candidate.hash, by="ada", gate=waits.gate))
    run.until_settled(200)
    assert run.world.status.phase is Phase.DONE
    assert [(found.gate, found.by) for found in run.world.status.approvals] == [("step-0", "ada")]


def test_a_version_that_turns_bad_while_it_waits_for_a_person_goes_back():
    run = Quiet(strategy=Strategy(canary=Canary(steps=(Step(weight=10, approval=True),))), pause_timeout=600)
    run.want()
    waits = run.until(lambda status: status.phase is Phase.APPROVAL)
    run.world.natures[waits.candidate.hash] = Nature(samples=0.0)
    end = run.world.time + 30
    run.until(lambda _: run.world.time > end)
    assert run.world.status.phase is Phase.APPROVAL, "nothing is known, so nothing is held against it"
    run.world.natures[waits.candidate.hash] = Nature(errors=0.2)
    run.until_settled(60)
    assert (run.world.status.phase, run.world.status.reason) == (Phase.ROLLED_BACK, Reason.ANALYSIS_FAILED)


def test_blue_green_gives_back_messages_with_the_requests():
    run = Quiet(strategy=Strategy(blue_green=BlueGreen(approval=False)), rollback_window=60)
    before = run.world.switch
    run.want()
    warm = run.until(lambda status: status.phase is Phase.WARM_STANDBY)
    assert run.world.switch is before.other
    run.world.respec(abort=Order(revision=warm.stable.hash, by="erin"))
    run.until_settled(200)
    status = run.world.status
    assert (status.phase, status.reason, status.by) == (Phase.ROLLED_BACK, Reason.ABORTED, "erin")
    assert run.world.switch is status.stable.colour is before


FEW = Analysis(
    metrics=tuple(
        replace(metric, interval=5, count=3, min_samples=20, inconclusive_limit=12) for metric in SPEC.analysis.metrics
    )
)


def test_a_small_share_of_few_requests_becomes_enough_in_time():
    run = Quiet(analysis=FEW, progress_deadline=300)
    run.want(Nature(per_second=0.5))
    run.until_settled(600)
    assert run.world.status.phase is Phase.DONE
    assert not [found for found in run.written if found.phase is Phase.PAUSED]


def test_fewer_than_that_wait_for_a_person_and_pass_once_enough_have_come():
    run = Quiet(analysis=FEW, progress_deadline=300, pause_timeout=300)
    run.want(Nature(per_second=0.2))
    paused = run.until(lambda status: status.phase is Phase.PAUSED, 200)
    assert paused.reason is Reason.INCONCLUSIVE
    order = Order(revision=paused.candidate.hash, by="erin", gate=paused.gate)
    run.world.time += 60  # more than a hundred seconds at its weight: twenty requests and more
    run.world.respec(approve=order)
    run.until(lambda status: status.step == 1, 60)
    assert run.world.status.phase is not Phase.PAUSED


def test_a_version_whose_pods_do_not_come_up_in_time_goes_back():
    run = Quiet()
    run.want(Nature(starts_in=500.0))
    run.until_settled(200)
    assert (run.world.status.phase, run.world.status.reason) == (Phase.ROLLED_BACK, Reason.DEADLINE)


def test_another_count_of_workers_is_no_new_version():
    run = Quiet(workers=Workers(template="payload-worker", replicas=3))
    stable = run.world.status.stable
    run.until(lambda _: len(run.world.workers[stable.colour].made) == 3)
    assert run.world.status.stable == stable


def test_workers_come_while_messages_wait_and_go_afterwards():
    run = Quiet(workers=QUEUED)
    pods = run.world.workers[run.world.status.stable.colour]
    run.world.waiting = 260
    run.until(lambda _: len(pods.made) == 3)
    run.world.waiting = 0
    run.world.metrics_down_until = run.world.time + 30
    run.until(lambda _: run.world.time >= run.world.metrics_down_until - 1)
    assert len(pods.made) == 3, "nobody knows that nothing waits any more"
    run.until(lambda _: len(pods.made) == 1)


def test_a_version_takes_over_with_as_many_workers_as_messages_ask_for_and_the_old_one_keeps_its_own():
    run = Quiet(workers=QUEUED, rollback_window=60)
    old = run.world.status.stable.colour
    run.world.waiting = 260
    run.want()
    run.until(lambda status: status.phase is Phase.WARM_STANDBY)
    run.world.waiting = 0
    run.until(lambda _: len(run.world.workers[old.other].made) == 1)
    assert run.world.status.phase is Phase.WARM_STANDBY
    assert len(run.world.workers[old].made) == 3, "the way back is as wide as it was"
    run.until(lambda _: not run.world.workers[old].made)


def test_no_version_waits_for_workers_that_find_no_room():
    run = Quiet(workers=QUEUED)
    run.world.waiting, run.world.room = 260, 2
    run.want()
    run.until_settled(300)
    assert run.world.status.phase is Phase.DONE
    assert run.world.status.stable.image == image(2)


def test_a_version_without_workers_ends_those_before_it():
    run = Quiet(rollback_window=20, workers=None)
    old = run.world.switch
    run.want()
    run.until(lambda status: status.phase is Phase.ANALYSING)
    assert run.world.consumes(old), "the version that serves keeps its workers"
    run.until_settled(200)
    assert run.world.status.stable.colour is run.world.switch is old.other
    run.until(lambda _: not run.world.workers[old].made)
    assert not any(run.world.consumes(colour) for colour in (old, old.other))


def test_the_old_version_goes_on_consuming_while_the_new_ones_workers_are_away():
    run = Quiet(rollback_window=300)
    old = run.world.switch
    run.want()
    run.until(lambda status: status.step == 2 and status.phase is Phase.ANALYSING)
    run.world.crash_workers(old.other, 22.0)
    run.until(lambda status: status.phase is Phase.WARM_STANDBY)
    assert run.world.switch is old
    assert run.world.consumes(old)
    run.until(lambda _: run.world.switch is old.other)
    assert run.world.workers_ready(old.other) == 1
