"""What a proof asks of a living service."""

import json
from pathlib import Path

import pytest

from infra.naming import Environment
from slipway.cli.stage import LiveStage


class Kept:
    """Plain variables of a service, as merge patches by kubectl leave them."""

    def __init__(self):
        self.data = {"SLIPWAY_LOG_LEVEL": "info"}

    def __call__(self, verb, kind, name, *words):
        assert (verb, kind, name) == ("patch", "configmap", "payload-env")
        [patch] = [word.removeprefix("--patch=") for word in words if word.startswith("--patch=")]
        for key, value in json.loads(patch)["data"].items():
            if value is None:
                self.data.pop(key, None)
            else:
                self.data[key] = value
        return ""


@pytest.fixture
def kept():
    return Kept()


@pytest.fixture
def stage(kept):
    return LiveStage(kept, Path("kubeconfig"), Environment.DEV, ("one", "two"))


def test_a_version_that_misbehaves_is_new_each_time_as_a_refused_one_is_not_tried_again(stage, kept):
    seen = []
    for _ in range(2):
        stage.misconfigure({"error_rate": 0.5})
        seen.append(dict(kept.data))
    assert json.loads(seen[0]["SLIPWAY_FAULTS"]) == json.loads(seen[1]["SLIPWAY_FAULTS"]) == {"error_rate": 0.5}
    assert seen[0] != seen[1]


def test_the_good_version_is_as_it_was(stage, kept):
    before = dict(kept.data)
    stage.misconfigure({"error_rate": 0.5})
    stage.misconfigure(None)
    assert kept.data == before
