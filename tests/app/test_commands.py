"""`app.seed`, `app.maintain` and `app.warm` as commands."""

import json

import pytest
from app_statements import counted
from ports import free_port
from prometheus_client import CollectorRegistry
from redis import Redis

from app import maintain, seed, warm
from app.core.parts import parts_of
from app.core.passwords import verify_password
from app.factory import create_app


@pytest.fixture
def environment(settings, monkeypatch):
    monkeypatch.setenv("SLIPWAY_DATABASE_URL_FILE", str(settings.database_url_file))
    return settings


def last_line(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.usefixtures("environment")
def test_seeding_twice_makes_everything_once(client, capsys):
    assert seed.main(["--users", "20"]) == 0
    assert last_line(capsys) == {"outcome": "done", "users": 20, "posts": 40, "courses": 2}
    assert seed.main(["--users", "20"]) == 0
    assert last_line(capsys) == {"outcome": "done", "users": 0, "posts": 0, "courses": 0}
    author = client.get("/v1/users?limit=1").json["data"][0]["id"]
    assert len(client.get(f"/v1/posts?author_id={author}").json["data"]) == 2


@pytest.mark.usefixtures("environment")
def test_the_first_administrator_is_made_once_and_can_be_given_a_new_password(tmp_path, capsys, postgres, migrated):
    file = tmp_path / "password"
    ids = []
    for password in ("a first long password", "a second long password"):
        file.write_text(password)
        assert seed.main(["--admin-email", "root@example.test", "--admin-password-file", str(file)]) == 0
        ids.append(last_line(capsys)["administrator"])
    assert ids[0] == ids[1]
    with postgres.admin(migrated) as admin:
        rows = admin.execute("SELECT user_id::text, role, password_hash FROM credentials").fetchall()
    assert [row[:2] for row in rows] == [(ids[0], "admin")]
    assert verify_password("a second long password", rows[0][2])


@pytest.mark.usefixtures("environment")
def test_an_administrator_needs_both_address_and_password(capsys):
    with pytest.raises(SystemExit) as caught:
        seed.main(["--admin-email", "root@example.test"])
    assert caught.value.code == 2
    assert "belong together" in capsys.readouterr().err


@pytest.mark.parametrize("command", [lambda: seed.main([]), maintain.main], ids=["seed", "maintain"])
def test_without_a_database_a_command_says_why(command, environment, capsys):
    address = f"postgresql+psycopg://payload:only-in-tests@127.0.0.1:{free_port()}/payload"
    environment.database_url_file.write_text(address)
    assert command() == 1
    report = last_line(capsys)
    assert report["outcome"] == "error"
    assert "refused" in report["reason"]


@pytest.mark.usefixtures("environment")
def test_maintenance_reports_what_it_did(capsys, postgres, migrated):
    assert maintain.main() == 0
    report = last_line(capsys)
    assert report["outcome"] == "done"
    assert len(report["partitions_made"]) == 3
    with postgres.admin(migrated) as admin:
        for month in report["partitions_made"]:
            admin.execute(f"DROP TABLE audit_log_{month[:7].replace('-', '_')}")


@pytest.fixture
def cached(environment, redis_server, tmp_path, monkeypatch):
    """A client of an application with an empty cache, and the environment that names it."""
    url = tmp_path / "cache-url"
    url.write_text(redis_server.url)
    monkeypatch.setenv("SLIPWAY_CACHE_URL_FILE", str(url))
    app = create_app(environment.model_copy(update={"cache_url_file": url}), CollectorRegistry())
    with Redis.from_url(redis_server.url) as redis:
        redis.flushall()
    yield app.test_client()
    parts_of(app).cache._redis.client.close()
    parts_of(app).limiter._redis.client.close()
    parts_of(app).database.close()


@pytest.mark.parametrize("step", [2, 500])
def test_after_warming_the_newest_rows_need_no_database(cached, capsys, monkeypatch, step):
    monkeypatch.setattr("app.services.resources._STEP", step)
    places = []
    for number in range(6):
        body = {"name": "Ann", "email": f"ann-{number}@example.test"}
        places.append(cached.post("/v1/users", json=body).headers["Location"])
    assert warm.main(["--rows", "5"]) == 0
    assert last_line(capsys) == {"outcome": "done", "users": 5, "courses": 0}
    with counted() as statements:
        warmed = [cached.get(place) for place in places[1:]]
    assert statements == []
    assert [it.json["data"]["email"] for it in warmed] == [f"ann-{number}@example.test" for number in range(1, 6)]
    with counted() as statements:
        assert cached.get(places[0]).json["data"].keys() == warmed[0].json["data"].keys()
    assert len(statements) == 1, "the oldest one was not asked for"


def test_warming_does_not_undo_a_change_that_was_made_meanwhile(cached, capsys):
    place = cached.post("/v1/users", json={"name": "Ann", "email": "a@example.test"}).headers["Location"]
    cached.patch(place, json={"name": "Anna"})
    assert warm.main([]) == 0
    assert last_line(capsys)["users"] == 1
    with counted() as statements:
        assert cached.get(place).json["data"]["name"] == "Anna"
    assert len(statements) == 1, "nobody fills it for a moment"


def test_without_a_cache_or_a_redis_that_answers_warming_says_so(cached, capsys, monkeypatch, environment):
    cached.post("/v1/users", json={"name": "Ann", "email": "a@example.test"})
    url = environment.database_url_file.parent / "cache-url"
    url.write_text(f"redis://127.0.0.1:{free_port()}/0")
    assert warm.main([]) == 1
    assert last_line(capsys) == {"outcome": "error", "reason": "the cache does not answer"}
    monkeypatch.delenv("SLIPWAY_CACHE_URL_FILE")
    assert warm.main([]) == 1
    assert "SLIPWAY_CACHE_URL_FILE" in last_line(capsys)["reason"]
