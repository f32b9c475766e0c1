"""Waiting for what a cluster does by itself, with a last word if it does not."""

import json
import time


def until(seconds, ask, holds=bool, *, every=1.0, what="what was waited for"):
    """Ask until the answer holds; returns it. After so many seconds the test fails with the last one."""
    deadline = time.monotonic() + seconds
    while not holds(found := ask()):
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s: {found}"
        time.sleep(every)
    return found


def until_whole(running, seconds):
    """Until every part is ready, so that one test's fault does not meet the next one's."""
    until(
        seconds,
        lambda: running.slipway("status", "--json"),
        lambda done: done.returncode == 0,
        every=2,
        what="a whole cluster",
    )


def rollout_state(running, *target):
    """What `slipway rollout status --json` says now."""
    done = running.slipway("rollout", "status", "--json", *target)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def until_rollout(running, holds, seconds=300, *, target=()):
    """Wait until the rollout is as wanted; returns its state."""
    return until(seconds, lambda: rollout_state(running, *target), holds, what="the state of the rollout")


def at_rest(running, *, target=()):
    """Wait until the last rollout has wholly ended: the next one begins from a quiet place."""
    resting = {"Done", "WarmStandby", "RolledBack"}
    return until_rollout(running, lambda it: it["phase"] in resting and it["candidate"] is None, target=target)
