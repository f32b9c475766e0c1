"""The checks: pure judgements over facts. Each says from which item of the checklists it comes, and what to do.

The lists are those of a backend handbook: what a production deployment needs, and what performance needs.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from infra.policy.model import Finding, Rule, entries, name_of, section
from infra.policy.rules import RULES, violations
from slipway.preflight.facts import Facts, Manifest
from slipway.reports import Bar, Report, derive
from slipway.rollout.objects import is_ready
from slipway.rollout.spec import steps_of
from slipway.rollout.status import AFTER_PROMOTION, RESTING, Phase

LEAST_PODS: Final = 2
ALL_AT_ONCE: Final = 100  # percent
WATCHDOG: Final = "Watchdog"  # always fires: silence of everything else then means something
PAGE: Final = "page"
_LIVE: Final = ("Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget")
#: Rules of the policy -> the item of a checklist that each stands for. Names were judged when the objects were made.
POLICY: Final = {
    "non-root": "security first",
    "read-only-root": "security first",
    "restricted": "security first",
    "no-host-access": "security first",
    "no-service-account-token": "security first",
    "network-policy": "security first",
    "no-secret-in-env": "no hard-coded configuration",
    "requests-and-limits": "performance: resources are known",
    "probes": "health checks",
    "image-pinned": "environments are the same",
    "disruption-budget": "scalability",
    "topology-spread": "scalability",
    "service-selects-one-family": "load balancing",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a check found: whether it holds (None: cannot be told), in one line."""

    holds: bool | None
    found: str


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold.

    Attributes:
        item: of the checklists.
        wanted: what must be so.
        mend: what to do if it is not.
        needs: the facts without which there is no answer.
    """

    id: str
    item: str
    wanted: str
    mend: str
    needs: tuple[str, ...]
    judge: Callable[[Facts], Answer]


def _yes(found: str) -> Answer:
    return Answer(True, found)


def _unless(wrong: Iterable[str], good: str) -> Answer:
    told = "; ".join(wrong)
    return Answer(not told, told or good)


def _rest(facts: Facts) -> Answer:
    status = _rollout(facts).status
    if status.phase is Phase.PAUSED or status.candidate is not None:
        return Answer(False, f"{status.phase.value}: {status.message}")
    return Answer(status.phase in RESTING | AFTER_PROMOTION, status.phase.value)


def _way_back(facts: Facts) -> Answer:
    rollout = _rollout(facts)
    wrong: list[str] = []
    if not rollout.status.last_good_digest:
        wrong.append("no version has been promoted yet")
    if not rollout.spec.rollback_window:
        wrong.append("spec.rollbackWindow is 0, so the old version is gone at once")
    return _unless(wrong, f"to {rollout.status.last_good_digest}, warm for {rollout.spec.rollback_window} s")


def _judged(facts: Facts) -> Answer:
    analysis = _rollout(facts).spec.analysis
    if analysis is None:
        return _yes("by the metrics that every service gets")
    acting = [metric.name for metric in analysis.metrics if not metric.dry_run]
    return Answer(bool(acting), f"by {', '.join(acting)}" if acting else "every metric is a dry run")


def _gradual(facts: Facts) -> Answer:
    spec = _rollout(facts).spec
    first = steps_of(spec)[0]
    asked = spec.strategy.blue_green is not None and spec.strategy.blue_green.approval
    return Answer(first.weight < ALL_AT_ONCE or asked, "a person approves" if asked else f"first step {first.weight} %")


def _replicas(facts: Facts) -> Answer:
    status = _rollout(facts).status
    if status.stable is None:
        return Answer(False, "no version serves")
    colour = status.stable.colour.value
    serving = [
        pod
        for pod in facts.objects["Pod"]
        if section(pod, "metadata", "labels").get("slipway.dev/colour") == colour
        and section(pod, "metadata", "labels").get("slipway.dev/role") == "web"
        and is_ready(pod)
    ]
    nodes = {section(pod, "spec").get("nodeName") for pod in serving}
    found = f"{len(serving)} ready on {len(nodes)} nodes"
    return Answer(len(serving) >= LEAST_PODS and len(nodes) >= LEAST_PODS, found)


def _healthy(facts: Facts) -> Answer:
    # What a Job has left behind, and what is just being taken away, need not be ready.
    lasting = [
        pod
        for pod in facts.objects["Pod"]
        if section(pod, "status").get("phase") not in {"Succeeded", "Failed"}
        and "deletionTimestamp" not in section(pod, "metadata")
    ]
    return _unless((f"pod {name_of(pod)} is not ready" for pod in lasting if not is_ready(pod)), f"{len(lasting)} pods")


def _encrypted(facts: Facts) -> Answer:
    ingresses = facts.objects["Ingress"]
    wrong: list[str] = []
    for ingress in ingresses:
        spec = section(ingress, "spec")
        covered = {host for tls in entries(spec, "tls") for host in tls.get("hosts", ())}
        wrong += [
            f"{name_of(ingress)} serves {rule.get('host', 'every host')} without TLS"
            for rule in entries(spec, "rules")
            if rule.get("host") not in covered
        ]
    if not ingresses:
        return Answer(False, "nothing is reachable from outside")
    return _unless(wrong, f"{len(ingresses)} ingresses")


def _stateless(facts: Facts) -> Answer:
    wrong = [
        f"{name_of(it)} keeps volume {volume.get('name')}"
        for it in facts.objects["Deployment"]
        for volume in entries(section(it, "spec", "template", "spec"), "volumes")
        if "persistentVolumeClaim" in volume or "hostPath" in volume
    ]
    return _unless(wrong, "no pod keeps anything")


def _quiet(facts: Facts) -> Answer:
    firing = facts.alerts or ()
    if WATCHDOG not in {it.name for it in firing}:
        return Answer(None, f"{WATCHDOG} does not fire, so nobody would hear the others")
    paging = sorted({it.name for it in firing if it.severity == PAGE and it.name != WATCHDOG})
    return _unless([f"{name} fires" for name in paging], "no alert asks for a person")


def _policy(rule: Rule) -> Check:
    def judge(facts: Facts) -> Answer:
        live: list[Manifest] = [it for kind in _LIVE for it in facts.objects[kind]]
        found: Sequence[Finding] = [it.finding for it in violations(rule, live)]
        return _unless((f"{it.subject} {it.detail}" for it in found), "every object")

    return Check(rule.id, POLICY[rule.id], rule.why, rule.mend, _LIVE, judge)


CLUSTER: Final = (
    Check("at-rest", "deployment", "no other version is under test, and nothing is paused",
          "Wait for it, or `slipway rollout abort`.", ("rollout",), _rest),
    Check("way-back", "rollback strategies", "a good version is known, and stays warm for a while",
          "Set spec.rollbackWindow; promote a version first.", ("rollout",), _way_back),
    Check("judged", "canary releases", "the new version is judged by at least one metric that counts",
          "Take dryRun away from a metric.", ("rollout",), _judged),
    Check("gradual", "canary or blue-green deployment", "not everyone gets an untried version at once",
          "Give spec.strategy a first step below 100, or an approval.", ("rollout",), _gradual),
    Check("replicas", "scalability", "at least 2 ready pods serve, on at least 2 nodes",
          "Raise spec.replicas, or add a node.", ("rollout", "Pod"), _replicas),
    Check("healthy", "health checks", "every pod of the environment is ready",
          "`kubectl describe pod` says why one is not.", ("Pod",), _healthy),
    Check("encrypted", "TLS everywhere", "every host that is served has a certificate",
          "Name the host in the Ingress's spec.tls.", ("Ingress",), _encrypted),
    Check("stateless", "stateless services", "no pod keeps anything that others would need",
          "Keep it in Postgres or Redis.", ("Deployment",), _stateless),
    Check("quiet", "monitoring and alerting", "alerts are heard, and none asks for a person now",
          "Its runbook, docs/runbooks, says what to do.", ("alerts",), _quiet),
    *(_policy(rule) for rule in RULES if rule.id in POLICY),
)  # fmt: skip
REPOSITORY: Final = (
    Check("documents", "documentation", "what people look for first is there", "Write it.", (),
          lambda facts: _unless((f"{it} is missing" for it in facts.repository.missing), "all")),
    Check("runbooks", "monitoring and alerting", "every alert has a runbook", "Write docs/runbooks/NAME.md.", (),
          lambda facts: _unless((f"{it} has none" for it in facts.repository.without_runbook), "all")),
    Check("exceptions", "dependency management", "no exception for a known vulnerability is past its day",
          "Update the package, or look again and write a new `since`.", (),
          lambda facts: _unless(facts.repository.expired, "none")),
)  # fmt: skip
CHECKS: Final = (*CLUSTER, *REPOSITORY)


def bars(facts: Facts, skipped: Collection[str] = ()) -> tuple[Bar, ...]:
    """A bar for each check. What was skipped, or needs a fact that is not known, has no answer and says why."""
    found: list[Bar] = []
    for check in CHECKS:
        missing = [f"{it}: {facts.unknown.get(it, 'not known')}" for it in check.needs if not _known(facts, it)]
        if check.id in skipped:
            found.append(Bar.not_run(check.id, check.wanted, "skipped by whoever asked"))
        elif missing:
            found.append(Bar.not_run(check.id, check.wanted, "; ".join(missing)))
        else:
            answer = check.judge(facts)
            found.append(Bar(what=check.id, measured=answer.found, bar=check.wanted, holds=answer.holds))
    return tuple(found)


def report(facts: Facts, environment: str, *, skipped: Collection[str], started: datetime, seconds: float) -> Report:
    """The report `preflight-<environment>`. A check that was skipped never vanishes, and keeps nothing from passing."""
    known = bars(facts, skipped)
    return Report(
        name=f"preflight-{environment}",
        started=started,
        seconds=seconds,
        figures={"checks": len(known), "skipped": len(skipped)},
        bars=known,
        verdict=derive(known, optional=skipped),
    )


def _known(facts: Facts, what: str) -> bool:
    if what == "rollout":
        return facts.rollout is not None
    return facts.alerts is not None if what == "alerts" else what in facts.objects


def _rollout(facts: Facts) -> Any:
    if facts.rollout is None:
        raise AssertionError("a check that needs the rollout is judged only if it is known")
    return facts.rollout
