"""Which migrations may run now: a pure decision over what this image knows and what the database has.

A release first *expands* (the previous version still runs on the result) and, once it has won, *contracts* (the
previous version does not run any more). Revisions form one line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile


class Phase(StrEnum):
    """When a revision may run."""

    EXPAND = "expand"
    CONTRACT = "contract"


class Command(StrEnum):
    """What is asked."""

    CHECK = "check"
    EXPAND = "expand"
    CONTRACT = "contract"


class Outcome(StrEnum):
    """What the answer is; each has an exit code."""

    DONE = "done"
    PENDING = "pending"
    UNSAFE = "unsafe"

    @property
    def exit_code(self) -> int:
        """0 done or nothing to do, 3 pending, 4 unsafe."""
        return {Outcome.DONE: 0, Outcome.PENDING: 3, Outcome.UNSAFE: 4}[self]


@dataclass(frozen=True)
class Revision:
    """One migration of this image."""

    id: str
    phase: Phase
    description: str


@dataclass(frozen=True)
class Plan:
    """What to do.

    Attributes:
        outcome: DONE also before the revisions in `apply` have run; PENDING only for a check.
        apply: revisions to apply now, oldest first.
        pending: all revisions of this image that the database lacks.
        reason: one sentence.
    """

    outcome: Outcome
    apply: Sequence[Revision]
    pending: Sequence[Revision]
    reason: str


def decide(
    command: Command, known: Sequence[Revision], applied: Mapping[str, Phase], without_rights: Sequence[str] = ()
) -> Plan:
    """Return the plan for a command.

    Args:
        command: what is asked.
        known: the revisions of this image, oldest first.
        applied: revision -> phase, as the database recorded them.
        without_rights: roles that serve and lack rights, which any `expand` gives.
    """
    pending = [revision for revision in known if revision.id not in applied]
    newer = sorted(
        revision
        for revision, phase in applied.items()
        if phase is Phase.CONTRACT and revision not in {r.id for r in known}
    )
    if newer:
        return Plan(
            Outcome.UNSAFE,
            (),
            pending,
            f"The database was contracted by a newer version (revision {newer[-1]}): this version cannot run on it. "
            "Go forward to that version or a later one.",
        )
    if not pending and without_rights and command is Command.CHECK:
        return Plan(Outcome.PENDING, (), (), f"Rights are missing: expand gives them to {', '.join(without_rights)}.")
    if not pending:
        return Plan(Outcome.DONE, (), (), "Nothing is pending.")
    if command is Command.CHECK:
        return Plan(Outcome.PENDING, (), pending, f"{len(pending)} revisions are pending, the next is {pending[0].id}.")
    if command is Command.EXPAND:
        return _expand(pending, fresh=not applied)
    return _contract(pending)


def _expand(pending: Sequence[Revision], *, fresh: bool) -> Plan:
    if fresh:
        return Plan(Outcome.DONE, pending, pending, "A new database gets every revision: no older version runs on it.")
    run = list(takewhile(lambda revision: revision.phase is Phase.EXPAND, pending))
    later = [revision for revision in pending[len(run) :] if revision.phase is Phase.EXPAND]
    if later:
        return Plan(
            Outcome.UNSAFE,
            (),
            pending,
            f"Revision {later[0].id} expands, but contract revision {pending[len(run)].id} before it has not run: "
            "finish the earlier release (contract) first.",
        )
    return Plan(Outcome.DONE, run, pending, f"{len(run)} expand revisions to apply.")


def _contract(pending: Sequence[Revision]) -> Plan:
    expanding = [revision for revision in pending if revision.phase is Phase.EXPAND]
    if expanding:
        return Plan(
            Outcome.UNSAFE, (), pending, f"Expand revision {expanding[0].id} has not run: roll the version out first."
        )
    return Plan(Outcome.DONE, pending, pending, f"{len(pending)} contract revisions to apply.")
