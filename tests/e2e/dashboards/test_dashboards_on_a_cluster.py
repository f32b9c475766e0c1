"""Every panel of every dashboard lives on a real cluster after a little load, and a dead one would be found."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from e2e_options import EVERYTHING, PRESENT
from e2e_waiting import until

from dashboards.grafana.boards import OVERVIEW, boards
from dashboards.grafana.model import Query, Row
from dashboards.kibana import boards as kibana
from dashboards.kibana.live import asked
from dashboards.kibana.model import Only
from dashboards.live import drawn
from loadtests import k6
from slipway.cli.dashboards import FOLDER
from slipway.cli.log_panels import search_of
from slipway.cli.logs import reader
from slipway.cli.measuring import prometheus_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

OPTIONS = EVERYTHING
BOARDS = boards(traces=PRESENT.traces)
REPOSITORY = Path(__file__).parents[3]
REACHES_USERS_WITHIN = 120


@pytest.fixture
def delivered(running, tmp_path):
    """A version that was taken back from users, and then promoted after all, under load: the figures of delivery."""
    image = running.another_image()
    with k6.start(running.plan(tmp_path, 50, 600)):
        done = running.slipway("rollout", "start", f"--image={image}", "--commit=HEAD")
        assert done.returncode == 0, done.stderr
        until(
            REACHES_USERS_WITHIN,
            lambda: running.kubectl.get("rollouts.slipway.dev", "--namespace=dev")[0]["status"].get("exposed"),
            what="a version that reaches users",
        )
        done = running.slipway("rollout", "abort", "--wait", "--reason=the figures need one")
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        done = running.slipway("rollout", "start", f"--image={image}", "--commit=HEAD", "--wait")
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.usefixtures("delivered")
def test_no_panel_is_dead_under_load(running):
    load = running.slipway("loadtest", "run", "crud", "--rate=50", "--seconds=60")
    assert load.returncode == 0, load.stderr
    done = running.slipway("dashboards", "check", "--minutes=15")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    found = json.loads((REPOSITORY / "build" / "reports" / "dashboards-check.json").read_text())
    figures = found["figures"]
    assert (figures["dashboards"], figures["panels"], figures["dead panels"]) == (
        len(BOARDS) + len(kibana.ALL),
        sum(len(it.panels) for it in (*BOARDS, *kibana.ALL)),
        0,
    )


def test_a_dead_panel_would_be_found(running):
    panel = replace(OVERVIEW.panels[0], title="Dead", queries=(Query("slipway_no_such_series", "a"),))
    board = replace(OVERVIEW, rows=(Row("Dead", (panel,)),))
    (found,) = drawn(board, prometheus_of(running.kubectl), 0, 600)
    assert found.dead == "slipway_no_such_series gives nothing"


def test_a_dead_panel_over_log_lines_would_be_found(running):
    panel = replace(kibana.LOGS.panels[0], title="Dead", only=(Only("service.name", ("no-such-service",)),))
    with reader(running.kubectl) as client:
        found = asked(panel, search_of(client), time.time() - 900, time.time())
    assert found.dead == "lines gives nothing; 0 lines match"


def test_pages_are_drawn(running):
    done = running.slipway("dashboards", "render", "--minutes=15")
    assert done.returncode == 0, done.stderr
    for board in BOARDS:
        text = (REPOSITORY / FOLDER / f"{board.uid}.html").read_text()
        assert "<svg" in text
        assert 'class="dead"' not in text
