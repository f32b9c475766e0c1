"""Building with the real Go: found, built, shared, resumed, failed."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from slipway.toolchain import builder as builder_module
from slipway.toolchain.builder import BuildError, UnknownNameError
from slipway.toolchain.events import EventKind
from slipway.toolchain.go import Go, installed

STEPS = (EventKind.STARTED, EventKind.FINISHED, EventKind.CACHED, EventKind.FAILED)


def output(program: Path) -> str:
    return subprocess.run([str(program)], capture_output=True, text=True, check=True).stderr


def test_a_program_is_built_and_stamped(world):
    found = world.toolchain().ensure(["tiny"])
    assert output(found["tiny"]) == "hello 1.2.3\n"
    assert world.told(*STEPS) == [("started", "tiny"), ("finished", "tiny")]


def test_a_second_run_finds_it(world):
    first = world.toolchain().ensure(["tiny"])
    world.events.clear()
    assert world.toolchain().ensure(["tiny"]) == first
    assert world.told(*STEPS) == [("cached", "tiny")]


def test_sets_are_built_in_the_order_of_the_names(world):
    world.add("second")
    world.toolchain().ensure(["second", "tiny", "second"])
    assert [what for kind, what in world.told(EventKind.STARTED)] == ["second", "tiny"]


def test_a_name_that_no_set_yields_is_told_with_those_that_are(world):
    with pytest.raises(UnknownNameError, match=r"no module set builds kubectll; there are: tiny"):
        world.toolchain().ensure(["tiny", "kubectll"])
    assert world.events == []


@pytest.mark.parametrize(
    "change",
    [
        lambda world: world.add("tiny", main="package main\n\nfunc main() {}\n"),
        lambda world: world.add("tiny", stamps={"main.version": "2"}),
        lambda world: world.add("tiny", tags=("other",)),
        lambda world: world.add("tiny", gcflags=("all=-l",)),
        lambda world: (world.modules / "tiny/go.sum").write_text("example.test/x v1.0.0 h1:AAAA=\n"),
        lambda world: (world.modules / "tiny/go.mod").write_text("module example.test/tiny\n\ngo 1.24.1\n"),
    ],
    ids=["source", "stamp", "tags", "gcflags", "go.sum", "go.mod"],
)
def test_whatever_decides_the_program_changes_its_key(world, change):
    before = world.toolchain().key_of_program("tiny")
    change(world)
    assert world.toolchain().key_of_program("tiny") != before


def test_another_go_changes_the_key(world, monkeypatch):
    before = world.toolchain().key_of_program("tiny")
    monkeypatch.setattr(builder_module, "installed", lambda: Go(Path("/opt/go"), "go1.99.0"))
    assert world.toolchain().key_of_program("tiny") != before


def test_a_file_that_is_no_source_changes_nothing(world):
    before = world.toolchain().key_of_program("tiny")
    (world.modules / "tiny/README.md").write_text("notes")
    assert world.toolchain().key_of_program("tiny") == before


def test_a_damaged_program_is_built_again(world):
    found = world.toolchain().ensure(["tiny"])
    os.truncate(found["tiny"], 100)
    again = world.toolchain().ensure(["tiny"])
    assert output(again["tiny"]) == "hello 1.2.3\n"
    assert world.told(EventKind.STARTED) == [("started", "tiny")] * 2


def test_a_failed_build_says_what_and_how_to_go_on(world):
    world.add("broken", main="package main\n\nfunc main() { undefined() }\n")
    with pytest.raises(BuildError) as raised:
        world.toolchain().ensure(["tiny", "broken"])
    text = str(raised.value)
    assert "module set broken" in text
    assert "go build" in text.replace(str(installed().path), "go")
    assert "undefined: undefined" in text
    assert str(world.cache / "logs/broken.log") in text
    assert "run the same command again" in text
    assert world.told(*STEPS)[-1] == ("failed", "broken")
    assert "undefined: undefined" in (world.cache / "logs/broken.log").read_text()


def test_what_was_built_before_a_failure_is_kept(world):
    world.add("broken", main="no go at all")
    with pytest.raises(BuildError):
        world.toolchain().ensure(["tiny", "broken"])
    world.add("broken")  # mended
    world.events.clear()
    world.toolchain().ensure(["tiny", "broken"])
    assert world.told(*STEPS) == [("cached", "tiny"), ("started", "broken"), ("finished", "broken")]


def test_a_module_that_is_not_pinned_is_refused(world):
    (world.modules / "tiny/main.go").write_text('package main\n\nimport _ "example.test/other"\n\nfunc main() {}\n')
    with pytest.raises(BuildError, match=r"no required module|cannot find module"):
        world.toolchain().ensure(["tiny"])
    assert (world.modules / "tiny/go.mod").read_text().count("require") == 0


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("dial tcp: lookup proxy: no such host", "set GOPROXY"),
        ("write /tmp/x: no space left on device", "disk is full"),
        ("compile: signal: killed", "want of memory"),
    ],
)
def test_usual_failures_come_with_what_to_do(line, hint):
    assert hint in builder_module._hint(["first", line])


def test_an_unusual_failure_comes_without_a_guess():
    assert builder_module._hint(["x.go:1: syntax error"]) == ""


def test_a_build_ahead_is_waited_for_not_repeated(world):
    toolchain = world.toolchain()
    background = toolchain.start(["tiny"])
    toolchain.ensure(["tiny"])
    assert background.wait(30)
    assert world.told(EventKind.STARTED) == [("started", "tiny")]


def test_a_failure_in_the_background_is_raised_when_waited_for(world):
    world.add("broken", main="no go at all")
    with pytest.raises(BuildError):
        world.toolchain().start(["broken"]).wait(60)


def test_a_wrong_name_is_told_before_the_background_starts(world):
    with pytest.raises(UnknownNameError):
        world.toolchain().start(["nothing"])


def test_building_ahead_can_be_called_off(world):
    started = threading.Event()
    fake_go(world, f"echo compiling; exec sleep {60}")
    toolchain = world.toolchain()
    toolchain.tracker._listener = lambda event: started.set() if event.kind is EventKind.LINE else None
    background = toolchain.start(["tiny"])
    assert started.wait(20)
    background.cancel()
    assert not background.running
    with pytest.raises(BuildError):
        background.wait()


RUN = """
import sys
from pathlib import Path
from slipway.toolchain import builder
from slipway.toolchain.go import Go
from slipway.toolchain.modules import Binary, ModuleSet
cache, modules, go = map(Path, sys.argv[1:4])
builder.installed = lambda: Go(go, "go1.26.4")
builder.ensure_go = lambda cache: Go(go, "go1.26.4")
sets = {"tiny": ModuleSet("tiny", "v1", (Binary("tiny", ".", "tiny"),), 1.0, stamps={"main.version": "1.2.3"})}
def tell(event):
    print(event.kind.value, event.text, flush=True)
