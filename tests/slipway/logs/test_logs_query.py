"""Asking for logs: each wish is one condition, and what comes back is shown oldest first, with whole numbers whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.logs.query import LEVELS, Line, Wanted, flat, lines, search

HIT = {
    "_id": "a",
    "_source": {
        "@timestamp": "2026-11-21T09:15:08.123456789Z",
        "message": "request",
        "log": {"level": "WARN"},
        "http.response.status_code": 200.0,
        "event": {"duration": 1.5},
        "kubernetes.namespace": "dev",
        "kubernetes.pod.name": "payload-blue-1",
        "labels.format": "ecs",
        "error.stack_trace": "Traceback",
        "client.ip": "",
    },
}


def filters(wanted):
    return search(wanted, since=0, lines=5)["query"]["bool"]["filter"][1:]


def test_nothing_wanted_asks_for_everything_since_then_newest_first():
    body = search(Wanted(), since=1_000_000_000, lines=7)
    assert body["query"]["bool"]["filter"] == [{"range": {"@timestamp": {"gte": "2001-09-09T01:46:40+00:00"}}}]
    assert body["size"] == 7
    assert body["sort"][0] == {"@timestamp": "desc"}


@pytest.mark.parametrize(
    ("wanted", "asked"),
    [
        (Wanted(namespace="dev"), {"term": {"kubernetes.namespace": "dev"}}),
        (Wanted(request="a1"), {"term": {"http.request.id": "a1"}}),
        (Wanted(trace="b2"), {"term": {"trace.id": "b2"}}),
        (Wanted(form="text"), {"term": {"labels.format": "text"}}),
        (Wanted(pod="payload-b"), {"prefix": {"kubernetes.pod.name": "payload-b"}}),
        (Wanted(text="took too long"), {"match_phrase": {"message": "took too long"}}),
        (
            Wanted(service="payload"),
            {
                "bool": {
                    "should": [
                        {"term": {"service.name": "payload"}},
                        {"term": {"kubernetes.container.name": "payload"}},
                    ]
                }
            },
        ),
    ],
)
def test_each_wish_is_one_condition(wanted, asked):
    assert filters(wanted) == [asked]


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_is_asked_for_with_all_above_however_they_are_spelt(level):
    (asked,) = filters(Wanted(level=level))
    words = asked["terms"]["log.level"]
    assert level in words
    assert {"critical", "CRITICAL", "fatal"} <= set(words)
    assert not set(LEVELS[: LEVELS.index(level)]) & set(words)


def test_an_answer_is_shown_oldest_first():
    hits = [HIT | {"_id": name} for name in ("newest", "older", "oldest")]
    assert [it.identifier for it in lines({"hits": {"hits": hits}})] == ["oldest", "older", "newest"]


def test_a_line_is_told_in_the_words_that_matter():
    (line,) = lines({"hits": {"hits": [HIT]}})
    assert (line.at, line.level, line.source) == ("2026-11-21 09:15:08.123", "warn", "dev/payload-blue-1")
    assert line.others == {"http.response.status_code": 200, "event.duration": 1.5}


def test_a_time_that_is_none_is_shown_as_it_stands():
    assert Line("a", {"@timestamp": "soon"}).at == "soon"


names = st.text("abc", min_size=1, max_size=3)
values = st.one_of(st.integers(), st.booleans(), names)


@given(st.recursive(st.dictionaries(names, values, min_size=1), lambda it: st.dictionaries(names, it, min_size=1)))
def test_flat_keeps_every_value_under_its_path(source):
    def paths(value, before=""):
        for name, inner in value.items():
            yield from paths(inner, f"{before}{name}.") if isinstance(inner, dict) else [(f"{before}{name}", inner)]

    assert flat(source) == dict(paths(source))
