"""What is known against our packages: the rules, our own exceptions, and the real uv against a service of our own."""

import json
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from slipway import cli, reports, supply
from slipway.cli.audit import EXCEPTIONS
from slipway.supply import LONGEST, Accepted, Audit, Found, SupplyError, bars, excuse, read_exceptions
from slipway.toolchain.cache import default_cache_root

TODAY = date(2026, 3, 1)
BAD = Found("flask", "3.1.3", ("GHSA-aaaa-bbbb-cccc", "CVE-2026-1"), "Bad", ("99.0",))


def accepted(until, name="CVE-2026-1", package="flask"):
    return Accepted(id=name, package=package, reason="Nothing of ours calls it.", since=until - LONGEST, until=until)


def verdict(audit, *exceptions):
    return reports.derive(bars(audit, exceptions, TODAY))


@given(st.integers(-400, 400))
def test_an_exception_holds_until_its_day_and_not_a_day_longer(days):
    one = accepted(TODAY + timedelta(days=days))
    assert (excuse(BAD, [one], TODAY) is one) == (days >= 0)


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(-400, 400))
def test_nothing_is_accepted_for_long(since, days):
    values = {"id": "x", "package": "y", "reason": "Nothing of ours calls it.", "since": since}
    until = since + timedelta(days=days)
    if 0 < days <= LONGEST.days:
        assert Accepted(until=until, **values).until == until
    else:
        with pytest.raises(ValueError, match="at most 90 days later"):
            Accepted(until=until, **values)


@pytest.mark.parametrize(
    ("audit", "exceptions", "answer"),
    [
        (Audit(3, (), ()), (), "pass"),
        (Audit(3, (BAD,), ()), (), "fail"),
        (Audit(3, (BAD,), ()), (accepted(TODAY),), "pass"),
        (Audit(3, (BAD,), ()), (accepted(TODAY, package="jinja2"),), "fail"),
        (Audit(3, (BAD,), ()), (accepted(TODAY, name="CVE-2026-2"),), "fail"),
        (Audit(3, (BAD,), ()), (accepted(TODAY - timedelta(days=1)),), "fail"),
        (Audit(3, (), ("withdrawn",)), (), "fail"),
        (Audit(0, (), ()), (), "fail"),
        (None, (), "inconclusive"),
    ],
)
def test_the_verdict(audit, exceptions, answer):
    assert verdict(audit, *exceptions) == answer


def test_our_own_exceptions_keep_the_rules():
    ids = [(one.id, one.package) for one in read_exceptions(EXCEPTIONS)]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exceptions: [{id: a}]", "package: Field required"),
        ("exceptions: [{id: a, package: b, reason: short, since: 2026-01-01, until: 2026-01-02}]", "at least 20"),
        ("other: []", "must hold a list `exceptions`"),
    ],
)
def test_a_wrong_exception_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / "exceptions.yml"
    path.write_text(text)
    with pytest.raises(SupplyError, match=message):
        read_exceptions(path)


def test_an_exception_that_covers_nothing_is_named_for_removal():
    made = supply.report(Audit(3, (), ()), [accepted(TODAY)], today=TODAY, started=datetime.now(UTC), seconds=1)
    assert made.figures["exceptions to remove"] == ["CVE-2026-1"]


class Knows(BaseHTTPRequestHandler):
    """As much of OSV as uv asks for: one vulnerability, of flask."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _say(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        one = {"vulns": [{"id": BAD.names[0], "modified": "2026-01-01T00:00:00Z"}]}
        self._say({"results": [one if it["package"]["name"] == self.server.bad else {} for it in asked]})

    def do_GET(self):
        package = {"name": self.server.bad, "ecosystem": "PyPI"}
        events = [{"introduced": "0"}, {"fixed": "99.0"}]
        self._say(
            {
                "schema_version": "1.6.0",
                "id": BAD.names[0],
                "aliases": ["CVE-2026-1"],
                "summary": "Bad",
                "modified": "2026-01-01T00:00:00Z",
                "affected": [{"package": package, "ranges": [{"type": "ECOSYSTEM", "events": events}]}],
            }
        )


@pytest.fixture
def osv(serve):
    return serve(Knows, bad="flask")


@pytest.fixture(scope="session")
def uv():
    text = (Path(__file__).parents[2] / "Makefile").read_text()
    version = next(line.split(" := ")[1] for line in text.splitlines() if line.startswith("UV_VERSION"))
    return default_cache_root().parent / f"uv-{version}" / "bin" / "uv"


@pytest.fixture
def audit(uv, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        return CliRunner().invoke(cli.cli, ["audit", *arguments, "--uv", str(uv)])

    return run


def test_a_known_vulnerability_is_red_until_it_is_accepted(audit, osv, tmp_path):
    url = f"--service-url=http://127.0.0.1:{osv.server_port}/"
    found = audit("vulnerabilities", url)
    assert found.exit_code == 1, found.output
    assert "flask" in found.output
    assert "mended in 99.0" in found.output
    today = datetime.now(UTC).date()
    one = accepted(today + timedelta(days=1))
    exceptions = tmp_path / "exceptions.yml"
    exceptions.write_text(json.dumps({"exceptions": [one.model_dump(mode="json")]}))
    again = audit("vulnerabilities", url, f"--exceptions={exceptions}")
    assert again.exit_code == 0, again.output
    assert "; accepted" in again.output
    assert "Nothing of ours calls it." in Path("build/reports/audit.html").read_text()


def test_without_anything_known_it_passes_and_all_packages_were_asked_for(audit, osv):
    osv.bad = "no-such-package"
    done = audit("vulnerabilities", f"--service-url=http://127.0.0.1:{osv.server_port}/")
    assert done.exit_code == 0
    assert "not asked: Debian packages and Go modules" in done.output
    figures = json.loads(Path("build/reports/audit.json").read_text())["figures"]
    assert figures["packages"] > 100
    assert figures["not asked"] == supply.NOT_ASKED


def test_if_nobody_answers_it_is_no_answer(audit, unused_tcp_port_closed):
    done = audit("vulnerabilities", f"--service-url=http://127.0.0.1:{unused_tcp_port_closed}/")
    assert done.exit_code == 3, done.output


@pytest.fixture
def unused_tcp_port_closed():
    return 1  # a privileged port on which nothing listens


def test_each_image_has_a_list_of_what_it_is_made_of(audit, tmp_path):
    done = audit("sbom")
    assert done.exit_code == 0, done.output
    names = {}
    for name in supply.LISTS:
        document = json.loads((tmp_path / "build" / "sbom" / f"{name}.cdx.json").read_text())
        assert document["bomFormat"] == "CycloneDX"
        assert all(it["purl"].startswith("pkg:pypi/") for it in document["components"])
        names[name] = {it["name"] for it in document["components"]}
    assert "flask" in names["service"]
    assert "flask" not in names["controller"]
    assert "pulumi" not in names["service"] | names["controller"] | names["tool"]
    assert "lightkube" in names["controller"]
    assert "matplotlib" in names["tool"]
