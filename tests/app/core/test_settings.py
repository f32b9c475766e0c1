import pytest

from app.core.secret_files import SecretError, read_database_url, read_secret
from app.core.settings import SettingsError, load_settings

URL = "postgresql+psycopg://payload:s3cr3t@db.test:5432/payload"


@pytest.fixture
def environment(tmp_path, monkeypatch):
    path = tmp_path / "url"
    path.write_text(URL + "\n")
    monkeypatch.setenv("SLIPWAY_DATABASE_URL_FILE", str(path))
    return path


def test_defaults_are_enough_with_a_database_address(environment):
    settings = load_settings()
    assert (settings.port, settings.metrics_port, settings.workers) == (8080, 9090, 1)
    assert settings.database_url_file == environment
    assert settings.replica_url_file is None


@pytest.mark.usefixtures("environment")
def test_the_log_level_may_be_written_in_any_case(monkeypatch):
    monkeypatch.setenv("SLIPWAY_LOG_LEVEL", "warning")
    assert load_settings().log_level == "WARNING"


@pytest.mark.usefixtures("environment")
def test_an_empty_variable_counts_as_not_set(monkeypatch):
    monkeypatch.setenv("SLIPWAY_COLOUR", "")
    monkeypatch.setenv("SLIPWAY_VERSION", "")
    settings = load_settings()
    assert (settings.colour, settings.version) == ("none", "unversioned")


@pytest.mark.usefixtures("environment")
def test_every_mistake_is_named_at_once(monkeypatch):
    monkeypatch.setenv("SLIPWAY_WORKERS", "many")
    monkeypatch.setenv("SLIPWAY_ENVIRONMENT", "prod")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "SLIPWAY_WORKERS" in str(caught.value)
    assert "SLIPWAY_ENVIRONMENT" in str(caught.value)
    assert "'prod'" in str(caught.value)


def test_a_missing_variable_is_said_to_be_missing(monkeypatch):
    monkeypatch.delenv("SLIPWAY_DATABASE_URL_FILE", raising=False)
    with pytest.raises(SettingsError, match=r"SLIPWAY_DATABASE_URL_FILE: .*given: nothing"):
        load_settings()


@pytest.mark.parametrize(
    ("inner", "outer"),
    [("POOL_WAIT", "LOCK"), ("LOCK", "STATEMENT"), ("STATEMENT", "WRITE"), ("WRITE", "REQUEST"), ("READ", "REQUEST")],
)
@pytest.mark.usefixtures("environment")
def test_the_deadline_chain_must_be_ordered(monkeypatch, inner, outer):
    monkeypatch.setenv(f"SLIPWAY_{inner}_SECONDS", "20")
    with pytest.raises(SettingsError, match=f"SLIPWAY_{inner}_SECONDS is 20.*SLIPWAY_{outer}_SECONDS"):
        load_settings()


@pytest.mark.parametrize("text", ["", " \n", "changeme", "postgresql+psycopg://payload:CHANGE-ME@db/payload"])
def test_an_empty_secret_and_a_placeholder_are_refused(tmp_path, text):
    path = tmp_path / "secret"
    path.write_text(text)
    with pytest.raises(SecretError, match="secret file"):
        read_secret(path)


@pytest.mark.parametrize(
    "text", ["s3cr3t", "postgresql://payload:s3cr3t@db/payload", "postgresql+psycopg://payload:s3cr3t@/payload"]
)
def test_a_wrong_address_is_refused_without_repeating_the_password(environment, text):
    environment.write_text(text)
    with pytest.raises(SecretError) as caught:
        read_database_url(environment)
    assert "s3cr3t" not in str(caught.value)
    assert "postgresql+psycopg://" in str(caught.value)
    with pytest.raises(SettingsError):
        load_settings()
