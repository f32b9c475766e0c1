"""The ingress certificate: what a real TLS server shows, and a Secret that is changed in its owner's name."""

import base64
import json
import socket
import ssl
import threading
from datetime import UTC, datetime

import pytest

from infra import tls
from slipway.cli import shown
from slipway.cli.shown import IngressCertificate

OWNER = "pulumi-kubernetes-abcd"
NOW = datetime.now(UTC)
PAIR = tls.server(["a.test"], tls.authority("Slipway test", days=30, now=NOW), days=30, now=NOW)


def encoded(text):
    return base64.b64encode(text.encode()).decode()


class Cluster:
    """One Secret, as the API server gives it and takes it."""

    def __init__(self):
        self.data = {"tls.crt": encoded(PAIR.certificate), "tls.key": encoded(PAIR.private_key)}
        self.writes = []

    def __call__(self, *words, stdin=None):
        if words[0] == "get":
            assert words[1:4] == ("secret", "haproxy-default-tls", "--namespace=ingress")
            managed = [
                {"manager": "someone", "operation": "Update", "fieldsV1": {"f:metadata": {}}},
                {"manager": OWNER, "operation": "Apply", "fieldsV1": {"f:data": {"f:tls.crt": {}}}},
            ]
            metadata = {"name": "haproxy-default-tls", "labels": {"a": "b"}, "uid": "1", "managedFields": managed}
            return json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": self.data})
        document = json.loads(stdin)
        self.writes.append((words, document["metadata"]))
        self.data = document["data"]
        return ""


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
def certificate(cluster):
    return IngressCertificate(cluster, "127.0.0.1", "a.test", lambda: None)


def test_the_serial_is_that_of_the_secret(certificate):
    assert certificate.issued() == tls.serial(PAIR.certificate)


def test_a_strangers_takes_its_place_in_the_owners_name_and_goes_again(cluster, certificate):
    before = dict(cluster.data)
    certificate.show_strangers()
    assert certificate.issued() != tls.serial(PAIR.certificate)
    assert cluster.data["tls.key"] != before["tls.key"]
    certificate.show_own()
    assert cluster.data == before
    certificate.show_own()
    assert len(cluster.writes) == 2
    for words, metadata in cluster.writes:
        assert f"--field-manager={OWNER}" in words
        assert metadata == {"name": "haproxy-default-tls", "labels": {"a": "b"}}


def test_what_is_shown_is_asked_of_new_connections(certificate, tmp_path, monkeypatch):
    (tmp_path / "both.pem").write_text(PAIR.certificate + PAIR.private_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    taken = []

    def serve(server):
        for _ in range(shown.HANDSHAKES):
            connection, _ = server.accept()
            with context.wrap_socket(connection, server_side=True) as secured:
                taken.append(secured.version())

    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(shown, "_PORT", server.getsockname()[1])
        serving = threading.Thread(target=serve, args=(server,), daemon=True)
        serving.start()
        assert certificate.shown() == {tls.serial(PAIR.certificate)}
        serving.join(timeout=10)
    assert len(taken) == shown.HANDSHAKES
    with pytest.raises(OSError, match="refused"):
        certificate.shown()
