"""Every drill that the tool knows, by the command that users run, on one cluster."""

import pytest
from e2e_waiting import until_whole

from slipway.proof.drills import catalogue

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

WHOLE_SECONDS = 300


@pytest.mark.parametrize("name", [it.name for it in catalogue().listed()])
def test_a_drill_holds_its_bars_and_its_controls_fail_as_they_must(running, rate, name):
    until_whole(running, WHOLE_SECONDS)
    done = running.slipway("drill", "run", name, "--rate", str(rate))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
