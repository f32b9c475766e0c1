"""What the ingress costs, on a cluster; short, so that figures are those of a check and not of the proof."""

import pytest
from e2e_waiting import rollout_state

from infra.naming import Environment
from slipway import reports
from slipway.proof import ingress_bench

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

DEV = f"--namespace={Environment.DEV.value}"
OURS = "--selector=app.kubernetes.io/name=bench-ingress"


@pytest.fixture(scope="module")
def measured(running):
    before = rollout_state(running)
    done = running.slipway("bench-ingress", "--rounds=2", "--seconds=8")
    return before, done, reports.load(reports.FOLDER / "bench-ingress.json")


def test_the_pod_is_the_bottleneck_and_a_dead_endpoint_shows(measured):
    _, done, report = measured
    bars = {bar.what: bar for bar in report.bars}
    assert bars[ingress_bench.BOTTLENECK].holds, done.stderr[-3000:]
    assert report.bars[-1].what.endswith(ingress_bench.CONTROL)
    assert report.bars[-1].holds
    assert done.returncode == report.verdict.exit_code


def test_the_ingress_keeps_its_share_and_fails_nothing(measured):
    _, _, report = measured
    bars = {bar.what: bar for bar in report.bars}
    assert bars[ingress_bench.SHARE].holds, bars
    assert bars[ingress_bench.FAILED].holds, bars
    assert isinstance(bars[ingress_bench.ADDED].measured, float), (
        "two rounds of seconds tell no 2 ms; a figure is there"
    )


def test_nothing_is_left_and_what_serves_was_not_touched(measured, running):
    before, _, _ = measured
    left = running.kubectl("get", "deployment,service,ingress,secret,pod", DEV, OURS, "--output=name")
    assert not [name for name in left.split() if not name.startswith("pod/")]
    assert rollout_state(running) == before
