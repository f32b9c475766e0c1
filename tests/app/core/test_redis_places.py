"""A Redis behind Sentinels: its master dies, requests go on, and messages arrive once another one leads."""

import contextlib
import os
import shutil
import ssl
import subprocess
import time
from datetime import UTC, datetime
from threading import Event

import pytest
from ports import free_port, free_ports
from prometheus_client import CollectorRegistry
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from app.core import redis_places
from app.core.parts import parts_of
from app.core.redis_places import SentinelPlace, parse_sentinels
from app.core.secret_files import SecretError, read_redis_url
from app.factory import create_app
from app.worker.loop import TROUBLE, Worker
from infra import tls

pytestmark = pytest.mark.timeout(180)

DOWN_AFTER = 1000


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "redis+sentinel://service:p%40ss@a:26379,b.data:1/state/2",
            SentinelPlace((("a", 26379), ("b.data", 1)), "state", 2, {"username": "service", "password": "p@ss"}),
        ),
        ("redis+sentinel://a:1/state", SentinelPlace((("a", 1),), "state", 0, {})),
        ("redis+sentinel://:secret@a:1/state", SentinelPlace((("a", 1),), "state", 0, {"password": "secret"})),
        ("rediss+sentinel://a:1/state", SentinelPlace((("a", 1),), "state", 0, {}, tls=True)),
        ("redis+sentinel://a/state", None),
        ("redis+sentinel://a:1,/state", None),
        ("redis+sentinel://a:1", None),
        ("redis+sentinel://a:1/state/x", None),
        ("redis://a:1/0", None),
    ],
)
def test_an_address_names_sentinels_set_and_database(url, expected):
    assert parse_sentinels(url) == expected


@pytest.mark.parametrize("url", ["redis+sentinel://a:1", "http://a", "redis+sentinel://x:secret@a/state"])
def test_an_address_of_no_known_form_is_refused_without_repeating_it(tmp_path, url):
    path = tmp_path / "url"
    path.write_text(url)
    with pytest.raises(SecretError, match=r"or redis\(s\)\+sentinel://") as error:
        read_redis_url(path)
    assert "secret" not in str(error.value).partition(": ")[2]


def test_the_plain_form_stays_what_it_was(redis_server):
    with redis_places.connect(redis_server.url, socket_timeout=5) as client:
        assert client.ping()


class Watched:
    """A master and a replica, and three Sentinels that watch them."""

    def __init__(self, folder, signed=None):
        self.folder, self.processes, self.signed = folder, {}, signed
        ports = free_ports(5)
        self.redis, self.sentinels = ports[:2], ports[2:]
        self.start_redis(0)
        self.start_redis(1, "--replicaof", "127.0.0.1", str(self.redis[0]))
        for port in self.sentinels:
            path = folder / f"sentinel-{port}.conf"
            path.write_text(
                f"sentinel monitor state 127.0.0.1 {self.redis[0]} 2\n"
                f"sentinel down-after-milliseconds state {DOWN_AFTER}\nsentinel failover-timeout state 4000\n"
            )
            self.run(("sentinel", port), str(path), "--sentinel", *self.listening(port), "--bind", "127.0.0.1")

    def listening(self, port):
        """Arguments by which a server listens, with TLS alone if there is a certificate."""
        if self.signed is None:
            return ("--port", str(port))
        files = {"cert": "tls.crt", "key": "tls.key", "ca-cert": "ca.crt"}
        named = [word for kind, file in files.items() for word in (f"--tls-{kind}-file", str(self.signed / file))]
        return ("--port", "0", "--tls-port", str(port), *named, "--tls-auth-clients", "no", "--tls-replication", "yes")

    def run(self, key, *arguments):
        with (self.folder / f"{key[0]}-{key[1]}.log").open("wb") as log:
            self.processes[key] = subprocess.Popen(
                ["redis-server", *arguments], stdout=log, stderr=subprocess.STDOUT, cwd=self.folder
            )

    def start_redis(self, number, *more):
        common = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0")
        self.run(("redis", number), *self.listening(self.redis[number]), *common, *more)

    @property
    def url(self):
        scheme = "redis+sentinel" if self.signed is None else "rediss+sentinel"
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        return f"{scheme}://{hosts}/state/0"

    def kill(self, key):
        self.processes[key].kill()
        self.processes[key].wait(timeout=20)

    def stop(self):
        for key in self.processes:
            self.kill(key)

    def wait_until_watched(self):
        """Until every Sentinel knows the replica and the two others."""
        deadline = time.monotonic() + 60
        for port in self.sentinels:
            while True:
                assert time.monotonic() < deadline, f"Sentinel {port} does not know all others"
                try:
                    tls = {} if self.signed is None else {"ssl": True, "ssl_ca_certs": str(self.signed / "ca.crt")}
                    with Redis(port=port, socket_timeout=2, retry=Retry(NoBackoff(), 0), **tls) as client:
                        state = client.sentinel_master("state")
                except RedisError:
                    state = {}
                if (state.get("num-other-sentinels"), state.get("num-slaves")) == (2, 1):
                    break
                time.sleep(0.1)


