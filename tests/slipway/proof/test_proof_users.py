import json

import httpx
import pytest

from slipway.proof.own_reads import NoAnswerError
from slipway.proof.users import Users, Way, enter_namespace

WAY = Way("https://payload.dev.slipway.test:8443", address="10.9.0.5", token="t0ken")


def client(answer, way=WAY):
    return Users(way, transport=httpx.MockTransport(answer))


def test_a_write_carries_its_key_and_reaches_the_address_under_the_name():
    seen = []

    def answer(request):
        seen.append(request)
        return httpx.Response(201, json={"data": {"id": "7", "email": "m@x"}, "meta": {}})

    assert client(answer).create("k", "m@x").identity == "7"
    (request,) = seen
    assert request.url == "https://10.9.0.5:8443/v1/users"
    assert request.headers["host"] == "payload.dev.slipway.test:8443"
    assert request.extensions["sni_hostname"] == "payload.dev.slipway.test"
    assert request.headers["idempotency-key"] == "k"
    assert request.headers["authorization"] == "Bearer t0ken"
    assert json.loads(request.content) == {"name": "Ledger", "email": "m@x"}
    assert "t0ken" not in repr(WAY)


@pytest.mark.parametrize(
    ("response", "status"),
    [
        (httpx.Response(201, text="<html>"), 201),
        (httpx.Response(201, json={"data": {"id": "7", "email": "another@x"}}), 201),
        (httpx.Response(503), 503),
    ],
)
def test_an_answer_without_the_record_names_no_id(response, status):
    found = client(lambda _: response).create("k", "m@x")
    assert (found.status, found.identity) == (status, "")


def test_the_network_is_an_answer_too():
    def answer(request):
        raise httpx.ReadTimeout("too late", request=request)

    found = client(answer).create("k", "m@x")
    assert found.status == 0
    assert found.error == "ReadTimeout: too late"


def test_reading_by_id():
    def answer(request):
        if request.url.path.endswith("/7"):
            return httpx.Response(200, json={"data": {"id": "7", "email": "m@x"}})
        return httpx.Response(404 if request.url.path.endswith("/8") else 500)

    users = client(answer)
    assert users.exists("7", "m@x")
    assert not users.exists("7", "n@x")
    assert not users.exists("8", "m@x")
    with pytest.raises(httpx.HTTPStatusError):
        users.exists("9", "m@x")


def test_who_has_changed_something_sends_the_token_of_the_change():
    asked = []

    def answer(request):
        if request.method == "PATCH":
            assert json.loads(request.content) == {"name": "Ann"}
            return httpx.Response(200, headers={"X-Consistency-Token": "0/3F"})
        asked.append((request.headers.get("x-consistency-token"), request.headers["cache-control"]))
        return httpx.Response(200, json={"data": {"name": "Ann"}})

    users = client(answer)
    assert users.rename("7", "Ann") == "0/3F"
    assert users.name_of("7", "0/3F") == users.name_of("7", "") == "Ann"
    assert asked == [("0/3F", "no-cache"), (None, "no-cache")]


def test_no_answer_says_nothing_of_a_record():
    def torn(request):
        raise httpx.ReadTimeout("too late", request=request)

    def refused(_request):
        return httpx.Response(503)

    def empty(_request):
        return httpx.Response(200)

    for answer, why in ((refused, "503"), (torn, "ReadTimeout: too late"), (empty, "JSONDecodeError")):
        assert client(answer).rename("7", "Ann") == ""
        with pytest.raises(NoAnswerError, match=why):
            client(answer).name_of("7", "")


def test_the_whole_list_is_walked():
    def answer(request):
        page = int(request.url.params.get("cursor", 0))
        data = [{"email": f"ledger-{page}@x"}, {"email": "other@x"}]
        return httpx.Response(200, json={"data": data, "meta": {"next_cursor": str(page + 1) if page < 2 else None}})

    assert list(client(answer).marks("ledger-")) == ["ledger-0@x", "ledger-1@x", "ledger-2@x"]


def test_delete_and_close():
    calls = []
    users = client(lambda request: (calls.append(request.method), httpx.Response(204))[1])
    users.delete("7")
    users.close()
    assert calls == ["DELETE"]


@pytest.mark.parametrize(
    ("way", "url"),
    [
        (Way("https://a.test"), "https://a.test/v1/users/7"),
        (Way("https://10.0.0.1:8443", host="a.test"), "https://10.0.0.1:8443/v1/users/7"),
        (Way("https://a.test", address="10.0.0.1:99"), "https://10.0.0.1:99/v1/users/7"),
    ],
)
def test_where_requests_go(way, url):
    seen = []
    client(lambda request: (seen.append(request), httpx.Response(204))[1], way).delete("7")
    assert str(seen[0].url) == url
    assert seen[0].extensions["sni_hostname"] == "a.test"


def test_a_namespace_that_is_not_there_is_named():
    with pytest.raises(OSError, match="slipway-none"):
        enter_namespace("slipway-none")
