from dataclasses import replace

import pytest

from slipway.proof.contract import FINALIZER, LABEL, Answer, Seen, Shape, clauses, paths, pod, unanswered
from slipway.reports import Verdict, derive

IMAGE = f"registry/app@sha256:{'a' * 64}"
GOOD = Seen(
    ready_after=2.0,
    page=200,
    live=200,
    asked_to_stop=100.0,
    readiness=[Answer(99.0, 200), Answer(100.5, 200), Answer(102.5, 503), Answer(103.0, 0)],
    begun=200,
    exit_code=0,
    ended_after=1.2,
)


def named(seen, image=IMAGE):
    return {bar.what: bar for bar in clauses(image, seen)}


def verdict(seen, image=IMAGE):
    bars = clauses(image, seen)
    return derive(bars, optional=unanswered(bars))


def test_a_service_that_keeps_every_clause_passes_and_says_what_one_pod_cannot_show():
    assert verdict(GOOD) is Verdict.PASS
    assert [bar.what for bar in clauses(IMAGE, GOOD) if bar.holds is None] == [
        "5 versions N and N-1 side by side", "6 liveness asks no dependency"]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "clause"),
    [
        ({"page": 502}, "2 answers on port http"),
        ({"page": 0}, "2 answers on port http"),
        ({"readiness": [Answer(102.5, 200)]}, "3 readiness fails from SIGTERM on"),
        ({"begun": 0}, "4 ends what it has begun"),
        ({"begun": 503}, "4 ends what it has begun"),
        ({"exit_code": 143}, "4 exits 0 after SIGTERM"),
        ({"exit_code": None}, "4 exits 0 after SIGTERM"),
        ({"live": 503}, "6 liveness answers"),
        ({"metrics": (200, "<html>")}, "optional: /metrics"),
        ({"migration": 1}, "optional: migration command, check"),
    ],
)
def test_each_clause_can_be_broken(change, clause):
    seen = replace(GOOD, **change)
    assert [name for name, bar in named(seen).items() if bar.holds is False] == [clause]
    assert verdict(seen) is Verdict.FAIL


def test_what_a_service_offers_besides_is_judged_only_if_it_does():
    seen = replace(GOOD, metrics=(200, "# HELP up it is up"), migration=3)
    assert {name for name, bar in named(seen).items() if name.startswith("optional") and bar.holds} == {
        "optional: /metrics", "optional: migration command, check"}  # fmt: skip


def test_a_pod_that_was_not_taken_breaks_the_first_clause_and_says_why():
    found = named(Seen(refused="service waiting: image can't be pulled"))
    assert found["1 runs without root, read only"].measured == "service waiting: image can't be pulled"
    assert verdict(Seen()) is Verdict.FAIL


def test_an_image_by_tag_is_refused():
    assert named(GOOD, "registry/app:latest")["1 named by digest"].holds is False


def test_no_service_selects_the_pod_and_its_last_state_stays():
    made = pod("check-1", IMAGE, None, Shape())
    assert made["metadata"]["labels"][LABEL] == "check-1"
    assert not [name for name in made["metadata"]["labels"] if name.endswith(("/name", "/instance", "/role"))]
    assert made["metadata"]["finalizers"] == [FINALIZER]
    container = made["spec"]["containers"][0]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert made["spec"]["securityContext"]["runAsNonRoot"]


def test_a_template_gives_pods_like_the_services_own():
    container = {
        "name": "service", "image": "old", "ports": [{"name": "http", "containerPort": 9}],
        "livenessProbe": {"httpGet": {"path": "/l"}}, "readinessProbe": {"httpGet": {"path": "/r"}},
    }  # fmt: skip
    template = {"spec": {"containers": [container], "initContainers": [{"name": "wait", "image": "old"}]}}
    made = pod("check-1", IMAGE, template, Shape())
    assert {one["image"] for one in (*made["spec"]["containers"], *made["spec"]["initContainers"])} == {IMAGE}
    assert container["image"] == "old"
    assert paths(made["spec"], Shape(path="/x")) == Shape(9, "/x", "/l", "/r")
