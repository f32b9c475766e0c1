"""`make mutation`: mutants of the services against their tests, on a real Postgres, and the judgement of what survives.

mutmut makes each mutant and runs the tests that reach it, in a process of its own. What it has found is kept in
`mutants/`, so a run that was stopped (`--minutes`) goes on where it was; a changed function is tried again.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from app_servers import TEMPLATE, postgres_server, told_of
from app_settings import migrate
from mutmut.stats import status_by_exit_code

from slipway.reports import Bar, Report, derive, write

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "mutants.md"
RESULTS = ROOT / "mutants" / "app" / "services"
WANTED = 0.80
# A mutant that never comes to an end was noticed too.
_NOTICED = {"killed", "timeout"}
_UNTRIED = "not checked"


def results_of(file: Path) -> dict[str, str]:
    """Mutant -> what became of it, for one module."""
    exits = json.loads(file.read_text("utf-8"))["exit_code_by_key"]
    return {name: status_by_exit_code[code] for name, code in exits.items()}


def found(folder: Path) -> dict[str, str]:
    """Mutant -> what became of it."""
    return {name: status for file in sorted(folder.glob("*.meta")) for name, status in results_of(file).items()}


def listed(page: str) -> set[str]:
    """The mutants that the page gives a reason for."""
    return set(re.findall(r"^\| `([^`]+__mutmut_[0-9]+)` \|", page, re.MULTILINE))


def judged(results: Mapping[str, str], reasons: set[str]) -> tuple[dict[str, object], tuple[Bar, ...]]:
    """Figures and bars of a set of results."""
    counts = {status: sum(it == status for it in results.values()) for status in sorted(set(results.values()))}
    noticed = sum(counts.get(status, 0) for status in _NOTICED)
    tried = len(results) - counts.get(_UNTRIED, 0)
    survivors = {name for name, status in results.items() if status not in _NOTICED | {_UNTRIED}}
    figures: dict[str, object] = {
        "mutants": len(results),
        "tried": tried,
        "by what became of them": counts,
        "survivors without a reason": sorted(survivors - reasons),
        "reasons without a survivor": sorted(reasons - survivors),
    }
    bars = (
        Bar.at_least("share of the mutants tried that tests notice", round(noticed / max(1, tried), 4), WANTED),
        Bar.exactly("mutants not tried", len(results) - tried, 0),
        Bar.exactly("survivors without a reason in docs/reference/mutants.md", len(survivors - reasons), 0),
        Bar.exactly("reasons there without a survivor", len(reasons - survivors), 0),
    )
    return figures, bars


def run(minutes: float | None, mutants: Sequence[str]) -> None:
    """Try these mutants, for as long as is allowed."""
    with postgres_server() as server, tempfile.TemporaryDirectory() as folder:
        migrate(server, TEMPLATE, Path(folder))
        command = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", "2"]
        process = subprocess.Popen([*command, *mutants], cwd=ROOT, env={**os.environ, **told_of(server)})
        try:
            process.wait(None if minutes is None else minutes * 60)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()


def left(sample: int | None) -> list[str]:
    """Mutants that were not tried yet: those of one module, whose tests alone are then run first, or some of all.

    Args:
        sample: how many of all, by chance; the same ones for the same results.
    """
    modules = [
        [name for name, status in results_of(file).items() if status == _UNTRIED]
        for file in sorted(RESULTS.glob("*.meta"))
    ]
    if sample is None:
        return next((names for names in modules if names), [])
    everything = sorted(chain.from_iterable(modules))
    return random.Random(1).sample(everything, min(sample, len(everything)))  # noqa: S311 - chance, not secrecy


def main() -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, help="stop after that long; the next run goes on")
    parser.add_argument("--judge", action="store_true", help="only judge what is there")
    parser.add_argument("--sample", type=int, help="try that many of all, by chance")
    parser.add_argument("mutants", nargs="*", help="try these again (names, or patterns such as app.services.access*)")
    given = parser.parse_args()
    began = datetime.now(UTC)
    if not given.judge:
        run(given.minutes, given.mutants or left(given.sample))
    figures, bars = judged(found(RESULTS), listed(PAGE.read_text("utf-8")))
    verdict = derive(bars)
    seconds = (datetime.now(UTC) - began).total_seconds()
    report = Report(name="mutation", started=began, seconds=seconds, figures=figures, bars=bars, verdict=verdict)
    sys.stdout.write(f"{json.dumps(figures, indent=1)}\n{write(report)}: {verdict}\n")
    return verdict.exit_code


if __name__ == "__main__":
    sys.exit(main())
