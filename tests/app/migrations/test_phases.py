from hypothesis import given
from hypothesis import strategies as st

from app.migrations.phases import Command, Outcome, Phase, Revision, decide

E, C = Phase.EXPAND, Phase.CONTRACT


def line(*phases: Phase) -> list[Revision]:
    return [Revision(f"{number:04}", phase, "") for number, phase in enumerate(phases, 1)]


def applied(known: list[Revision], count: int) -> dict[str, Phase]:
    return {revision.id: revision.phase for revision in known[:count]}


def test_a_new_database_gets_everything_at_once():
    known = line(E, C, E)
    plan = decide(Command.EXPAND, known, {})
    assert (plan.outcome, plan.apply) == (Outcome.DONE, known)


def test_expand_stops_before_the_contraction():
    known = line(E, E, C)
    plan = decide(Command.EXPAND, known, applied(known, 1))
    assert (plan.outcome, plan.apply) == (Outcome.DONE, known[1:2])
    assert [revision.id for revision in plan.pending] == ["0002", "0003"]


def test_expanding_over_an_unfinished_earlier_release_is_unsafe():
    known = line(E, C, E)
    plan = decide(Command.EXPAND, known, applied(known, 1))
    assert (plan.outcome, plan.apply) == (Outcome.UNSAFE, ())
    assert "0002" in plan.reason


def test_contracting_before_expanding_is_unsafe():
    known = line(E, E, C)
    assert decide(Command.CONTRACT, known, applied(known, 1)).outcome is Outcome.UNSAFE
    plan = decide(Command.CONTRACT, known, applied(known, 2))
    assert (plan.outcome, plan.apply) == (Outcome.DONE, known[2:])


def test_a_newer_expansion_is_fine_a_newer_contraction_is_not():
    known = line(E)
    for command in Command:
        assert decide(command, known, {"0001": E, "0002": E}).outcome is Outcome.DONE
        assert decide(command, known, {"0001": E, "0002": C}).outcome is Outcome.UNSAFE


def test_exit_codes_are_the_contract_with_the_controller():
    assert {outcome: outcome.exit_code for outcome in Outcome} == {
        Outcome.DONE: 0,
        Outcome.PENDING: 3,
        Outcome.UNSAFE: 4,
    }


@given(st.lists(st.sampled_from(Phase), min_size=1, max_size=8), st.data())
def test_expand_never_applies_what_an_older_version_cannot_run_on(phases, data):
    known = line(*phases)
    count = data.draw(st.integers(1, len(known)))
    plan = decide(Command.EXPAND, known, applied(known, count))
    assert all(revision.phase is E for revision in plan.apply)
    assert list(plan.apply) == known[count : count + len(plan.apply)]


@given(st.lists(st.sampled_from(Phase), min_size=1, max_size=8), st.data())
def test_expand_then_contract_ends_with_nothing_pending_or_says_why(phases, data):
    known = line(*phases)
    count = data.draw(st.integers(1, len(known)))
    state = applied(known, count)
    for command in (Command.EXPAND, Command.CONTRACT):
        plan = decide(command, known, state)
        if plan.outcome is Outcome.UNSAFE:
            assert plan.reason
            return
        state |= {revision.id: revision.phase for revision in plan.apply}
    assert decide(Command.CHECK, known, state).outcome is Outcome.DONE
