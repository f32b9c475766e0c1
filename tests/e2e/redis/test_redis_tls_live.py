"""Redis on a real cluster: TLS alone, for the service too; a new certificate without a new member or an election."""

import json

import pytest
from e2e_waiting import until

from infra import tls
from infra.components import redis_files
from infra.naming import REDIS, REDIS_CACHE, REDIS_MEMBERS, REDIS_PORT, SENTINEL_PORT, Namespace, redis_member
from infra.redis_keeper.keeper import facts_of
from loadtests import k6

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

IN_DATA = f"--namespace={Namespace.DATA.value}"
MEMBERS = [redis_member(number) for number in range(REDIS_MEMBERS)]
#: A kubelet brings a changed Secret within a minute or two; then three Sentinels go one after the other.
TAKEN_OVER_SECONDS = 420


def shell(running, pod, words, container=REDIS):
    return running.kubectl("exec", pod, IN_DATA, f"--container={container}", "--", "sh", "-c", words)


def shown(running, pod, port):
    """Serial of the certificate that a member shows; None while a Sentinel is being started with another one."""
    ask = f"import ssl; print(ssl.get_server_certificate(('127.0.0.1', {port})))"
    found = shell(running, pod, f'python3 -c "{ask}" || true', "keeper")
    return tls.serial(found) if found.strip() else None


def all_shown(running):
    return {shown(running, pod, port) for pod in MEMBERS for port in (REDIS_PORT, SENTINEL_PORT)}


def one(serials):
    return len(serials) == 1 and None not in serials


def lives(running):
    """Of each member: its pod, the run of its Redis, its role."""

    def of(pod):
        facts = facts_of(shell(running, pod, redis_files.asking("INFO", 5)))
        uid = running.kubectl("get", "pod", pod, IN_DATA, "--output=jsonpath={.metadata.uid}")
        return uid, facts["run_id"], facts["role"]

    return {pod: of(pod) for pod in MEMBERS}


@pytest.mark.parametrize("port", [REDIS_PORT, SENTINEL_PORT])
def test_who_speaks_no_tls_hears_nothing(running, port):
    for pod in MEMBERS:
        asked = f"timeout 5 redis-cli -p {port} {{}} PING 2>&1 || true"
        assert "NOAUTH" in shell(running, pod, asked.format(f"--tls --cacert {redis_files.TLS}/ca.crt"))
        plain = shell(running, pod, asked.format(""))
        assert "NOAUTH" not in plain
        assert "PONG" not in plain


def test_the_service_caches_by_tls(running, tmp_path):
    with k6.start(running.plan(tmp_path, 20, 30)) as run:
        assert run.wait().requests > 0
    cache = f"app.kubernetes.io/name={REDIS_CACHE}"
    pod = json.loads(running.kubectl("get", "pods", IN_DATA, f"--selector={cache}", "--output=json"))["items"][0]
    told = facts_of(shell(running, pod["metadata"]["name"], redis_files.asking("INFO keyspace", 5)))
    assert "db0" in told


def test_a_new_certificate_is_taken_over_and_nothing_else_changes(running):
    whole = until(300, lambda: all_shown(running), one, every=5, what="one certificate everywhere")
    (before,), members = whole, lives(running)
    done = running.slipway("certificates", "rotate", "redis")
    assert done.returncode == 0, done.stderr

    def changed(serials):
        return one(serials) and before not in serials

    until(TAKEN_OVER_SECONDS, lambda: all_shown(running), changed, every=5, what="the new certificate everywhere")
    assert lives(running) == members
