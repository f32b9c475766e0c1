"""A store beside a cluster: what `slipway store serve` prints is what `slipway up` and the platform take."""

import json
import shlex
import signal

import pytest
from click.testing import CliRunner

from infra.naming import Project
from infra.settings import PlatformSettings
from infra.settings.reading import parse
from slipway.cli import first_objects, store, up
from slipway.node.spec import ClusterSpec


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """Runs the command up to where it would serve."""
    served = []
    monkeypatch.setattr(store.Stock, "binary", lambda _self, name: tmp_path / name)
    monkeypatch.setattr(store.Store, "serve", lambda self, program, _stop, _tell: served.append((self, program)))
    monkeypatch.setattr(store, "load", lambda name: ClusterSpec(name, network="10.55.0.0/24"))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(*arguments, there=False):
        monkeypatch.setattr(store, "exists", lambda _name: there)
        done = CliRunner().invoke(store.command, ["serve", str(tmp_path / "folder"), "--cluster", "it", *arguments])
        return done, served

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def test_what_is_printed_brings_up_a_cluster_that_is_backed_up_there(serve, tmp_path):
    done, [(it, program)] = serve("--network", "10.128.0.0/24")
    assert done.exit_code == 0, done.output
    assert (it.endpoint, program) == ("https://10.128.0.2:7480", tmp_path / "versitygw")
    words = shlex.split(done.output)
    assert words[:2] == ["slipway", "up"]
    given = up.command.make_context("up", words[2:]).params
    assert (given["cluster"], given["network"]) == ("it", "10.128.0.0/24")
    settings = up.by_project(given["settings"])[Project.PLATFORM]
    external = parse(PlatformSettings, Project.PLATFORM, settings).backups_external
    objects = first_objects.read(given["objects"])
    secret = first_objects.named(objects, "Secret", "data", external.secret)
    assert set(secret["stringData"]) == {"access-key", "secret-key", external.authority_key}
    assert secret["stringData"]["secret-key"] == it.user[1]
    assert given["objects"].stat().st_mode & 0o77 == 0
    assert it.user[1] not in done.output


def test_the_network_is_that_of_the_cluster_if_there_is_one(serve):
    done, [(it, _)] = serve(there=True)
    assert it.endpoint == "https://10.55.0.2:7480"
    assert "--network" not in done.output
    refused, _ = serve("--network", "10.1.2.0/24", there=True)
    assert refused.exit_code == 2
    assert "cluster 'it' is there and has 10.55.0.0/24" in refused.output


def test_started_again_it_is_the_same_store(serve):
    _, [(first, _)] = serve()
    secret, authority = first.user, first.authority
    _, served = serve()
    assert (served[1][0].user, served[1][0].authority) == (secret, authority)
    assert json.loads((first.folder / "objects.json").read_text())["kind"] == "Secret"
