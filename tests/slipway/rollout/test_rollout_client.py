"""Start, approve, abort, roll back, follow: against a fake API server that only keeps objects."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from lightkube import KubeConfig
from rich.console import Console

from slipway.reports import Verdict as ReportVerdict
from slipway.rollout import resource, story
from slipway.rollout.api import Api
from slipway.rollout.client import Client, ExitCode, UsageError, Wish, event_of, outcome
from slipway.rollout.loop import Unavailable
from slipway.rollout.observation import Rollout
from slipway.rollout.spec import Commit, RolloutSpec
from slipway.rollout.status import (
    Colour,
    Finished,
    Intent,
    MetricState,
    Observed,
    Phase,
    Reason,
    Rejection,
    Revision,
    RolloutStatus,
    Verdict,
)
from slipway.rollout.story import Recording
from slipway.rollout.view import bar, left, render, waits

IMAGES = [f"registry.test/app@sha256:{number:064x}" for number in range(4)]
STABLE = Revision(hash="aaa", image=IMAGES[1], number=1, colour=Colour.BLUE)
CANDIDATE = Revision(hash="bbb", image=IMAGES[2], number=2, colour=Colour.GREEN)
OLD = Revision(hash="old", image=IMAGES[0], number=0, colour=Colour.GREEN)
SPEC = RolloutSpec(service="payload", template="payload", image=IMAGES[2])


def line(image: str, result: str) -> Finished:
    return Finished(revision="x", image=image, number=1, result=result, started=1.0, finished=2.0)


def rollout(**changes: Any) -> Rollout:
    values = {"observed_generation": 1, "stable": STABLE} | changes
    return Rollout("payload", "dev", "u", 1, "1", SPEC, RolloutStatus(**values))


class Server(ThreadingHTTPServer):
    """Keeps one Rollout; merges patches; answers who one is."""

    daemon_threads = True
    document: dict[str, Any]
    broken = 0
    asked = 0


class Handler(BaseHTTPRequestHandler):
    server: Server

    def _answer(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.server.asked += 1
        if self.server.broken > 0:
            self.server.broken -= 1
            self._answer(503, {"message": "away"})
        elif self.path.endswith("/payload"):
            self._answer(200, self.server.document)
        else:
            self._answer(404, {"message": "no"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(201, {"status": {"userInfo": {"username": "ada"}}})

    def do_PATCH(self) -> None:
        change = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.document["spec"] |= change["spec"]
        self.server.document["metadata"]["generation"] += 1
        self._answer(200, self.server.document)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the overridden argument
        del format, args


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server(("127.0.0.1", 0), Handler)
    thread = Thread(target=found.serve_forever)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


def put(server: Server, status: RolloutStatus) -> None:
    metadata = {"name": "payload", "namespace": "dev", "uid": "u", "generation": 1, "resourceVersion": "1"}
    server.document = {
        "metadata": metadata,
        "spec": resource.dump_spec(SPEC),
        "status": resource.dump_status(status),
    }


def ask(server: Server, what: Any, *, name: str = "payload") -> Any:
    address = f"http://127.0.0.1:{server.server_address[1]}"
    config = KubeConfig.from_dict(
        {
            "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": address}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "users": [{"name": "it", "user": {"token": "t"}}],
        }
    )

    async def go() -> Any:
        async with Api(config) as api:
            return await what(Client(api, "dev", name))

    return asyncio.run(go())


def test_start_asks_for_a_digest_and_for_another_attempt_after_a_refusal(server):
    put(server, RolloutStatus(stable=STABLE, phase=Phase.DONE, history=(line(IMAGES[3], "rolled back: Aborted"),)))
    with pytest.raises(UsageError, match="by digest"):
        ask(server, lambda client: client.start("registry.test/app:1"))
    for cut in ("registry.test/app@sha256:" + "1" * 63, "registry.test/app@sha256:" + "G" * 64, "sha256:" + "1" * 64):
        with pytest.raises(UsageError, match="64 hexadecimal"):
            ask(server, lambda client, cut=cut: client.start(cut))
    ask(server, lambda client: client.start(IMAGES[2]))
    assert server.document["spec"]["image"] == IMAGES[2]
    assert "attempt" not in server.document["spec"]
    assert ask(server, lambda client: client.start(IMAGES[3])) == Wish(3, after=1)
    assert server.document["spec"]["attempt"] == 1
    # A pipeline that runs again asks for nothing new.
    assert ask(server, lambda client: client.start(IMAGES[3], attach=True)) == Wish(3)
    ask(server, lambda client: client.start(IMAGES[3]))
    assert server.document["spec"]["attempt"] == 2


@pytest.mark.parametrize(("rejected", "attempt"), [((), 0), (("bbb",), 1)])
def test_what_is_under_test_is_not_asked_for_twice_but_what_was_refused_and_is_not_gone_yet_is(
    server, rejected, attempt
):
    refused = tuple(Rejection(revision=it, reason=Reason.ABORTED, by="ada", at=1.0) for it in rejected)
    put(server, RolloutStatus(stable=STABLE, candidate=CANDIDATE, history=(line(IMAGES[2], "rolled back: Aborted"),),
                              phase=Phase.ROLLED_BACK if rejected else Phase.SHIFTING, rejected=refused))  # fmt: skip
    assert ask(server, lambda client: client.start(IMAGES[2])).after == (CANDIDATE.number if rejected else 0)
    assert server.document["spec"].get("attempt", 0) == attempt


def test_a_commit_is_told_with_its_image_and_taken_away_with_it(server):
    put(server, RolloutStatus(stable=STABLE, phase=Phase.DONE))
    ask(server, lambda client: client.start(IMAGES[2], commit=Commit(id="c" * 40, time=1767323045.0)))
    assert server.document["spec"]["commit"] == {"id": "c" * 40, "time": "2026-01-02T03:04:05.000Z"}
    assert ask(server, lambda client: client.status()).spec.commit == Commit(id="c" * 40, time=1767323045.0)
    ask(server, lambda client: client.start(IMAGES[3]))
    assert server.document["spec"]["commit"] is None


def test_approve_opens_the_gate_that_waits_under_ones_own_name(server):
    put(server, RolloutStatus(stable=STABLE, candidate=CANDIDATE, phase=Phase.APPROVAL, gate="preview"))
    with pytest.raises(UsageError, match="waits for 'preview', not for 'step-1'"):
        ask(server, lambda client: client.approve("step-1"))
    assert ask(server, lambda client: client.approve()) == "preview"
    expected = {"revision": "bbb", "gate": "preview", "by": "ada", "reason": ""}
    assert server.document["spec"]["approve"] == expected


@pytest.mark.parametrize(
    ("verb", "status", "says"),
    [
        ("approve", RolloutStatus(stable=STABLE, phase=Phase.DONE), "waits for no approval"),
        ("abort", RolloutStatus(stable=STABLE, phase=Phase.DONE), "no version under test"),
        ("abort", RolloutStatus(stable=STABLE, candidate=CANDIDATE, phase=Phase.ROLLED_BACK), "no version under test"),
        ("rollback", RolloutStatus(stable=STABLE, candidate=CANDIDATE, phase=Phase.SHIFTING), "abort it instead"),
        ("rollback", RolloutStatus(stable=STABLE, phase=Phase.DONE), "window of payload is closed"),
        (
            "rollback",
            RolloutStatus(stable=STABLE, standby=OLD, phase=Phase.CONTRACT, past_contract="aaa"),
            "past its contract",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_does(server, verb, status, says):
    put(server, status)
    with pytest.raises(UsageError, match=says):
        ask(server, lambda client: getattr(client, verb)())
    assert "abort" not in server.document["spec"]


def test_a_closed_window_names_the_image_to_start(server):
    history = (line(IMAGES[0], "promoted"), line(IMAGES[1], "promoted"))
    put(server, RolloutStatus(stable=STABLE, phase=Phase.DONE, history=history, last_good_image=IMAGES[1]))
    with pytest.raises(UsageError, match=f"--image {IMAGES[0]}"):
        ask(server, lambda client: client.rollback())


def test_abort_and_rollback_name_the_revision(server):
    put(server, RolloutStatus(stable=STABLE, candidate=CANDIDATE, phase=Phase.ANALYSING))
    assert ask(server, lambda client: client.abort(reason="too slow")) == "bbb"
    assert server.document["spec"]["abort"] == {"revision": "bbb", "by": "ada", "reason": "too slow"}
    put(server, RolloutStatus(stable=STABLE, standby=OLD, phase=Phase.WARM_STANDBY))
    assert ask(server, lambda client: client.rollback()) == "aaa"


def test_a_rollout_that_is_not_there_is_said_so(server):
    with pytest.raises(UsageError, match="no Rollout nobody in dev"):
        ask(server, lambda client: client.status(), name="nobody")


def test_following_survives_a_server_that_is_away_for_a_while(server):
    put(server, RolloutStatus(stable=STABLE, phase=Phase.DONE))
    server.broken = 3
    time = [0.0]

    async def sleep(seconds: float) -> None:
        time[0] += seconds

    async def first(client: Client) -> Rollout:
        async for found in client.follow(patience=10, clock=lambda: time[0], sleep=sleep):
            return found
        raise AssertionError

    assert ask(server, first).status.phase is Phase.DONE
    server.broken = 10**6
    with pytest.raises(Unavailable):
        ask(server, first)
    assert time[0] > 10


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"phase": Phase.SHIFTING, "candidate": CANDIDATE}, None),
        ({"phase": Phase.APPROVAL, "candidate": CANDIDATE, "gate": "preview"}, None),
        ({"phase": Phase.SOAK, "stable": CANDIDATE}, None),
        ({"phase": Phase.DRAINING, "stable": CANDIDATE}, ExitCode.PROMOTED),
        ({"phase": Phase.DONE, "stable": CANDIDATE}, ExitCode.PROMOTED),
        ({"phase": Phase.DONE}, None),
        ({"phase": Phase.PAUSED, "candidate": CANDIDATE, "reason": Reason.INCONCLUSIVE}, ExitCode.PAUSED),
        ({"phase": Phase.ROLLING_BACK, "candidate": CANDIDATE}, None),
        (
            {"phase": Phase.ROLLED_BACK, "candidate": CANDIDATE, "history": (line(IMAGES[2], "rolled back: X"),)},
            ExitCode.ROLLED_BACK,
        ),
        ({"phase": Phase.ROLLED_BACK, "history": (line(IMAGES[2], "rolled back: X"),)}, ExitCode.ROLLED_BACK),
        ({"phase": Phase.DONE, "stable": CANDIDATE, "observed_generation": 0}, None),
    ],
)
def test_how_a_rollout_ended(changes, code):
    assert outcome(rollout(**changes), IMAGES[2], Wish(1)) is code


def test_what_was_said_before_the_question_is_no_answer():
    refused = rollout(phase=Phase.ROLLED_BACK, history=(line(IMAGES[2], "rolled back: X"),))
    assert outcome(refused, IMAGES[2], Wish(2)) is None


def test_a_refusal_of_the_attempt_before_is_no_answer_to_the_next_one():
    lines = [replace(line(IMAGES[2], "rolled back: X"), number=number) for number in (2, 3)]
    before = {"phase": Phase.ROLLED_BACK, "candidate": CANDIDATE, "history": (lines[0],)}
    assert outcome(rollout(**before), IMAGES[2], Wish(1, after=2)) is None
    after = {"phase": Phase.ROLLED_BACK, "history": tuple(lines)}
    assert outcome(rollout(**after), IMAGES[2], Wish(1, after=2)) is ExitCode.ROLLED_BACK


def busy() -> Rollout:
    return rollout(
        phase=Phase.ANALYSING,
        message="judging",
        candidate=CANDIDATE,
        step=1,
        intent=Intent(candidate_weight=25, blue=75, green=25, initial=100, since=1.0, routers={}),
        observed=Observed(blue=75.07, green=24.93, routers=2, at=1.0),
        until=190.0,
        metrics=(MetricState(name="errors", next_at=0.0, value=0.002, samples=840.0, verdict=Verdict.PASS),),
    )


def test_the_view_shows_weights_verdicts_and_what_is_left():
    console = Console(width=120, record=True, file=None)
    with console.capture() as captured:
        console.print(render(busy(), 100.0))
    text = captured.get()
    for expected in ("dev/payload Analysing", "75.1 %", "24.9 %", "errors", "pass", "ends in 1 min 30 s", "candidate"):
        assert expected in text


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({"phase": Phase.APPROVAL, "gate": "step-1"}, "waits for: slipway rollout approve --gate step-1"),
        (
            {"phase": Phase.PAUSED, "gate": "resume-2", "reason": Reason.INCONCLUSIVE},
            "send more, then: slipway rollout",
        ),
        ({"phase": Phase.ANALYSING}, ""),
    ],
)
def test_what_a_person_must_do_is_said(status, told):
    found = rollout(candidate=CANDIDATE, **status)
    assert told in waits(found.status)
    assert bool(told) is bool(waits(found.status))
    console = Console(width=160)
    with console.capture() as captured:
        console.print(render(found, 100.0))
    assert waits(found.status) in captured.get()


def test_unknown_is_not_drawn_as_nothing():
    assert bar(None) == "not read back yet"
    assert bar(0.0).endswith("  0.0 %")
    assert [left(3.9), left(63), left(3900)] == ["3 s", "1 min 3 s", "1 h 5 min"]


def test_a_line_of_json_is_plain():
    found = json.loads(json.dumps(event_of(busy())))
    assert found["weight"] == 25
    assert found["metrics"][0]["samples"] == 840.0


def test_the_story_has_its_plots_and_only_a_promotion_passes():
    recording = Recording()
    recording.note(busy(), 100.0)
    recording.note(replace(busy(), status=replace(busy().status, phase=Phase.DONE, message="done")), 130.0)
    good = story.report(recording, image=IMAGES[2], outcome=ExitCode.PROMOTED)
    assert good.verdict is ReportVerdict.PASS
    assert good.seconds == 30.0
    assert good.figures["seconds in each phase"] == {"Analysing": 30.0}
    assert story.report(recording, image=IMAGES[2], outcome=ExitCode.ROLLED_BACK).verdict is ReportVerdict.FAIL
    assert story.report(recording, image=IMAGES[2], outcome=ExitCode.PAUSED).verdict is ReportVerdict.INCONCLUSIVE
    changes = story.changed({"spec": {"a": [1, 2], "b": 1}}, {"spec": {"a": [1, 3], "c": 1}})
    assert changes == {"spec.a.1": ("2", "3"), "spec.b": ("1", "-"), "spec.c": ("-", "1")}
    bodies = {part.title: part.body for part in story.sections(recording, changes)}
    assert "<svg" in bodies["Weights"]
    assert "judging" in bodies["What happened"]
    assert "spec.a.1" in bodies["What changed"]
    with pytest.raises(ValueError, match="no recorded state"):
        story.report(Recording(), image=IMAGES[2], outcome=ExitCode.PROMOTED)
