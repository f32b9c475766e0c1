"""Certificates by name: out of Pulumi's state, and made anew by it."""

import json
from datetime import UTC, datetime, timedelta

import click
import pytest
from click.testing import CliRunner

from infra import tls
from infra.naming import Project
from slipway.cli import certificates
from slipway.cli.certificates import TYPE, chosen, issued, renew
from slipway.node import ClusterSpec, NodeError, pki
from slipway.node.config import AUTHORITIES, leaves

NOW = datetime(2030, 1, 1, tzinfo=UTC)
AUTHORITY = tls.authority("Slipway test", days=3650, now=NOW)
STATE = "urn:pulumi:test::slipway-platform::slipway:infra:Platform$"


def resource(name, *, days=30, type_=TYPE, **more):
    made = tls.server([f"{name}.test"], AUTHORITY, days=days, now=NOW)
    outputs = {"dns_names": [f"{name}.test"], "certificate": made.certificate, "private_key": {"ciphertext": "x"}}
    return {"urn": f"{STATE}{type_}::{name}", "type": type_, "outputs": outputs, **more}


RESOURCES = (
    resource("jaeger"),
    {"urn": f"{STATE}kubernetes:core/v1:Secret::ingress", "type": "kubernetes:core/v1:Secret", "outputs": {}},
    resource("ingress"),
    resource("ingress", delete=True),  # the one before, which waits for its end
)


class Engine:
    def __init__(self, resources=RESOURCES):
        self.state, self.ups = resources, []

    def resources(self, project, stack):
        assert (project, stack) == (Project.PLATFORM, "main")
        return self.state

    def up(self, *arguments, anew):
        self.ups.append((*arguments[:3], list(anew)))


class Tools:
    def __init__(self, engine):
        self.engine, self.prepared = engine, 0

    def kubernetes_plugin(self):
        self.prepared += 1


class Progress:
    def step(self, text):
        self.text = text

    def engine_event(self, _event):
        """Nothing is told."""


def test_certificates_are_found_in_the_state_once_each():
    found = issued(RESOURCES, NOW + timedelta(days=21))
    assert [(it.name, it.hosts, it.due) for it in found] == [
        ("ingress", ("ingress.test",), True),
        ("jaeger", ("jaeger.test",), True),
    ]
    assert found[0].end == NOW + timedelta(days=30)
    assert not issued(RESOURCES, NOW)[0].due


def test_the_list_says_nothing_of_keys():
    said = json.dumps([certificates._described(it) for it in issued(RESOURCES, NOW)])
    assert json.loads(said)[0] == {
        "name": "ingress",
        "hosts": ["ingress.test"],
        "until": "2030-01-31T00:00:00+00:00",
        "due": False,
    }
    assert "ciphertext" not in said


@pytest.mark.parametrize(("names", "wanted"), [((), ["ingress", "jaeger"]), (("jaeger",), ["jaeger"])])
def test_those_that_are_named_are_made_anew_and_nothing_else(names, wanted):
    tools = Tools(Engine())
    assert renew(tools, "main", names, Progress()) == wanted
    urns = [f"{STATE}{TYPE}::{name}" for name in wanted]
    assert tools.engine.ups == [(Project.PLATFORM, "main", {}, urns)]
    assert tools.prepared == 1


def test_an_unknown_name_is_told_with_those_that_there_are():
    with pytest.raises(click.ClickException, match="no certificate web; there are: ingress, jaeger"):
        chosen(issued(RESOURCES, NOW), ["web"])


def test_without_a_platform_nothing_is_brought_up():
    tools = Tools(Engine(()))
    with pytest.raises(click.ClickException, match="no platform with certificates"):
        renew(tools, "main", (), Progress())
    assert not tools.engine.ups


def test_an_embedded_clusters_own_are_read_from_its_folder(monkeypatch, tmp_path):
    """The real files of one, whose control plane was made 380 days before its node joined."""
    monkeypatch.setattr("slipway.node.cluster.STATE_ROOT", tmp_path)
    monkeypatch.setattr("slipway.node.spec.STATE_ROOT", tmp_path)
    spec = ClusterSpec(name="main", nodes=1)
    folder = spec.home / "pki"
    folder.mkdir(parents=True)
    (spec.home / "spec.json").write_text(json.dumps(spec.to_dict()))
    for name in AUTHORITIES:
        pki.ensure_ca(folder, name, name)
    now = datetime.now(UTC)
    for leaf in leaves(spec):
        joined = leaf.file.startswith("kubelet-")
        pki.ensure_leaf(folder, leaf, now if joined else now - timedelta(days=380))

    result = CliRunner().invoke(certificates.command, ["list", "--of", "cluster", "--cluster", "main", "--json"])
    assert result.exit_code == 0, result.output
    listed = {it["name"]: it for it in json.loads(result.output)}
    assert set(listed) == {*AUTHORITIES, *(leaf.file for leaf in leaves(spec))}
    assert {name for name, it in listed.items() if not it["due"]} == {*AUTHORITIES, f"kubelet-{spec.workers[0].name}"}
    assert listed["scheduler"]["hosts"] == ["system:kube-scheduler"]


def test_where_no_cluster_is_embedded_the_list_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("slipway.node.cluster.STATE_ROOT", tmp_path)
    with pytest.raises(NodeError, match="there is no cluster 'other' on this machine"):
        certificates.own("other")
