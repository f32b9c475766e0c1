"""The one form of every measurement: `Report`, its file, its page, its row in `slipway report`."""

from slipway.reports.model import EXIT_CODES, NOT_RUN, Bar, Report, Verdict, derive
from slipway.reports.page import Section, render, rows
from slipway.reports.store import FOLDER, Broken, ReportError, Scan, load, load_all, scan, write
from slipway.reports.table import exit_code, table

__all__ = [
    "EXIT_CODES",
    "FOLDER",
    "NOT_RUN",
    "Bar",
    "Broken",
    "Report",
    "ReportError",
    "Scan",
    "Section",
    "Verdict",
    "derive",
    "exit_code",
    "load",
    "load_all",
    "render",
    "rows",
    "scan",
    "table",
    "write",
]
