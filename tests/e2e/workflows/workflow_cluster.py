"""What the workflows' tests need of a cluster: a pipeline's account for each environment, and versions of its own."""

import contextlib
import json
import uuid

from workflow_act import ROOT
from workflow_pipeline import Account, Reached

from infra.naming import Environment, Project, live_host
from slipway.toolchain import default_cache_root

#: Where built programs lie, which a run with a home of its own would not find.
CACHES = {"XDG_CACHE_HOME": str(default_cache_root().parents[1])}
#: `make`, of which only `up` is ours: the repository of the tests holds workflows alone.
MAKE_UP = f"""#!/bin/sh
echo "make $*" >> "$RECORD"
[ "$1" = up ] || exit 0
unset HTTP_PROXY HTTPS_PROXY
exec /usr/bin/make --directory={ROOT} CLUSTER="$SLIPWAY_CLUSTER" "$@"
"""


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


def know_stacks(pipeline, running):
    """Let a run know the cluster's stacks as a runner does: by backend and passphrase alone."""
    passphrase = (running.state / "pulumi" / "passphrase").read_text()
    pipeline.secret.append(passphrase)
    pipeline.secrets |= {
        "PULUMI_BACKEND_URL": f"file://{running.state / 'pulumi' / 'stacks'}",
        "PULUMI_CONFIG_PASSPHRASE": passphrase,
    }
    pipeline.variables["SLIPWAY_CLUSTER"] = running.name
    pipeline.known |= CACHES


def make_clusters(pipeline, running):
    """Let a run be on the machine of the cluster, where `make up` is ours; it finds the cluster up."""
    pipeline.repository.program("make", MAKE_UP)
    pipeline.known |= {"SLIPWAY_CLUSTER": running.name, "SLIPWAY_STATE": str(running.state)} | CACHES
