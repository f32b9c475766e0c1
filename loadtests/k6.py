"""Runs k6: own process group, own environment, a deadline that holds, and every artefact under the run's id."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from loadtests import binary as binaries
from loadtests import written
from loadtests.plan import LoadPlan, PlanError, command, described, environment
from loadtests.stream import Answered, Failure, Gap, Second, Seconds, StreamReader, Totals
from loadtests.verdict import ExitClass, Finished, Judgement, Summary, SummaryError, classify, parse_summary

_HARD_STOP: Final = 10.0  # seconds between the second signal and the kill
_TICK: Final = 1.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is: seconds since its start, seconds that are planned (without setup), counts so far."""

    elapsed: float
    planned: float
    totals: Totals


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a run found.

    Attributes:
        exit_class: the answer; `reasons` says why it is not `pass`.
        requests: with an answer or an error.
        failed: as the project defines it, dropped ones included; neither `unkeyed_failed` nor `allowed` is in it.
        dropped: part of `failed`.
        resent: part of `failed`: what the HTTP library sent a second time by itself.
        unkeyed_failed: writes without an idempotency key that failed.
        allowed: 503 that the plan allows.
        cut_off: requests without an answer when the run was ended early.
        rate_achieved: requests per second of load, without setup; None if nothing was measured.
        p50, p95, p99: milliseconds; None if nothing was measured.
        statuses: HTTP status (`0`: none) -> requests.
        colours: colour -> what it answered, as far as the service says which one it is.
        seconds: of the whole run.
        timeline: every second of it; empty if the stream broke.
        failures: the first of them; `failure_reasons` counts all.
        read_gaps, write_gaps: times in which no read, no write ended well, from where they tell something (`telling`).
        summary: path of k6's summary; it may be missing if k6 did not get that far.
        folder: every artefact of the run.
        finished: of scenario `async`: exports that were fetched, and how long they took; None if none was.
    """

    exit_class: ExitClass
    reasons: tuple[str, ...]
    run_id: str
    started: datetime
    requests: int
    failed: int
    dropped: int
    resent: int
    unkeyed_failed: int
    allowed: int
    cut_off: int
    rate_achieved: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    statuses: Mapping[str, int]
    shares: Mapping[str, float]
    seconds: float
    timeline: tuple[Second, ...]
    failures: tuple[Failure, ...]
    failure_reasons: Mapping[str, int]
    read_gaps: tuple[Gap, ...]
    write_gaps: tuple[Gap, ...]
    summary: Path
    folder: Path
    colours: Mapping[str, Answered] = field(default_factory=dict[str, Answered])
    finished: Finished | None = None


class Run:
    """A k6 that is running. Always leave it through `with`, or call `wait`: both end the process."""

    def __init__(self, plan: LoadPlan, binary: Path) -> None:
        self.plan = plan
        self.started = datetime.now(UTC)
        self.run_id = f"{self.started:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
        self.folder = plan.workdir / self.run_id
        self._binary = binary
        self._seconds = Seconds()
        self._cleanup = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._begin = 0.0
        self._finish_asked = threading.Event()
        self._killed = False
        self._result: LoadResult | None = None

    def __enter__(self) -> Self:
        """Start k6."""
        home = self.folder / "home"
        home.mkdir(parents=True)
        (self.folder / written.PLAN).write_text(json.dumps(described(self.plan), indent=2) + "\n")
        with contextlib.ExitStack() as stack:
            pipe = self.folder / "stream"
            stack.enter_context(StreamReader(pipe, self._seconds))
            log = stack.enter_context((self.folder / "k6.log").open("wb"))
            self._begin = time.monotonic()
            self._process = subprocess.Popen(
                command(self.plan, self._binary, pipe),
                env=environment(
                    self.plan,
                    run_id=self.run_id,
                    summary=self.summary,
                    home=home,
                    path=os.environ.get("PATH", os.defpath),
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C in our terminal is ours to handle
            )
            self._cleanup = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End k6 if it still runs."""
        if self._result is None:
            self._stop()
            self._cleanup.close()

    @property
    def summary(self) -> Path:
        """Where k6 writes its summary."""
        return self.folder / written.SUMMARY

    def totals(self) -> Totals:
        """Counts so far."""
        return self._seconds.totals()

    def seconds(self) -> tuple[Second, ...]:
        """The seconds so far."""
        return self._seconds.seconds()

    def alive(self) -> bool:
        """Whether k6 still runs."""
        return self._process is not None and self._process.poll() is None

    def finish(self) -> LoadResult:
        """End the run now, on purpose, and judge what was measured.

        Requests in flight at this moment are cut off and counted as such, not as failed: let the load go on for
        `answer_limit` seconds after the last thing that matters, then none of those is among them.
        """
        self._finish_asked.set()
        self._stop()
        return self.wait()

    def abort(self) -> LoadResult:
        """End the run now; its answer is `aborted`."""
        self._stop()
        return self.wait()

    def wait(self, on_progress: Callable[[Progress], None] | None = None) -> LoadResult:
        """Wait for the end, at most until the plan's deadline, and judge."""
        if self._result is not None:
            return self._result
        process = self._require()
        try:
            while True:
                left = self._begin + self.plan.deadline - time.monotonic()
                if left <= 0:
                    self._killed = True
                    self._stop()
                    break
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=min(_TICK, left))
                    break
                if on_progress is not None:
                    on_progress(Progress(time.monotonic() - self._begin, self.plan.duration, self.totals()))
        finally:
            self._stop()
            self._cleanup.close()
        self._result = self._judge(process.returncode)
        return self._result

    def _stop(self) -> None:
        """Ask, ask again, kill: k6 sums up after the first signal and gives up at the second."""
        process = self._process
        if process is None:
            return
        for signal_number, patience in (
            (signal.SIGINT, self.plan.graceful),
            (signal.SIGTERM, _HARD_STOP),
            (signal.SIGKILL, None),
        ):
            if process.poll() is not None:
                break
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal_number)
            try:
                process.wait(timeout=patience)
            except subprocess.TimeoutExpired:
                continue
            except KeyboardInterrupt:  # a second Ctrl-C: whoever sends it does not want to wait
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise

    def _require(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise RuntimeError("this run was not started; use `with Run(...)` or loadtests.k6.start")
        return self._process

    def _judge(self, exit_code: int) -> LoadResult:
        summary, trouble = _read(self.summary)
        judgement = classify(
            exit_code, summary, self.plan, finished_early=self._finish_asked.is_set(), killed=self._killed
        )
        if trouble and judgement.reasons:
            judgement = Judgement(judgement.exit_class, (*judgement.reasons, trouble))
        result = _result(self, judgement, summary, self._seconds, seconds=time.monotonic() - self._begin)
        (self.folder / written.ANSWER).write_text(written.answer_text(judgement))
        (self.folder / written.SECONDS).write_text(json.dumps([asdict(second) for second in result.timeline]) + "\n")
        with contextlib.suppress(OSError):
            (self.folder / "home").rmdir()
        return result


def start(plan: LoadPlan, *, binary: Path | None = None) -> Run:
    """A run to enter with `with`; k6 starts there.

    Raises:
        K6Error: no usable k6.
        PlanError: the CA file of the plan is missing.
    """
    if plan.ca is not None and not plan.ca.is_file():
        raise PlanError(f"ca is {plan.ca}, which is no file; `slipway status` prints where the CA is")
    return Run(plan, binaries.find(binary))


def run(
    plan: LoadPlan, *, binary: Path | None = None, on_progress: Callable[[Progress], None] | None = None
) -> LoadResult:
    """Run a plan to its end.

    Raises:
        K6Error: no usable k6.
        PlanError: the CA file of the plan is missing.
    """
    with start(plan, binary=binary) as running:
        return running.wait(on_progress)


def _read(path: Path) -> tuple[Summary | None, str]:
    try:
        return parse_summary(path.read_text()), ""
    except FileNotFoundError:
        return None, f"there is no summary at {path}"
    except (OSError, SummaryError) as error:
        return None, str(error)


def _result(
    running: Run, judgement: Judgement, summary: Summary | None, seen: Seconds, *, seconds: float
) -> LoadResult:
    timeline = seen.seconds()
    requests = summary.requests if summary else 0
    span = min(float(len(timeline)), running.plan.duration) or running.plan.duration
    kinds = {} if summary is None else {
        "uncached reads": summary.uncached_reads, "cached reads": summary.cached_reads,
        "writes with a key": summary.keyed_writes, "writes without a key": summary.unkeyed_writes,
    }  # fmt: skip
    return LoadResult(
        exit_class=judgement.exit_class,
        reasons=judgement.reasons,
        run_id=running.run_id,
        started=running.started,
        requests=requests,
        failed=summary.failed + summary.dropped if summary else 0,
        dropped=summary.dropped if summary else 0,
        resent=summary.resent if summary else 0,
        unkeyed_failed=summary.unkeyed_failed if summary else 0,
        allowed=summary.allowed if summary else 0,
        cut_off=summary.started - summary.requests if summary else 0,
        rate_achieved=requests / span if requests else None,
        p50=summary.p50 if summary else None,
        p95=summary.p95 if summary else None,
        p99=summary.p99 if summary else None,
        statuses=summary.statuses if summary else {},
        shares={name: count / requests for name, count in kinds.items()} if requests else {},
        seconds=seconds,
        timeline=timeline,
        failures=seen.failures(),
        failure_reasons=seen.reasons(),
        read_gaps=seen.gaps(reads=True, rate=running.plan.rate),
        write_gaps=seen.gaps(reads=False, rate=running.plan.rate),
        summary=running.summary,
        folder=running.folder,
        colours=seen.colours(),
        finished=summary.finished if summary else None,
    )
