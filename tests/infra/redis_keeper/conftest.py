"""Real redis-servers, Sentinels and keepers on loopback, with the files that pods get; all of them speak TLS."""

import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ports import free_ports
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from infra import tls
from infra.components import redis_files
from infra.redis_keeper.wire import SILENT, Access, Place, ask

SIZE = 3
PASSWORD = "only-in-tests"
DOWN_AFTER = 1500
ROOT = Path(__file__).parents[3]


class RedisSet:
    """Three members; each has a Redis, a Sentinel and a keeper, any of which can be killed.

    `inside` stands before each program; `host` is the address by which members name each other; `down_after` says after
    how many milliseconds of silence a member counts as down.
    """

    KINDS = ("redis", "sentinel", "keeper")

    def __init__(self, folder, inside=(), host="127.0.0.1"):
        self.folder, self.inside, self.host, self.down_after = folder, inside, host, DOWN_AFTER
        self.bound = " ".join(sorted({"127.0.0.1", host}))
        ports = free_ports(3 * SIZE)
        self.redis, self.sentinels, self.health = ports[:SIZE], ports[SIZE : 2 * SIZE], ports[2 * SIZE :]
        self.processes = {}
        self.authority = tls.authority("Slipway test", days=3650, now=datetime.now(UTC))
        self.certificate = self.signed()
        for n in range(SIZE):
            self.mount(n)
        for n in range(SIZE):
            self.write_files(n)

    def place(self, n):
        return self.folder / str(n)

    def signed(self):
        """A new certificate for the members, by the authority as it is now."""
        names = ("localhost", "127.0.0.1", "127.0.0.2")
        return tls.server(names, self.authority, days=398, now=datetime.now(UTC))

    def tls(self, n):
        return self.place(n) / "tls"

    def mount(self, n):
        """Put the certificate where a member finds it, all files at once, as a kubelet does."""
        made = self.place(n) / f"tls-{time.monotonic_ns()}"
        made.mkdir(parents=True)
        (made / "ca.crt").write_text(self.authority.certificate)
        (made / "tls.crt").write_text(self.certificate.certificate)
        (made / "tls.key").write_text(self.certificate.private_key)
        link = made.with_suffix(".link")
        link.symlink_to(made)
        link.replace(self.tls(n))

    def write_files(self, n):
        place = self.place(n)
        for name in ("auth", "redis", "sentinel"):
            (place / name).mkdir(parents=True, exist_ok=True)
        auth = place / "auth"
        (auth / "users.acl").write_text(redis_files.users(PASSWORD, PASSWORD, PASSWORD))
        (auth / "sentinel.acl").write_text(redis_files.sentinel_users(PASSWORD, PASSWORD))
        (auth / "replication.conf").write_text(redis_files.replication(PASSWORD))
        (auth / "keeper").write_text(PASSWORD)
        text = redis_files.state_configuration("64mb") + f"tls-port {self.redis[n]}\nbind {self.bound}\n"
        (place / "redis.conf").write_text(self.moved(n, text))

    def moved(self, n, text):
        place = self.place(n)
        moved = text.replace(redis_files.TLS, str(self.tls(n))).replace(redis_files.AUTH, str(place / "auth"))
        return moved.replace(redis_files.DATA, str(place))

    def command(self, kind, n):
        place = self.place(n)
        match kind:
            case "redis":
                return ["redis-server", str(place / "redis.conf")]
            case "sentinel":
                script = self.moved(n, redis_files.sentinel_command()[2]).replace("26379", str(self.sentinels[n]))
                return ["sh", "-c", f"{script} --bind {self.bound}"]
            case _:
                places = (",".join(f"{self.host}:{port}" for port in ports) for ports in (self.redis, self.sentinels))
                redis, sentinels = places
                return [
                    *(sys.executable, "-m", "infra.redis_keeper", "--name", "state", "--ordinal", f"redis-{n}"),
                    *("--redis", redis, "--sentinels", sentinels, "--password-file", str(place / "auth/keeper")),
                    *("--down-after", str(self.down_after), "--failover-timeout", "4000"),
                    *("--tls", str(self.tls(n)), "--health-port", str(self.health[n])),
                ]

    def start(self, kind, n):
        if (kind, n) not in self.processes:
            if kind == "redis":
                self.write_files(n)  # pods get theirs read-only; here Sentinel's CONFIG REWRITE writes roles into it
            with (self.place(n) / f"{kind}.log").open("ab") as log:
                self.processes[kind, n] = subprocess.Popen(
                    [*self.inside, *self.command(kind, n)], stdout=log, stderr=subprocess.STDOUT, cwd=ROOT
                )

    def kill(self, kind, n, number=signal.SIGKILL):
        process = self.processes.pop((kind, n), None)
        if process is not None:
            process.send_signal(number)
            process.wait(timeout=20)

    def start_all(self, order=range(SIZE), kinds=KINDS):
        for n in order:
            for kind in kinds:
                self.start(kind, n)

    def kill_all(self):
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait(timeout=20)
        self.processes.clear()

    def lose_volume(self, n):
        for kind in self.KINDS:
            self.kill(kind, n)
        for name in ("redis", "sentinel"):
            shutil.rmtree(self.place(n) / name)

    def client(self, n, user="keeper"):
        return Redis(
            port=self.redis[n],
            username=user,
            password=PASSWORD,
            ssl=True,
            ssl_ca_data=self.authority.certificate,
            socket_timeout=2,
            socket_connect_timeout=1,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )

    def replication(self, n):
        with self.client(n) as client:
            try:
                return client.info("replication")
            except RedisError:
                return {}

    def masters(self):
        return [n for n in range(SIZE) if self.replication(n).get("role") == "master"]

    def settled(self, running=range(SIZE)):
        """The only master, if all others that run follow it with their links up; else None."""
        masters = self.masters()
        if len(masters) != 1:
            return None
        port = self.redis[masters[0]]
        for n in running:
            facts = self.replication(n)
            if n != masters[0] and (facts.get("master_port"), facts.get("master_link_status")) != (port, "up"):
                return None
        if self.named(running) != {masters[0]}:
            return None
        with self.client(masters[0]) as client:
            return masters[0] if client.info("replication")["min_slaves_good_slaves"] else None

    def restart_ended(self, kind):
        """Start again what has ended by itself, as a kubelet does."""
        for n in range(SIZE):
            process = self.processes.get((kind, n))
            if process is not None and process.poll() is not None:
                del self.processes[kind, n]
                self.start(kind, n)

    def access(self, n):
        return Access("service", PASSWORD, 2, self.tls(n) / "ca.crt")

    def words(self):
        return [self.ask_sentinel(n, "SENTINEL", "MASTER", "state") for n in range(SIZE)]

    def ask_sentinel(self, n, *words):
        try:
            return ask(Place("127.0.0.1", self.sentinels[n]), self.access(n), words)[0]
        except SILENT:
            return None

    def named(self, running=range(SIZE)):
        """The masters that Sentinels name."""
        found = set()
        for n in running:
            if ("sentinel", n) in self.processes:
                address = self.ask_sentinel(n, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "state")
                found.add(self.redis.index(int(address[1])) if address else None)
        return found

    def until_all_may_be_elected(self, within=30.0):
        """Sentinels ask replicas every ten seconds; one that they take for new may not be elected until then."""
        begin = time.monotonic()
        while time.monotonic() - begin < within:
            seen = [
                replica[replica.index("slave-priority") + 1]
                for n in range(SIZE)
                for replica in self.ask_sentinel(n, "SENTINEL", "REPLICAS", "state") or ()
            ]
            if seen == ["100"] * SIZE * (SIZE - 1):
                return
            time.sleep(0.2)
        pytest.fail(f"priorities of replicas in the Sentinels' eyes after {within} s: {seen}")

    def until_settled(self, running=range(SIZE), within=60.0):
        begin = time.monotonic()
        while time.monotonic() - begin < within:
            master = self.settled(running)
            if master is not None:
                return master
            time.sleep(0.05)
        pytest.fail(f"no master after {within} s: {self.told()}")

    def told(self):
        """What everyone said last, for a message."""
        logs = {}
        for n in range(SIZE):
            for kind in self.KINDS:
                path = self.place(n) / f"{kind}.log"
                logs[kind, n] = path.read_text().splitlines()[-6:] if path.exists() else []
        return "\n".join(f"{kind} {n}: {line}" for (kind, n), lines in logs.items() for line in lines)


@pytest.fixture(scope="session")
def make_redis_set():
    """With importmode=importlib tests cannot import this file."""
    return RedisSet


@pytest.fixture
def redis_set(tmp_path):
    if shutil.which("redis-server") is None:
        pytest.fail("needs a real Redis: no `redis-server` in PATH (Debian: apt-get install redis-server)")
    made = RedisSet(tmp_path)
    yield made
    made.kill_all()