@pytest.fixture
def signed(tmp_path):
    """A folder with an authority, and with a certificate of it for this machine."""
    now, folder = datetime.now(UTC), tmp_path / "signed"
    folder.mkdir()
    authority = tls.authority("Slipway test", days=10, now=now)
    pair = tls.server(["localhost", "127.0.0.1"], authority, days=9, now=now)
    (folder / "ca.crt").write_text(authority.certificate)
    (folder / "tls.crt").write_text(pair.certificate)
    (folder / "tls.key").write_text(pair.private_key)
    (folder / "other.crt").write_text(tls.authority("Slipway test", days=10, now=now).certificate)
    return folder


@contextlib.contextmanager
def watching(folder, signed=None):
    if shutil.which("redis-server") is None:
        pytest.fail("needs a real Redis: no `redis-server` in PATH (Debian: apt-get install redis-server)")
    made = Watched(folder, signed)
    try:
        made.wait_until_watched()
        yield made
    finally:
        made.stop()


@pytest.fixture
def watched(tmp_path):
    with watching(tmp_path) as made:
        yield made


@pytest.fixture
def watched_by_tls(tmp_path, signed):
    with watching(tmp_path, signed) as made:
        yield made


def until(what, within=30.0):
    """Seconds until something holds; errors of Redis are no answer yet."""
    begin = time.monotonic()
    while time.monotonic() - begin < within:
        try:
            if what():
                return time.monotonic() - begin
        except TROUBLE:
            pass
        time.sleep(0.1)
    pytest.fail(f"not within {within} s")


def test_a_client_finds_the_next_master_also_with_a_sentinel_gone(watched):
    with redis_places.connect(watched.url, socket_timeout=2, retry=Retry(NoBackoff(), 0)) as client:
        client.set("kept", 1)
        client.wait(1, 5000)
        watched.kill(("sentinel", watched.sentinels[0]))
        watched.kill(("redis", 0))
        assert until(lambda: client.set("written", 1)) < 10
        assert client.get("kept") == b"1"
        assert client.info("server")["tcp_port"] == watched.redis[1]


def test_by_tls_a_client_finds_the_next_master_too(watched_by_tls, signed):
    authority = signed / "ca.crt"
    with redis_places.connect(watched_by_tls.url, authority, socket_timeout=2, retry=Retry(NoBackoff(), 0)) as client:
        client.set("kept", 1)
        client.wait(1, 5000)
        watched_by_tls.kill(("redis", 0))
        assert until(lambda: client.set("written", 1)) < 10
        assert client.get("kept") == b"1"
        assert client.info("server")["tcp_port"] == watched_by_tls.redis[1]


