"""Real Redis, real Sentinels, real keepers: whatever is killed, one master is left, and it has what it acknowledged."""

import random
import signal
import threading
import time

import pytest
from redis.exceptions import RedisError

pytestmark = [
    pytest.mark.timeout(300),
    # Python's own: a server that ends between a client's connection and its handshake leaves a socket to the collector.
    pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"),
]

#: Seconds before a kill of which acknowledged writes may be lost: they were still on their way to a replica.
ON_THEIR_WAY = 1.0


class Writer:
    """Writes one number after the other to whoever takes it, and notes when each was acknowledged."""

    def __init__(self, redis_set):
        self.redis_set = redis_set
        self.acknowledged = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        number, clients = 0, [self.redis_set.client(n, "service") for n in range(3)]
        while not self._stop.is_set():
            for client in clients:
                try:
                    client.sadd("numbers", number)
                except RedisError:
                    continue
                self.acknowledged[number] = time.monotonic()
                number += 1
            time.sleep(0.002)
        for client in clients:
            client.close()

    def since(self, moment):
        """Seconds from a moment until the first write that was acknowledged after it."""
        return next((at - moment for at in self.acknowledged.values() if at > moment), None)

    def wait_for_more(self, count=50, within=30.0):
        begin, before = time.monotonic(), len(self.acknowledged)
        while len(self.acknowledged) < before + count:
            assert time.monotonic() - begin < within, f"no more writes: {self.redis_set.told()}"
            time.sleep(0.05)


def lost(redis_set, writer, master, kills):
    """Acknowledged writes that the master lacks, and that were not just on their way when something was killed."""
    with redis_set.client(master, "service") as client:
        there = {int(number) for number in client.smembers("numbers")}
    gone = {number: at for number, at in writer.acknowledged.items() if number not in there}
    return {n: at for n, at in gone.items() if not any(kill - ON_THEIR_WAY < at <= kill + 0.1 for kill in kills)}


def test_the_first_start_makes_the_first_member_master(redis_set):
    redis_set.start_all(order=(2, 1, 0))
    assert redis_set.until_settled() == 0


def test_a_member_alone_never_leads(redis_set):
    redis_set.start_all(order=(1, 2))
    time.sleep(3)
    assert redis_set.masters() == []


def test_a_killed_master_is_replaced_and_follows_when_it_is_back(redis_set):
    redis_set.start_all()
    master = redis_set.until_settled()
    redis_set.until_all_may_be_elected()
    with Writer(redis_set) as writer:
        writer.wait_for_more()
        redis_set.kill("redis", master)
        killed = time.monotonic()
        others = [n for n in range(3) if n != master]
        successor = redis_set.until_settled(others)
        writer.wait_for_more()
        redis_set.start("redis", master)
        assert redis_set.until_settled() == successor != master
    assert writer.since(killed + 0.05) < 10
    assert lost(redis_set, writer, successor, [killed]) == {}


def test_a_master_that_is_back_at_once_goes_on_without_an_election(redis_set):
    redis_set.down_after = 20_000  # what counts as at once: on a busy machine a Redis takes seconds to start
    redis_set.start_all()
    master = redis_set.until_settled()
    with Writer(redis_set) as writer:
        writer.wait_for_more()
        redis_set.kill("redis", master)
        redis_set.start("redis", master)
        time.sleep(0.5)
        assert redis_set.until_settled() == master
    assert lost(redis_set, writer, master, []) == {}


def test_with_a_sentinel_dead_a_master_is_replaced_all_the_same(redis_set):
    redis_set.start_all()
    master = redis_set.until_settled()
    redis_set.until_all_may_be_elected()
    redis_set.kill("sentinel", master)
    redis_set.kill("redis", master)
    successor = redis_set.until_settled([n for n in range(3) if n != master])
    redis_set.start_all()
    assert redis_set.until_settled() == successor


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_after_all_were_killed_at_once_everything_is_there(redis_set, order):
    redis_set.start_all()
    redis_set.until_settled()
    with Writer(redis_set) as writer:
        writer.wait_for_more()
        redis_set.kill_all()
        for n in order:
            redis_set.start_all(order=(n,))
            time.sleep(1)
        master = redis_set.until_settled()
        writer.wait_for_more()
    assert lost(redis_set, writer, master, []) == {}


def test_a_master_that_lost_its_volume_does_not_wipe_the_others(redis_set):
    redis_set.start_all()
    master = redis_set.until_settled()
    with Writer(redis_set) as writer:
        writer.wait_for_more()
        killed = time.monotonic()
        redis_set.lose_volume(master)
        redis_set.start_all()
        successor = redis_set.until_settled()
    assert successor != master
    assert lost(redis_set, writer, successor, [killed]) == {}


def test_if_all_became_replicas_one_leads_again(redis_set):
    redis_set.start_all()
    before = redis_set.until_settled()
    with redis_set.client(before) as client:
        client.set("kept", 1)
        client.wait(2, 2000)
    for n in range(3):
        with redis_set.client(n) as client:
            client.replicaof("127.0.0.1", 1)
    master = redis_set.until_settled()
    with redis_set.client(master) as client:
        assert client.get("kept") == "1"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kills_in_any_order_leave_one_master_that_lost_nothing(redis_set, seed):
    chance = random.Random(seed)  # noqa: S311  # chance, not secrecy
    redis_set.start_all()
    redis_set.until_settled()
    kills = []
    with Writer(redis_set) as writer:
        for _ in range(8):
            writer.wait_for_more()
            kind, n = chance.choice(redis_set.KINDS), chance.randrange(3)
            redis_set.kill(kind, n, chance.choice((signal.SIGKILL, signal.SIGTERM)))
            kills.append(time.monotonic())
            time.sleep(chance.choice((0.0, 0.5, 3.0)))
            redis_set.start(kind, n)
        master = redis_set.until_settled()
    assert lost(redis_set, writer, master, kills) == {}
