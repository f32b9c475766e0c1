"""The few words of Redis's protocol that the keeper speaks, and what it makes of answers and of its command line."""

import io
import os
import socket
import ssl
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import tls
from infra.redis_keeper import __main__ as program
from infra.redis_keeper import keeper, wire
from infra.redis_keeper.decision import Member, Word
from infra.redis_keeper.keeper import parse_member, parse_word
from infra.redis_keeper.wire import Access, Place, RefusedError

PLACES = (Place("10.0.0.1", 6379), Place("10.0.0.2", 6379), Place("10.0.0.3", 6379))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
ANSWERS = st.recursive(st.none() | st.integers() | TEXTS, st.lists, max_leaves=8)


def written(answer):
    match answer:
        case None:
            return b"$-1\r\n"
        case int():
            return b":%d\r\n" % answer
        case str():
            return b"$%d\r\n%s\r\n" % (len(answer.encode()), answer.encode())
        case _:
            return b"*%d\r\n%s" % (len(answer), b"".join(map(written, answer)))


@given(ANSWERS)
def test_what_is_written_is_read(answer):
    assert wire.read(io.BytesIO(written(answer))) == answer


@given(ANSWERS, st.data())
def test_an_answer_that_is_cut_off_is_no_answer(answer, data):
    whole = written(answer)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(EOFError, match="mid-answer"):
        wire.read(io.BytesIO(cut))


@given(st.lists(TEXTS, min_size=1))
def test_a_command_is_an_array_of_its_words(words):
    assert wire.read(io.BytesIO(wire.encoded(words))) == words


def test_a_refusal_is_an_error_and_a_stranger_is_refused():
    with pytest.raises(RefusedError, match="NOAUTH who"):
        wire.read(io.BytesIO(b"-NOAUTH who are you\r\n"))
    with pytest.raises(RefusedError, match="allowed is one of"):
        wire.read(io.BytesIO(b"HTTP/1.1 400 Bad Request\r\n"))


def test_its_own_pod_is_reached_whatever_it_shows_and_nobody_else(monkeypatch):
    asked = []
    monkeypatch.setattr(keeper, "ask", lambda place, access, *_commands: asked.append((place, access.authority)))
    own, other = Place("127.0.0.1", 1), Place("10.0.0.2", 1)
    authority = Path("/tls/ca.crt")
    group = keeper.Group("state", 0, (), (), own, Place("127.0.0.1", 2), Access(authority=authority))
    for place in (own, group.own_sentinel, other):
        group.ask(place, ("PING",))
    assert asked == [(own, None), (group.own_sentinel, None), (other, authority)]


def test_an_authority_is_read_again_once_it_has_changed(tmp_path):
    file = tmp_path / "ca.crt"

    def write(name, nanoseconds):
        file.write_text(tls.authority(name, days=10, now=datetime.now(UTC)).certificate)
        os.utime(file, ns=(nanoseconds, nanoseconds))
        return [dict(it[0] for it in found["subject"])["commonName"] for found in wire.trust(file).get_ca_certs()]

    assert (write("one", 1), write("other", 2)) == (["one"], ["other"])


def test_nobody_listening_and_nobody_answering_are_silence():
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = Place("127.0.0.1", server.getsockname()[1])
        with pytest.raises(wire.SILENT):
            wire.ask(place, Access(timeout=0.05), ("PING",))
    with pytest.raises(wire.SILENT):
        wire.ask(place, Access(), ("PING",))


