"""The HorizontalPodAutoscalers of a rollout, one for each colour: what they say (pure), and how it is kept so.

The autoscaler moves a Deployment's number between a floor and a ceiling. Both belong to the controller: at rest the
floor is the spec's, and while two versions are in play no colour may shrink, so that the way back is always as wide as
it was (docs/adr/0095-one-autoscaler-a-colour.md).
"""

import contextlib
from collections.abc import Mapping
from typing import Any, Final

from slipway.rollout.api import APPS, Api, path_of
from slipway.rollout.loop import Conflict
from slipway.rollout.objects import COLOUR, ROLLOUT, deployment_name, owner
from slipway.rollout.observation import Rollout
from slipway.rollout.status import Colour

AUTOSCALING: Final = "/apis/autoscaling/v2"
PLURAL: Final = "horizontalpodautoscalers"

Manifest = dict[str, Any]


def floor(rollout: Rollout, colour: Colour, replicas: int) -> int:
    """The least number of pods that the autoscaler may leave a colour.

    Args:
        rollout: Its spec and what has been written of it.
        colour: Which.
        replicas: How many its Deployment asks for now.
    """
    status = rollout.status
    alone = status.candidate is None and status.standby is None
    serves = status.stable is not None and status.stable.colour is colour
    # A Deployment of 0 pods is left alone by its autoscaler, whatever this says.
    return rollout.spec.replicas if replicas == 0 or (alone and serves) else replicas


def wanted(rollout: Rollout, colour: Colour, replicas: int) -> Manifest | None:
    """The autoscaler of a colour that has a Deployment; None if the spec asks for none."""
    asked = rollout.spec.autoscaling
    if asked is None:
        return None
    least = floor(rollout, colour, replicas)
    name = deployment_name(rollout.name, colour)
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": name,
            "namespace": rollout.namespace,
            "labels": {ROLLOUT: rollout.name, COLOUR: colour.value},
            "ownerReferences": owner({"name": rollout.name, "uid": rollout.uid}),
        },
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": least,
            "maxReplicas": max(asked.max_replicas, least),
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": asked.cpu}},
                }
            ],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": asked.scale_down_seconds}},
        },
    }


def holds(found: Any, asked: Any) -> bool:
    """Whether an object says all that is asked; the API server adds defaults of its own."""
    if isinstance(asked, Mapping):
        return isinstance(found, Mapping) and all(holds(found.get(key), value) for key, value in asked.items())
    if isinstance(asked, list):
        return isinstance(found, list) and len(found) == len(asked) and all(map(holds, found, asked))
    return found == asked


class Autoscalers:
    """Keeps the autoscalers of one rollout as its spec and its status ask for."""

    def __init__(self, api: Api, namespace: str, name: str) -> None:
        self._api = api
        self._label = f"{ROLLOUT}={name}"
        self._own = path_of(AUTOSCALING, namespace, PLURAL)
        self._deployments = path_of(APPS, namespace, "deployments")
        self._none = False  # none is asked for and none is there: nobody else makes any

    async def keep(self, rollout: Rollout) -> None:
        """Make, change or remove what is not as it should be; whoever is overtaken looks again in the next turn.

        Raises:
            Refused: the controller may not.
            Unavailable: the API server does not answer.
        """
        if self._none and rollout.spec.autoscaling is None:
            return
        there = {it["metadata"]["name"]: it for it in await self._api.list(self._own, self._label)}
        self._none = rollout.spec.autoscaling is None and not there
        if self._none:
            return
        found = await self._api.list(self._deployments, self._label)
        replicas = {it["metadata"]["name"]: it["spec"].get("replicas", 1) for it in found}
        with contextlib.suppress(Conflict):
            for colour in Colour:
                name = deployment_name(rollout.name, colour)
                asked = wanted(rollout, colour, replicas[name]) if name in replicas else None
                await self._put(name, there.get(name), asked)

    async def _put(self, name: str, found: Manifest | None, asked: Manifest | None) -> None:
        if asked is None:
            if found is not None:
                await self._api.delete(f"{self._own}/{name}", found["metadata"]["resourceVersion"])
        elif found is None:
            await self._api.create(self._own, asked)
        elif not holds(found, asked):
            version = {"resourceVersion": found["metadata"]["resourceVersion"]}
            await self._api.replace(f"{self._own}/{name}", {**asked, "metadata": {**asked["metadata"], **version}})
