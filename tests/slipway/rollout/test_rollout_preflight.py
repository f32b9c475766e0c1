"""What `slipway preflight` may ask of a real API server, by its own role and by none."""

import asyncio
import json

import pytest
from click.testing import CliRunner

from slipway import cli
from slipway.preflight.facts import KINDS, Repository, gather
from slipway.rollout import resource
from slipway.rollout.api import ROLLOUTS, Api, path_of

IMAGE = "registry.test/app@sha256:" + "a" * 64
NOTHING = Repository((), (), ())


@pytest.fixture(scope="module")
def rollout(control_plane):
    spec = {"service": "payload", "template": "payload", "image": IMAGE}
    body = {"apiVersion": resource.API_VERSION, "kind": "Rollout", "metadata": {"name": "flight"}, "spec": spec}
    assert control_plane.request("POST", path_of(ROLLOUTS, "rules", "rollouts"), json=body).status_code == 201
    return "flight"


def facts(control_plane, user, service):
    async def ask():
        async with Api(control_plane.config(user)) as api:
            return await gather(api, "rules", service, NOTHING)

    return asyncio.run(ask())


def test_the_role_is_enough_for_all_but_the_alerts(control_plane, rollout):
    found = facts(control_plane, "pia", rollout)
    assert found.rollout.name == rollout
    assert set(found.objects) == set(KINDS)
    assert list(found.unknown) == ["alerts"]
    assert "403" in found.unknown["alerts"]


def test_the_role_reads_no_secret_and_changes_nothing(control_plane, rollout):
    path = path_of(ROLLOUTS, "rules", "rollouts", rollout)
    patch = {"Content-Type": "application/merge-patch+json"}
    asked = control_plane.request("GET", "/api/v1/namespaces/rules/secrets", user="pia")
    changed = control_plane.request("PATCH", path, user="pia", json={"spec": {"paused": True}}, headers=patch)
    assert (asked.status_code, changed.status_code) == (403, 403)


def test_without_rights_nothing_is_known_and_nothing_is_guessed(control_plane, rollout):
    found = facts(control_plane, "stranger", rollout)
    assert found.rollout is None
    assert found.objects == {}
    assert set(found.unknown) == {"rollout", "alerts", *KINDS}


def test_a_service_that_is_not_there_is_told(control_plane):
    assert facts(control_plane, "pia", "absent").unknown["rollout"] == "there is none"


def test_the_command_gates_and_writes_its_report(control_plane, rollout, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # The namespace of the tests is no environment; the name is what the command would be given.
    monkeypatch.setattr("slipway.preflight.facts.path_of", lambda base, _, *rest: path_of(base, "rules", *rest))
    command = ["preflight", "--environment", "dev", "--service", rollout, "--skip", "quiet"]
    done = CliRunner().invoke(cli.cli, [*command, "--kubeconfig", str(control_plane.kubeconfig("pia"))])
    assert done.exit_code == 1, done.output
    made = json.loads((tmp_path / "build" / "reports" / "preflight-dev.json").read_text())
    told = {bar["what"]: bar for bar in made["bars"]}
    assert told["encrypted"]["measured"] == "nothing is reachable from outside"
    assert told["quiet"]["measured"] == "not run: skipped by whoever asked"
    assert told["runbooks"]["holds"] is True
    assert "What to do" in (tmp_path / "build" / "reports" / "preflight-dev.html").read_text()