def test_the_password_goes_first_and_its_answer_is_not_handed_on(tmp_path):
    heard = []
    now = datetime.now(UTC)
    authority = tls.authority("Slipway test", days=10, now=now)
    pair = tls.server(["127.0.0.1"], authority, days=9, now=now)
    (tmp_path / "ca.crt").write_text(authority.certificate)
    (tmp_path / "pair.pem").write_text(pair.private_key + pair.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair.pem")

    def answer(server):
        plain, _ = server.accept()
        with context.wrap_socket(plain, server_side=True) as connection:
            heard.append(connection.recv(1000))
            connection.sendall(b"+OK\r\n+PONG\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        place = Place("127.0.0.1", server.getsockname()[1])
        assert wire.ask(place, Access("keeper", "secret", 5, tmp_path / "ca.crt"), ("PING",)) == ["PONG"]
        thread.join()
    assert heard == [wire.encoded(("AUTH", "keeper", "secret")) + wire.encoded(("PING",))]


@pytest.mark.parametrize("text", ["redis", "redis:", ":1", "redis:port", ""])
def test_a_place_is_host_and_port(text):
    with pytest.raises(ValueError, match="allowed is host:port"):
        Place.parse(text)


MASTER = "# Replication\r\nrole:master\r\nmaster_replid:a\r\n# Keyspace\r\ndb0:keys=1,expires=0\r\n"
REPLICA = "role:slave\r\nmaster_host:10.0.0.2\r\nmaster_port:6379\r\nmaster_link_status:{link}\r\n"


@pytest.mark.parametrize(
    ("told", "pulse", "expected"),
    [
        (MASTER, "1700000000000", Member(master=True, fresh=1_700_000_000_000)),
        (MASTER, None, Member(master=True, fresh=1)),
        ("role:master\r\n", None, Member(master=True)),
        (REPLICA.format(link="up"), "5", Member(master=False, follows=1, linked=True, fresh=5)),
        (REPLICA.format(link="down"), "5", Member(master=False, follows=1, fresh=5)),
        ("role:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:1\r\n", None, Member(master=False)),
    ],
)
def test_a_member_is_what_it_says_of_itself(told, pulse, expected):
    assert parse_member(PLACES, told, pulse) == expected


@pytest.mark.parametrize(
    ("flags", "ip", "expected"),
    [
        ("master", "10.0.0.3", Word(2, 7)),
        ("master,s_down", "10.0.0.3", Word(2, 7)),
        ("master,s_down,o_down", "10.0.0.3", Word(2, 7, busy=True)),
        ("master,failover_in_progress", "10.0.0.3", Word(2, 7, busy=True)),
        ("master", "10.0.0.9", Word(None, 7)),
    ],
)
def test_a_word_is_what_a_sentinel_says(flags, ip, expected):
    assert parse_word(PLACES, {"flags": flags, "ip": ip, "port": "6379", "config-epoch": "7"}) == expected


def given_arguments(**values):
    defaults = {
        "name": "state",
        "ordinal": "redis-1",
        "redis": "a:1,b:1,c:1",
        "sentinels": "a:2,b:2,c:2",
        "tls": "/tls",
    }
    return [f"--{key.replace('_', '-')}={value}" for key, value in (defaults | values).items()]


def test_the_command_line_makes_a_group(tmp_path):
    (tmp_path / "password").write_text("secret\n")
    given = program._parser().parse_args(given_arguments(password_file=tmp_path / "password"))
    group = program.group_of(given, {"a": "10.0.0.1", "b": "10.0.0.2", "c": "10.0.0.3"}.__getitem__)
    assert (group.ordinal, group.redis[1], group.sentinels[2]) == (1, Place("10.0.0.2", 1), Place("10.0.0.3", 2))
    assert (group.own_redis, group.own_sentinel) == (Place("127.0.0.1", 1), Place("127.0.0.1", 2))
    assert group.access == Access("keeper", "secret", authority=Path("/tls/ca.crt"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ordinal": "redis-3"}, "3 members, 3 Sentinels, ordinal 3; allowed are"),
        ({"sentinels": "127.0.0.1:2"}, "3 members, 1 Sentinels"),
        ({"redis": "here"}, "'here' is no place"),
        ({"password_file": "/does/not/exist"}, "No such file"),
    ],
)
def test_a_wrong_command_line_says_what_is_allowed(values, message, capsys):
    places = {"redis": "127.0.0.1:1,127.0.0.2:1,127.0.0.3:1", "sentinels": "127.0.0.1:2,127.0.0.2:2,127.0.0.3:2"}
    assert program.main(given_arguments(**(places | values))) == 2
    assert message in capsys.readouterr().err
