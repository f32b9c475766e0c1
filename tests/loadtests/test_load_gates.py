"""A run as a gate: failed, missing or surely worse requests close it; what is not sure moves no baseline."""

import json
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from loadtests import gates, k6, written
from loadtests.plan import LoadPlan
from loadtests.stream import Second
from loadtests.verdict import ExitClass, Judgement
from slipway import cli

PLAN = {"scenario": "crud", "workload": "constant", "rate": 50, "duration": 20.0, "protocol": "http/1.1", "vus": 110,
        "answer_limit": 10.0}  # fmt: skip


def metrics(requests):
    counts = {"slipway_requests": requests, "slipway_started": requests}
    found = {name: {"values": {"count": count}, "thresholds": {}} for name, count in counts.items()}
    found["slipway_ms"] = {"values": {"med": 5, "p(95)": 9, "p(99)": 12, "max": 20}, "thresholds": {}}
    return found


@pytest.fixture
def a_run(tmp_path):
    """A run as it lies in its folder."""

    def make(name, latency=5.0, *, requests=1000, exit_class=ExitClass.PASS, seconds=20, **plan):
        folder = tmp_path / name
        folder.mkdir()
        (folder / written.PLAN).write_text(json.dumps(PLAN | plan))
        (folder / written.ANSWER).write_text(written.answer_text(Judgement(exit_class)))
        summary = {"schema": 1, "milliseconds": 20000, "metrics": metrics(requests)}
        (folder / written.SUMMARY).write_text(json.dumps(summary))
        line = [Second(at, 50, 0, 0, 0, 0, *(latency * by + at % 3 / 10 for by in (1, 2, 3)), {"200": 50})
                for at in range(seconds)]  # fmt: skip
        (folder / written.SECONDS).write_text(json.dumps([asdict(one) for one in line]))
        return SimpleNamespace(folder=folder, exit_class=exit_class, reasons=("why",) if exit_class != "pass" else ())

    return make


def test_the_first_run_passes_and_is_the_next_ones_baseline(a_run, tmp_path):
    run = a_run("new")
    passed = gates.judge(run, tmp_path / "none")
    assert (passed.exit_class, passed.better) == (ExitClass.PASS, True)
    kept = gates.keep(passed, run.folder, tmp_path / "none", tmp_path / "kept")
    assert written.read(kept).plan == PLAN


@pytest.mark.parametrize("exit_class", [ExitClass.FAIL, ExitClass.INCONCLUSIVE, ExitClass.ABORTED])
def test_a_run_that_is_no_pass_closes_it_and_keeps_the_old_baseline(a_run, tmp_path, exit_class):
    old, new = a_run("old", rate=51), a_run("new", exit_class=exit_class)
    passed = gates.judge(new, old.folder)
    assert (passed.exit_class, passed.reasons, passed.comparison) == (exit_class, ("why",), None)
    kept = gates.keep(passed, new.folder, old.folder, tmp_path / "kept")
    assert written.read(kept).plan["rate"] == 51
    assert gates.keep(passed, new.folder, None, tmp_path / "nothing") is None
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("worse", [{"latency": 9.0}, {"requests": 900}], ids=["slower", "fewer answered"])
def test_what_is_surely_worse_closes_it(a_run, worse):
    passed = gates.judge(a_run("new", **worse), a_run("old").folder)
    assert (passed.exit_class, passed.better) == (ExitClass.FAIL, False)
    assert passed.reasons


def test_what_is_no_worse_passes_and_becomes_the_baseline(a_run, tmp_path):
    old, new = a_run("old"), a_run("new", latency=4.9)
    passed = gates.judge(new, old.folder)
    assert (passed.exit_class, passed.reasons, passed.better) == (ExitClass.PASS, (), True)
    kept = gates.keep(passed, new.folder, old.folder, tmp_path / "kept")
    assert (kept / written.SECONDS).read_text() == (new.folder / written.SECONDS).read_text()


def test_what_is_not_sure_passes_and_leaves_the_baseline(a_run, tmp_path):
    old, new = a_run("old", seconds=5), a_run("new", latency=9.0, seconds=5)
    passed = gates.judge(new, old.folder)
    assert (passed.exit_class, passed.better) == (ExitClass.PASS, False)
    assert passed.reasons, "what could not be told is told"
    kept = gates.keep(passed, new.folder, old.folder, tmp_path / "kept")
    assert (kept / written.SECONDS).read_text() == (old.folder / written.SECONDS).read_text()


def test_a_run_of_other_load_begins_anew(a_run, tmp_path):
    old, new = a_run("old", rate=100), a_run("new")
    passed = gates.judge(new, old.folder)
    assert passed.exit_class is ExitClass.PASS
    assert written.read(gates.keep(passed, new.folder, old.folder, tmp_path / "kept")).plan["rate"] == 50


def test_the_command_loads_a_service_by_its_address_and_leaves_a_baseline(server, tls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["loadtest", "gate", "crud", f"--url={server.url}", "--address=127.0.0.1",
                 "--rate=60", "--seconds=2", "--baseline=base",
                 "--keep=kept"]  # fmt: skip
    environment = {"SLIPWAY_LOAD_CA": tls.ca.read_text(), "SLIPWAY_TOKEN": "s3cret"}
    done = CliRunner().invoke(cli.cli, arguments, env=environment)
    assert done.exit_code == 0, done.output
    assert "this one is the first" in done.output
    assert written.read(tmp_path / "kept").plan["rate"] == 60
    assert any(headers.get("authorization") == "Bearer s3cret" for _, _, headers in server.requests)
    assert "s3cret" not in "".join(path.read_text() for path in (tmp_path / "kept").iterdir())
    server.fault = lambda asked: 500 if asked.method == "GET" else None
    done = CliRunner().invoke(cli.cli, arguments, env=environment)
    assert done.exit_code == 1, done.output
    assert "requests failed" in done.output


@pytest.fixture
def plan(server, tls, tmp_path):
    return LoadPlan(scenario="crud", base_url=server.url, rate=60, duration=2, workdir=tmp_path, ca=tls.ca, seeds=4,
        address="127.0.0.1")  # fmt: skip


def test_figures_that_cannot_be_sent_change_no_verdict(plan):
    result = k6.run(replace(plan, remote_write="http://127.0.0.1:1/api/v1/write"))
    assert (result.exit_class, result.failed) == (ExitClass.PASS, 0), result.reasons
