"""The few words of Redis's protocol that the keeper speaks, and what it makes of answers and of its command line."""

import contextlib
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

    def ask(place, access, *_commands):
        asked.append((place, access.authority))

    monkeypatch.setattr(keeper, "ask", ask)
    monkeypatch.setattr(wire.Lines, "ask", lambda _lines, *asked_for: ask(*asked_for))
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


class Server:
    """Speaks TLS and answers what it is told to, connection by connection; a connection ends with its answers."""

    def __init__(self, folder, *connections):
        now = datetime.now(UTC)
        authority = tls.authority("Slipway test", days=10, now=now)
        pair = tls.server(["127.0.0.1"], authority, days=9, now=now)
        self.authority = folder / "ca.crt"
        self.authority.write_text(authority.certificate)
        (folder / "pair.pem").write_text(pair.private_key + pair.certificate)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "pair.pem")
        self._connections, self.heard, self.ended = connections, [], threading.Event()

    def __enter__(self):
        self._server = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        self.place = Place("127.0.0.1", self._server.getsockname()[1])
        return self

    def __exit__(self, *_):
        self._thread.join()
        self._server.close()

    def _serve(self):
        for answers in self._connections:
            plain, _ = self._server.accept()
            with self._context.wrap_socket(plain, server_side=True) as connection:
                heard = []
                self.heard.append(heard)
                for answer in answers:
                    heard.append(connection.recv(1000))
                    connection.sendall(answer)
            self.ended.set()


PING, AUTH = wire.encoded(("PING",)), wire.encoded(("AUTH", "keeper", "secret"))


def test_the_password_goes_first_and_its_answer_is_not_handed_on(tmp_path):
    with Server(tmp_path, [b"+OK\r\n+PONG\r\n"]) as server:
        assert wire.ask(server.place, Access("keeper", "secret", 5, server.authority), ("PING",)) == ["PONG"]
    assert server.heard == [[AUTH + PING]]


def test_a_line_stays_open_and_one_that_the_other_side_has_closed_is_made_anew(tmp_path):
    with (
        contextlib.closing(wire.Lines()) as lines,
        Server(tmp_path, [b"+OK\r\n+PONG\r\n", b"+PONG\r\n"], [b"+OK\r\n+PONG\r\n"]) as server,
    ):
        access = Access("keeper", "secret", 5, server.authority)
        assert lines.ask(server.place, access, ("PING",)) == ["PONG"]
        assert lines.ask(server.place, access, ("PING",)) == ["PONG"]
        assert server.ended.wait(10)
        assert lines.ask(server.place, access, ("PING",)) == ["PONG"]
    assert server.heard == [[AUTH + PING, PING], [AUTH + PING]], "who has logged in says so once"


def test_a_line_on_which_something_was_refused_is_not_used_again(tmp_path):
    with (
        contextlib.closing(wire.Lines()) as lines,
        Server(tmp_path, [b"-LOADING data\r\n+PONG\r\n"], [b"+PONG\r\n"]) as server,
    ):
        access = Access(timeout=5, authority=server.authority)
        with pytest.raises(RefusedError, match="LOADING"):
            lines.ask(server.place, access, ("GET", "a"), ("PING",))
        assert lines.ask(server.place, access, ("PING",)) == ["PONG"]
    assert len(server.heard) == 2


def test_what_is_not_answered_in_time_is_not_sent_again(tmp_path):
    with contextlib.closing(wire.Lines()) as lines, Server(tmp_path, [b"+PONG\r\n", b""]) as server:
        access = Access(timeout=0.3, authority=server.authority)
        lines.ask(server.place, access, ("PING",))
        with pytest.raises(wire.SILENT):
            lines.ask(server.place, access, ("SHUTDOWN",))
    assert server.heard == [[PING, wire.encoded(("SHUTDOWN",))]]


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


def test_a_taken_port_says_so(capsys):
    with socket.create_server(("", 0)) as taken:
        places = {"redis": "127.0.0.1:1", "sentinels": "127.0.0.1:2", "ordinal": "0"}
        assert program.main(given_arguments(**places, health_port=taken.getsockname()[1])) == 2
    assert "the keeper does not start: [Errno 98] Address already in use" in capsys.readouterr().err
