"""From Deployments and pods as the API server gives them to what `decide` sees of a colour. Pure."""

from collections.abc import Mapping
from typing import Any

from slipway.rollout import objects
from slipway.rollout.observation import ColourView, WorkersView
from slipway.rollout.status import Colour


def colour_view(
    rollout: str, colour: Colour, deployments: list[dict[str, Any]], pods: list[dict[str, Any]]
) -> ColourView:
    """Return how a colour stands."""
    by_name = {found["metadata"]["name"]: found for found in deployments}
    workers = WorkersView()
    made = by_name.get(objects.deployment_name(rollout, colour, objects.WORKER))
    if made is not None:
        _, current = _pods_of(made, colour, objects.WORKER, pods)
        workers = WorkersView(
            revision=_revision(made),
            replicas=made["spec"].get("replicas", 1),
            ready=sum(objects.is_ready(pod) for pod in current),
            crash_looping=any(objects.is_crash_looping(pod) for pod in current),
            version=made["metadata"]["resourceVersion"],
        )
    web = by_name.get(objects.deployment_name(rollout, colour))
    if web is None:
        return ColourView(workers=workers)
    own, current = _pods_of(web, colour, objects.WEB, pods)
    return ColourView(
        revision=_revision(web),
        replicas=web["spec"].get("replicas", 1),
        ready=sum(objects.is_ready(pod) for pod in current),
        pods=len(own),
        crash_looping=any(objects.is_crash_looping(pod) for pod in current),
        version=web["metadata"]["resourceVersion"],
        workers=workers,
    )


def _revision(deployment: Mapping[str, Any]) -> str:
    return deployment["metadata"]["labels"].get(objects.REVISION, "")


def _pods_of(
    deployment: Mapping[str, Any], colour: Colour, role: str, pods: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the pods of a colour and role, and those among them that are of the Deployment's revision."""
    wanted = {objects.COLOUR: colour.value, objects.ROLE: role}
    own = [pod for pod in pods if wanted.items() <= pod["metadata"]["labels"].items()]
    revision = _revision(deployment)
    return own, [pod for pod in own if pod["metadata"]["labels"].get(objects.REVISION) == revision]


def addresses(pods: list[dict[str, Any]]) -> dict[str, Colour]:
    """Return which colour each pod's address belongs to."""
    found: dict[str, Colour] = {}
    for pod in pods:
        address = pod.get("status", {}).get("podIP")
        colour = pod["metadata"]["labels"].get(objects.COLOUR, "")
        if address and colour in set(Colour):
            found[address] = Colour(colour)
    return found
