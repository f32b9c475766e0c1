"""A run as a gate of a release: judged by itself, and against the last good one, which it may follow."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtests import written
from loadtests.compare import bars, differences
from loadtests.k6 import LoadResult
from loadtests.verdict import ExitClass
from loadtests.written import Written
from slipway.reports import Verdict, derive

#: What of a run's folder a comparison reads.
_KEPT: Final = (written.PLAN, written.ANSWER, written.SUMMARY, written.SECONDS)


@dataclass(frozen=True, slots=True)
class Passed:
    """Whether a run lets a release go on.

    Attributes:
        exit_class: `pass` also where a comparison says nothing sure: only what is surely worse is held against it.
        reasons: what speaks against it, and what could not be told.
        comparison: the last good run and this one; None if there was none, or this one is not worth comparing.
        better: whether this run may be the one that the next is compared with.
    """

    exit_class: ExitClass
    reasons: tuple[str, ...]
    comparison: tuple[Written, Written] | None
    better: bool


def judge(result: LoadResult, baseline: Path | None) -> Passed:
    """Judge a run.

    Args:
        result: of the run; its folder is read.
        baseline: folder of the last good run; one that is not there means none.

    Raises:
        WrittenError: the folder is there and holds no run.
    """
    if result.exit_class is not ExitClass.PASS:
        return Passed(result.exit_class, result.reasons, None, better=False)
    if baseline is None or not baseline.exists():
        return Passed(ExitClass.PASS, ("there is no last good run: this one is the first",), None, better=True)
    before, after = written.read(baseline), written.read(result.folder)
    found = bars(before, after)
    verdict = derive(found)
    told = tuple(f"{it.what}: {it.measured}; wanted {it.bar}" for it in found if not it.holds)
    if verdict is Verdict.FAIL:
        return Passed(ExitClass.FAIL, told, (before, after), better=False)
    # Were an unsure run taken, many small steps down would each be unsure, and none be found.
    return Passed(ExitClass.PASS, told, (before, after), better=verdict is Verdict.PASS)


def keep(passed: Passed, run: Path, baseline: Path | None, target: Path) -> Path | None:
    """Copy the run that the next one is compared with: this one if it is no worse, else the one before.

    A run of other load is no worse and no better than the last one, but the next one will be like it; so it is kept.

    Returns:
        The folder; None if this run is not good and there was none before it.
    """
    other_load = passed.comparison is not None and bool(differences(*passed.comparison))
    fit = passed.better or (passed.exit_class is ExitClass.PASS and other_load)
    source = run if fit else baseline
    if source is None or not source.exists():
        return None
    target.mkdir(parents=True, exist_ok=True)
    for name in _KEPT:
        shutil.copyfile(source / name, target / name)
    return target
