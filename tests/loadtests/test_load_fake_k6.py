import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from loadtests import k6
from loadtests.binary import K6Error, check, find
from loadtests.plan import LoadPlan, PlanError
from loadtests.verdict import ExitClass

GOOD = "emit('slipway_ms,1000,1.5,crud,code=200&reason=none&outcome=ok&op=read,')\nsummary()\n"


@pytest.fixture
def plan(tmp_path):
    return LoadPlan(
        scenario="crud", base_url="https://a.test", rate=50, duration=2, workdir=tmp_path / "runs", min_requests=100
    )


@pytest.mark.parametrize(
    ("code", "answer"),
    [(0, "pass"), (99, "inconclusive"), (103, "aborted"), (104, "inconclusive"), (105, "aborted"),
     (107, "inconclusive"), (108, "aborted"), (109, "inconclusive"), (110, "inconclusive"), (1, "inconclusive")],
)  # fmt: skip
def test_each_exit_code_with_good_counts(plan, fake_k6, code, answer):
    assert k6.run(plan, binary=fake_k6(GOOD + f"sys.exit({code})")).exit_class == answer


@pytest.mark.parametrize("code", [0, 99, 110])
@pytest.mark.parametrize(
    "counts",
    [
        "slipway_failed=1",
        "dropped_iterations=1",
        "slipway_requests=0",
        "slipway_unkeyed_failed=2",
        "slipway_started=101",
    ],
)
def test_each_bad_count_fails(plan, fake_k6, code, counts):
    result = k6.run(plan, binary=fake_k6(f"summary({counts})\nsys.exit({code})"))
    assert result.exit_class is ExitClass.FAIL
    assert result.reasons


def test_a_result_has_every_figure_and_every_artefact(plan, fake_k6):
    body = GOOD + "print('hello log')\nsummary(dropped_iterations=2, slipway_failed=3, slipway_resent=1)\nsys.exit(99)"
    result = k6.run(plan, binary=fake_k6(body))
    assert (result.requests, result.failed, result.dropped, result.resent) == (100, 5, 2, 1)
    assert (result.p50, result.p95, result.p99) == (1.0, 2.0, 3.0)
    assert [(s.at, s.requests) for s in result.timeline] == [(1, 1)]
    assert result.summary == result.folder / "summary.json"
    written = ["answer.json", "k6.log", "plan.json", "seconds.json", "summary.json"]
    assert sorted(p.name for p in result.folder.iterdir()) == written
    assert "hello log" in (result.folder / "k6.log").read_text()
    assert json.loads((result.folder / "seconds.json").read_text())[0]["requests"] == 1


def test_runs_keep_apart(plan, fake_k6):
    binary = fake_k6(GOOD)
    assert k6.run(plan, binary=binary).folder != k6.run(plan, binary=binary).folder


@pytest.mark.parametrize("body", ["pass", "open(os.environ['SLIPWAY_SUMMARY'], 'w').write('{')"])
def test_without_a_readable_summary_there_is_no_answer(plan, fake_k6, body):
    result = k6.run(plan, binary=fake_k6(body))
    assert result.exit_class is ExitClass.INCONCLUSIVE
    assert "summary" in " ".join(result.reasons)
    assert result.requests == 0


WAITS = """
def on(number, frame):
    summary(slipway_started=104)
    sys.exit(105)
signal.signal(signal.SIGINT, on)
emit('slipway_ms,1000,1.5,crud,code=200&reason=none&outcome=ok&op=read,')
while True:
    time.sleep(0.05)
"""


def wait_for_traffic(running):
    limit = time.monotonic() + 20
    while running.totals().requests == 0:
        assert time.monotonic() < limit
        assert running.alive()
        time.sleep(0.01)


