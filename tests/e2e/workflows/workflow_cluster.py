"""What the workflows' tests need of a cluster: a pipeline's account for each environment, and versions of its own."""

import contextlib
import json
import uuid

from workflow_pipeline import Account, Reached

from infra.naming import Environment, Project, live_host


def version(running, folder, **variables):
    """A version of its own: the service's image with more in its environment, pushed; as nodes name it."""
    base, _, digest = running.outputs(Project.SERVICE)["image"].partition("@")
    spec, (nodes_know, _, path) = running.spec, base.partition("/")
    told = {"E2E_VERSION": str(uuid.uuid4()), **variables}
    lines = [f"ENV {name}={json.dumps(value)}\n" for name, value in told.items()]
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {spec.registry_address}/{path}@{digest}\n{''.join(lines)}")
    where = (f"--registry={spec.registry_address}/slipway", f"--ca={spec.home / 'registry-certificates'}")
    done = running.slipway("image", "publish", "e2e", str(folder), *where)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().replace(spec.registry_address, nodes_know, 1)


@contextlib.contextmanager
def accounts(running):
    """Of every environment that is there; they go with the block."""
    there = {it["metadata"]["name"] for it in running.kubectl.get("namespaces")}
    made = {it.value: Account(running.kubectl, it.value) for it in Environment if it.value in there}
    try:
        yield made
    finally:
        for account in made.values():
            account.remove()


def reached(running, environment):
    """How users reach the service there."""
    platform = running.outputs(Project.PLATFORM)
    service = running.outputs(Project.SERVICE, environment)
    return Reached(
        host=live_host(environment, platform["domain"]),
        address=platform["ingressAddress"],
        ca=platform["caCertificate"],
        token=service["accessKey"],
    )
