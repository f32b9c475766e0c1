"""Plays the scenarios one after the other under load, keeps what each found, and sums it up after each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from loadtests.k6 import LoadResult
from loadtests.plan import LoadPlan
from slipway import reports
from slipway.proof.bars import Taken
from slipway.proof.clock import wait_until
from slipway.proof.drill import Account, BeginLoad, sections
from slipway.proof.faults import UnhealedError
from slipway.proof.load import Load
from slipway.proof.prove.facts import Facts, Findings, bars, figures
from slipway.proof.prove.journal import Entry, Journal
from slipway.proof.prove.scenarios import Form, Scenario
from slipway.proof.prove.stage import Setting
from slipway.proof.prove.summary import Row, summary, summary_sections
from slipway.proof.timeline import Timeline
from slipway.reports import Report, derive
from slipway.rollout import story

#: Longest that one scenario may take, in seconds: a hundred aborts are about half an hour, 100,000 requests another.
_LONGEST: Final = 7200.0
#: Seconds until what was killed must be ready again before the next: a kubelet lets at most 300 pass before a restart.
_WHOLE: Final = 420.0


@dataclass(frozen=True)
class Proof:
    """What is proven, where, and how much of it.

    Attributes:
        setting: the service and what can be broken around it.
        plan: the load; its counts and durations are replaced.
        begin: starts k6.
        journal: what was proven before.
        subject: names cluster, environment and rate; entries of another one do not count.
        form: how much.
        folder: of the reports.
        account: tells a person what goes on.
    """

    setting: Setting
    plan: LoadPlan
    begin: BeginLoad
    journal: Journal
    subject: str
    form: Form
    folder: Path
    account: Account

    def run(self, scenarios: Sequence[Scenario]) -> Report:
        """Play what was not played yet; the report is written anew after each, so an interrupted proof leaves one.

        Raises:
            UnhealedError: a fault could not be healed: the cluster needs a hand before anything else is measured.
        """
        done: dict[str, Entry] = {}
        report = self._sum_up(scenarios, done)
        for number, scenario in enumerate(scenarios, 1):
            known = self.journal.find(scenario.name, self.subject, self.form, self.setting.clock.now())
            self.account.step(f"[{number}/{len(scenarios)}] {scenario.name}: {'known' if known else scenario.about}")
            done[scenario.name] = known or self._play(scenario)
            for bar in done[scenario.name].bars:
                if bar.holds is not True:
                    self.account.step(f"    {bar.what}: {bar.measured} (bar: {bar.bar})")
            report = self._sum_up(scenarios, done)
        return report

    def _play(self, scenario: Scenario) -> Entry:
        clock, requests = self.setting.clock, scenario.requests(self.form)
        timeline = Timeline(clock, lambda label: self.account.detail(f"{scenario.name}: {label}"))
        found, started, begin = Findings(), clock.now(), clock.steady()
        load = self._under_load(scenario, timeline, found)
        answers = bars(scenario.rules, found, load, requests=requests, connections=self.plan.vus)
        numbers = figures(found, load)
        page = Report(
            name=f"prove-{scenario.name}",
            started=started,
            seconds=clock.steady() - begin,
            figures=numbers,
            bars=answers,
            verdict=derive(answers),
        )
        drawn = list(sections(timeline, Taken(0, load=load)))
        if moments := found.moments:
            drawn += story.sections(story.Recording(moments))
        path = reports.write(page, folder=self.folder, sections=drawn)
        entry = Entry(
            scenario=scenario.name,
            subject=self.subject,
            form=self.form,
            started=started,
            seconds=round(page.seconds, 1),
            figures=numbers,
            bars=answers,
            page=path.with_suffix(".html").name,
        )
        self.journal.write(entry)
        return entry

    def _under_load(self, scenario: Scenario, timeline: Timeline, found: Findings) -> LoadResult | None:
        requests = scenario.requests(self.form)
        plan = replace(
            self.plan,
            min_requests=requests,
            duration=max(_LONGEST, requests / self.plan.rate),
            unkeyed_apart=scenario.rules.unkeyed_apart or scenario.rules.control,
        )
        stage, clock = self.setting.stage, self.setting.clock
        try:
            self._whole()
            with Load(plan, timeline, clock, longest=_LONGEST, begin=self.begin) as load:
                before = stage.reloads()
                self._rounds(scenario, timeline, found, load)
                after: Mapping[str, float] = {}
                if scenario.rules.reloads:  # one that was killed has forgotten how often it did
                    self._whole()
                    after = stage.reloads()
                if before.keys() == after.keys():
                    found.reloads = sum(after.values()) - sum(before.values())
                return load.finish()
        except UnhealedError:
            raise
        except Exception as error:  # noqa: BLE001 -- a scenario that breaks is a row that says so
            found.error = f"{type(error).__name__}: {error}"
            return None

    def _rounds(self, scenario: Scenario, timeline: Timeline, found: Findings, load: Load) -> None:
        """Play it as often as fits into the requests: what they are judged on must have gone on around them."""
        requests = scenario.requests(self.form)
        fits = True
        while fits:
            self._whole()
            one = Facts(moments=self.setting.stage.record())
            found.rounds.append(one)
            scenario.play[self.form](self.setting, timeline, one)
            sent = load.totals().requests
            fits = not one.not_run and sent + sent / len(found.rounds) <= requests
            self.account.detail(f"{scenario.name}: {one.end}; {sent:,} of {requests:,} requests")

    def _whole(self) -> None:
        what = "what was killed to be ready again"
        wait_until(self.setting.clock, self.setting.whole, what=what, within=_WHOLE, every=1.0)

    def _sum_up(self, scenarios: Sequence[Scenario], done: dict[str, Entry]) -> Report:
        rows = [Row(scenario, done.get(scenario.name)) for scenario in scenarios]
        report = summary(rows, self.subject, self.form)
        reports.write(report, folder=self.folder, sections=summary_sections(rows))
        return report
