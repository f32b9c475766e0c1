"""Certificates by name: out of Pulumi's state, and made anew by it."""

import json
from datetime import UTC, datetime, timedelta

import click
import pytest

from infra import tls
from infra.naming import Project
from slipway.cli import certificates
from slipway.cli.certificates import TYPE, chosen, issued, renew

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
