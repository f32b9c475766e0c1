"""`app.seed` and `app.maintain` as commands."""

import json

import pytest

from app import maintain, seed
from app.core.passwords import verify_password


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
def test_without_a_database_a_command_says_why(command, environment, unused_port, capsys):
    address = f"postgresql+psycopg://payload:only-in-tests@127.0.0.1:{unused_port()}/payload"
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
