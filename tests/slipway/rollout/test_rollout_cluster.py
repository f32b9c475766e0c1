"""What one look at a cluster says, and what is done about it: the API and the routers are played."""

import asyncio
import logging
from dataclasses import replace

import pytest

from slipway.rollout.api import CORE, MANAGER, path_of
from slipway.rollout.cluster import ClusterPorts, World
from slipway.rollout.decide import decide
from slipway.rollout.observation import Act, Annotation, JobView, Rollout, RouterView, RunJob, Write
from slipway.rollout.routers import Reading
from slipway.rollout.spec import Migrations, QueueScaling, RolloutSpec, Workers
from slipway.rollout.status import Colour, Phase, Revision, RolloutStatus

IMAGE = "registry.test/app@sha256:" + "a" * 64
WAITING = 'max(messages{namespace="{{namespace}}",colour="{{colour}}"})'
TEMPLATE = {
    "metadata": {"name": "payload"},
    "template": {
        "spec": {
            "initContainers": [{"name": "wait-for-migrations", "image": "old"}],
            "containers": [{"name": "service", "image": "old"}],
        }
    },
}


class PlayedApi:
    """Has these objects and no other."""

    def __init__(self, found):
        self.found = found

    async def get(self, path):
        return self.found.get(path)

    async def list(self, _path, _labels=""):
        return []


class PlayedRouter:
    """One router that gives everything to blue."""

    async def read(self, _rollout, _colours):
        asked = Annotation((100, 0), initial=100, writer=MANAGER, ours=True, fence=1, version="1")
        return Reading(asked, None, {"haproxy-0": RouterView("0/1", 100, 0, 2, 0)})


def looked(migrations, template=TEMPLATE):
    """A rollout whose second version is about to be prepared, and what is seen of it."""
    api = PlayedApi({path_of(CORE, "dev", "podtemplates", "payload"): template})
    ports = ClusterPorts(World(api, None, PlayedRouter()), "dev", "payload")
    spec = RolloutSpec(service="payload", template="payload", image=IMAGE, migrations=migrations)
    stable = Revision(hash="old", image=IMAGE, number=1, colour=Colour.BLUE)
    status = RolloutStatus(phase=Phase.DONE, stable=stable)
    rollout = Rollout("payload", "dev", "u", 1, "1", spec, status)
    return rollout, asyncio.run(ports.look(rollout, 1))


def preflight(rollout, seen):
    """The rollout a moment after the wanted version has begun."""
    begun = decide(rollout, seen, 100.0)
    assert isinstance(begun, Write)
    assert begun.status.phase is Phase.PREFLIGHT
    return replace(rollout, status=begun.status)


def jobs(decision):
    return [it for it in decision.actions if isinstance(it, RunJob)] if isinstance(decision, Act) else []


def test_a_container_that_the_template_lacks_is_told_before_anything_runs():
    rollout, seen = looked(Migrations(container="wait"))
    (problem,) = seen.problems
    assert "spec.migrations.container is wait, but PodTemplate payload has only service, wait-for-migrations" in problem
    told = decide(preflight(rollout, seen), seen, 101.0)
    assert isinstance(told, Write)
    assert (told.status.phase, told.event) == (Phase.PREFLIGHT, f"preflight: {problem}")
    assert jobs(decide(replace(rollout, status=told.status), seen, 102.0)) == []


@pytest.mark.parametrize("container", [None, "wait-for-migrations", "service"])
def test_with_one_that_it_has_the_check_runs(container):
    rollout, seen = looked(Migrations(container=container))
    assert seen.problems == ()
    now = preflight(rollout, seen)
    (job,) = jobs(decide(now, seen, 100.0))
    assert (job.kind, job.revision) == ("check", seen.wanted.hash)


def test_a_check_whose_image_cannot_be_pulled_is_told_of_once():
    rollout, seen = looked(Migrations(container="wait-for-migrations"))
    now = preflight(rollout, seen)
    (job,) = jobs(decide(now, seen, 100.0))
    held = replace(seen, jobs={job.name: JobView(None, "the image cannot be pulled")})
    told = decide(now, held, 101.0)
    assert isinstance(told, Write)
    assert (told.status.phase, told.status.message) == (Phase.PREFLIGHT, "the image cannot be pulled")
    assert told.status.until == now.status.until
    assert not isinstance(decide(replace(now, status=told.status), held, 102.0), Write)


def test_without_migrations_no_container_is_asked_for():
    assert looked(None)[1].problems == ()


def test_without_its_template_nothing_is_wanted():
    _, seen = looked(Migrations(container="wait"), template=None)
    assert seen.problems == ("there is no PodTemplate payload",)
    assert seen.wanted is None


class Asked:
    """A metrics source that is up."""

    def __init__(self, *found):
        self.found, self.queries = list(found), []

    async def answers(self):
        return True

    async def ask(self, query):
        self.queries.append(query)
        found = self.found.pop(0)
        if isinstance(found, ValueError):
            raise found
        return found


def looks(source, count=1, query=WAITING):
    scaling = QueueScaling(query=query, messages_per_worker=50, max_replicas=5)
    workers = Workers(template="payload-worker", autoscaling=scaling)
    spec = RolloutSpec(service="payload", template="payload", image=IMAGE, workers=workers)
    stable = Revision(hash="old", image=IMAGE, number=1, colour=Colour.GREEN, workers=True)
    rollout = Rollout("payload", "dev", "u", 1, "1", spec, RolloutStatus(phase=Phase.DONE, stable=stable))
    ports = ClusterPorts(World(PlayedApi({}), None, PlayedRouter(), source), "dev", "payload")

    async def go():
        return [(await ports.look(rollout, 1)).waiting for _ in range(count)]

    return asyncio.run(go())


def test_the_queue_of_the_colour_that_serves_is_asked_for():
    source = Asked(120.0)
    assert looks(source) == [120.0]
    assert source.queries == ['max(max_over_time((max(messages{namespace="dev",colour="green"}))[300s:5s]))']


def test_a_source_that_does_not_answer_is_told_of_once(caplog):
    away = ValueError("the metrics source does not answer")
    with caplog.at_level(logging.WARNING):
        assert looks(Asked(away, away, 3.0, away), 4) == [None, None, 3.0, None]
    assert [record.message for record in caplog.records] == ["nobody knows what waits"] * 2


@pytest.mark.parametrize(("source", "query"), [(None, WAITING), (Asked(), "messages{{elsewhere}}")])
def test_what_cannot_be_asked_changes_nothing_and_says_why(source, query, caplog):
    assert looks(source, query=query) == [None]
    (record,) = caplog.records
    told = vars(record)["error.message"]
    assert "no Prometheus" in told or "'elsewhere'; known are colour, namespace, rollout, service" in told
