"""The keeper of logs: what it deletes, what it counts, and that a round that fails changes nothing."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.logs.keeper import INDEX, Index, State, exposition, keep, superfluous, template

TODAY = date(2026, 11, 21)
days_back = st.integers(0, 400)
an_index = st.builds(
    lambda back, size: Index(f"{INDEX}-{TODAY - timedelta(days=back):%Y.%m.%d}", 1, size),
    days_back,
    st.integers(0, 1000),
)
indices = st.lists(an_index, max_size=30, unique_by=lambda it: it.name)


@given(indices, st.integers(1, 60), st.integers(0, 5000))
def test_what_is_kept_is_young_enough_and_fits_and_nothing_goes_without_need(found, days, budget):
    gone = set(superfluous(found, TODAY, days=days, budget=budget))
    kept = [it for it in found if it.name not in gone]
    oldest_first = sorted((it for it in found if it.day != TODAY), key=lambda it: it.name)
    # The oldest go, none between, and never today's.
    assert {it.name for it in oldest_first[: len(gone)]} == gone
    assert all(it.day is not None and it.day > TODAY - timedelta(days=days) for it in kept)
    if any(it.day != TODAY for it in kept):
        assert sum(it.size for it in kept) <= budget
    for last in oldest_first[len(gone) - 1 : len(gone)] if gone else ():
        young = last.day is not None and last.day > TODAY - timedelta(days=days)
        assert not young or last.size + sum(it.size for it in kept) > budget


def test_an_index_of_another_name_is_never_touched():
    others = [Index(name, 1, 10**9) for name in (f"{INDEX}-today", ".security-7", f"{INDEX}-2020.13.01")]
    assert superfluous(others, TODAY, days=1, budget=0) == []


def test_a_field_that_a_program_writes_in_two_ways_cannot_make_a_line_be_refused():
    mappings = template(1)["template"]["mappings"]
    assert mappings["dynamic"] is False
    assert template(1)["template"]["settings"]["number_of_replicas"] == 1
    # Refused would be an object where text is wanted; the collector keeps such lines as text (`operators`).
    assert all(it["type"] != "object" for it in mappings["properties"].values())


class Elastic:
    """Answers as Elasticsearch does."""

    def __init__(self, *days):
        self.asked = []
        self.indices = {f"{INDEX}-{day:%Y.%m.%d}": 100 for day in days}

    def __call__(self, method, path, body=None):
        self.asked.append((method, path))
        if method == "DELETE":
            del self.indices[path.lstrip("/")]
            return {"acknowledged": True}
        if path == "/_cluster/health":
            return {"status": "yellow"}
        if path.endswith("_stats/docs,store"):
            return {
                "indices": {
                    name: {"primaries": {"docs": {"count": 7}, "store": {"size_in_bytes": size}}}
                    for name, size in self.indices.items()
                }
            }
        assert (method, path, body) == ("PUT", f"/_index_template/{INDEX}", template(0))
        return {"acknowledged": True}


def test_a_round_makes_the_template_first_and_counts_what_is_left():
    today = datetime.now(UTC).date()
    elastic, state = Elastic(today, today - timedelta(days=9)), State()
    keep(elastic, state, days=3, budget=10**9, replicas=0)
    assert elastic.asked[0] == ("PUT", f"/_index_template/{INDEX}")
    assert list(elastic.indices) == [f"{INDEX}-{today:%Y.%m.%d}"]
    text = exposition(state)
    assert "slipway_logs_lines 7\n" in text
    assert "slipway_logs_bytes 100\n" in text
    assert "slipway_logs_health 1\n" in text
    assert "slipway_logs_deleted_total 1\n" in text
    assert state.done > 0


def test_a_round_that_fails_leaves_the_figures_of_the_last_one():
    state = State(indices=[Index(f"{INDEX}-2026.11.20", 3, 5)], status="green", done=1.0)

    def refuse(*_):
        raise OSError("no route")

    with pytest.raises(OSError, match="no route"):
        keep(refuse, state, days=3, budget=1, replicas=0)
    assert "slipway_logs_lines 3\n" in exposition(state)
    assert state.done == 1.0
