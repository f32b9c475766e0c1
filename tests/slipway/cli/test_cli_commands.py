import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from slipway import cli, reports
from slipway.cli.doctor import look

ROOT = Path(__file__).parents[3]


def slipway(*arguments, **environment):
    return CliRunner().invoke(cli.cli, list(arguments), env=environment)


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_says_what_it_does(name):
    result = slipway(name, "--help")
    assert result.exit_code == 0, result.output
    assert "Usage" in result.output


def test_every_command_stands_in_the_reference():
    text = (ROOT / "docs" / "reference" / "cli.md").read_text()
    assert set(re.findall(r"^\| `([a-z-]+)", text, re.MULTILINE)) == set(cli.COMMANDS)


def test_help_is_quick_because_it_loads_no_part():
    code = "import sys; from slipway import cli; sys.exit('pulumi' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_command_is_wrong_usage():
    assert slipway("upp").exit_code == 2


def test_a_failure_is_told_without_a_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "slipway", "node", "stop", "node1", "--cluster", "nowhere"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert "`slipway up` makes one" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_doctor_looks_at_all_that_matters_and_says_how_to_mend():
    findings = list(look())
    assert {"system", "user", "Python", "memory", "free disk", "control groups", "containerd"} <= {
        it.what for it in findings
    }
    assert all(it.mend for it in findings)


def test_report_lists_what_there_is_and_tells_by_its_exit_code(tmp_path):
    bar = {"what": "failed", "measured": 1, "bar": "0", "holds": False}
    report = {
        "name": "x",
        "started": "2026-01-01T00:00:00Z",
        "seconds": 1,
        "figures": {},
        "bars": [bar],
        "verdict": "fail",
    }
    (tmp_path / "x.json").write_text(json.dumps(report))
    result = slipway("report", "--folder", str(tmp_path))
    assert "x" in result.output
    assert result.exit_code == reports.Verdict.FAIL.exit_code


ENDS_AS_TOLD = """
import os, signal, sys, time
from slipway import cli

def works(**_):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
    finally:
        print("cleaned up", flush=True)

cli.cli.main = works
cli.main()
"""


def test_sigterm_ends_a_command_as_ctrl_c_does():
    done = subprocess.run([sys.executable, "-c", ENDS_AS_TOLD], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (130, "cleaned up\n")
    assert "the same command goes on where it stopped" in done.stderr


TELLS_WHAT_IT_STARTED = """
import os, signal, subprocess, sys
from slipway import cli

# Whoever runs these tests in the background has told all of them to ignore it.
CHILD = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_DFL); print('up', flush=True); time.sleep(30)"

def start(**options):
    command = [sys.executable, "-c", CHILD]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options)
    child.stdout.readline()
    return child

def works(**_):
    ours, apart = start(), start(start_new_session=True)
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        print(ours.wait(20), apart.poll(), flush=True)
        apart.kill()
        apart.wait()

cli.cli.main = works
cli.main()
"""


def test_sigterm_tells_what_a_command_has_started_as_a_terminal_does_and_nobody_else():
    done = subprocess.run(
        [sys.executable, "-c", TELLS_WHAT_IT_STARTED], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (130, f"{-signal.SIGINT} None\n")
