"""What the Services tell HAProxy; and that the rendered retry rules do on a real HAProxy what they promise."""

import os
import shutil
import socket
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

PREFIX = "haproxy-ingress.github.io/"
CONFIG = """
global
  maxconn 50
defaults
  mode http
  timeout client 5s
  option redispatch
frontend in
  bind fd@{listener}
  default_backend pods
backend pods
  balance roundrobin
  timeout connect {connect}
  timeout server {server}
{snippet}
  server dies 127.0.0.1:{dies}
  server lives 127.0.0.1:{lives}
"""


def annotations(rendered, name="payload", kind="Service"):
    """Returns what an object tells HAProxy, without the prefix of the keys."""
    found = rendered.one(kind, name)["metadata"]["annotations"]
    return {key.removeprefix(PREFIX): value for key, value in found.items() if key.startswith(PREFIX)}


def test_live_service_tells_haproxy_exactly_this(chart):
    assert annotations(chart()) == {
        "blue-green-mode": "deploy",
        "balance-algorithm": "roundrobin",
        "slots-min-free": "16",
        "timeout-connect": "1s",
        "timeout-server": "10s",
        "config-backend": (
            "retry-on conn-failure empty-response response-timeout\n"
            "retries 3\n"
            "option redispatch 1\n"
            "http-request disable-l7-retry if !{ method GET HEAD OPTIONS } !{ req.hdr(idempotency-key) -m found }\n"
        ),
    }


def test_weights_are_left_to_the_controller(chart):
    for name in ("payload", "payload-preview"):
        assert not {"blue-green-balance", "initial-weight"} & set(annotations(chart(), name))


def test_preview_tells_haproxy_the_same(chart):
    assert annotations(chart(), "payload-preview") == annotations(chart())


def test_retries_off_means_none_at_all(chart):
    told = annotations(chart({"ingress": {"retries": {"enabled": False}}}))
    assert told["config-backend"] == "retries 0\nno option redispatch\n"


def test_colour_services_tell_haproxy_nothing(chart):
    assert annotations(chart(), "payload-blue") == {}


def test_hosts_are_told_about_tls_and_sizes(chart):
    told = annotations(chart(), kind="Ingress", name="payload-preview")
    assert told == {
        "ssl-redirect": "true",
        "proxy-body-size": "1m",
        "hsts": "true",
        "hsts-max-age": "31536000",
        "hsts-include-subdomains": "true",
        "hsts-preload": "true",
    }


def test_own_annotations_win_on_the_live_ingress(chart):
    told = annotations(chart(), kind="Ingress")
    assert told["proxy-body-size"] == "2m"
    assert told["limit-rps"] == "100"
    assert told["hsts"] == "true"


def test_what_has_no_pods_before_the_rollout_is_not_waited_for(chart):
    skipped = {
        f"{one['kind']} {one['metadata']['name']}"
        for one in chart().objects
        if one["metadata"].get("annotations", {}).get("pulumi.com/skipAwait") == "true"
    }
    assert skipped == {
        "Service payload",
        "Ingress payload",
        "Service payload-blue",
        "Service payload-green",
        "Service payload-preview",
        "Ingress payload-preview",
    }


# --- on a real HAProxy ------------------------------------------------------------------------------------------------


class Pod:
    """A server that answers 200, or dies with each request in its hands. Counts the requests that reached it."""

    def __init__(self, *, dies):
        self.requests = 0
        self._dies = dies
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            connection, _ = self._socket.accept()
            with connection:
                head = connection.recv(65536)
                if head == b"stop":
                    return
                self.requests += 1
                if not self._dies:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def stop(self):
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(b"stop")
        self._thread.join()
        self._socket.close()


@pytest.fixture(scope="module")
def haproxy():
    """Returns the program, installed if it is missing."""
    places = f"{os.environ['PATH']}:/usr/sbin"
    if shutil.which("haproxy", path=places) is None:
        from slipway.toolchain.debian import Package, ensure  # noqa: PLC0415 - only where something is missing

        ensure([Package("haproxy", "tests hold the chart's retry rules against it")])
    found = shutil.which("haproxy", path=places)
    assert found is not None
    return found


@contextmanager
def running(haproxy, told, folder):
    """Runs HAProxy as the annotations say, before one pod that dies and one that lives; gives address and dying pod."""
    dies, lives = Pod(dies=True), Pod(dies=False)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = Path(folder) / "haproxy.cfg"
        config.write_text(
            CONFIG.format(
                listener=listener.fileno(),
                connect=told["timeout-connect"],
                server=told["timeout-server"],
                snippet="\n".join(f"  {line}" for line in told["config-backend"].splitlines()),
                dies=dies.port,
                lives=lives.port,
            ),
        )
        # HAProxy takes over a socket that listens already: requests wait in its queue, and nobody has to wait for it.
        process = subprocess.Popen([haproxy, "-db", "-q", "-f", config], pass_fds=[listener.fileno()])
        try:
            yield listener.getsockname(), dies
        finally:
            process.kill()
            process.wait()
            dies.stop()
            lives.stop()


def statuses(address, method, headers="", times=6):
    """Returns the statuses of some requests, one connection each."""
    found = []
    for _ in range(times):
        with socket.create_connection(address, timeout=10) as connection:
            connection.sendall(
                f"{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n{headers}\r\n".encode()
                + b"{}",
            )
            found.append(int(connection.recv(65536).split()[1]))
    return found


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", ""),
        ("HEAD", ""),
        ("OPTIONS", ""),
        ("POST", "Idempotency-Key: 1\r\n"),
        ("PATCH", "idempotency-key: 1\r\n"),
    ],
)
def test_what_is_safe_to_send_twice_never_fails(chart, haproxy, tmp_path, method, headers):
    with running(haproxy, annotations(chart()), tmp_path) as (address, dies):
        assert statuses(address, method, headers) == [200] * 6
        assert dies.requests > 0


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_is_not_safe_is_sent_once(chart, haproxy, tmp_path, method):
    with running(haproxy, annotations(chart()), tmp_path) as (address, dies):
        found = statuses(address, method)
        assert found.count(502) == dies.requests > 0


def test_with_retries_off_failures_show(chart, haproxy, tmp_path):
    told = annotations(chart({"ingress": {"retries": {"enabled": False}}}))
    with running(haproxy, told, tmp_path) as (address, dies):
        found = statuses(address, "GET")
        assert found.count(502) == dies.requests > 0
