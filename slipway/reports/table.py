"""The table of `slipway report`."""

from typing import Final

from rich.markup import escape
from rich.table import Table

from slipway.reports.model import Report, Verdict, plain
from slipway.reports.store import Scan

_STYLES: Final = {Verdict.PASS: "bold green", Verdict.FAIL: "bold red", Verdict.INCONCLUSIVE: "bold yellow"}
_MARKS: Final = {True: "[green]holds[/]", False: "[bold red]fails[/]", None: "[yellow]not run[/]"}


def table(found: Scan, *, bars: bool = True) -> Table:
    """Every report with its verdict and, unless `bars` is off, every bar; broken files are rows too."""
    result = Table(title="Reports", header_style="bold", show_lines=False, pad_edge=False)
    for column in ("report", "verdict", "started", "seconds"):
        result.add_column(column, justify="right" if column == "seconds" else "left", no_wrap=column != "report")
    if bars:
        for column in ("bar", "measured", "wanted", ""):
            result.add_column(column, overflow="fold")
    for report in found.reports:
        _add(result, report, bars=bars)
    for broken in found.broken:
        tail = (escape(broken.why), "", "", "") if bars else ()
        result.add_row(escape(broken.path.name), "[bold red]broken[/]", "", "", *tail, end_section=True)
    return result


def exit_code(found: Scan) -> int:
    """0 only if there is a report, all of them pass, and no file is broken."""
    if found.broken or any(report.verdict is Verdict.FAIL for report in found.reports):
        return Verdict.FAIL.exit_code
    if not found.reports or any(report.verdict is not Verdict.PASS for report in found.reports):
        return Verdict.INCONCLUSIVE.exit_code
    return 0


def _add(result: Table, report: Report, *, bars: bool) -> None:
    head = (
        escape(report.name),
        f"[{_STYLES[report.verdict]}]{report.verdict}[/]",
        report.started.astimezone().strftime("%Y-%m-%d %H:%M"),
        f"{report.seconds:,.1f}",
    )
    if not bars or not report.bars:
        result.add_row(*head, *(("no bars", "", "", "") if bars else ()), end_section=True)
        return
    for index, bar in enumerate(report.bars):
        first = head if index == 0 else ("", "", "", "")
        cells = (escape(bar.what), escape(plain(bar.measured)), escape(bar.bar), _MARKS[bar.holds])
        result.add_row(*first, *cells, end_section=index == len(report.bars) - 1)
