"""The supervisor: one supervisord per cluster keeps every process, and starts again what ends."""

import hashlib
import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from slipway.node import cgroups
from slipway.node.errors import NodeError
from slipway.node.programs import Program
from slipway.node.shell import run
from slipway.node.spec import ClusterSpec

START_SECONDS = 20.0
FOREVER = 1_000_000


def render(spec: ClusterSpec, programs: Sequence[Program]) -> str:
    """Supervisord's configuration, for what the files that programs read hold now."""
    folder = spec.home / "run"
    parts = [
        f"""[supervisord]
logfile={spec.home}/log/supervisord.log
logfile_maxbytes=1MB
pidfile={folder}/supervisord.pid
childlogdir={spec.home}/log
directory={spec.home}
minfds=1024

[unix_http_server]
file={folder}/supervisor.sock
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{folder}/supervisor.sock
"""
    ]
    machines: dict[str, list[str]] = {}
    for program in programs:
        machines.setdefault(program.machine, []).append(program.name)
        parts.append(
            f"""[program:{program.name}]
command=/bin/sh {launcher(spec, program)}
; A changed launcher or file must look like a changed program, or an upgrade or a renewal would not start it anew.
environment=SLIPWAY_LAUNCHER="{_digest(render_launcher(program).encode())}",SLIPWAY_READS="{_digest(_contents(program))}"
autostart=false
autorestart=true
startsecs=1
startretries={FOREVER}
stopsignal=TERM
stopwaitsecs=5
redirect_stderr=true
stdout_logfile={spec.home}/log/{program.name}.log
stdout_logfile_maxbytes=5MB
stdout_logfile_backups=1
"""
        )
    parts += [f"[group:{machine}]\nprograms={','.join(names)}\n" for machine, names in machines.items()]
    return "\n".join(parts)


def launcher(spec: ClusterSpec, program: Program) -> Path:
    """The file of the script that starts a program in its group and namespaces."""
    return spec.home / "run" / f"{program.name}.sh"


def render_launcher(program: Program) -> str:
    """A script that ends by becoming the program, so that the supervisor watches the program itself."""
    enter = ["nsenter", f"--net=/run/netns/{program.netns}"]
    if program.mount_namespace:
        enter.append(f"--mount={program.mount_namespace}")
    command = " \\\n  ".join(shlex.quote(word) for word in [*enter, "--", *program.arguments])
    move = "".join(f"echo 0 > {shlex.quote(str(file))}\n" for file in cgroups.procs_files(program.cgroup))
    return f"set -eu\n{move}exec {command}\n"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _contents(program: Program) -> bytes:
    """Of every file that it reads, in a form in which no two sets of them are alike; none while it is not there."""
    return b"".join(
        hashlib.sha256(path.read_bytes()).digest() if path.exists() else bytes(32) for path in program.reads
    )


def start(spec: ClusterSpec) -> None:
    """Start supervisord unless it runs; programs that look different now go on as they are until `update`."""
    if pid(spec) is None:
        (spec.home / "run" / "supervisor.sock").unlink(missing_ok=True)
        log = spec.home / "log" / "supervisord.out"
        run("/bin/sh", "-c", f"{_supervisord()} -c {shlex.quote(str(_config(spec)))} > {shlex.quote(str(log))} 2>&1")
        deadline = time.monotonic() + START_SECONDS
        while not (spec.home / "run" / "supervisor.sock").exists():
            if time.monotonic() > deadline:
                raise NodeError(f"supervisord did not start within {START_SECONDS:g} s; see {log}")
            time.sleep(0.05)


def changed(spec: ClusterSpec) -> frozenset[str]:
    """The machines that run a program which looks different now; those that `update` would only add are not."""
    rows = (line.partition(": ") for line in control(spec, "reread").splitlines())
    return frozenset(machine for machine, _, what in rows if what == "changed")


def update(spec: ClusterSpec, machine: str | None = None) -> None:
    """End what looks different now and take its new form over, for `start_machine`; of all also what is gone."""
    control(spec, "update", *([machine] if machine else []))


def start_machine(spec: ClusterSpec, machine: str) -> None:
    """Start a machine's programs.

    One that ends at once because another is not up yet is started again by the supervisor: whether all came up is
    for the caller to wait for, not for this command's exit code to say.
    """
    control(spec, "start", f"{machine}:*", check=False)


def stop_machine(spec: ClusterSpec, machine: str) -> None:
    """Stop a machine's programs, and keep them stopped until `start_machine`."""
    control(spec, "stop", f"{machine}:*", check=False)


def stop(spec_home: Path) -> None:
    """End supervisord at once; the cluster's processes are ended by their control group."""
    if (number := _pid(spec_home)) is not None:
        os.kill(number, signal.SIGKILL)
    (spec_home / "run" / "supervisord.pid").unlink(missing_ok=True)


def pid(spec: ClusterSpec) -> int | None:
    """Supervisord's process, if it lives."""
    return _pid(spec.home)


def control(spec: ClusterSpec, *command: str, check: bool = True) -> str:
    """Ask supervisord by supervisorctl."""
    program = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(_config(spec)), *command]
    return run(*program, check=check, timeout=120)


def program_pid(spec: ClusterSpec, program: str) -> int:
    """The process of a running program.

    Raises:
        NodeError: it does not run.
    """
    words = _status(spec).get(program, [])
    if "pid" in words:
        return int(words[words.index("pid") + 1])
    raise NodeError(f"{program} does not run; `slipway status` shows what does")


def states(spec: ClusterSpec) -> Mapping[str, str]:
    """Program -> state (RUNNING, STOPPED, BACKOFF, ...)."""
    if pid(spec) is None:
        return {}
    return {program: words[0] for program, words in _status(spec).items()}


def _status(spec: ClusterSpec) -> Mapping[str, list[str]]:
    """Program -> what supervisorctl says of it, in words: its state, and `pid` with a number if it runs."""
    rows = [line.replace(",", " ").split() for line in control(spec, "status", check=False).splitlines()]
    return {row[0].partition(":")[2] or row[0]: row[1:] for row in rows if len(row) > 1}


def _config(spec: ClusterSpec) -> Path:
    return spec.home / "run" / "supervisord.conf"


def _supervisord() -> str:
    return f"{shlex.quote(sys.executable)} -m supervisor.supervisord"


def _pid(home: Path) -> int | None:
    try:
        number = int((home / "run" / "supervisord.pid").read_text())
        command = Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (OSError, ValueError):
        return None
    return number if "supervisor" in command and str(home) in command else None
