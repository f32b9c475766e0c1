"""The embedded cluster's own certificates near their end: `up` makes them anew, whoever reads them is started again.

Under load: the control plane and every kubelet are started again, containers are not.
"""

import datetime as dt
import json
import ssl

import pytest

from infra.naming import Namespace
from slipway.node import pki, supervise
from slipway.node.cluster import ready_nodes
from slipway.node.config import AUTHORITIES, leaves
from slipway.node.programs import programs

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

#: Of 397: so many have passed, and 17 are left.
PASSED = dt.timedelta(days=380)
API_PORT = 6443


def due(running):
    done = running.slipway("certificates", "list", "--of", "cluster", "--json")
    assert done.returncode == 0, done.stderr
    return {it["name"] for it in json.loads(done.stdout) if it["due"]}


def processes(spec):
    return {it.name: supervise.program_pid(spec, it.name) for it in programs(spec, lambda name: spec.home / name)}


def restarts(kubectl):
    """Of each container but the operator's, whose leader ends itself when the API server is gone for its lease."""
    return {
        (pod["metadata"]["uid"], status["name"]): status["restartCount"]
        for pod in kubectl.get("pods", "--all-namespaces")
        if pod["metadata"]["namespace"] != Namespace.POSTGRES_OPERATOR.value
        for status in pod["status"].get("containerStatuses", ())
    }


@pytest.fixture
def aged(running):
    """Certificates as they would be a year from now; what runs has not read them."""
    spec, folder = running.spec, running.spec.home / "pki"
    for leaf in leaves(spec):
        (folder / f"{leaf.file}.crt").unlink()
        pki.ensure_leaf(folder, leaf, dt.datetime.now(dt.UTC) - PASSED)
    return spec


def test_up_makes_them_anew_and_users_notice_nothing(running, aged, loaded):
    known = {leaf.file for leaf in leaves(aged)}
    assert due(running) == known
    before, counted = processes(aged), restarts(running.kubectl)
    ended = []

    def renew():
        ended.append(running.slipway("up"))

    result = loaded("cluster-certificates", renew, rate=20)
    (done,) = ended
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert due(running) == set()
    after = processes(aged)
    assert {name for name in before if after[name] == before[name]} == set()
    served = ssl.get_server_certificate((aged.control_plane.address, API_PORT))
    assert served.strip() == (aged.home / "pki" / "apiserver.crt").read_text().strip()
    assert ready_nodes(running.kubectl) == {node.name for node in aged.workers}
    now = restarts(running.kubectl)
    assert result.failed == 0
    assert {key: count for key, count in now.items() if key in counted and count != counted[key]} == {}


def test_the_authorities_stay_and_nothing_is_left_to_change(running):
    folder = running.spec.home / "pki"
    assert all(pki.end(folder, name) > dt.datetime.now(dt.UTC) + 5 * dt.timedelta(days=365) for name in AUTHORITIES)
    done = running.slipway("preview", "--expect-no-changes")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
