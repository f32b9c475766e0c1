"""How results of mutants are judged."""

import json

import mutation
import pytest


def bars(results, reasons=frozenset()):
    figures, found = mutation.judged(results, set(reasons))
    return figures, [bar.holds for bar in found]


def test_enough_noticed_all_tried_and_every_survivor_explained():
    results = {**{f"m{n}": "killed" for n in range(7)}, "t": "timeout", "s": "survived", "n": "no tests"}
    assert bars(results, {"s", "n"})[1] == [True] * 4
    assert bars(results, {"s"})[1] == [True, True, False, True], "one that no test reaches survives too"
    assert bars(results, {"s", "n", "gone"})[1] == [True, True, True, False]


def test_too_few_noticed():
    results = {**{f"m{n}": "killed" for n in range(79)}, **{f"s{n}": "survived" for n in range(21)}}
    assert bars(results)[1][0] is False
    assert bars({**results, "s0": "killed"})[1][0] is True


def test_what_was_not_tried_is_no_survivor_and_no_success():
    figures, holds = bars({"m": "killed", "u": "not checked"})
    assert holds == [True, False, True, True]
    assert (figures["mutants"], figures["tried"]) == (2, 1)
    assert bars({})[1][0] is False


@pytest.fixture
def results(tmp_path, monkeypatch):
    exits = {"a": {"a1": 1, "a2": 0}, "b": {"b1": None, "b2": None, "b3": 33}, "c": {"c1": None, "c2": 36}}
    for name, codes in exits.items():
        (tmp_path / f"{name}.py.meta").write_text(json.dumps({"exit_code_by_key": codes}))
    monkeypatch.setattr(mutation, "RESULTS", tmp_path)
    return tmp_path


def test_the_next_run_goes_on_with_one_module_or_with_some_of_all(results):
    assert mutation.left(None) == ["b1", "b2"]
    assert sorted(mutation.left(99)) == ["b1", "b2", "c1"]
    assert len(mutation.left(2)) == 2
    assert mutation.left(2) == mutation.left(2)
    assert mutation.found(results) == {
        "a1": "killed", "a2": "survived", "b1": "not checked", "b2": "not checked", "b3": "no tests",
        "c1": "not checked", "c2": "timeout",
    }  # fmt: skip


def test_the_page_lists_survivors():
    page = "| mutant | why |\n|---|---|\n| `app.services.x.x_y__mutmut_12` | because |\nnot `x__mutmut_1`\n"
    assert mutation.listed(page) == {"app.services.x.x_y__mutmut_12"}
