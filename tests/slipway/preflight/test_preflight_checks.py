"""Each check on the objects of our own chart, which must pass, and on one change that must make it fail."""

import copy
import subprocess
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from infra.policy.rules import RULES
from slipway.preflight.checks import CHECKS, CLUSTER, POLICY, bars, report
from slipway.preflight.facts import DOCUMENTS, KINDS, Alert, Facts, Repository, look
from slipway.reports import Verdict, derive
from slipway.rollout import resource
from slipway.rollout.objects import deployment, deployment_name
from slipway.rollout.status import Colour
from slipway.toolchain import Toolchain

ROOT = Path(__file__).parents[3]
IMAGE = "registry.test/app@sha256:" + "a" * 64
WATCHDOG = Alert("Watchdog", "none")


@pytest.fixture(scope="session")
def rendered():
    helm = Toolchain().ensure(["helm"])["helm"]
    chart = ROOT / "helm" / "service"
    command = [helm, "template", "payload", chart, "--namespace", "dev", "--values", chart / "ci" / "all-switches.yaml"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return [one for one in yaml.safe_load_all(told) if one]


def pod(name, node, colour="blue", ready="True"):
    return {
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"slipway.dev/colour": colour, "slipway.dev/role": "web"}},
        "spec": {"nodeName": node},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
    }


def deployments(rendered):
    owner = {"name": "payload", "namespace": "dev", "uid": "u"}
    web = next(it for it in rendered if it["kind"] == "PodTemplate" and it["metadata"]["name"] == "payload")
    pinned = copy.deepcopy(web)
    pinned["template"]["spec"]["containers"][0]["image"] = IMAGE
    return [
        deployment(
            pinned, name=deployment_name("payload", it), colour=it, role="web",
            replicas=2 if it is Colour.BLUE else 0, rollout=owner,
        )
        for it in Colour
    ]  # fmt: skip


def the_rollout(**status):
    stable = {"hash": "h", "image": IMAGE, "number": 1, "colour": "blue"}
    given = {"phase": "Done", "stable": stable, "lastGoodDigest": IMAGE.rpartition("@")[2], "lastGoodImage": IMAGE}
    return {
        "metadata": {"name": "payload", "namespace": "dev", "uid": "u", "generation": 1, "resourceVersion": "1"},
        "spec": {"service": "payload", "template": "payload", "image": IMAGE},
        "status": given | status,
    }


@pytest.fixture
def raw(rendered):
    """Everything that facts are made of, to be changed before it is judged."""
    known = {kind: [it for it in copy.deepcopy(rendered) if it["kind"] == kind] for kind in KINDS}
    known["Deployment"] = deployments(rendered)
    known["Pod"] = [pod("a", "node1"), pod("b", "node2")]
    return {"rollout": the_rollout(), "objects": known, "alerts": [WATCHDOG], "repository": Repository((), (), ())}


def facts_of(raw):
    return Facts(resource.parse(raw["rollout"]), raw["objects"], tuple(raw["alerts"]), raw["repository"])


def answers(raw):
    return {bar.what: bar for bar in bars(facts_of(raw))}


def template(raw):
    return raw["objects"]["Deployment"][0]["spec"]["template"]["spec"]


def container(raw):
    return template(raw)["containers"][0]


def rollout_spec(raw, **values):
    raw["rollout"]["spec"] |= values


METRIC = {"name": "errors", "source": "error-ratio", "maximum": 0.01, "dryRun": True}
BREAKS = {
    "at-rest": lambda raw: raw["rollout"]["status"].update(phase="Paused"),
    "way-back": lambda raw: raw["rollout"]["status"].pop("lastGoodDigest"),
    "judged": lambda raw: rollout_spec(raw, analysis={"metrics": [METRIC]}),
    "gradual": lambda raw: rollout_spec(raw, strategy={"canary": {"steps": [{"weight": 100}]}}),
    "replicas": lambda raw: raw["objects"]["Pod"][1]["spec"].update(nodeName="node1"),
    "healthy": lambda raw: raw["objects"]["Pod"].append(pod("c", "node1", "green", "False")),
    "encrypted": lambda raw: raw["objects"]["Ingress"][0]["spec"].pop("tls"),
    "stateless": lambda raw: template(raw).update(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]),
    "quiet": lambda raw: raw["alerts"].append(Alert("ServiceFailing", "page")),
    "non-root": lambda raw: (
        template(raw).pop("securityContext"),
        container(raw)["securityContext"].update(runAsNonRoot=False, runAsUser=0),
    ),
    "read-only-root": lambda raw: container(raw)["securityContext"].update(readOnlyRootFilesystem=False),
    "restricted": lambda raw: container(raw)["securityContext"].update(allowPrivilegeEscalation=True),
    "no-host-access": lambda raw: template(raw).update(hostNetwork=True),
    "requests-and-limits": lambda raw: container(raw).pop("resources"),
    "probes": lambda raw: container(raw).pop("readinessProbe"),
    "image-pinned": lambda raw: container(raw).update(image="registry.test/app:latest"),
    "no-service-account-token": lambda raw: template(raw).update(automountServiceAccountToken=True),
    "no-secret-in-env": lambda raw: container(raw)["env"].append({"name": "PASSWORD", "value": "word"}),
    "disruption-budget": lambda raw: raw["objects"]["PodDisruptionBudget"].clear(),
    "topology-spread": lambda raw: (template(raw).pop("topologySpreadConstraints"), template(raw).pop("affinity", 0)),
    "network-policy": lambda raw: raw["objects"]["NetworkPolicy"].clear(),
    "service-selects-one-family": lambda raw: raw["objects"]["Service"][0]["spec"].update(selector={"a": "b"}),
    "documents": lambda raw: raw.update(repository=Repository(("README.md",), (), ())),
    "runbooks": lambda raw: raw.update(repository=Repository((), ("Watchdog",), ())),
    "exceptions": lambda raw: raw.update(repository=Repository((), (), ("CVE-2026-1 of flask",))),
}


