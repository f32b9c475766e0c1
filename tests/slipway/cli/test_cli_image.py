"""`slipway image`: by digest or not at all; credentials only for as long as they are used."""

import base64
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from slipway import cli
from slipway.cli import image
from slipway.rollout.client import UsageError, digest_of

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def pushed(monkeypatch):
    """What was pushed, and what the copying program could read meanwhile."""
    calls = []

    class Images:
        def push(self, name, registry, ca):
            path = os.environ.get(image.AUTH_FILE)
            calls.append((name, registry, ca, path and json.loads(Path(path).read_text()), path))
            return DIGEST

    monkeypatch.setattr(image, "_images", lambda _progress: Images())
    monkeypatch.delenv(image.AUTH_FILE, raising=False)
    return calls


def run(*arguments):
    return CliRunner().invoke(cli.cli, ["image", *arguments])


def test_a_push_ends_with_the_name_by_digest(pushed, tmp_path):
    output = tmp_path / "output"
    result = run("push", "service", "--registry", "r.test/team", "--output", str(output))
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == f"r.test/team/slipway/service@{DIGEST}"
    assert output.read_text() == f"image=r.test/team/slipway/service@{DIGEST}\ndigest={DIGEST}\n"
    assert pushed == [("service", "r.test/team", None, None, None)]


def test_credentials_are_a_file_for_as_long_as_it_takes(pushed, monkeypatch):
    monkeypatch.setenv(image.USER, "ada")
    monkeypatch.setenv(image.PASSWORD, "hush")
    result = run("push", "service", "--registry", "r.test/team")
    ((*_, auth, path),) = pushed
    assert auth == {"auths": {"r.test": {"auth": base64.b64encode(b"ada:hush").decode()}}}
    assert not Path(path).exists()
    assert image.AUTH_FILE not in os.environ
    assert "hush" not in result.output


def test_a_file_of_credentials_of_the_user_comes_back(pushed, monkeypatch, tmp_path):
    mine = tmp_path / "mine.json"
    mine.write_text("{}")
    for name, value in ((image.AUTH_FILE, str(mine)), (image.USER, "ada"), (image.PASSWORD, "hush")):
        monkeypatch.setenv(name, value)
    run("push", "service", "--registry", "r.test")
    assert os.environ[image.AUTH_FILE] == str(mine)
    assert pushed[0][4] != str(mine)


@pytest.mark.parametrize(
    ("name", "code"), [(f"r.test/app@{DIGEST}", 0), ("r.test/app:1", 2), (f"r.test/app:1@{DIGEST}", 0)]
)
def test_only_a_digest_is_let_through(name, code):
    assert run("check", name).exit_code == code


@given(st.text(alphabet="abcdef0123456789ABG:@ \n$;sh", max_size=90))
def test_whatever_is_no_digest_is_refused(text):
    name = f"r.test/app@{text}"
    try:
        digest = digest_of(name)
    except UsageError:
        return
    assert digest == text
    assert len(digest) == 71
    assert set(digest.removeprefix("sha256:")) <= set("0123456789abcdef")


@given(st.integers(0, 16**64 - 1))
def test_every_whole_digest_is_taken(number):
    assert digest_of(f"r.test:5000/team/app@sha256:{number:064x}") == f"sha256:{number:064x}"
