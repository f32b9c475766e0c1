import json
from dataclasses import replace

import pytest

from slipway.proof.faults import UnhealedError
from slipway.proof.prove.facts import Rules
from slipway.proof.prove.journal import Journal
from slipway.proof.prove.runner import Proof
from slipway.proof.prove.scenarios import SCENARIOS, Form, Scenario, chosen
from slipway.proof.prove.summary import Row, summary
from slipway.reports import Verdict

SUBJECT = "one/dev at 100/s"


@pytest.fixture
def said(account):
    return account.told


@pytest.fixture
def proof(setting, plan, runs, tmp_path, account):
    return Proof(
        setting=setting, plan=plan, begin=runs.begin, journal=Journal(tmp_path / "journal"), subject=SUBJECT,
        form=Form.SHORT, folder=tmp_path / "reports", account=account,
    )  # fmt: skip


def scenario(name, play, *, cell=None, **rules):
    return Scenario(name, "about it", Form.SHORT, dict.fromkeys(Form, play), Rules(**rules), cell)


def ends(how, seconds=20.0):
    """A play that ends so, after a time in which the load sends nearly all that the short form asks for."""

    def play(setting, _timeline, facts):
        setting.clock.wait(seconds)
        facts.ended = how

    return play


def found(proof, name, form=Form.SHORT):
    return proof.journal.find(name, SUBJECT, form, proof.setting.clock.now())


CONTROL = scenario("control-unprotected", ends(""), control=True)


def test_a_proof_passes_with_a_control_that_fails(proof, runs, good, tmp_path, said):
    runs.outcomes[:] = [good, replace(good, failed=5)]
    report = proof.run([scenario("canary", ends("promoted")), CONTROL])
    assert report.verdict is Verdict.PASS
    assert report.figures["failed where none may"] == 0
    page = (tmp_path / "reports" / "prove.html").read_text()
    assert '<a href="prove-canary.html">canary</a>' in page
    assert "not run" in page
    assert [line for line in said if line.startswith("[")] == [
        "[1/2] canary: about it",
        "[2/2] control-unprotected: about it",
    ]


def test_what_happens_in_a_scenario_is_told_as_it_happens(proof, said):
    def play(setting, timeline, facts):
        timeline.mark("abort at 5 %, 3 of 100")
        ends("rolled back")(setting, timeline, facts)

    proof.run([scenario("many-aborts", play, ends="rolled back")])
    assert "many-aborts: abort at 5 %, 3 of 100" in said


def test_a_scenario_is_played_as_often_as_fits_into_its_requests(proof):
    proof.run([scenario("canary", ends("promoted", seconds=4.0))])
    entry = found(proof, "canary")
    assert entry.figures["rounds"] == 3  # 900, 1,300 and 1,700 of 2,000; a fourth of them would not fit
    assert entry.figures["requests"] >= 2_000
    assert entry.bars[0].measured == "promoted, 3 times"


def test_one_that_this_cluster_cannot_play_is_tried_once(proof):
    tried = []

    def play(_setting, _timeline, facts):
        tried.append(1)
        facts.not_run = "no way"

    assert proof.run([scenario("canary", play)]).bars[0].holds is None
    assert len(tried) == 1


def test_without_a_failing_control_nothing_is_proven(proof):
    assert proof.run([scenario("canary", ends("promoted"))]).verdict is Verdict.INCONCLUSIVE
    assert proof.run([CONTROL]).verdict is Verdict.INCONCLUSIVE


def test_what_was_proven_is_not_played_again_and_a_failure_is(proof, runs, good, said):
    played = []

    def play(setting, timeline, facts):
        played.append(1)
        ends("promoted")(setting, timeline, facts)

    runs.outcomes[:] = [good, replace(good, failed=1), good]
    first, second = scenario("canary", play), scenario("rollback", play)
    assert proof.run([first, second]).verdict is Verdict.FAIL
    assert found(proof, "rollback") is None
    again = replace(proof, subject="another/dev at 100/s")
    proof.run([first])
    assert len(played) == 2
    assert "[1/1] canary: known" in said
    again.run([first])
    assert len(played) == 3
    assert found(proof, "canary", Form.USUAL) is None