def test_by_tls_whom_the_authority_has_not_signed_is_not_believed(watched_by_tls, signed):
    """Neither a Sentinel nor a single Redis; nor is one that speaks TLS heard by who does not."""
    own, other = signed / "ca.crt", signed / "other.crt"

    def client_of(url, authority):
        return redis_places.connect(url, authority, socket_timeout=2, retry=Retry(NoBackoff(), 0))

    single = f"rediss://127.0.0.1:{watched_by_tls.redis[0]}/0"
    for url in (watched_by_tls.url, single):
        with client_of(url, own) as client:
            assert client.ping()
        with client_of(url.replace("rediss", "redis", 1), own) as client, pytest.raises(RedisError):
            client.ping()
    for authority in (other, None):
        with client_of(single, authority) as client, pytest.raises(RedisError, match="CERTIFICATE_VERIFY_FAILED"):
            client.ping()
        with client_of(watched_by_tls.url, authority) as client:
            with pytest.raises(RedisError, match="No master found"):
                client.ping()
            sentinel = client.connection_pool.sentinel_manager.sentinels[0]
            with pytest.raises(RedisError, match="CERTIFICATE_VERIFY_FAILED"):
                sentinel.ping()
    # Sentinels are believed, and name one that is not.
    with client_of(watched_by_tls.url, own) as client:
        client.connection_pool.connection_kwargs["ssl_ca_certs"] = str(other)
        with pytest.raises(RedisError, match="CERTIFICATE_VERIFY_FAILED"):
            client.ping()


def test_only_the_named_authority_is_trusted_and_a_new_one_is_read(signed):
    file = signed / "ca.crt"

    def names():
        context = redis_places._trust(file, file.stat().st_mtime_ns)
        return [ssl.DER_cert_to_PEM_cert(it) for it in context.get_ca_certs(binary_form=True)]

    before = file.read_text()
    assert names() == [before]
    file.write_text((signed / "other.crt").read_text())
    os.utime(file, ns=(1, 1))
    assert names() == [file.read_text()] != [before]


def test_requests_go_on_and_the_message_arrives_while_the_master_changes(watched, settings, database, tmp_path):
    path = tmp_path / "redis-url"
    path.write_text(watched.url)
    app = create_app(settings.model_copy(update={"redis_url_file": path}), CollectorRegistry())
    client, seen = app.test_client(), []
    with redis_places.connect(watched.url, socket_timeout=5, retry=Retry(NoBackoff(), 0)) as redis:
        worker = Worker(
            database=database,
            redis=redis,
            stream="payload:dev:messages",
            name="one",
            handlers={"user.created": seen.append},
            may_consume=lambda: True,
            registry=CollectorRegistry(),
        )
        until(lambda: worker.round(Event()) is None)
        watched.kill(("redis", 0))
        statuses = []
        for number in range(40):
            made = client.post("/v1/users", json={"name": "Ann", "email": f"ann-{number}@example.test"})
            statuses += [made.status_code, client.get(made.headers["Location"]).status_code]

        def delivered():
            worker.round(Event())
            return len(seen) == 40

        until(delivered, within=90)
    assert statuses == [201, 200] * 40
    assert len({message.id for message in seen}) == 40
    parts_of(app).database.close()
    parts_of(app).cache._redis.client.close()


@pytest.mark.parametrize(("authority", "cached"), [("ca.crt", True), ("other.crt", False)])
def test_the_service_believes_whom_its_settings_name(watched_by_tls, signed, settings, authority, cached):
    near = signed / "near"
    near.write_text(f"rediss://127.0.0.1:{watched_by_tls.redis[0]}/0")
    chosen = settings.model_copy(update={"cache_url_file": near, "redis_ca_file": signed / authority})
    app = create_app(chosen, CollectorRegistry())
    user = {"name": "Ann", "email": f"{authority}@example.test"}
    location = app.test_client().post("/v1/users", json=user).headers["Location"]
    assert app.test_client().get(location).status_code == 200
    with redis_places.connect(near.read_text(), signed / "ca.crt") as client:
        assert bool(client.keys("payload:*user*")) == cached
    parts_of(app).database.close()
    parts_of(app).cache._redis.client.close()


def test_the_cache_may_be_another_redis(settings, redis_server, tmp_path):
    away, near = tmp_path / "away", tmp_path / "near"
    away.write_text(f"redis://127.0.0.1:{free_port()}/0")
    near.write_text(redis_server.url)
    chosen = settings.model_copy(update={"redis_url_file": away, "cache_url_file": near})
    app = create_app(chosen, CollectorRegistry())
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
        location = (
            app.test_client().post("/v1/users", json={"name": "Ann", "email": "a@example.test"}).headers["Location"]
        )
        app.test_client().get(location)
        assert client.keys("payload:*user*")
    parts_of(app).database.close()
    parts_of(app).cache._redis.client.close()
