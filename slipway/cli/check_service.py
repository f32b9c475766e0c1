"""`slipway check-service`: tries the clauses of the service contract on a running pod that no user reaches."""

import contextlib
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import click
import httpx

from slipway import reports
from slipway.cli.context import Tools, cluster_option, environment_option
from slipway.cli.forwarding import forwarded
from slipway.cli.kube import kubectl_for
from slipway.cli.progress import Progress
from slipway.node.errors import NodeError
from slipway.proof import contract
from slipway.proof.contract import Answer, Seen, Shape
from slipway.reports import Report, derive

READY_WITHIN: Final = 120.0
#: Seconds that kubectl may take: a migration is asked through it.
PATIENCE: Final = 180.0
_ASKED_EVERY: Final = 0.2
_SLOW_BEFORE: Final = 0.5


@click.command("check-service")
@click.argument("image")
@cluster_option
@environment_option
@click.option("--like", metavar="SERVICE", help="Run as the pods of this service do: its PodTemplate, with this image.")
@click.option("--port", type=click.IntRange(1, 65535), default=Shape.port, show_default=True, help="Without --like.")
@click.option("--live", default=Shape.live, show_default=True, help="Path of the liveness probe, without --like.")
@click.option("--ready", default=Shape.ready, show_default=True, help="Path of the readiness probe, without --like.")
@click.option("--path", default=Shape.path, show_default=True, help="Something that users ask for.")
@click.option("--slow-path", metavar="PATH", help="Something that takes a second or more: must survive SIGTERM.")
@click.option("--migration", metavar="COMMAND", help="The image's migration command, tried with `check --json`.")
def command(
    *,
    image: str,
    cluster: str,
    environment: str,
    like: str | None,
    port: int,
    live: str,
    ready: str,
    path: str,
    slow_path: str | None,
    migration: str | None,
) -> None:
    """Try the service contract on IMAGE, in a pod of its own; exits 0 only if no clause is broken."""
    name, started, begin = f"check-{uuid4().hex[:8]}", datetime.now(UTC), time.monotonic()
    with Progress() as progress, kubectl_for(Tools(progress), cluster) as administrator:
        where = f"--namespace={environment}"

        def kubectl(*words: str) -> str:
            return administrator(where, *words, timeout=PATIENCE)

        template = None
        if like is not None:
            template = json.loads(kubectl("get", "podtemplate", like, "--output=json"))["template"]
        shape = Shape(port, path, live, ready)
        made = contract.pod(name, image, template, shape)
        shape = contract.paths(made["spec"], shape)
        program = [str(administrator.binary), f"--kubeconfig={administrator.kubeconfig}", where]
        check = _Check(kubectl, lambda port: forwarded(program, name, port), made, shape, progress.step)
        seen = check.run(slow_path, migration.split() if migration else [])
    bars = contract.clauses(image, seen)
    report = Report(
        name="check-service",
        started=started,
        seconds=time.monotonic() - begin,
        figures={"image": image, "like": like or "none"},
        bars=bars,
        verdict=derive(bars, optional=contract.unanswered(bars)),
    )
    written = reports.write(report)
    for bar in bars:
        sign = {True: "ok  ", False: "no  ", None: "-   "}[bar.holds]
        click.echo(f"{sign} {bar.what}: {bar.measured} (wanted: {bar.bar})")
    click.echo(f"{report.verdict.value}; {written.with_suffix('.html')}")
    sys.exit(report.verdict.exit_code)


