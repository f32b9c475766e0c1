"""The part of a rollout's report that compares the two versions, or says why it cannot."""

import asyncio
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest

from slipway.cli import versions
from slipway.rollout.api import Refused
from slipway.rollout.observation import Rollout
from slipway.rollout.spec import RolloutSpec
from slipway.rollout.status import RolloutStatus
from slipway.rollout.story import Recording

SPEC = RolloutSpec(service="notes", template="notes", image=f"a/b@sha256:{'a' * 64}")


class FakeApi:
    """Answers as Prometheus does behind the API server."""

    def __init__(self, result=(), error=None):
        self.result, self.error, self.paths = list(result), error, []

    async def get(self, path):
        self.paths.append(path)
        if self.error is not None:
            raise self.error
        return None if self.result == ["away"] else {"status": "success", "data": {"result": self.result}}


@pytest.fixture
def section():
    recording = Recording()
    for at in (1000.0, 1060.0):
        recording.note(Rollout("notes", "staging", "u", 1, "1", SPEC, RolloutStatus()), at)

    def drawn(api):
        return asyncio.run(versions.section(api, SimpleNamespace(namespace="staging"), recording))

    return drawn


def test_both_versions_are_drawn_in_the_time_of_the_rollout(section):
    series = [{"metric": {"colour": colour}, "values": [[1000, "1"], [1030, "2"]]} for colour in ("blue", "green")]
    api = FakeApi(series)
    found = section(api)
    assert "<svg" in found.body
    assert "blue" in found.body
    assert "green" in found.body
    asked = [parse_qs(path.partition("?")[2]) for path in api.paths]
    assert len(asked) == 4
    assert {(it["start"][0], it["end"][0]) for it in asked} == {("1000", "1060")}
    assert all('namespace="staging", service="notes"' in it["query"][0] for it in asked)
    assert all(
        path.startswith("/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1/") for path in api.paths
    )


@pytest.mark.parametrize(
    ("api", "why"),
    [
        (FakeApi(error=Refused("services/proxy is forbidden")), "services/proxy is forbidden"),
        (FakeApi(["away"]), "there is no Service prometheus in monitoring"),
        (FakeApi(), "nothing was measured in that time"),
    ],
)
def test_without_figures_the_report_says_why(section, api, why):
    found = section(api)
    assert found.body == ""
    assert why in found.note
