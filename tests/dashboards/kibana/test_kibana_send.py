"""Sending to a server that only notes what it gets; no Kibana can be had from package registries."""

import json
from http.server import BaseHTTPRequestHandler

import pytest

from dashboards.kibana import emit
from dashboards.kibana.boards import ALL, LOGS
from dashboards.kibana.send import KibanaError, send


class Notes(BaseHTTPRequestHandler):
    def answer(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.got.append((self.command, self.path, body, self.headers["kbn-xsrf"], self.headers["Authorization"]))
        refused = self.path.endswith(self.server.refuses)
        self.send_response(400 if refused else 200)
        self.end_headers()
        self.wfile.write(b"no such property" if refused else b"{}")

    do_POST = do_PUT = answer  # noqa: N815 -- names of the library

    def log_message(self, *_):
        pass


@pytest.fixture
def kibana(serve):
    return serve(Notes, got=[], refuses="nothing")


def address(server):
    return f"http://127.0.0.1:{server.server_address[1]}/s/space/"


def test_the_data_view_comes_first_and_then_each_dashboard(kibana):
    assert list(send(address(kibana), ALL)) == ["data view", *(board.uid for board in ALL)]
    assert kibana.got == [
        ("POST", "/s/space/api/data_views/data_view", emit.view(), "slipway", None),
        *(("PUT", f"/s/space/api/dashboards/{it.uid}", emit.emit(it), "slipway", None) for it in ALL),
    ]


def test_a_key_is_told_with_each(kibana):
    list(send(address(kibana), ALL, "a2V5"))
    assert {it[-1] for it in kibana.got} == {"ApiKey a2V5"}


def test_what_kibana_refuses_is_told_in_its_words_and_ends_it(kibana):
    kibana.refuses = LOGS.uid
    sent = send(address(kibana), ALL)
    assert next(sent) == "data view"
    with pytest.raises(KibanaError, match=rf"400 to PUT /api/dashboards/{LOGS.uid}(.|\n)*no such property"):
        list(sent)


@pytest.mark.parametrize("nowhere", ["http://127.0.0.1:1", "kibana", "http://[", ""])
def test_an_address_at_which_no_kibana_is(nowhere):
    with pytest.raises(KibanaError, match=r"does not answer.*allowed: the address of a Kibana"):
        list(send(nowhere, ALL))
