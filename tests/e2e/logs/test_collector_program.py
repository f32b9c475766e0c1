"""The collector's program with its own configuration, without a cluster: a stand-in takes what it sends.

What it does against a real Elasticsearch on a real node is in test_logs_live.py; here it is killed far more often.
"""

import gzip
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e_waiting import until
from ports import free_port

from infra.components import log_collector
from slipway.toolchain import Toolchain

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

LINES_PER_SECOND, KILLS = 400, 8


@dataclass
class Store:
    """Answers as Elasticsearch does where it takes everything; the lines by their identifiers."""

    kept: dict[str, dict[str, Any]] = field(default_factory=dict)

    @contextmanager
    def serving(self) -> Iterator[int]:
        store = self

        class Bulk(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None: ...

            def do_POST(self) -> None:
                lines = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"]))).splitlines()
                actions = [json.loads(it)["create"] for it in lines[::2]]
                store.kept |= {it["_id"]: json.loads(line) for it, line in zip(actions, lines[1::2], strict=True)}
                items = [{"create": {"_index": it["_index"], "status": 201}} for it in actions]
                body = json.dumps({"errors": False, "items": items}).encode()
                self.send_response(200)
                self.send_header("X-Elastic-Product", "Elasticsearch")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        with ThreadingHTTPServer(("127.0.0.1", 0), Bulk) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield server.server_address[1]
            server.shutdown()

    def numbers(self) -> set[int]:
        return {it["number"] for it in list(self.kept.values())}


@dataclass
class World:
    """A node's folders, and who takes what is sent."""

    folder: Path
    program: Path
    store: Store
    errors: Path

    @property
    def file(self) -> Path:
        return self.folder / "pods" / "dev_service-1_0a1b2c3d-0000-4000-8000-000000000001" / "service" / "0.log"

    @contextmanager
    def collecting(self, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        """The program, which is killed at the end."""
        command = [str(self.program), f"--config={self.folder / 'collector.yaml'}", *options]
        with self.errors.open("ab") as errors:
            process = subprocess.Popen(command, env={"NODE_NAME": "node-1"}, stdout=errors, stderr=errors)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def wait(self, count: int) -> None:
        def there() -> bool:
            return len(self.store.kept) >= count

        until(30, there, every=0.1)


@pytest.fixture(scope="session")
def program() -> Path:
    return Toolchain().ensure(["otel-collector"])["otel-collector"]


@pytest.fixture
def world(tmp_path, program) -> Iterator[World]:
    store = Store()
    with store.serving() as port:
        made = World(tmp_path, program, store, tmp_path / "errors")
        made.file.parent.mkdir(parents=True)
        made.file.touch()
        (tmp_path / "state").mkdir()
        text = log_collector.text()
        for there, here in (("/var/log/pods", "pods"), ("/var/lib/log-collector", "state")):
            text = text.replace(there, str(tmp_path / here))
        (tmp_path / "collector.yaml").write_text(yaml.safe_dump(here_instead(yaml.safe_load(text), port)))
        yield made


def here_instead(configuration: dict[str, Any], port: int) -> dict[str, Any]:
    """The same with other addresses, and files are looked at more often: so more is in its hands when it is killed."""
    exporter = configuration["exporters"]["elasticsearch"]
    del exporter["tls"]
    exporter |= {"endpoint": f"http://127.0.0.1:{port}", "password": "none"}
    configuration["receivers"]["file_log"]["poll_interval"] = "100ms"
    configuration["extensions"]["health_check"]["endpoint"] = f"127.0.0.1:{free_port()}"
    [reader] = configuration["service"]["telemetry"]["metrics"]["readers"]
    reader["pull"]["exporter"]["prometheus"] |= {"host": "127.0.0.1", "port": free_port()}
    return configuration


def printed(text: str, tag: str = "F") -> str:
    """As the runtime writes a line of a container."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}000Z stdout {tag} {text}\n"


def numbered(number: int) -> str:
    return json.dumps({"ecs.version": "8.17.0", "message": "one of many", "number": number})


@contextmanager
def printing(path: Path) -> Iterator[list[int]]:
    """Lines without a pause; how many there are at the end."""
    count, over = [0], threading.Event()

    def write() -> None:
        with path.open("a") as out:
            while not over.wait(1 / LINES_PER_SECOND):
                out.write(printed(numbered(count[0])))
                out.flush()
                count[0] += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield count
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("option", [log_collector.IN_STEP, None], ids=["as-it-is-run", "control"])
def test_no_line_is_lost_however_often_it_is_killed(world, option):
    """Control: without the option that the pods have, lines are noted as read that are in memory only."""
    options = [option] if option else []
    with printing(world.file) as count:
        for _ in range(KILLS):
            seen = len(world.store.kept)
            with world.collecting(*options):
                world.wait(seen + LINES_PER_SECOND)
    with world.collecting(*options):
        world.wait(count[0] if option else seen + 1)
        time.sleep(3)  # what comes now is late, not lost
    lost = set(range(count[0])) - world.store.numbers()
    assert not lost if option else lost


def test_lines_that_are_read_together_are_put_into_the_queue_together(world):
    """One by one each is a transaction on the disk, of two writes and more: it took half of the collector's time."""
    count = 2000
    with world.collecting(log_collector.IN_STEP) as process:
        time.sleep(2)  # its start, which writes too
        before = writes(process.pid)
        with world.file.open("a") as out:
            out.write("".join(printed(numbered(it)) for it in range(count)))
        world.wait(count)
        assert writes(process.pid) - before < count / 2
    assert world.store.numbers() == set(range(count))


def writes(pid: int) -> int:
    """How often a process has written to a file or a socket."""
    told = dict(it.split(": ") for it in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(told["syscw"])


def test_a_line_is_kept_field_by_field_or_whole_and_parts_are_joined(world):
    good = json.dumps({"ecs.version": "8.17.0", "message": "a" * 40_000, "event": {"action": "tried"}})
    odd = [
        "plain",
        '{"ecs.version": "8.17.0", broken',
        '{"other": "json"}',
        '{"ecs.version": 8, "message": "a number"}',
        '{"a": {"ecs.version": "8.17.0"}, "message": "not its own"}',
        '{"ecs.version": "8.17.0", "message": {"a": 1}}',
    ]
    with world.collecting(log_collector.IN_STEP):
        with world.file.open("a") as out:
            out.write(printed(good[:16_384], "P") + printed(good[16_384:32_768], "P") + printed(good[32_768:]))
            out.write("".join(printed(it) for it in odd))
        world.wait(1 + len(odd))
    by_format = {"ecs": [], "text": []}
    for it in world.store.kept.values():
        by_format[it["labels.format"]].append(it)
        assert it["kubernetes.pod.name"] == "service-1"
    [whole] = by_format["ecs"]
    assert (whole["message"], whole["event"]) == ("a" * 40_000, {"action": "tried"})
    assert sorted(it["message"] for it in by_format["text"]) == sorted(odd)
