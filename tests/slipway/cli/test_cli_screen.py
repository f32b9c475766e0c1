"""What a command prints at its end."""

import datetime as dt

from slipway.cli.screen import tell_missed
from slipway.reports import Bar, Report, derive


def test_what_was_missed_is_told_and_what_holds_is_not(capsys):
    bars = (
        Bar.at_most("failed requests", 29, 0),
        Bar.at_most("seconds", 7, 15),
        Bar.not_run("alerts", "0", "no Prometheus"),
    )
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    tell_missed(Report(name="up", started=now, seconds=1, bars=bars, verdict=derive(bars)))
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "  failed requests: 29; wanted <= 0\n  alerts: not run: no Prometheus; wanted 0\n"