def test_an_interrupted_proof_leaves_its_report(proof, tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        proof.run([scenario("canary", ends("promoted")), scenario("rollback", interrupt)])
    kept = json.loads((tmp_path / "reports" / "prove.json").read_text())
    assert kept["figures"]["scenarios that ran"] == 1
    assert {bar["what"]: bar["holds"] for bar in kept["bars"]}["rollback"] is None


def test_a_scenario_that_breaks_fails_and_the_next_is_played(proof):
    def breaks(*_):
        raise OSError("no such thing")

    report = proof.run([scenario("canary", breaks), scenario("rollback", ends("rolled back"), ends="rolled back")])
    answers = {bar.what: (bar.holds, str(bar.measured)) for bar in report.bars}
    assert answers["canary"][0] is False
    assert "OSError: no such thing" in answers["canary"][1]
    assert answers["rollback"][0] is True


def test_what_cannot_be_healed_ends_the_proof(proof):
    def unhealed(*_):
        raise UnhealedError("undo it by hand")

    with pytest.raises(UnhealedError):
        proof.run([scenario("canary", unhealed)])


def test_reloads_are_counted_only_over_routers_that_stayed(proof, stage):
    def reload(setting, timeline, facts):
        stage.reloaded += 1
        ends("promoted")(setting, timeline, facts)

    report = proof.run([scenario("canary", reload)])
    assert "reloads of the ingress: 1" in {bar.what: str(bar.measured) for bar in report.bars}["canary"]


def test_a_killed_router_that_is_not_back_breaks_no_scenario(proof, stage):
    def kill(setting, timeline, facts):
        def away():
            raise OSError("connection refused")

        stage.reloads = away
        ends("promoted")(setting, timeline, facts)

    report = proof.run([scenario("canary", kill, reloads=False)])
    assert report.bars[0].holds is True


def test_a_scenario_begins_when_what_was_killed_before_is_back(proof, stage, clock):
    stage.whole_from = clock.steady() + 200
    begun = []

    def play(setting, timeline, facts):
        begun.append(clock.steady())
        ends("promoted")(setting, timeline, facts)

    proof.run([scenario("canary", play)])
    assert begun[0] >= stage.whole_from


def test_reloads_are_asked_for_when_an_api_server_that_was_killed_last_answers_again(proof, stage, clock):
    count, back = stage.reloads, clock.steady() + 30

    def kill(setting, timeline, facts):
        stage.whole_from = back
        stage.reloads = asked
        ends("promoted")(setting, timeline, facts)

    def asked():
        assert clock.steady() >= back, "connection refused"
        return count()

    assert proof.run([scenario("canary", kill)]).bars[0].holds is True


def test_what_never_comes_back_fails_the_scenario_and_says_so(proof, stage):
    stage.whole_from = float("inf")
    report = proof.run([scenario("canary", ends("promoted"))])
    assert report.bars[0].holds is False
    assert "what was killed to be ready again" in str(report.bars[0].measured)


def test_a_form_holds_the_smaller_ones_and_every_kill_is_in_the_full_one():
    short, usual, full = ({one.name for one in chosen(form)} for form in Form)
    assert short < usual < full == SCENARIOS.keys()
    assert any(SCENARIOS[name].rules.control for name in short)
    assert len([name for name in full if SCENARIOS[name].cell]) == 45
    assert [one.name for one in chosen(Form.SHORT, ("restart",))] == ["restart"]
    with pytest.raises(ValueError, match="there is no scenario nothing; there are: canary"):
        chosen(Form.SHORT, ("nothing",))


def test_each_named_scenario_of_the_full_form_asks_for_a_hundred_thousand():
    named = [one for one in SCENARIOS.values() if not one.cell and not one.rules.control]
    assert {one.requests(Form.FULL) for one in named} == {100_000}


def test_what_a_form_leaves_out_stands_in_the_report_as_not_run():
    report = summary([Row(SCENARIOS["canary"], None)], SUBJECT, Form.SHORT)
    assert len(report.bars) == len(SCENARIOS)
    assert {str(bar.measured) for bar in report.bars} == {"not run"}


def test_a_torn_journal_is_no_proof(proof, tmp_path):
    proof.run([scenario("canary", ends("promoted"))])
    (tmp_path / "journal" / "canary.json").write_text('{"scenario": "can')
    assert found(proof, "canary") is None
    proof.run([scenario("canary", ends("promoted"))])
    assert found(proof, "canary") is not None
    proof.journal.forget()
    assert found(proof, "canary") is None


def test_what_was_proven_counts_for_a_day(proof):
    proof.run([scenario("canary", ends("promoted"))])
    proof.setting.clock.wait(23 * 3600)
    assert found(proof, "canary") is not None
    proof.setting.clock.wait(2 * 3600)
    assert found(proof, "canary") is None