try:
    builder.Toolchain(cache, tell, sets=sets, modules_root=modules).ensure(["tiny"])
except KeyboardInterrupt:
    sys.exit(130)
"""


def fake_go(world, script: str) -> Path:
    """A go that does something else in `build`; used by runs of `other_run`."""
    path = world.root / "bin/go"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\nfor last; do :; done\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def use_fake_go(world, monkeypatch):
    """If a test wrote a fake go, it is the one that builds in this process as well."""
    real_installed, real_ensure = builder_module.installed, builder_module.ensure_go

    def fake() -> Go | None:
        path = world.root / "bin/go"
        return Go(path, "go1.26.4") if path.exists() else None

    monkeypatch.setattr(builder_module, "installed", lambda: fake() or real_installed())
    monkeypatch.setattr(builder_module, "ensure_go", lambda cache: fake() or real_ensure(cache))


@pytest.fixture
def other_run(world):
    started = []

    def start(go: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(world.cache), str(world.modules), str(go)],
            stdout=subprocess.PIPE,
            text=True,
            # Where the tests themselves run in the background, SIGINT is ignored, and that is inherited.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  no threads here
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


#: Writes its process id and half a program, then goes on "compiling" until somebody ends it.
NEVER_DONE = """
out=""; for word; do [ "$before" = "-o" ] && out="$word"; before="$word"; done
printf half > "$out/tiny"; echo "pid $$"; exec sleep 60
"""


def wait_for(process, beginning: str) -> str:
    for line in process.stdout:
        if line.startswith(beginning):
            return line.strip()
    raise AssertionError(f"it ended without saying {beginning!r}")


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def poll_until_gone(pid: int) -> None:
    waiting = threading.Event()
    for _ in range(200):
        if gone(pid):
            return
        waiting.wait(0.05)
    raise AssertionError(f"process {pid} still runs")


def test_a_run_that_is_killed_leaves_no_compiler_and_no_half_program(world, other_run):
    process = other_run(fake_go(world, NEVER_DONE))
    compiler = int(wait_for(process, "line pid ").split()[-1])
    process.send_signal(signal.SIGKILL)
    process.wait()
    poll_until_gone(compiler)
    assert any((world.cache / "partial").iterdir())  # what it left

    (world.root / "bin/go").unlink()  # the real one from here on
    found = world.toolchain().ensure(["tiny"])
    assert output(found["tiny"]) == "hello 1.2.3\n"


def test_the_same_build_after_a_kill_sweeps_what_was_left(world, other_run):
    go = fake_go(world, NEVER_DONE)
    process = other_run(go)
    wait_for(process, "line pid ")
    process.send_signal(signal.SIGKILL)
    process.wait()
    fake_go(world, NEVER_DONE.replace("exec sleep 60", "exit 0"))
    world.toolchain().ensure(["tiny"])
    assert list((world.cache / "partial").iterdir()) == []


def test_an_interrupt_ends_the_compiler(world, other_run):
    process = other_run(fake_go(world, NEVER_DONE))
    compiler = int(wait_for(process, "line pid ").split()[-1])
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    poll_until_gone(compiler)
    assert list((world.cache / "partial").iterdir()) == []


def test_two_runs_at_once_build_once(world, other_run):
    gate = world.root / "gate"
    os.mkfifo(gate)
    counted = f"echo x >> {world.root}/count; read _ < {gate};" + NEVER_DONE.replace("exec sleep 60", "exit 0")
    go = fake_go(world, counted)
    first = other_run(go)
    wait_for(first, "started")
    second = other_run(go)
    assert f"process {first.pid}" in wait_for(second, "waiting")
    gate.write_text("go on\n")
    assert (first.wait(30), second.wait(30)) == (0, 0)
    assert (world.root / "count").read_text() == "x\n"


def test_the_folder_for_pulumi_needs_its_sets(world):
    assert "pulumi-home" not in world.toolchain().names
    with pytest.raises(UnknownNameError, match="pulumi, pulumi-language-python"):
        world.toolchain().ensure(["pulumi-home"])