def alive(group):
    """Whether a process of the group lives; one that only waits to be reaped does not."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it ended while we looked
            continue
        if int(of) == group and state not in "ZX":
            return True
    return False


def test_a_run_can_be_ended_on_purpose_and_is_judged(plan, fake_k6):
    with k6.start(plan, binary=fake_k6(WAITS)) as running:
        wait_for_traffic(running)
        result = running.finish()
    assert result.exit_class is ExitClass.PASS
    assert result.cut_off == 4
    assert running.wait() is result


def test_a_run_can_be_aborted(plan, fake_k6):
    with k6.start(plan, binary=fake_k6(WAITS)) as running:
        wait_for_traffic(running)
        assert running.abort().exit_class is ExitClass.ABORTED


def test_leaving_a_run_ends_its_process_and_its_children(plan, fake_k6, monkeypatch):
    monkeypatch.setattr(k6, "_HARD_STOP", 0.2)
    monkeypatch.setattr(LoadPlan, "graceful", 0.2)
    deaf = """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = os.fork()
    emit('slipway_ms,1000,1.5,crud,code=200&reason=none&outcome=ok&op=read,')
    while True:
        time.sleep(0.05)
    """
    with k6.start(plan, binary=fake_k6(deaf)) as running:
        wait_for_traffic(running)
        group = running._process.pid
    assert not running.alive()
    limit = time.monotonic() + 20
    while alive(group):  # killed, but the kernel may need a moment
        assert time.monotonic() < limit


def test_a_hung_k6_is_killed_at_the_deadline_and_proves_nothing(plan, fake_k6, monkeypatch):
    monkeypatch.setattr(k6, "_HARD_STOP", 0.1)
    monkeypatch.setattr(LoadPlan, "graceful", 0.1)
    monkeypatch.setattr(LoadPlan, "deadline", 0.5)
    hung = "signal.signal(signal.SIGINT, signal.SIG_IGN)\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)"
    result = k6.run(plan, binary=fake_k6("summary()\n" + hung))
    assert result.exit_class is ExitClass.INCONCLUSIVE
    assert "was killed" in result.reasons[0]


def test_progress_is_told(plan, fake_k6, monkeypatch):
    monkeypatch.setattr(k6, "_TICK", 0.05)
    told = []
    k6.run(plan, binary=fake_k6(GOOD + "time.sleep(0.5)"), on_progress=told.append)
    assert told
    assert told[-1].totals.requests == 1
    assert told[-1].planned == 2


def test_the_fake_sees_only_what_it_is_given(plan, fake_k6, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "leak")
    body = (
        GOOD
        + "json.dump([dict(os.environ), sys.argv], open(os.path.dirname(os.environ['SLIPWAY_SUMMARY']) + '/seen', 'w'))"
    )
    made = replace(plan, secrets={"SLIPWAY_TOKEN": "s3cret"})
    result = k6.run(made, binary=fake_k6(body))
    seen, arguments = json.loads((result.folder / "seen").read_text())
    assert "AWS_SECRET_ACCESS_KEY" not in seen
    assert seen["SLIPWAY_TOKEN"] == "s3cret"
    assert "s3cret" not in " ".join(arguments)
    for artefact in result.folder.iterdir():
        assert artefact.name == "seen" or "s3cret" not in artefact.read_text()


def test_a_ca_that_is_no_file_is_said_before_anything_starts(plan, fake_k6, tmp_path):
    with pytest.raises(PlanError, match="is no file"):
        k6.run(replace(plan, ca=tmp_path / "none.pem"), binary=fake_k6(GOOD))
    assert not plan.workdir.exists()


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("k6 v0.57.0 (commit/x, go1.24.4, linux/amd64)", "known are 1.1 and later"),
        ("k6 v2.0.0 (commit/x, go1.24.4, linux/amd64)", "known are 1.1 and later"),
        ("some other tool 1.1.0", "is not k6"),
    ],
)
def test_only_a_known_k6_is_run(plan, fake_k6, version, message):
    with pytest.raises(K6Error, match=message):
        k6.run(plan, binary=fake_k6(GOOD, version))


def test_where_k6_is_looked_for(fake_k6, tmp_path, monkeypatch):
    binary = fake_k6(GOOD)
    assert find(None, {"SLIPWAY_K6": str(binary)}) == binary
    assert find(binary, {"SLIPWAY_K6": "/nowhere"}) == binary
    with pytest.raises(K6Error, match="k6 is not at /nowhere"):
        find(None, {"SLIPWAY_K6": "/nowhere"})
    monkeypatch.setattr("loadtests.binary.sysconfig.get_path", lambda _: str(tmp_path / "no-scripts"))
    with pytest.raises(K6Error, match="no k6 found"):
        find(None, {"PATH": str(tmp_path)})
    binary.rename(tmp_path / "k6")
    assert find(None, {"PATH": str(tmp_path)}) == tmp_path / "k6"
    not_run = tmp_path / "text"
    not_run.write_text("#!/nowhere\n")
    not_run.chmod(0o755)
    with pytest.raises(K6Error, match="cannot be run"):
        check(not_run)
