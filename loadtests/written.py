"""A run as it lies in its folder: what was asked, what was found, every second of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadtests.stream import Second
from loadtests.verdict import ExitClass, Judgement, Summary, SummaryError, parse_summary

PLAN: Final = "plan.json"
ANSWER: Final = "answer.json"
SUMMARY: Final = "summary.json"
SECONDS: Final = "seconds.json"


class WrittenError(ValueError):
    """A folder that holds no run; the message names the file and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Written:
    """One run from its folder.

    Attributes:
        name: of the folder.
        plan: what was asked, as `loadtests.plan.described` says it.
        answer: what the run said about the service, and why.
        summary: its counts.
        timeline: its seconds; empty if the stream broke.
    """

    name: str
    plan: Mapping[str, Any]
    answer: Judgement
    summary: Summary
    timeline: tuple[Second, ...]

    @property
    def judged(self) -> bool:
        """Whether its counts are about the service: a fault of the tool leaves counts that are not."""
        return self.answer.exit_class in {ExitClass.PASS, ExitClass.FAIL}


def answer_text(judgement: Judgement) -> str:
    """What is written of an answer."""
    return json.dumps({"answer": judgement.exit_class.value, "reasons": list(judgement.reasons)}, indent=2) + "\n"


def read(folder: Path) -> Written:
    """Read the run in a folder.

    Raises:
        WrittenError: a file is missing, or is not what a run writes.
    """
    try:
        plan = json.loads(_text(folder / PLAN))
        answer = json.loads(_text(folder / ANSWER))
        judgement = Judgement(ExitClass(answer["answer"]), tuple(answer["reasons"]))
        seconds = tuple(Second(**one) for one in json.loads(_text(folder / SECONDS)))
        summary = parse_summary(_text(folder / SUMMARY))
    except SummaryError as error:
        raise WrittenError(f"{folder / SUMMARY}: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, WrittenError):
            raise
        raise WrittenError(f"{folder} holds no run that can be read: {type(error).__name__}: {error}") from error
    return Written(folder.name, plan, judgement, summary, seconds)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise WrittenError(
            f"{path} cannot be read ({error.strerror}); name the folder of a run, as in build/loadtests/<run>"
        ) from error
