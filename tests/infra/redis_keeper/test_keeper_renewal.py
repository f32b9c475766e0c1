"""A member takes a new certificate over: in which order, what stays connected meanwhile, and who is refused."""

import contextlib
import itertools
import socket
import ssl
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from infra import tls
from infra.redis_keeper import renewal
from infra.redis_keeper.keeper import Group
from infra.redis_keeper.wire import Access, Place, ask

pytestmark = pytest.mark.timeout(300)

NEW, OLD = b"new", b"old"
SIZE = 3
REDIS = tuple(Place("10.0.0.1", 6379 + n) for n in range(SIZE))
SENTINELS = tuple(Place("10.0.0.1", 26379 + n) for n in range(SIZE))


def group(ordinal):
    """As a keeper sees it; a member's own places are those by which the others call it, to keep the model small."""
    return Group("state", ordinal, REDIS, SENTINELS, REDIS[ordinal], SENTINELS[ordinal], Access())


STEPS = st.lists(st.tuples(st.sampled_from(["mount", "back", "look"]), st.integers(0, SIZE - 1)), max_size=60)


@given(STEPS)
def test_members_that_get_files_in_any_order_change_all_and_one_sentinel_at_a_time(steps):
    """Files come, keepers look and a Sentinel that was ended is back, in any order; in the end all have happened."""
    serves = dict.fromkeys((*REDIS, *SENTINELS), OLD)
    mounted = [OLD] * SIZE
    fair = [(kind, n) for kind in ("mount", "look", "back") for n in range(SIZE)] * (2 * SIZE)
    for kind, n in (*steps, *fair):
        if kind == "mount":
            mounted[n] = NEW
        elif kind == "back" and serves[SENTINELS[n]] is None:
            serves[SENTINELS[n]] = mounted[n]
        elif kind == "look":
            match renewal.turn(group(n), mounted[n], serves.get):
                case "redis":
                    serves[REDIS[n]] = mounted[n]
                case "sentinel":
                    assert all(serves[place] == NEW for place in REDIS)
                    assert None not in serves.values(), "two are away at once"
                    serves[SENTINELS[n]] = None
                case None:
                    pass
    assert set(serves.values()) == {NEW}


@pytest.mark.parametrize("ordinal", range(SIZE))
def test_while_all_serve_what_is_mounted_nothing_is_done_and_nobody_else_is_asked(ordinal):
    asked = []

    def seen(place):
        asked.append(place)
        return NEW

    assert renewal.turn(group(ordinal), NEW, seen) is None
    assert asked == [REDIS[ordinal], SENTINELS[ordinal]]


def test_silence_is_no_other_certificate():
    assert renewal.turn(group(0), NEW, lambda _place: None) is None


def test_of_a_file_with_a_chain_the_first_certificate_counts():
    authority = tls.authority("Slipway test", days=10, now=datetime.now(UTC))
    made = tls.server(["localhost"], authority, days=9, now=datetime.now(UTC))
    assert renewal.leaf(made.certificate + authority.certificate) == ssl.PEM_cert_to_DER_cert(made.certificate)
    with pytest.raises(ValueError, match="must start with"):
        renewal.leaf("")


def test_files_that_cannot_be_read_are_said_and_no_end(tmp_path):
    assert "cannot be read" in renewal.renew(group(0), tmp_path)


def serial(port):
    """What is shown at a port, whoever signed it."""
    return tls.serial(ssl.get_server_certificate(("127.0.0.1", port), timeout=5))


def until(true, within=60.0):
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if true():
                return
        time.sleep(0.1)
    pytest.fail(f"not within {within} s")


