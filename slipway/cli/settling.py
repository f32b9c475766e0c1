"""What `up` still has to see when Pulumi is through: pods that are being replaced, and a version that waits.

Pulumi takes a changed StatefulSet for done as soon as it reads it, before the cluster has begun: its provider compares
the revisions of a status that is about the object as it was. It takes Postgres for done while its members are started
anew, and what is asked of them meanwhile can fail: the first base backup, of a member that cannot make one yet. And a
change of the service's pods is only handed to the rollout controller, which may need a person.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Final, TypeVar

import yaml
from lightkube import KubeConfig

from infra.components.postgres import API
from infra.engine import EngineError
from infra.naming import POSTGRES, SERVICE, Environment, Namespace
from slipway.cli import base_backups
from slipway.rollout import resource
from slipway.rollout.api import APPS, ROLLOUTS, Api, Refused, path_of
from slipway.rollout.loop import Unavailable
from slipway.rollout.observation import Rollout
from slipway.rollout.status import UNDER_TEST, Phase

PATIENCE: Final = 600.0
_OURS: Final = frozenset(it.value for it in Namespace)
_DATABASES: Final = f"/apis/{API}"
#: How the operator of Postgres calls a database of which every member is as wanted.
_HEALTHY: Final = "Cluster in healthy state"

Result = TypeVar("Result")


def unsettled(stateful_sets: Iterable[Mapping[str, Any]]) -> list[str]:
    """Those of the platform whose pods are not all as wanted, with how many are, by name.

    One that nobody replaces is left out, and so are those of others on the same cluster: they are not ours to wait for.

    Args:
        stateful_sets: Objects as the cluster has them.
    """
    found: list[str] = []
    for it in stateful_sets:
        spec, status, name = it["spec"], it.get("status", {}), f"{it['metadata']['namespace']}/{it['metadata']['name']}"
        if it["metadata"]["namespace"] not in _OURS or spec.get("updateStrategy", {}).get("type") == "OnDelete":
            continue
        wanted = spec.get("replicas", 1)
        seen = status.get("observedGeneration", 0) >= it["metadata"]["generation"]
        # The cluster leaves `updatedReplicas` out of a status without an update.
        whole = status.get("updateRevision", "") == status.get("currentRevision", "")
        updated = wanted if whole and seen else status.get("updatedReplicas", 0) if seen else 0
        done = min(updated, status.get("readyReplicas", 0))
        if done < wanted:
            found.append(f"{name} ({done} of {wanted})")
    return sorted(found)


def unsettled_postgres(postgres: Mapping[str, Any] | None) -> list[str]:
    """The platform's Postgres, with how many members are ready, if not all of them are as wanted.

    Args:
        postgres: Its `Cluster`; None where it is somebody else's.
    """
    if postgres is None:
        return []
    status, wanted = postgres.get("status", {}), postgres["spec"]["instances"]
    ready = status.get("readyInstances", 0)
    if status.get("phase") == _HEALTHY and ready >= wanted:
        return []
    return [f"{Namespace.DATA.value}/{POSTGRES} ({ready} of {wanted})"]


def see(kubeconfig: str, work: Callable[[Api], Coroutine[None, None, Result]]) -> Result:
    """Look into a cluster whose kubeconfig is only a text; kubectl is not needed, which not every target has built.

    Raises:
        EngineError: The API server does not answer, or refuses.
    """

    async def go() -> Result:
        async with Api(KubeConfig.from_dict(yaml.safe_load(kubeconfig)), timeout=10) as api:
            return await work(api)

    try:
        return asyncio.run(go())
    except (Refused, Unavailable) as error:
        raise EngineError(f"everything is made, but the cluster cannot be asked how it is: {error}") from error


async def settle(api: Api, tell: Callable[[str], None], patience: float = PATIENCE, poll: float = 2.0) -> None:
    """Wait until the pods of every StatefulSet of the platform, and of Postgres, are as wanted, and ready.

    Args:
        api: A connection that may read them everywhere.
        tell: Shows what is waited for.
        patience: Seconds.
        poll: Seconds between two looks.

    Raises:
        EngineError: They are not in time; names them.
    """
    deadline, said = time.monotonic() + patience, ""
    while missing := [*unsettled(await api.list(f"{APPS}/statefulsets")), *unsettled_postgres(await _postgres(api))]:
        if time.monotonic() > deadline:
            raise EngineError(
                f"waited {patience:g} s for pods to be replaced: {', '.join(missing)}; `slipway status` shows what is "
                "not ready, `kubectl describe pod` why. Mend it and run the same again."
            )
        if (text := f"pods that are replaced: {', '.join(missing)}") != said:
            tell(text)
            said = text
        await asyncio.sleep(poll)


async def first_backup(api: Api, tell: Callable[[str], None]) -> None:
    """Ask for a base backup where all that were tried have failed; the schedule would do so in the night only.

    Args:
        api: A connection that may read and make them.
        tell: Shows that it was done.
    """
    postgres, path = await _postgres(api), path_of(_DATABASES, Namespace.DATA.value, "backups")
    if postgres is None or base_backups.archiver(postgres) is None:
        return
    tried = base_backups.phases(await api.list(path))
    if tried and base_backups.lacking(tried):
        await api.create(path, base_backups.asked(generateName=f"{POSTGRES}-"))
        tell("a base backup of Postgres is asked for again, as there is none (`kubectl -n data get backups`)")


async def _postgres(api: Api) -> dict[str, Any] | None:
    return await api.get(path_of(_DATABASES, Namespace.DATA.value, "clusters", POSTGRES))


async def news(api: Api, environment: Environment) -> list[str]:
    """What somebody who changed a service should know of its rollout; nothing if the wanted version serves."""
    found = await api.list(path_of(ROLLOUTS, environment.value, "rollouts"))
    return [line for it in found if it.get("status") for line in told(resource.parse(it))]


def told(rollout: Rollout) -> list[str]:
    """What there is to say of a rollout, with the command that helps."""
    status, name = rollout.status, f"{rollout.namespace}/{rollout.name}"
    options = f"--environment {rollout.namespace}" + ("" if rollout.name == SERVICE else f" --service {rollout.name}")
    if status.phase in {Phase.PAUSED, Phase.APPROVAL}:
        why = f" ({status.reason.value})" if status.reason else ""
        return [
            f"the rollout of {name} waits for a person{why}: {status.message}",
            f"look:      slipway rollout status {options}",
            f"let it on: slipway rollout approve {options}",
            f"take back: slipway rollout abort {options}",
        ]
    if status.phase is Phase.ROLLED_BACK:
        return [
            f"the new version of {name} was taken back ({status.reason.value}): {status.message}",
            f"look:      slipway rollout status {options}",
        ]
    if status.phase in UNDER_TEST or status.phase is Phase.ROLLING_BACK:
        return [
            f"a new version of {name} is on its way ({status.phase.value}); the old one serves until then",
            f"follow it: slipway rollout watch {options}",
        ]
    return []
