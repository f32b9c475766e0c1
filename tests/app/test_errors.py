"""What the log says of answers that are failures: all of a fault of ours, one line of what only is away."""

import psycopg
import pytest
from app_settings import make_settings
from flask import Flask
from sqlalchemy.exc import DBAPIError

from app.api import errors
from app.core import requests
from app.core.database_errors import Unavailable
from app.core.problems import unavailable


@pytest.fixture
def answer(tmp_path):
    app = Flask(__name__)
    requests.install(app, make_settings(tmp_path, "postgresql+psycopg://nobody:none@localhost/none"))
    errors.install(app)

    def answered(error, cause=None):
        def view():
            raise error from cause

        app.add_url_rule("/", view_func=view)
        return app.test_client().get("/").status_code

    return answered


def lines(caplog):
    return [
        (it.levelname, vars(it)["error.code"], vars(it).get("error.message"), it.exc_info is not None)
        for it in caplog.records
    ]


def test_a_fault_of_ours_is_logged_with_its_traceback(answer, caplog):
    assert answer(KeyError("no such thing")) == 500
    assert lines(caplog) == [("ERROR", "internal", None, True)]


def test_what_is_away_is_logged_with_its_causes_in_one_line(answer, caplog):
    refused = DBAPIError("COMMIT", None, psycopg.OperationalError("refused\n\tIs it running?"))
    refused.__cause__ = refused.orig
    assert answer(Unavailable("cannot be written to"), refused) == 503
    why = "cannot be written to: (psycopg.OperationalError) refused"
    assert lines(caplog) == [("WARNING", "database_unavailable", why, False)]


@pytest.mark.parametrize(
    ("error", "why"), [(unavailable("busy", "Try again."), "Try again."), (Unavailable(), "Unavailable")]
)
def test_what_has_no_cause_says_itself(answer, caplog, error, why):
    assert answer(error) == 503
    assert [line[2] for line in lines(caplog)] == [why]
