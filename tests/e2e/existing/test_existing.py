"""The target `existing`: platform and service on a cluster that others made, of which only the kubeconfig is known.

The others are this test: a bare embedded cluster, made without Pulumi. One cluster, tests in the order in which they
stand.
"""

import json

import pytest

from infra.naming import Namespace, Project
from slipway import node
from slipway.node.cluster import kubectl_of
from slipway.node.stock import Stock

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

BARE = node.ClusterSpec(name="bare", network="10.125.0.0/24")
#: The stack's name is another than the cluster's own: nothing may lean on the two being one.
STACK = "elsewhere"


@pytest.fixture(scope="module")
def bare():
    """A cluster with nodes, DNS, volumes and a registry, and nothing else."""
    node.destroy(BARE.name)
    try:
        yield node.create(BARE, Stock())
    finally:
        node.destroy(BARE.name)


@pytest.fixture(scope="module")
def elsewhere(bare, tmp_path_factory, cluster_by_name):
    """The platform and the service on it, by the command that users run."""
    folder = tmp_path_factory.mktemp("existing")
    kubeconfig = folder / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(bare.kubeconfig)
    existing = {
        "kubeconfigFile": str(kubeconfig),
        "loadBalancer": False,
        "addressRange": bare.load_balancer_range,
        "sharedMachine": True,
        "registry": bare.registry,
        "registryPush": bare.registry_push,
        "registryCertificates": str(bare.registry_certificates),
    }
    running = cluster_by_name(STACK, folder)
    # Logs have tests of their own, and nothing of them knows what cluster it is on.
    settings = {"slipway-cluster:existing": json.dumps(existing), "slipway-platform:logs": "off"}
    words = [word for setting in settings.items() for word in ("--set", *setting)]
    done = running.slipway("up", "--target", "existing", *words)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    return running


def namespaces():
    return {it["metadata"]["name"] for it in kubectl_of(BARE, Stock()).get("namespaces")}


def test_nothing_of_the_cluster_itself_belongs_to_the_stack(elsewhere):
    assert elsewhere.outputs(Project.CLUSTER)["identifier"].startswith("existing/")
    # The stack itself is the only thing that a preview knows.
    assert sum(elsewhere.engine.preview(Project.CLUSTER, STACK).values()) <= 1


def test_everything_is_ready(elsewhere):
    done = elsewhere.slipway("status", "--json")
    assert done.returncode == 0, done.stdout
    names = {it["name"] for it in json.loads(done.stdout)["components"]}
    assert {"node/node1", "ingress/haproxy", "data/postgres"} <= names


def test_crud_through_haproxy_over_tls(elsewhere):
    done = elsewhere.slipway("loadtest", "run", "crud", "--rate", "20", "--seconds", "30")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"


def test_a_second_up_would_change_nothing(elsewhere):
    changed = [project.value for project, stack in elsewhere.stacks() if not elsewhere.engine.unchanged(project, stack)]
    assert not changed


def test_down_takes_the_platform_off_and_leaves_the_cluster(elsewhere):
    ours = {Namespace.INGRESS.value, Namespace.DATA.value, Namespace.ROLLOUT.value, "dev"}
    assert ours <= namespaces()
    done = elsewhere.slipway("down")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    assert not ours & namespaces()
    assert node.healthy(BARE)
    assert list(elsewhere.engine.stacks_of(STACK)) == []
