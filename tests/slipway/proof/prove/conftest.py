from dataclasses import replace

import pytest

from slipway.proof.faults import Switch
from slipway.proof.prove.stage import Setting
from slipway.rollout.loop import Unavailable
from slipway.rollout.observation import Rollout
from slipway.rollout.spec import Canary, RolloutSpec, Step, Strategy
from slipway.rollout.status import Colour, Intent, Observed, Phase, Reason, Revision, RolloutStatus
from slipway.rollout.story import Moment

A, B = (f"registry/app@sha256:{digit * 64}" for digit in "ab")
STEPS = (5, 50, 100)


class FakeStage:
    """A rollout as the fake clock goes: every version takes the same time for each phase.

    `refuses` says whether the version that was asked for goes back after its first step; `stuck` lets it stand still;
    `notes` makes the controller say that it has seen the wish before it acts.
    """

    def __init__(self, clock):
        self.images = (A, B)
        self.clock = clock
        self.refuses = self.stuck = self.pauses = self.notes = False
        self.away = 0
        self.orders = []
        self.plain = {"strategy": {"canary": {"steps": [5, 50]}}, "scaleDownDelay": "30s"}
        self.generation = 1
        self.image = A
        steps = tuple(Step(weight=weight) for weight in STEPS)
        self.spec_ = RolloutSpec(service="s", template="s", image=A, strategy=Strategy(canary=Canary(steps=steps)))
        stable = Revision(hash="one", image=A, number=1, colour=Colour.BLUE)
        self.status = RolloutStatus(phase=Phase.DONE, stable=stable, observed_generation=1)
        self.plan = []  # (time of day, changes of the status)
        self.moments = []
        self.reloaded = 0.0
        self.whole_from = 0.0
        self.killed = []
        clock.on_wait.append(self.go_on)

    @property
    def time(self):
        return self.clock.now().timestamp()

    def rollout(self):
        if self.away > 0:
            self.away -= 1
            raise Unavailable("away")
        spec = replace(self.spec_, image=self.image)
        return Rollout("app", "dev", "u", self.generation, str(len(self.moments)), spec, self.status)

    def record(self):
        self.moments = []
        self.note()
        return self.moments

    def note(self):
        self.moments.append(Moment(self.time, Rollout("app", "dev", "u", 1, "1", self.spec_, self.status)))

    def go_on(self):
        while self.plan and self.plan[0][0] <= self.time:
            at, change = self.plan.pop(0)
            self.status = replace(self.status, since=at, **change)
            self.note()

    def script(self, *lines):
        at = self.time
        for seconds, change in lines:
            at += seconds
            self.plan.append((at, change))

    def weights(self, percent, colour):
        other = 100 - percent
        blue, green = (percent, other) if colour is Colour.BLUE else (other, percent)
        intent = Intent(
            candidate_weight=percent,
            blue=blue,
            green=green,
            initial=100,
            since=self.clock.now().timestamp(),
            routers={},
        )
        return intent, blue, green

    def start(self, image):
        self.orders.append(("start", image))
        self.generation += 1
        self.image = image
        self.try_version(image)

    def try_version(self, image, hash_="two"):
        stable = self.status.stable
        number = stable.number + 1
        new = Revision(hash=f"{hash_}{self.generation}", image=image, number=number, colour=stable.colour.other)
        if self.notes:
            self.script((0.3, {"observed_generation": self.generation}))
        fresh = {"candidate": new, "standby": None, "step": 0, "reason": Reason.NONE}
        self.script(
            (0.5, {"phase": Phase.PREFLIGHT, "observed_generation": self.generation, **fresh}),
            (1, {"phase": Phase.PREVIEW}),
        )
        if self.stuck:
            return
        if self.pauses:
            self.script((4, {"phase": Phase.PAUSED, "reason": Reason.INCONCLUSIVE}))
            return
        self.steps(new, stable)

    def steps(self, new, stable):
        at = self.time + 4
        lines = []
        for number, weight in enumerate(STEPS):
            intent, blue, green = self.weights(weight, new.colour)
            lines += [
                (0.5, {"phase": Phase.SHIFTING, "step": number, "intent": replace(intent, since=at + 0.5)}),
                (0.3, {"phase": Phase.VERIFYING}),
                (0.3, {"phase": Phase.ANALYSING, "observed": Observed(blue=blue, green=green, routers=2, at=at + 1.1)}),
                (9, {"message": "measured"}),
            ]
            at += 10.1
            if self.refuses:
                self.script((4, {}), *lines)
                self.go_back(new, Reason.ANALYSIS_FAILED, after=0.1, since=at + 0.1)
                return
        lines += [
            (0.2, {"phase": Phase.PROMOTED, "stable": new, "candidate": None, "standby": stable}),
            (0.2, {"phase": Phase.DRAINING}),
            (10, {"phase": Phase.WARM_STANDBY}),
        ]
        self.script((4, {}), *lines)

    def go_back(self, refused, reason, after=0.1, since=None):
        since = self.time + after if since is None else since
        base = self.plan[-1][0] - self.time if self.plan else 0
        intent, blue, green = self.weights(0, refused.colour)
        self.script(
            (base + after, {"phase": Phase.ROLLING_BACK, "reason": reason}),
            (0.1, {"intent": replace(intent, since=since + 0.1), "observed": None}),
            (
                0.4,
                {"phase": Phase.ROLLED_BACK, "observed": Observed(blue=blue, green=green, routers=2, at=since + 0.5)},
            ),
            (5, {"candidate": None}),
        )

    def start_attached(self, image):
        self.start(image)
        return self

    def kill(self):
        self.killed.append("client")

    def abort(self):
        self.orders.append(("abort",))
        self.plan.clear()
        self.go_back(self.status.candidate, Reason.ABORTED)

    def rollback(self):
        self.orders.append(("rollback",))
        self.plan.clear()
        status = self.status
        self.status = replace(status, stable=status.standby, candidate=status.stable, standby=None)
        self.go_back(status.stable, Reason.ABORTED)

    def approve(self):
        self.orders.append(("approve",))
        self.pauses = False
        self.status = replace(self.status, phase=Phase.PREVIEW, reason=Reason.NONE)
        self.steps(self.status.candidate, self.status.stable)

    def spec(self):
        return dict(self.plain)

    def change(self, spec):
        self.orders.append(("change", dict(spec)))
        self.plain |= {name: value for name, value in spec.items() if value is not None}

    def misconfigure(self, faults):
        self.orders.append(("misconfigure", faults))
        if faults is not None:
            self.try_version(self.image, hash_="bad")

    def restart(self, colour):
        self.orders.append(("restart", colour))

    def reloads(self):
        return {"pod-1": self.reloaded, "pod-2": 0.0}


@pytest.fixture
def stage(clock):
    return FakeStage(clock)


@pytest.fixture
def setting(stage, clock):
    def switch(name):
        return Switch(name, lambda: stage.killed.append(name), lambda: stage.killed.append(f"{name} healed"))

    return Setting(
        stage=stage,
        clock=clock,
        victims={name: (lambda _old, _new, name=name: switch(name)) for name in ("controller", "app-old")},
        drain=lambda: switch("drain"),
        without_protection=lambda: switch("protection"),
        whole=lambda: stage.whole_from <= clock.steady(),
    )
