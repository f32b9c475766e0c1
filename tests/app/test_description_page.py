"""A page about the API for people: everything that is documented, and nothing that a browser would have to fetch."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from app.api.page import page
from app.openapi import described


class Reader(HTMLParser):
    """What a page links to, loads and names."""

    def __init__(self):
        super().__init__()
        self.links, self.loaded, self.names, self.tags, self.style, self.inside = [], [], set(), set(), "", None

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        self.inside = tag
        self.tags.add(tag)
        self.links += [told["href"]] if tag == "a" else []
        self.loaded += [value for name, value in attrs if name in {"src", "srcset", "style", "action"}]
        self.loaded += [name for name, _ in attrs if name.startswith("on")]
        self.names |= {told["id"]} if "id" in told else set()

    def handle_endtag(self, _tag):
        self.inside = None

    def handle_data(self, data):
        self.style += data if self.inside == "style" else ""


@pytest.fixture
def answer(client):
    return client.get("/docs", headers={"X-API-Key": ""})


@pytest.fixture
def read(answer):
    reader = Reader()
    reader.feed(answer.text)
    return reader


def test_every_route_and_every_schema_of_this_instance_is_on_it(client, answer, read):
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    document = client.get("/openapi.json").json
    for path, methods in document["paths"].items():
        assert f"<code>{path}</code>" in answer.text
        assert {told["operationId"] for told in methods.values()} <= read.names
    assert {f"schema-{name}" for name in document["components"]["schemas"]} <= read.names


def test_every_link_leads_somewhere_on_the_page_or_in_the_service(client, read):
    assert len(read.links) > 50
    for link in read.links:
        found = link[1:] in read.names if link.startswith("#") else client.get(link).status_code == 200
        assert found, link


def test_a_browser_fetches_and_runs_nothing_and_applies_this_style_only(answer, read):
    assert read.loaded == []
    assert not read.tags & {"script", "link", "img", "iframe", "form", "object", "embed", "base"}
    policy = answer.headers["Content-Security-Policy"]
    named = base64.b64encode(hashlib.sha256(read.style.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert re.findall(r"'(sha256-[^']+)'", policy) == [f"sha256-{named}"]
    assert "unsafe" not in policy
    assert answer.headers.getlist("Content-Security-Policy") == [policy]


def test_what_the_document_says_is_text_and_never_markup(client):
    document = described()
    document["info"]["title"] = "<script>alert(1)</script>"
    operation = document["paths"]["/version"]["get"]
    operation["summary"] = "</details><img src=x>"
    with client.application.app_context():
        text = page(document)
    assert "<script" not in text
    assert "<img" not in text


def test_it_is_made_once_and_not_sent_again(client, answer):
    again = client.get("/docs", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert client.get("/docs").headers["ETag"] == answer.headers["ETag"]
