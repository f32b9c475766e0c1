"""kubectl for a cluster by its name: its credentials are private, and there only for as long as they are used."""

import stat
import threading
from pathlib import Path

import click
import pytest

from infra.naming import Project
from slipway.cli import check_service, kube
from slipway.node.errors import NodeError
from slipway.node.shell import run


class StandIn:
    """The toolchain and the engine, with one cluster of any target."""

    def __init__(self, _progress):
        self.engine = self.toolchain = self

    def outputs(self, project, stack):
        assert project is Project.CLUSTER
        return {"kubeconfig": "credentials"} if stack == "there" else {}

    def ensure(self, names):
        return {name: Path("/bin/cat") for name in names}


@pytest.fixture(autouse=True)
def _tools(monkeypatch):
    monkeypatch.setattr(kube, "Tools", StandIn)


def test_credentials_are_private_and_go_with_their_use():
    with kube.reached("there") as kubectl:
        assert kubectl.kubeconfig.read_text() == "credentials"
        assert stat.S_IMODE(kubectl.kubeconfig.stat().st_mode) == 0o600
    assert not kubectl.kubeconfig.exists()


def test_credentials_go_also_if_their_user_fails():
    with pytest.raises(NodeError, match="no way"), kube.reached("there") as kubectl:
        raise NodeError("no way")
    assert not kubectl.kubeconfig.exists()


def test_nothing_is_told_of_progress_while_the_command_speaks():
    before = threading.active_count()
    with kube.reached("there"):
        assert threading.active_count() == before


def test_a_cluster_that_is_not_there_is_told_with_what_makes_it():
    with pytest.raises(click.ClickException, match="`slipway up --cluster other` makes it"), kube.reached("other"):
        pass


@pytest.mark.parametrize("code", [1, 3, 17])
def test_what_a_migration_ended_with_is_read_from_kubectls_failure(code):
    said = f"echo 'Defaulted container\ncommand terminated with exit code {code}' >&2; exit {code}"
    with pytest.raises(NodeError) as failure:
        run("/bin/sh", "-c", said)
    assert check_service.exit_code(str(failure.value)) == code


def test_a_failure_without_an_end_of_a_program_is_no_exit_code():
    assert check_service.exit_code("there is no pod check-1") == -1
