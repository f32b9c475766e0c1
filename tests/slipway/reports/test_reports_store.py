import json
from datetime import UTC, datetime, timedelta

import pytest

from slipway.reports import Bar, Report, ReportError, Section, Verdict, load, load_all, scan, write

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
HOLDS = (Bar.at_most("failed", 0, 0),)


def report(name="drill", *, after=0, bars=HOLDS, verdict=Verdict.PASS, figures=None):
    return Report(
        name=name,
        started=NOW + timedelta(seconds=after),
        seconds=2.5,
        figures=figures or {},
        bars=bars,
        verdict=verdict,
    )


def test_the_file_has_the_agreed_form(tmp_path):
    bars = (Bar.at_most("failed", 0, 0), Bar.not_run("reload", "0"))
    path = write(report(bars=bars, verdict=Verdict.INCONCLUSIVE, figures={"p99": {"ms": 3.5}}), tmp_path)
    assert path == tmp_path / "drill.json"
    assert json.loads(path.read_text()) == {
        "name": "drill",
        "started": "2026-11-20T12:00:00Z",
        "seconds": 2.5,
        "figures": {"p99": {"ms": 3.5}},
        "bars": [
            {"what": "failed", "measured": 0, "bar": "<= 0", "holds": True},
            {"what": "reload", "measured": "not run", "bar": "0", "holds": None},
        ],
        "verdict": "inconclusive",
    }


def test_a_written_report_loads_as_itself(tmp_path):
    assert load(write(report(), tmp_path / "new" / "folder")) == report()


def test_nothing_but_the_two_files_is_left(tmp_path):
    write(report(), tmp_path)
    write(report(figures={"again": 1}), tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["drill.html", "drill.json"]


def test_a_write_that_fails_leaves_the_old_report(tmp_path, monkeypatch):
    path = write(report(), tmp_path)
    before = path.read_bytes()

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("slipway.reports.store.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(report(figures={"newer": True}), tmp_path)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["drill.html", "drill.json"]


def test_all_reports_come_oldest_first(tmp_path):
    for name, after in [("b", 0), ("a", 10), ("c", -10)]:
        write(report(name, after=after), tmp_path)
    assert [r.name for r in load_all(tmp_path)] == ["c", "b", "a"]


def test_a_missing_folder_is_empty(tmp_path):
    assert load_all(tmp_path / "none") == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "Invalid JSON"),
        ("{}", "Field required"),
        (report("other").model_dump_json(), "calls itself 'other'"),
        (report("bad").model_dump_json().replace('"holds":true', '"holds":false'), "these bars failed: failed"),
    ],
)
def test_broken_files_are_named_and_hide_no_others(tmp_path, text, why):
    write(report("good"), tmp_path)
    (tmp_path / "bad.json").write_text(text)
    found = scan(tmp_path)
    assert [r.name for r in found.reports] == ["good"]
    assert [b.path.name for b in found.broken] == ["bad.json"]
    with pytest.raises(ReportError, match=r"bad\.json.*" + why):
        load_all(tmp_path)


def test_the_page_stands_alone_and_escapes_what_it_shows(tmp_path):
    bars = (Bar.at_most("<script>alert(1)</script>", 12345, 20000), Bar.not_run("reload", "0", "no metrics"))
    made = report(bars=bars, verdict=Verdict.INCONCLUSIVE, figures={"deep": {"list": [1, 2.5], "none": None}})
    page = write(made, tmp_path, [Section("Plot", "<svg></svg>", "a < b")]).with_suffix(".html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "12,345" in page
    assert "not run: no metrics" in page
    assert "1, 2.5" in page
    assert "<svg></svg>" in page
    assert "a &lt; b" in page
    assert "http://" not in page
    assert "https://" not in page
