"""A cluster is asked for its storage class over the API that it really has."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from infra.clusters import probe, targets
from infra.clusters.existing import existing
from infra.clusters.probe import ProbeError, default_of
from infra.settings import ExistingSettings

DEFAULT = {"storageclass.kubernetes.io/is-default-class": "true"}
CLASSES = [("slow", {}), ("fast", DEFAULT), ("old", {"storageclass.kubernetes.io/is-default-class": "false"})]


@pytest.fixture
def api():
    """An API server that has these classes and asks for a token."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append((self.path, self.headers.get("Authorization")))
            items = [
                {"metadata": {"name": name, "annotations": annotations}, "provisioner": "test"}
                for name, annotations in CLASSES
            ]
            body = json.dumps({"kind": "StorageClassList", "metadata": {}, "items": items}).encode()
            allowed = self.headers.get("Authorization") == "Bearer right"
            self.send_response(200 if allowed else 403)
            self.send_header("Content-Type", "application/json")
            body = body if allowed else b'{"kind": "Status", "code": 403, "message": "not allowed"}'
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", seen
    server.shutdown()
    thread.join()
    server.server_close()


def kubeconfig(server, token="right"):  # noqa: S107  # opens nothing
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": token}}],
    }


def test_the_default_class_is_found(api):
    server, seen = api
    assert probe.storage_class(kubeconfig(server), "one") == "fast"
    assert [path.partition("?")[0] for path, _ in seen] == ["/apis/storage.k8s.io/v1/storageclasses"]


def test_a_cluster_that_refuses_is_told_of(api):
    server, _ = api
    with pytest.raises(ProbeError, match=r"cannot be asked for its storage classes.*existing.storageClass"):
        probe.storage_class(kubeconfig(server, "wrong"), "one")


def test_a_cluster_that_does_not_answer_is_told_of(unused_tcp_port_of_this_machine):
    with pytest.raises(ProbeError, match="cannot be asked"):
        probe.storage_class(kubeconfig(f"http://127.0.0.1:{unused_tcp_port_of_this_machine}"), "one")


def test_a_context_that_is_not_there_is_told_of(api):
    with pytest.raises(ProbeError, match="context 'two' cannot be asked"):
        probe.storage_class(kubeconfig(api[0]), "two")


@pytest.fixture
def unused_tcp_port_of_this_machine():
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    port = server.server_address[1]
    server.server_close()
    return port


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([], r"0 default storage classes \(none is marked\) among none at all"),
        ([("a", {})], r"0 default storage classes \(none is marked\) among a"),
        ([("a", DEFAULT), ("b", DEFAULT)], r"2 default storage classes \(a, b\)"),
    ],
)
def test_a_cluster_without_one_default_is_not_guessed_about(classes, message):
    with pytest.raises(ProbeError, match=message):
        default_of(classes)


def test_the_answer_becomes_a_capability(deploy, tmp_path, api):
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig(api[0])))
    settings = ExistingSettings(kubeconfig_file="kubeconfig", load_balancer=True)
    config = targets.existing_config(settings, tmp_path)
    assert deploy(lambda: existing(config)).result.capabilities.storage_class == "fast"


def test_a_class_that_is_named_is_not_asked_for(deploy, tmp_path, api):
    server, seen = api
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig(server)))
    settings = ExistingSettings(kubeconfig_file="kubeconfig", load_balancer=True, storage_class="slow")
    result = deploy(lambda: existing(targets.existing_config(settings, tmp_path))).result
    assert result.capabilities.storage_class == "slow"
    assert seen == []
