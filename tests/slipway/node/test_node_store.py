"""The store beside a cluster, for real: the program, the networks of a cluster and a pod, requests from there."""

import hashlib
import subprocess
import threading
import time

import pytest
from node_pod import plug_in, plugged_in, pod, pull_out

from slipway.node import network
from slipway.node.errors import NodeError
from slipway.node.spec import ClusterSpec
from slipway.node.stock import Stock
from slipway.node.store import Store

SPEC = ClusterSpec(name="storetest", nodes=1, network="10.199.8.0/24")


@pytest.fixture
def networks():
    with plugged_in(SPEC):
        yield


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "store", SPEC)
    made.prepare()
    return made


class Serving:
    """`serve` in the background, and what it told."""

    def __init__(self, store):
        self.told, self.stop = [], threading.Event()
        arguments = (Stock().binary("versitygw"), self.stop, self.told.append)
        self.thread = threading.Thread(target=store.serve, args=arguments)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


@pytest.fixture
def asked(store, tmp_path):
    """Asks the store from the pod, as its user if none is given; answers with the status and the body."""
    ca = tmp_path / "ca.crt"
    ca.write_text(store.authority)

    def ask(method, path, *, user="", data="", patience=30.0):
        words = [
            "nsenter", f"--net={network.NAMESPACES / pod(SPEC)}",
            "curl", "--silent", "--show-error", "--cacert", str(ca),
            "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", user or ":".join(store.user),
            "--request", method, "--max-time", "5",
            "--write-out", "\n%{http_code}", f"{store.endpoint}{path}",
            "--header", f"x-amz-content-sha256: {hashlib.sha256(data.encode()).hexdigest()}",
        ]  # fmt: skip
        if data:
            words += ["--data-binary", data]
        deadline = time.monotonic() + patience
        while True:
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                body, _, status = done.stdout.rpartition("\n")
                return int(status), body
            assert time.monotonic() < deadline, done.stderr
            time.sleep(0.2)

    return ask


@pytest.mark.usefixtures("networks")
def test_a_pod_stores_and_what_it_stored_outlives_the_cluster(store, asked):
    with Serving(store) as it:
        assert asked("PUT", "/postgres")[0] == 200
        assert asked("PUT", "/postgres/wal/1", data="log")[0] == 200
        assert asked("GET", "/postgres/wal/1") == (200, "log")
        assert (store.folder / "data" / "postgres" / "wal" / "1").read_text() == "log"
        pull_out(SPEC)
        plug_in(SPEC)
        assert asked("GET", "/postgres/wal/1") == (200, "log")
        assert it.told.count(f"listening at {store.endpoint}") == 2
        assert f"cluster {SPEC.name} has gone; waiting for the next one" in it.told


@pytest.mark.usefixtures("networks")
def test_strangers_get_nothing(store, asked):
    with Serving(store):
        assert asked("GET", "/", user="postgres-backups:guessed")[0] == 403


@pytest.mark.usefixtures("networks")
def test_one_that_ends_is_started_again(store, tmp_path):
    ends = tmp_path / "ends"
    ends.write_text("#!/bin/sh\nexit 7\n")
    ends.chmod(0o755)
    told, stop = [], threading.Event()

    def tell(text):
        told.append(text)
        if len(told) > 3:
            stop.set()

    store.serve(ends, stop, tell)
    assert told[1] == f"it ended with 7 and is started again; {store.folder / 'store.log'} tells why"
    assert told[2] == told[0] == f"listening at {store.endpoint}"


def test_keys_are_the_owners_alone_and_stay(store):
    secret = store.user
    store.prepare()
    assert store.user == secret
    assert len(secret[1]) >= 32
    private = [store.folder / "user.json", *(store.folder / "keys").glob("*.key")]
    assert [path.stat().st_mode & 0o77 for path in private] == [0] * 3
    assert not any(secret[1] in word for word in store.command(store.folder / "program"))


def test_a_folder_that_goes_with_the_cluster_is_refused():
    with pytest.raises(NodeError, match="goes with the cluster"):
        Store(SPEC.home / "backups", SPEC)
