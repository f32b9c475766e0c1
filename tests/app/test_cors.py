"""Which pages of other origins may call the API from a browser: none unless named."""

import pytest
from prometheus_client import CollectorRegistry

from app.core.parts import parts_of
from app.core.settings import Settings
from app.factory import create_app

OURS, THEIRS = "https://app.example.test", "https://evil.example.test"
ASKS = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization, content-type"}


@pytest.fixture
def client_for(settings_for, postgres, migrated, tmp_path):
    made = []

    def go(**settings):
        app = create_app(settings_for(tmp_path, postgres.url(migrated), **settings), CollectorRegistry())
        made.append(app)
        return app.test_client()

    yield go
    for app in made:
        parts_of(app).database.close()


def allowed(answer):
    return {name: value for name, value in answer.headers.items() if name.startswith("Access-Control-")}


def test_without_a_list_no_page_is_let_in(client_for):
    client = client_for()
    assert allowed(client.options("/v1/users", headers={"Origin": OURS, **ASKS})) == {}
    assert allowed(client.get("/v1/users", headers={"Origin": OURS})) == {}


def test_a_named_page_may_ask_and_read(client_for):
    client = client_for(cors_origins=(OURS,))
    asked = client.options("/v1/users", headers={"Origin": OURS, **ASKS})
    assert asked.headers["Access-Control-Allow-Origin"] == OURS
    assert "PUT" in asked.headers["Access-Control-Allow-Methods"]
    assert asked.headers["Access-Control-Allow-Headers"] == "authorization, content-type"
    answer = client.get("/v1/users", headers={"Origin": OURS})
    assert answer.headers["Access-Control-Allow-Origin"] == OURS
    assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("origin", [THEIRS, "https://app.example.test.evil.test", "null", "http://app.example.test"])
def test_another_page_is_not_let_in(client_for, origin):
    client = client_for(cors_origins=(OURS,))
    assert allowed(client.options("/v1/users", headers={"Origin": origin, **ASKS})) == {}
    assert allowed(client.get("/v1/users", headers={"Origin": origin})) == {}


def test_probes_are_nobodys_page(client_for):
    assert allowed(client_for(cors_origins=(OURS,)).get("/livez", headers={"Origin": OURS})) == {}


@pytest.mark.parametrize("origin", ["*", "https://a.test/path", "app.example.test", "https://*.example.test"])
def test_all_and_half_origins_are_refused(tmp_path, origin):
    url = tmp_path / "url"
    url.write_text("postgresql+psycopg://a:b@localhost/c")
    with pytest.raises(ValueError, match="cors_origins"):
        Settings(database_url_file=url, cors_origins=(origin,))