def plain_answer(port):
    """What somebody hears who speaks no TLS."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"PING\r\n")
        try:
            return connection.recv(100)
        except ConnectionResetError:
            return b""


def test_who_speaks_no_tls_hears_nothing(redis_set):
    redis_set.start_all()
    redis_set.until_settled()
    for port in (*redis_set.redis, *redis_set.sentinels):
        assert not plain_answer(port).startswith((b"+PONG", b"-NOAUTH")), port
    # The same words over TLS are answered, so that it is not the words.
    assert ask(Place("127.0.0.1", redis_set.redis[0]), redis_set.access(0), ("PING",)) == ["PONG"]


def test_who_trusts_another_authority_does_not_hand_its_password_over(redis_set, tmp_path):
    redis_set.start("redis", 0)
    other = tmp_path / "other.crt"
    other.write_text(tls.authority("Slipway test", days=3650, now=datetime.now(UTC)).certificate)
    place = Place("127.0.0.1", redis_set.redis[0])
    until(lambda: ask(place, redis_set.access(0), ("PING",)) == ["PONG"])
    with pytest.raises(ssl.SSLCertVerificationError, match=r"self-signed certificate|unable to get local issuer"):
        ask(place, Access("service", "never-sent", 2, other), ("PING",))
    with (
        Redis(
            port=redis_set.redis[0], ssl=True, ssl_ca_certs=str(other), socket_timeout=2, retry=Retry(NoBackoff(), 0)
        ) as client,
        pytest.raises(RedisConnectionError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.ping()


def test_a_certificate_for_another_name_is_refused_to(redis_set):
    redis_set.certificate = tls.server(["other.example"], redis_set.authority, days=398, now=datetime.now(UTC))
    redis_set.mount(0)
    redis_set.start("redis", 0)
    place = Place("127.0.0.1", redis_set.redis[0])
    until(lambda: renewal.shown(place) is not None)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"127\.0\.0\.1"):
        ask(place, redis_set.access(0), ("PING",))


@pytest.mark.parametrize("another_authority", [False, True])
def test_a_new_certificate_is_taken_over_and_no_connection_ends(redis_set, another_authority):
    redis_set.start_all()
    master = redis_set.until_settled()
    redis_set.until_all_may_be_elected()
    before = {port: serial(port) for port in (*redis_set.redis, *redis_set.sentinels)}
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(redis_set.client(n)) for n in range(SIZE)]
        ids = [client.client_id() for client in clients]
        runs = [client.info("server")["run_id"] for client in clients]
        clients[master].set("number", 0)
        if another_authority:
            redis_set.authority = tls.authority("Slipway test", days=3650, now=datetime.now(UTC))
        redis_set.certificate = redis_set.signed()
        wanted = tls.serial(redis_set.certificate.certificate)
        for n in range(SIZE):
            redis_set.mount(n)

        def taken_over():
            clients[master].incr("number")
            redis_set.restart_ended("sentinel")
            return {serial(port) for port in before} == {wanted}

        until(taken_over, within=120.0)
        assert set(before.values()).isdisjoint({wanted})
        # The same connections to the same processes, and the same one leads: nothing was elected.
        assert [client.client_id() for client in clients] == ids
        assert [client.info("server")["run_id"] for client in clients] == runs
        assert redis_set.until_settled() == master
        assert all(int(word[word.index("config-epoch") + 1]) == 0 for word in redis_set.words())


def test_without_a_keeper_the_old_certificate_stays(redis_set):
    """The control: it is the keeper that sees to it."""
    redis_set.start("redis", 0)
    until(lambda: serial(redis_set.redis[0]))
    before = serial(redis_set.redis[0])
    redis_set.certificate = redis_set.signed()
    redis_set.mount(0)
    for _ in itertools.repeat(None, 3):
        time.sleep(renewal.EVERY / 2)
        assert serial(redis_set.redis[0]) == before


def test_a_member_whose_certificate_has_ended_takes_a_new_one(redis_set):
    """Nobody trusts it any more, its own keeper neither, which must reach it all the same."""
    expired = datetime(2020, 1, 1, tzinfo=UTC)
    authority = tls.authority("Slipway test", days=3650, now=expired)
    redis_set.authority, redis_set.certificate = (
        authority,
        tls.server(["localhost", "127.0.0.1"], authority, days=398, now=expired),
    )
    for n in range(SIZE):
        redis_set.mount(n)
    redis_set.start_all()
    until(lambda: all(serial(port) for port in (*redis_set.redis, *redis_set.sentinels)))
    assert redis_set.masters() == []
    redis_set.authority = tls.authority("Slipway test", days=3650, now=datetime.now(UTC))
    redis_set.certificate = redis_set.signed()
    for n in range(SIZE):
        redis_set.mount(n)
    deadline = time.monotonic() + 120
    while redis_set.settled() is None:
        redis_set.restart_ended("sentinel")
        assert time.monotonic() < deadline, redis_set.told()
        time.sleep(0.1)
