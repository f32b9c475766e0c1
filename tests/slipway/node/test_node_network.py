"""The network of a cluster, made for real: bridges, namespaces and rules, and nothing in them."""

import subprocess

import pytest
from node_pod import plugged_in, pod

from slipway.node import config, network
from slipway.node.spec import ClusterSpec

#: As patient as clients of Postgres are.
CONNECT = "import socket; socket.create_connection(('{}', 5432), timeout=2)"
#: Twenty, one after the other, none of which waits until it is tried again: that is after a second.
CONNECT_OFTEN = """
import socket
refused = 0
for _ in range(20):
    try:
        socket.create_connection(("{}", 5432), timeout=0.9)
    except ConnectionRefusedError:
        refused += 1
    except TimeoutError:
        pass
raise SystemExit(f"{{refused}} refused")
"""
SERVICE, GONE = "10.97.1.1", "10.244.0.99"


@pytest.fixture
def spec():
    made = ClusterSpec(name="nettest", nodes=1, network="10.199.7.0/24", service_network="10.97.0.0/16")
    with plugged_in(made):
        yield made


def connect(netns, address, program=CONNECT):
    """What a program says that connects."""
    inside = ("nsenter", f"--net={network.NAMESPACES / netns}", "python3", "-c", program.format(address))
    return subprocess.run(inside, capture_output=True, text=True, check=False).stderr


def rules(spec, *words):
    inside = ("nsenter", f"--net={network.NAMESPACES / spec.workers[0].netns}", "iptables", "--wait")
    return subprocess.run([*inside, *words], capture_output=True, text=True, check=True).stdout


def test_a_connection_to_a_service_that_nothing_rewrites_is_refused_and_does_not_hang(spec):
    assert "ConnectionRefusedError" in connect(pod(spec), SERVICE)
    rules(spec, "--flush", "FORWARD")
    assert "TimeoutError" in connect(pod(spec), SERVICE)  # what it was like


def test_each_of_many_connections_in_a_row_is_refused(spec):
    asking = pod(spec)
    assert connect(asking, SERVICE, CONNECT_OFTEN) == "20 refused\n"
    node = network.NAMESPACES / spec.workers[0].netns
    subprocess.run(["nsenter", f"--net={node}", "sysctl", "-qw", "net.ipv4.icmp_ratelimit=1000"], check=True)
    assert connect(asking, SERVICE, CONNECT_OFTEN) != "20 refused\n"  # what it was like


def test_who_connects_to_a_pod_that_has_gone_is_told_before_it_gives_up(spec):
    machine, node = spec.control_plane.netns, spec.workers[0].netns
    assert "No route to host" in connect(machine, GONE)
    kernels = [f"net.ipv4.neigh.{config.POD_BRIDGE}.{it}" for it in ("mcast_solicit=3", "retrans_time_ms=1000")]
    subprocess.run(["nsenter", f"--net={network.NAMESPACES / node}", "sysctl", "-qw", *kernels], check=True)
    assert "TimeoutError" in connect(machine, GONE)  # what it was like


def test_what_is_there_is_not_made_twice(spec):
    network.ensure(spec)
    assert rules(spec, "--list-rules", "FORWARD").count("REJECT") == 1
