"""`Ports` over a real cluster: how one rollout is looked at, written, and acted upon."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from slipway.rollout import analysis, backlog, claims, measure, objects, resource, switch, views
from slipway.rollout.analysis import Measurement
from slipway.rollout.api import APPS, BATCH, CORE, MANAGER, ROLLOUTS, Api, Refused, path_of
from slipway.rollout.context import Context
from slipway.rollout.desired import judged, metric_job
from slipway.rollout.fields import format_moment
from slipway.rollout.haproxy import Tally
from slipway.rollout.lease import Leadership
from slipway.rollout.loop import Conflict, Unavailable
from slipway.rollout.measure import Prometheus, Recent
from slipway.rollout.observation import (
    Action,
    ApplyColour,
    ApplyWorkers,
    Copy,
    Forget,
    JobView,
    Observation,
    Rollout,
    RunJob,
    SetConsumers,
    SetPreview,
    SetWeights,
    Switch,
    Wanted,
)
from slipway.rollout.routers import Router
from slipway.rollout.spec import ConfigKind
from slipway.rollout.status import RESTING, Colour, RolloutStatus

LOG: Final = logging.getLogger(__name__)
PLURALS: Final = {ConfigKind.CONFIG_MAP: "configmaps", ConfigKind.SECRET: "secrets"}
MIGRATIONS: Final = frozenset({"check", "expand", "contract"})


@dataclass
class World:
    """What all rollouts of a controller share."""

    api: Api
    leadership: Leadership
    router: Router
    prometheus: Prometheus | None = None
    identity: str = "controller"
    recent: dict[tuple[str, str], Recent] = field(default_factory=dict[tuple[str, str], Recent])
    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict[tuple[str, str], Tally])


class ClusterPorts:
    """One rollout's ports."""

    def __init__(self, world: World, namespace: str, name: str) -> None:
        self._world = world
        self._api = world.api
        self.namespace = namespace
        self.name = name
        self.last: Rollout | None = None
        self._rollouts = path_of(ROLLOUTS, namespace, "rollouts")
        self._trouble = ""
        self._wanted: tuple[Wanted, dict[str, Any], list[dict[str, Any]]] | None = None

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    async def leadership(self) -> int | None:
        """Return the number of this leadership, or None."""
        return await self._world.leadership.acquire()

    async def read(self) -> Rollout | None:
        """Return the object from the API server itself."""
        found = await self._api.get(f"{self._rollouts}/{self.name}")
        if found is None or found["metadata"].get("deletionTimestamp"):
            return None
        self.last = resource.parse(found)
        return self.last

    def _path(self, base: str, plural: str, name: str = "") -> str:
        return path_of(base, self.namespace, plural, name)

    # -- looking ----------------------------------------------------------------------------------------------------

    async def look(self, rollout: Rollout, epoch: int) -> Observation:
        """Return one look. Deployments are read before their pods, so that readiness is never older than the plan."""
        problems: list[str] = []
        wanted = await self._want(rollout, problems)
        label = f"{objects.ROLLOUT}={rollout.name}"
        # What does not depend on each other is asked at once: where processors are short each answer is waited for.
        deployments, rollouts = await asyncio.gather(
            self._api.list(self._path(APPS, "deployments"), label), self._api.list(self._rollouts)
        )
        pods = await self._api.list(self._path(CORE, "pods"), label)
        colours = {colour: views.colour_view(rollout.name, colour, deployments, pods) for colour in Colour}
        addresses = views.addresses(pods)
        # Alone: what it counts must be counted in order, also after a look that broke off.
        reading = await self._world.router.read(rollout, addresses)
        jobs, prometheus, turned, waiting, copies = await asyncio.gather(
            self._jobs(rollout, pods),
            self._reachable(),
            self._switch(rollout),
            self._waiting(rollout),
            self._copies(rollout),
        )
        if reading.annotation is None:
            problems.append(f"there is no Service {rollout.spec.service}")
        seen = Observation(
            epoch=epoch,
            wanted=wanted,
            colours=colours,
            annotation=reading.annotation,
            routers=reading.routers,
            jobs=jobs,
            prometheus=prometheus,
            free_slots=reading.free_slots,
            problems=tuple(problems),
            preview=reading.preview,
            switch=turned,
            waiting=waiting,
            copies=copies,
            holder=claims.holder(rollouts, self.name),
        )
        self._note()
        return replace(seen, measurements=await self._measure(rollout, seen))

    def _note(self) -> None:
        key = (self.namespace, self.name)
        tally = self._world.tallies.get(key)
        if tally is not None:
            self._world.recent.setdefault(key, Recent()).note(tally)

    async def _reachable(self) -> bool | None:
        return None if self._world.prometheus is None else await self._world.prometheus.answers()

    async def _want(self, rollout: Rollout, problems: list[str]) -> Wanted | None:
        spec = rollout.spec
        names = [spec.template, *([spec.workers.template] if spec.workers is not None else [])]
        templates = await asyncio.gather(*(self._api.get(self._path(CORE, "podtemplates", name)) for name in names))
        config = await asyncio.gather(
            *(self._api.get(self._path(CORE, PLURALS[ref.kind], ref.name)) for ref in spec.config)
        )
        problems.extend(
            f"there is no PodTemplate {name}" for name, found in zip(names, templates, strict=True) if found is None
        )
        problems.extend(
            f"there is no {ref.kind} {ref.name}"
            for ref, found in zip(spec.config, config, strict=True)
            if found is None
        )
        if problems:
            return None
        kept = {name: found for name, found in zip(names, templates, strict=True) if found is not None}
        if spec.migrations is not None:
            try:
                objects.migrating_container(kept[spec.template], spec.migrations)
            except ValueError as error:
                problems.append(str(error))  # what is wanted is known all the same: its preflight tells
        sources = [
            {**found, "kind": ref.kind.value}
            for ref, found in zip(spec.config, config, strict=True)
            if found is not None
        ]
        wanted = Wanted(
            objects.revision_hash(spec, [found["template"] for found in kept.values()], sources), spec.image
        )
        self._wanted = (wanted, kept, sources)
        return wanted

    async def _switch(self, rollout: Rollout) -> Switch | None:
        status = rollout.status
        revisions = (status.stable, status.candidate, status.standby)
        if rollout.spec.workers is None and not any(found is not None and found.workers for found in revisions):
            return None
        return switch.read(await self._api.get(self._path(CORE, "configmaps", switch.name_of(rollout.name))))

    async def _waiting(self, rollout: Rollout) -> float | None:
        asked, stable = rollout.spec.workers, rollout.status.stable
        if asked is None or asked.autoscaling is None or stable is None:
            return None
        query = backlog.peak(asked.autoscaling)
        try:
            found, trouble = await self._number(query, self._names(rollout, stable.colour)), ""
        except ValueError as error:
            found, trouble = None, str(error)
        if trouble not in {"", self._trouble}:  # once, not at each look
            LOG.warning("nobody knows what waits", extra={"rollout": self.name, "error.message": trouble})
        self._trouble = trouble
        return found

    async def _number(self, query: str, names: Mapping[str, str]) -> float | None:
        if self._world.prometheus is None:
            raise ValueError("the controller was given no Prometheus")
        return await self._world.prometheus.ask(measure.fill(query, names))

    def _names(self, rollout: Rollout, colour: Colour) -> dict[str, str]:
        """Return what every query may name, with what stands for it."""
        return {
            "namespace": self.namespace,
            "rollout": self.name,
            "service": rollout.spec.service,
            "colour": colour.value,
        }

    async def _copies(self, rollout: Rollout) -> tuple[Copy, ...]:
        if rollout.status.phase not in RESTING:
            return ()
        found = await self._api.list(self._path(CORE, "podtemplates"), f"{objects.ROLLOUT}={rollout.name}")
        return tuple(
            Copy(
                copy["metadata"]["name"],
                copy["metadata"]["labels"].get(objects.REVISION, ""),
                copy["metadata"]["resourceVersion"],
            )
            for copy in found
            if not copy["metadata"].get("deletionTimestamp")
        )

    async def _jobs(self, rollout: Rollout, pods: list[dict[str, Any]]) -> Mapping[str, JobView]:
        jobs = await self._api.list(self._path(BATCH, "jobs"), f"{objects.ROLLOUT}={rollout.name}")
        found: dict[str, JobView] = {}
        for job in jobs:
            name = job["metadata"]["name"]
            own = [pod for pod in pods if pod["metadata"]["labels"].get("batch.kubernetes.io/job-name") == name]
            found[name] = objects.job_view(job, own)
        return found

    async def _measure(self, rollout: Rollout, seen: Observation) -> Mapping[str, Measurement]:
        context = Context(rollout, seen, self.now())
        status = rollout.status
        judged_revision = status.candidate or status.stable
        if judged_revision is None or not status.metrics:
            return {}
        other = status.stable if status.candidate is not None else status.standby
        states = {state.name: state for state in status.metrics}
        age = 0.0 if status.intent is None else context.now - status.intent.since
        answers: dict[str, Measurement] = {}
        for metric in analysis.due(judged(context), status.metrics, context.now):
            if metric.job is not None:
                answer = measure.of_job(seen.jobs.get(metric_job(context, states[metric.name])))
                if answer is not None:
                    answers[metric.name] = answer
                continue
            window = measure.window_of(metric, states[metric.name], age)
            if self._world.prometheus is None:
                recent = self._world.recent.setdefault((self.namespace, self.name), Recent())
                answers[metric.name] = recent.measure(metric, judged_revision.colour, window)
                continue
            values = {
                **self._names(rollout, judged_revision.colour),
                "stable": judged_revision.colour.other.value,
                "revision": judged_revision.hash,
                "stable_revision": other.hash if other is not None else "",
                "window": f"{window}s",
            }
            answers[metric.name] = await self._world.prometheus.measure(metric, values)
        return answers

    # -- writing and acting -----------------------------------------------------------------------------------------

    async def write(self, rollout: Rollout, status: RolloutStatus, event: str) -> None:
        """Replace the status of exactly this version, and tell people."""
        await self._api.replace(
            f"{self._rollouts}/{self.name}/status",
            {
                "apiVersion": resource.API_VERSION,
                "kind": resource.KIND,
                "metadata": {"name": self.name, "namespace": self.namespace, "resourceVersion": rollout.version},
                "spec": resource.dump_spec(rollout.spec),
                "status": resource.dump_status(status),
            },
        )
        if event:
            LOG.info(event, extra={"rollout": self.name, "namespace": self.namespace, "phase": status.phase.value})
            await self._tell(rollout, status, event)

    async def _tell(self, rollout: Rollout, status: RolloutStatus, event: str) -> None:
        """Write an Event. People read it, the controller never does: losing one loses nothing."""
        now = datetime.now(tz=UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{self.name[:50]}.", "namespace": self.namespace},
            "involvedObject": {
                "apiVersion": resource.API_VERSION,
                "kind": resource.KIND,
                "name": self.name,
                "namespace": self.namespace,
                "uid": rollout.uid,
            },
            "reason": (status.reason.value or status.phase.value),
            "message": event[:1000],
            "type": "Warning" if status.reason else "Normal",
            "eventTime": now,
            "action": status.phase.value,
            "reportingComponent": MANAGER,
            "reportingInstance": self._world.identity,
        }
        try:
            await self._api.create(self._path(CORE, "events"), body)
        except (Unavailable, Refused, Conflict) as error:
            LOG.warning("an event was lost", extra={"error.message": str(error)})

    async def act(self, rollout: Rollout, action: Action) -> None:
        """Do one action; every one carries the version it was decided on, or is a creation."""
        match action:
            case SetWeights():
                await self._world.router.shift(rollout, action)
            case SetPreview():
                await self._world.router.show(rollout, action)
            case RunJob():
                await self._run(rollout, action)
            case ApplyColour():
                name = objects.deployment_name(rollout.name, action.colour)
                await self._apply(rollout, action, rollout.spec.template, name)
            case ApplyWorkers():
                name = objects.deployment_name(rollout.name, action.colour, objects.WORKER)
                await self._apply(rollout, action, rollout.spec.workers and rollout.spec.workers.template, name)
            case SetConsumers():
                await self._consume(rollout, action)
            case Forget():
                await self._api.delete(self._path(CORE, "podtemplates", action.name), action.version)
        LOG.info("acted", extra={"rollout": self.name, "namespace": self.namespace, "act": repr(action)})

    def _who(self, rollout: Rollout) -> dict[str, str]:
        return {"name": rollout.name, "namespace": rollout.namespace, "uid": rollout.uid}

    async def _pinned(self, rollout: Rollout, template: str, revision: str) -> dict[str, Any]:
        """Return a revision's own PodTemplate; the wanted revision's is made together with its config.

        The copies of config belong to the PodTemplate of the serving pods, so that they go with it.
        """
        name = objects.pinned_name(template, revision)
        if self._wanted is None or self._wanted[0].hash != revision:
            found = await self._api.get(self._path(CORE, "podtemplates", name))
            if found is None:
                raise Conflict(f"revision {revision} is not wanted any more and has no PodTemplate {name}")
            return found
        _, templates, sources = self._wanted
        who, own = self._who(rollout), rollout.spec.template
        made = await self._kept(
            rollout, objects.pin_template(templates[own], name=own, revision=revision, spec=rollout.spec, rollout=who)
        )
        for source in sources:
            copied = objects.pin_config(source, revision, who, objects.owned_by(made))
            with contextlib.suppress(Conflict):  # there already, and immutable: it is the same
                await self._api.create(self._path(CORE, PLURALS[ConfigKind(source["kind"])]), copied)
        if template == own:
            return made
        other = objects.pin_template(
            templates[template], name=template, revision=revision, spec=rollout.spec, rollout=who
        )
        return await self._kept(rollout, other)

    async def _kept(self, rollout: Rollout, pinned: dict[str, Any]) -> dict[str, Any]:
        """Make a PodTemplate, or say of the one that is there that it is used again, against a late deletion."""
        used = {objects.USED: format_moment(rollout.status.started)}
        pinned["metadata"]["annotations"] = used
        try:
            return await self._api.create(self._path(CORE, "podtemplates"), pinned)
        except Conflict:
            path = self._path(CORE, "podtemplates", pinned["metadata"]["name"])
            found = await self._api.get(path)
            if found is None or found["metadata"].get("deletionTimestamp"):
                raise  # it is being deleted with all that it owns; made anew when that is done
            said = found["metadata"].get("annotations") or {}
            return (
                found
                if said.get(objects.USED) == used[objects.USED]
                else await self._api.merge(path, {"metadata": {"annotations": used}})
            )

    async def _run(self, rollout: Rollout, action: RunJob) -> None:
        who = self._who(rollout)
        if action.kind in MIGRATIONS:
            pinned = await self._pinned(rollout, rollout.spec.template, action.revision)
            manifest = objects.migration_job(pinned, action, rollout.spec, who)
        elif action.kind == "preview" and rollout.spec.preview is not None:
            manifest = objects.check_job(rollout.spec.preview, action, who)
        else:
            metrics = rollout.spec.analysis.metrics if rollout.spec.analysis is not None else ()
            check = next((metric.job for metric in metrics if metric.name == action.kind), None)
            if check is None:
                raise Conflict(f"the metric {action.kind} is not in the spec any more")
            manifest = objects.check_job(check, action, who)
        await self._api.create(self._path(BATCH, "jobs"), manifest)

    async def _apply(
        self, rollout: Rollout, action: ApplyColour | ApplyWorkers, template: str | None, name: str
    ) -> None:
        path = self._path(APPS, "deployments", name)
        if not action.revision:
            numbers = {"metadata": {"resourceVersion": action.version}, "spec": {"replicas": action.replicas}}
            await self._api.merge(path, numbers)
            return
        if template is None:
            raise Conflict(f"the spec of {rollout.name} names no PodTemplate for {name} any more")
        manifest = objects.deployment(
            await self._pinned(rollout, template, action.revision),
            name=name,
            colour=action.colour,
            role=objects.WORKER if isinstance(action, ApplyWorkers) else objects.WEB,
            replicas=action.replicas,
            rollout=self._who(rollout),
            version=action.version,
        )
        if action.version:
            await self._api.replace(path, manifest)
        else:
            await self._api.create(self._path(APPS, "deployments"), manifest)

    async def _consume(self, rollout: Rollout, action: SetConsumers) -> None:
        """Turn the switch, and make the kubelets look at once: a changed file they bring up to a minute later."""
        who = self._who(rollout)
        manifest = switch.manifest(who, action, objects.owner(who))
        if action.version:
            await self._api.replace(self._path(CORE, "configmaps", manifest["metadata"]["name"]), manifest)
        else:
            await self._api.create(self._path(CORE, "configmaps"), manifest)
        told = {"metadata": {"annotations": {switch.TOLD: action.colour.value}}}
        labels = f"{objects.ROLLOUT}={rollout.name},{objects.ROLE}={objects.WORKER}"
        for pod in await self._api.list(self._path(CORE, "pods"), labels):
            with contextlib.suppress(Conflict):  # gone meanwhile
                await self._api.merge(self._path(CORE, "pods", pod["metadata"]["name"]), told)
