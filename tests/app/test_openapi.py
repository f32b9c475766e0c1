"""The description of the API is made from the code, is true, and does not change unnoticed."""

import json

import pytest
from flask import Flask
from openapi_spec_validator import validate
from prometheus_client import CollectorRegistry

from app import openapi
from app.api.contract import ANSWER_HEADERS, REQUEST_HEADERS
from app.api.crud import SURFACES, form_of
from app.api.guard import needs
from app.api.openapi import UndescribedError, document
from app.core.parts import parts_of
from app.factory import create_app, register_routes


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Copies of the file and the page, which commands may write."""
    for name in ("FILE", "PAGE"):
        copy = tmp_path / getattr(openapi, name).name
        copy.write_text(getattr(openapi, name).read_text("utf-8"), "utf-8")
        monkeypatch.setattr(openapi, name, copy)
    return openapi


def test_the_committed_description_is_that_of_the_code():
    hint = "run `python -m app.openapi write`"
    assert openapi.FILE.read_text("utf-8") == openapi.as_text(openapi.described()), hint
    page = openapi.PAGE.read_text("utf-8")
    assert page == openapi.with_table(page, openapi.as_table(openapi.described())), hint


def test_it_is_valid_openapi():
    validate(openapi.described())


def test_every_route_of_the_service_is_in_it(settings, key_file):
    app = create_app(settings.model_copy(update={"signing_key_file": key_file}), CollectorRegistry())
    served = app.test_client().get("/openapi.json")
    assert served.json == openapi.described()
    again = app.test_client().get("/openapi.json", headers={"If-None-Match": served.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    parts_of(app).database.close()


def test_a_service_describes_only_the_routes_that_it_has(client):
    paths = client.get("/openapi.json").json["paths"]
    assert "/v1/users" in paths
    assert "/v1/tokens" not in paths


def test_a_route_that_promises_nothing_is_refused():
    app = Flask("app", static_folder=None)
    register_routes(app, tokens=False)
    app.add_url_rule("/v1/forgotten", "forgotten", needs("users:read")(lambda: "open"))
    with pytest.raises(UndescribedError, match="/v1/forgotten"):
        document(app)


def test_what_is_shown_of_a_kind_is_what_its_model_tells():
    for surface in SURFACES:
        assert set(surface.view.model_fields) == set(form_of(surface).fields)
        assert set(form_of(surface).columns(form_of(surface).fields)) == set(surface.kind.fields)


def test_headers_that_routes_name_exist():
    app = Flask("app", static_folder=None)
    register_routes(app, tokens=True)
    contracts = [view.contract for view in app.view_functions.values()]
    assert {name for one in contracts for name in one.headers} == set(REQUEST_HEADERS)
    given = {name for one in contracts for gives in one.gives.values() for name in gives.headers}
    assert given <= set(ANSWER_HEADERS)


def test_a_patch_needs_a_field_and_promises_no_defaults():
    schema = openapi.described()["components"]["schemas"]["CoursePatch"]
    assert schema["minProperties"] == 1
    assert all("default" not in field for field in schema["properties"].values())


def test_fields_and_orders_are_listed_as_a_kind_allows_them():
    parameters = {one["name"]: one for one in openapi.described()["paths"]["/v1/posts"]["get"]["parameters"]}
    assert parameters["sort"]["schema"]["enum"] == ["-created_at", "title,created_at"]
    assert parameters["fields"]["explode"] is False
    assert "email" not in parameters["fields"]["schema"]["items"]["enum"]


def test_writing_refuses_what_breaks_clients_unless_it_is_meant(files, capsys):
    mine = files.FILE.read_text("utf-8")
    assert openapi.main(["write"]) == 0
    assert files.FILE.read_text("utf-8") == mine
    promised = json.loads(mine)
    promised["paths"]["/v1/gone"] = promised["paths"]["/v1/users"]
    files.FILE.write_text(json.dumps(promised), "utf-8")
    assert openapi.main(["write"]) == 1
    assert capsys.readouterr().out == "/v1/gone: the path is gone\n"
    assert json.loads(files.FILE.read_text("utf-8")) == promised
    assert openapi.main(["write", "--breaking"]) == 0
    assert files.FILE.read_text("utf-8") == mine


def test_two_files_are_compared(tmp_path, capsys):
    old, new = tmp_path / "old", tmp_path / "new"
    description = openapi.described()
    old.write_text(openapi.as_text(description), "utf-8")
    del description["paths"]["/v1/users"]["post"]
    new.write_text(openapi.as_text(description), "utf-8")
    assert openapi.main(["compare", str(old), str(new)]) == 1
    assert capsys.readouterr().out == "POST /v1/users: the method is gone\n"
    assert openapi.main(["compare", str(new), str(old)]) == 0


def test_a_page_without_its_marks_is_refused():
    with pytest.raises(ValueError, match="put them back"):
        openapi.with_table("# A page\n", "| |\n")


def test_paths_are_made_of_nouns():
    """A new word is a decision: things are plural, and what is done with them is the method."""
    words = {
        word
        for path in openapi.described()["paths"]
        for word in path.split("/")[2:]
        if path.startswith("/v") and word and not word.startswith("{")
    }
    assert words == {
        *("users", "profile", "password", "posts", "courses", "students", "exports", "content", "events"),
        *("tokens", "refresh", "keys", "statistics", "graphql"),
    }
