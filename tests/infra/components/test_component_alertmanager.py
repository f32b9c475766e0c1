"""Who is told of what, and that no address of a receiver is ever in an object of ours."""

import pytest
import yaml
from infra_stand_ins import SHARED

from dashboards.rules.present import Present
from infra.components.alertmanager import routing
from infra.components.metrics import rules
from infra.components.platform import Platform, PlatformConfig
from infra.images import repository
from infra.naming import ALERTMANAGER, Namespace
from infra.parts import Store
from infra.profiles import PROFILES, ProfileName
from infra.settings import PlatformSettings


@pytest.fixture
def platform(deploy, release):
    def run(**settings):
        config = PlatformConfig("test", SHARED, PlatformSettings(logs=Store.OFF, **settings), release)
        return deploy(lambda: Platform("platform", config))

    return run


def alertmanager(run):
    return run.one("kubernetes:monitoring.coreos.com/v1:Alertmanager").inputs["spec"]


def routes(run):
    (secret,) = [it for it in run.objects() if it["metadata"]["name"] == "alertmanager-routing"]
    return yaml.safe_load(secret["stringData"]["alertmanager.yaml"])


@pytest.mark.parametrize("profile", ProfileName)
def test_it_is_safe_sized_and_of_the_catalogue(platform, profile):
    spec = alertmanager(platform(profile=profile))
    assert spec["replicas"] == PROFILES[profile].alertmanager_replicas
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    assert set(spec["resources"]) == {"requests", "limits"}
    assert repository(spec["image"]) == "registry.test:5000/slipway/alertmanager"


def test_prometheus_hands_alerts_to_it(platform):
    run = platform()
    spec = run.one("kubernetes:monitoring.coreos.com/v1:Prometheus").inputs["spec"]
    (found,) = spec["alerting"]["alertmanagers"]
    service = next(it for it in run.objects() if it["kind"] == "Service" and it["metadata"]["name"] == found["name"])
    assert (found["namespace"], found["name"]) == (Namespace.MONITORING, ALERTMANAGER)
    assert found["port"] in {port["name"] for port in service["spec"]["ports"]}


def test_without_a_receiver_nobody_is_told(platform):
    run = platform()
    assert alertmanager(run)["secrets"] == []
    assert routes(run)["route"]["receiver"] == "nobody"
    assert [it["name"] for it in routes(run)["receivers"]] == ["nobody"]


def test_the_address_of_a_receiver_is_a_file_of_a_secret_that_is_not_ours(platform):
    run = platform(alert_receiver="on-call")
    assert alertmanager(run)["secrets"] == ["on-call"]
    (hook,) = routes(run)["receivers"][1]["webhook_configs"]
    assert hook == {"url_file": "/etc/alertmanager/secrets/on-call/url", "send_resolved": True}
    assert "on-call" not in {it["metadata"]["name"] for it in run.objects()}


def test_every_route_leads_to_a_receiver_and_pages_come_first():
    found = routing("on-call")
    known = {it["name"] for it in found["receivers"]}
    assert {found["route"]["receiver"]} | {it.get("receiver", "webhook") for it in found["route"]["routes"]} <= known
    page = found["route"]["routes"][0]
    assert (page["matchers"], page["group_wait"]) == (["severity = page"], "5s")


def test_what_is_not_there_is_not_missed():
    little = Present(observed=False, rolled_out=False, postgres=False, backups=False, poolers=False)
    every, few = (
        {alert.name for group in rules(present)["alerts"] for alert in group.alerts} for present in (Present(), little)
    )
    missed = every - few
    assert {"IngressDown", "RolloutControllerDown", "PostgresNoPrimary"} <= missed
    assert not {name for name in few if name.startswith(("Ingress", "Rollout", "Postgres"))}


def test_only_metrics_bring_it_along(platform):
    run = platform(metrics=Store.OFF)
    assert not run.of("kubernetes:monitoring.coreos.com/v1:Alertmanager")


def test_a_receiver_without_metrics_and_a_name_that_is_none_are_refused():
    with pytest.raises(ValueError, match="alertReceiver must be left out if metrics is off"):
        PlatformSettings(metrics=Store.OFF, alert_receiver="on-call")
    with pytest.raises(ValueError, match="alert_receiver"):
        PlatformSettings(alert_receiver="https://hooks.test/secret")