def test_our_own_service_passes_every_check(raw):
    assert {what: bar.measured for what, bar in answers(raw).items() if not bar.holds} == {}


def test_each_check_has_a_way_to_fail():
    assert set(BREAKS) == {it.id for it in CHECKS}
    assert len(CHECKS) == len(BREAKS)


@pytest.mark.parametrize("check", sorted(BREAKS))
def test_a_check_fails_when_it_should(raw, check):
    BREAKS[check](raw)
    assert answers(raw)[check].holds is False
    assert derive(bars(facts_of(raw))) is Verdict.FAIL


def test_every_rule_of_the_policy_is_asked_except_what_was_judged_at_creation():
    assert {it.id for it in RULES} - set(POLICY) == {"name-length"}


def test_what_jobs_leave_behind_and_what_goes_away_need_not_be_ready(raw):
    done, gone = pod("done", "node1", ready="False"), pod("gone", "node1", ready="False")
    done["status"]["phase"] = "Failed"
    gone["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    raw["objects"]["Pod"] += [done, gone]
    assert answers(raw)["healthy"].holds is True


def test_without_the_watchdog_silence_means_nothing(raw):
    raw["alerts"] = []
    assert answers(raw)["quiet"].holds is None
    assert derive(bars(facts_of(raw))) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("missing", ["rollout", "alerts", *KINDS])
def test_what_is_not_known_is_no_answer_and_says_why(raw, missing):
    whole = facts_of(raw)
    objects = {kind: found for kind, found in whole.objects.items() if kind != missing}
    facts = Facts(
        None if missing == "rollout" else whole.rollout,
        objects,
        None if missing == "alerts" else whole.alerts,
        whole.repository,
        {missing: "403: you may not"},
    )
    found = [bar for bar in bars(facts) if bar.holds is None]
    assert found
    assert all("403: you may not" in str(bar.measured) for bar in found)
    assert derive(bars(facts)) is Verdict.INCONCLUSIVE


@given(st.sets(st.sampled_from([it.id for it in CHECKS])))
def test_what_is_skipped_stays_in_sight_and_decides_nothing(skipped):
    unknown = Facts(None, {}, None, Repository((), (), ()), {})
    made = report(unknown, "production", skipped=skipped, started=datetime.now(UTC), seconds=0)
    assert [bar.what for bar in made.bars] == [it.id for it in CHECKS]
    cluster = {it.id for it in CLUSTER}
    proven = {it.id for it in CHECKS} - cluster - skipped
    assert (made.verdict is Verdict.PASS) == (cluster <= skipped and bool(proven))
    assert all("skipped" in str(bar.measured) for bar in made.bars if bar.what in skipped)


def test_this_repository_holds_what_it_says():
    assert look(ROOT, date(2026, 1, 1)) == Repository((), (), ())


def test_a_bare_folder_misses_everything(tmp_path):
    (tmp_path / ".github").mkdir()
    one = "{id: CVE-2026-1, package: flask, reason: Nothing of ours calls it., since: 2026-01-01, until: 2026-02-01}"
    (tmp_path / ".github" / "vulnerabilities.yml").write_text(f"exceptions: [{one}]")
    found = look(tmp_path, date(2026, 2, 2))
    assert found.missing == DOCUMENTS
    assert "Watchdog" in found.without_runbook
    assert found.expired == ("CVE-2026-1 of flask",)
    assert look(tmp_path, date(2026, 2, 1)).expired == ()


def test_every_check_stands_in_the_reference():
    text = (ROOT / "docs" / "reference" / "preflight.md").read_text()
    for check in CHECKS:
        assert f"| `{check.id}` | {check.item} |" in text, check.id