class _Check:
    """One pod from its creation to its end."""

    def __init__(
        self,
        kubectl: Callable[..., str],
        forward: Callable[[int], AbstractContextManager[str]],
        pod: dict[str, Any],
        shape: Shape,
        say: Callable[[str], None],
    ) -> None:
        self._kubectl = kubectl
        self._forward = forward
        self._pod = pod
        self._name = pod["metadata"]["name"]
        self._shape = shape
        self._say = say
        self._seen = Seen()

    def run(self, slow_path: str | None, migration: list[str]) -> Seen:
        """Make the pod, try everything, take it away, whatever happens."""
        try:
            self._say(f"making pod {self._name}")
            with contextlib.ExitStack() as stack:
                stack.callback(self._away)
                self._create()
                if self._seen.refused or not self._until_ready():
                    return self._seen
                self._while_ready(migration)
                self._say("asking it to stop")
                self._stop(slow_path)
        except httpx.HTTPError as error:
            raise NodeError(f"pod {self._name} could not be asked: {error}") from error
        return self._seen

    def _create(self) -> None:
        with tempfile.NamedTemporaryFile("w", prefix="slipway-check-", suffix=".json") as file:
            json.dump(self._pod, file)
            file.flush()
            try:
                self._kubectl("create", f"--filename={file.name}")
            except NodeError as error:
                self._seen.refused = str(error)

    def _until_ready(self) -> bool:
        begin = time.monotonic()
        while time.monotonic() - begin < READY_WITHIN:
            status = self._status()
            conditions = {one["type"]: one["status"] for one in status.get("conditions", [])}
            if conditions.get("Ready") == "True":
                self._seen.ready_after = time.monotonic() - begin
                return True
            if status.get("phase") == "Failed":
                break
            time.sleep(_ASKED_EVERY)
        self._seen.refused = _why(self._status())
        return False

    def _while_ready(self, migration: list[str]) -> None:
        with self._forward(self._shape.port) as base, httpx.Client(base_url=base, timeout=10) as client:
            self._seen.page = client.get(self._shape.path).status_code
            self._seen.live = client.get(self._shape.live).status_code
        ports = {one.get("name"): one["containerPort"] for one in self._pod["spec"]["containers"][0].get("ports", [])}
        if "metrics" in ports:
            with self._forward(ports["metrics"]) as base:
                answer = httpx.get(f"{base}/metrics", timeout=10)
                self._seen.metrics = (answer.status_code, answer.text[:10_000])
        if migration:
            self._seen.migration = self._migration(migration)

    def _migration(self, words: list[str]) -> int:
        try:
            self._kubectl("exec", self._name, "--", *words, "check", "--json")
        except NodeError as error:
            return exit_code(str(error))
        return 0

    def _stop(self, slow_path: str | None) -> None:
        with self._forward(self._shape.port) as base, self._forward(self._shape.port) as other:
            self._kubectl("delete", "pod", self._name, "--wait=false")
            stop_at = time.time() + contract.PRE_STOP
            self._seen.asked_to_stop = stop_at
            slow = threading.Thread(target=self._slow, args=(other, slow_path, stop_at - _SLOW_BEFORE))
            if slow_path is not None:
                slow.start()
            deadline = time.time() + contract.GRACE + contract.PRE_STOP
            ended: dict[str, Any] | None = None
            while ended is None and time.time() < deadline:
                self._seen.readiness.append(Answer(time.time(), _status_of(base, self._shape.ready)))
                ended = _terminated(self._status())
                time.sleep(_ASKED_EVERY)
            if slow_path is not None:
                slow.join()
        if ended is not None:
            self._seen.exit_code = int(ended["exitCode"])
            finished = datetime.fromisoformat(str(ended["finishedAt"])).timestamp()
            self._seen.ended_after = max(0.0, finished - stop_at)

    def _slow(self, base: str, path: str, at: float) -> None:
        time.sleep(max(0.0, at - time.time()))
        self._seen.begun = _status_of(base, path, timeout=contract.GRACE)

    def _status(self) -> dict[str, Any]:
        return json.loads(self._kubectl("get", "pod", self._name, "--output=json"))["status"]

    def _away(self) -> None:
        with contextlib.suppress(NodeError):
            self._kubectl("patch", "pod", self._name, "--type=merge", '--patch={"metadata":{"finalizers":null}}')
        with contextlib.suppress(NodeError):
            gone = ("--ignore-not-found", "--wait=false", "--grace-period=0", "--force")
            self._kubectl("delete", "pod", self._name, *gone)


def exit_code(failure: str) -> int:
    """What a program in a pod ended with, as kubectl says at the end of its failure; -1 if it does not."""
    code = failure.rpartition("exit code ")[2].partition("\n")[0]
    return int(code) if code.isdigit() else -1


def _status_of(base: str, path: str, timeout: float = 2.0) -> int:
    try:
        return httpx.get(f"{base}{path}", timeout=timeout).status_code
    except httpx.HTTPError:
        return 0


def _terminated(status: dict[str, Any]) -> dict[str, Any] | None:
    """How the service's container ended, if it has."""
    found = status.get("containerStatuses", [])
    return found[0].get("state", {}).get("terminated") if found else None


def _why(status: dict[str, Any]) -> str:
    """Why a pod is not ready, from its containers' states."""
    parts: list[str] = []
    for one in (*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])):
        for kind, state in one.get("state", {}).items():
            if kind != "running":
                text = state.get("message") or state.get("reason") or f"exit code {state.get('exitCode')}"
                parts.append(f"{one['name']} {kind}: {text}")
            elif not one.get("ready"):
                parts.append(f"{one['name']} runs, but its readiness probe fails")
    return "; ".join(parts) or status.get("message", "it was not started")
