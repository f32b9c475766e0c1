"""Who may do what: every route is guarded, and every way to be somebody works and fails as it should."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry

from app.api.guard import needed_permission
from app.core import passwords
from app.core.parts import parts_of
from app.core.principals import PERMISSIONS, PUBLIC, SELF, Role
from app.core.secret_files import SecretError
from app.core.tokens import AUDIENCE, ISSUER, Keyring
from app.factory import create_app

PASSWORD = "correct horse battery staple"
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def app(settings, key_file):
    made = create_app(settings.model_copy(update={"signing_key_file": key_file}), CollectorRegistry())
    yield made
    parts_of(made).database.close()


@pytest.fixture
def admin(app) -> FlaskClient:
    return app.test_client()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def person(admin, role: str | None = None, number: int = 0) -> tuple[str, str]:
    """A user with a password: id and address."""
    email = f"person-{number}@example.test"
    user = admin.post("/v1/users", json={"name": "Person", "email": email}).json["data"]["id"]
    body = {"password": PASSWORD, **({"role": role} if role else {})}
    assert admin.put(f"/v1/users/{user}/password", json=body).status_code == 204
    return user, email


def login(admin, email: str, password: str = PASSWORD):
    return admin.post("/v1/tokens", json={"email": email, "password": password}, headers={"Authorization": ""})


def test_every_route_says_which_permission_it_needs(app):
    for rule in app.url_map.iter_rules():
        needed = needed_permission(app.view_functions[rule.endpoint])
        assert needed in PERMISSIONS | {PUBLIC, SELF}, rule


def test_only_these_routes_are_open_to_everyone(app):
    rules = {
        rule.rule for rule in app.url_map.iter_rules() if needed_permission(app.view_functions[rule.endpoint]) == PUBLIC
    }
    assert rules == {
        "/livez",
        "/readyz",
        "/version",
        "/openapi.json",
        "/docs",
        "/v1/tokens",
        "/v1/tokens/refresh",
        "/.well-known/jwks.json",
    }


def test_every_other_route_answers_401_to_nobody_and_403_to_a_key_without_scopes(app, admin):
    key = admin.post("/v1/keys", json={"name": "k", "scopes": ["keys:read"]}).json["data"]["key"]
    for rule in app.url_map.iter_rules():
        needed = needed_permission(app.view_functions[rule.endpoint])
        if needed in {PUBLIC, "keys:read"}:
            continue
        path = rule.rule
        for name in rule.arguments:
            path = path.replace(f"<uuid:{name}>", NOBODY)
        for method in (rule.methods or set()) - {"OPTIONS"}:
            body = {"json": {"password": PASSWORD}} if needed == SELF else {}
            nobody = FlaskClient(app, app.response_class).open(path, method=method, **body)
            assert nobody.status_code == 401, (method, path)
            assert nobody.headers["WWW-Authenticate"].startswith("Bearer")
            assert admin.open(path, method=method, headers={"X-API-Key": key}, **body).status_code == 403, (
                method,
                path,
            )


def test_a_route_without_a_permission_is_closed_even_to_administrators(app):
    app.add_url_rule("/forgotten", "forgotten", lambda: "open")
    assert app.test_client().get("/forgotten").status_code == 403


@pytest.mark.parametrize(
    ("role", "read", "write", "administer"),
    [("viewer", 200, 403, 403), ("editor", 200, 201, 403), ("admin", 200, 201, 200)],
)
def test_what_each_role_may_do(admin, role, read, write, administer):
    _, email = person(admin, role)
    token = login(admin, email).json["data"]["access_token"]
    assert admin.get("/v1/users", headers=bearer(token)).status_code == read
    course = admin.post("/v1/courses", json={"title": "C", "seats": 1}, headers=bearer(token))
    assert course.status_code == write
    assert admin.get("/v1/keys", headers=bearer(token)).status_code == administer


def test_a_wrong_password_and_an_unknown_user_look_the_same(admin, postgres, migrated):
    _, email = person(admin)
    wrong, unknown = login(admin, email, "wrong"), login(admin, "nobody@example.test")
    assert wrong.status_code == unknown.status_code == 401
    assert {**wrong.json, "request_id": "", "instance": ""} == {**unknown.json, "request_id": "", "instance": ""}
    with postgres.admin(migrated) as connection:
        row = connection.execute("SELECT count(*) FROM audit_log WHERE action = 'token.refused'").fetchone()
    assert row == (2,)


def test_an_unknown_user_costs_a_hash_too(admin, monkeypatch):
    verified = []
    original = passwords._HASHER.verify

    class Spy:
        def __getattr__(self, name):
            return getattr(original.__self__, name)

        def verify(self, stored, password):
            verified.append(stored)
            return original(stored, password)

    monkeypatch.setattr(passwords, "_HASHER", Spy())
    login(admin, "nobody@example.test", "the password of nobody")
    assert verified == [passwords._NOBODY]


def test_passwords_are_stored_as_argon2id_and_weaker_hashes_are_renewed(admin, postgres, migrated):
    user, email = person(admin)
    weak = passwords.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    with postgres.admin(migrated) as connection:
        query = "SELECT password_hash FROM credentials WHERE user_id = %s"
        assert connection.execute(query, [user]).fetchone()[0].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        connection.execute("UPDATE credentials SET password_hash = %s WHERE user_id = %s", [weak, user])
        assert login(admin, email).status_code == 200
        assert "m=19456" in connection.execute(query, [user]).fetchone()[0]
    assert login(admin, email).status_code == 200


def test_too_many_logins_at_once_are_shed(admin, monkeypatch):
    monkeypatch.setattr(passwords, "_AT_ONCE", threading.BoundedSemaphore(1))
    monkeypatch.setattr(passwords, "_WAIT_SECONDS", 0.01)
    with passwords._slot():
        answer = login(admin, "nobody@example.test")
    assert (answer.status_code, answer.json["code"]) == (503, "overloaded")


def test_a_token_ends(app, admin):
    user, _ = person(admin)
    keyring = parts_of(app).keyring
    old = keyring.issue(UUID(user), Role.ADMIN, datetime.now(UTC) - timedelta(hours=1))
    assert admin.get("/v1/users", headers=bearer(old)).status_code == 401


def claims_of(**changes):
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": str(uuid4()), "role": "admin", "iat": now, "exp": now + 60}
    return {**claims, **changes}


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "other"},
        {"aud": "other"},
        {"exp": None},
        {"sub": "root"},
        {"role": "god"},
        {"role": None},
        {"iat": None},
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(app, admin, change):
    keyring = parts_of(app).keyring
    claims = {name: value for name, value in claims_of(**change).items() if value is not None}
    token = jwt.encode(claims, keyring.signing, "EdDSA", headers={"kid": keyring.kid})
    assert admin.get("/v1/users", headers=bearer(token)).status_code == 401


def test_the_unforged_token_would_have_worked(app, admin):
    keyring = parts_of(app).keyring
    token = jwt.encode(claims_of(), keyring.signing, "EdDSA", headers={"kid": keyring.kid})
    assert admin.get("/v1/users", headers=bearer(token)).status_code == 200


@pytest.mark.parametrize("how", ["other key", "none", "public key as secret", "unknown kid", "no kid"])
def test_a_token_not_signed_by_us_is_refused(app, admin, how):
    keyring = parts_of(app).keyring
    claims, headers = claims_of(), {"kid": keyring.kid}
    token = {
        "other key": lambda: jwt.encode(claims, Ed25519PrivateKey.generate(), "EdDSA", headers=headers),
        "none": lambda: jwt.encode(claims, None, "none", headers=headers),
        "public key as secret": lambda: jwt.encode(claims, keyring.jwks()["keys"][0]["x"], "HS512", headers=headers),
        "unknown kid": lambda: jwt.encode(claims, keyring.signing, "EdDSA", headers={"kid": "x"}),
        "no kid": lambda: jwt.encode(claims, keyring.signing, "EdDSA"),
    }[how]
    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning) if how.startswith("public") else nullcontext():
        text = token()
    assert admin.get("/v1/users", headers=bearer(text)).status_code == 401


@pytest.mark.parametrize("header", ["Basic dTpw", "Bearer", "Bearer ", "Bearer a.b.c", "Bearer x", "bearer \x7f"])
def test_a_header_that_proves_nothing_is_401(admin, header):
    assert admin.get("/v1/users", headers={"Authorization": header}).status_code == 401


def test_keys_rotate_without_ending_tokens(settings, admin, key_file, new_signing_key):
    _, email = person(admin, "viewer")
    token = login(admin, email).json["data"]["access_token"]
    key_file.write_text(new_signing_key() + key_file.read_text())
    rotated = create_app(settings.model_copy(update={"signing_key_file": key_file}), CollectorRegistry())
    client = rotated.test_client()
    assert client.get("/v1/users", headers=bearer(token)).status_code == 200
    jwks = client.get("/.well-known/jwks.json").json["keys"]
    assert [set(key) for key in jwks] == [{"kty", "crv", "x", "kid", "use", "alg"}] * 2
    assert jwt.get_unverified_header(login(client, email).json["data"]["access_token"])["kid"] == jwks[0]["kid"]
    parts_of(rotated).database.close()


@pytest.mark.parametrize("text", ["not a key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"])
def test_a_signing_key_that_is_none_is_refused(tmp_path, text):
    path = tmp_path / "key"
    path.write_text(text)
    with pytest.raises(SecretError, match="secret file"):
        Keyring.from_file(path)


def test_a_refresh_token_works_once_and_its_reuse_ends_the_family(admin):
    _, email = person(admin, "viewer")
    first = login(admin, email).json["data"]
    other = login(admin, email).json["data"]

    def refresh(token: str):
        return admin.post("/v1/tokens/refresh", json={"refresh_token": token})

    second = refresh(first["refresh_token"]).json["data"]
    assert admin.get("/v1/users", headers=bearer(second["access_token"])).status_code == 200
    assert refresh(first["refresh_token"]).status_code == 401
    assert refresh(second["refresh_token"]).status_code == 401
    assert refresh(other["refresh_token"]).status_code == 200
    assert refresh("unknown").status_code == 401


def test_two_refreshes_at_once_give_one_session(app, admin):
    _, email = person(admin)
    token = login(admin, email).json["data"]["refresh_token"]
    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(lambda _: app.test_client().post("/v1/tokens/refresh", json={"refresh_token": token}), range(2))
        )
    assert sorted(answer.status_code for answer in answers) == [200, 401]


def test_a_new_password_ends_sessions_and_a_user_may_set_only_their_own(admin):
    ann, email = person(admin, "viewer", 1)
    bob, _ = person(admin, "viewer", 2)
    session = login(admin, email).json["data"]
    mine = bearer(session["access_token"])
    change = {"password": "another long password"}
    assert admin.put(f"/v1/users/{bob}/password", json=change, headers=mine).status_code == 403
    assert admin.put(f"/v1/users/{ann}/password", json={**change, "role": "admin"}, headers=mine).status_code == 403
    assert admin.put(f"/v1/users/{ann}/password", json=change, headers=mine).status_code == 204
    assert admin.post("/v1/tokens/refresh", json={"refresh_token": session["refresh_token"]}).status_code == 401
    assert login(admin, email).status_code == 401
    renewed = login(admin, email, change["password"])
    assert jwt.decode(renewed.json["data"]["access_token"], options={"verify_signature": False})["role"] == "viewer"
    assert admin.put(f"/v1/users/{NOBODY}/password", json=change).status_code == 404


def test_keys_have_scopes_and_end_and_are_never_shown_again(admin):
    made = admin.post("/v1/keys", json={"name": "load", "scopes": ["users:read"]})
    key, location = made.json["data"]["key"], made.headers["Location"]
    assert admin.get("/v1/users", headers={"X-API-Key": key}).status_code == 200
    assert admin.get("/v1/users", headers=bearer(key)).status_code == 200
    assert admin.post("/v1/users", json={}, headers={"X-API-Key": key}).status_code == 403
    listed = admin.get("/v1/keys")
    assert [item["scopes"] for item in listed.json["data"]] == [["users:read"]]
    assert key not in listed.text
    assert admin.delete(location).status_code == 204
    assert admin.delete(location).status_code == 404


def test_a_deleted_key_is_refused_by_a_process_that_has_not_seen_it_lately(admin):
    made = admin.post("/v1/keys", json={"name": "load", "scopes": ["users:read"]}).json["data"]
    admin.delete(f"/v1/keys/{made['id']}")
    assert admin.get("/v1/users", headers={"X-API-Key": made["key"]}).status_code == 401


def test_nobody_makes_a_key_that_may_more_than_they(admin):
    maker = admin.post("/v1/keys", json={"name": "m", "scopes": ["keys:write"]}).json["data"]["key"]
    answer = admin.post("/v1/keys", json={"name": "x", "scopes": ["users:write"]}, headers={"X-API-Key": maker})
    assert (answer.status_code, answer.json["code"]) == (422, "scopes")
    assert admin.post("/v1/keys", json={"name": "x", "scopes": ["everything"]}).status_code == 422


def test_what_is_open_to_everybody_asks_for_no_name_and_no_database(app, monkeypatch):
    monkeypatch.setattr(parts_of(app).database, "read", lambda *_, **__: pytest.fail("was asked"))
    for header in ({"X-API-Key": "wrong"}, {"Authorization": "Basic x"}):
        assert app.test_client().get("/livez", headers=header).status_code == 200


def test_without_a_signing_key_there_is_no_login(client):
    assert client.post("/v1/tokens", json={"email": "a@b.test", "password": "x"}).status_code == 404


def test_an_idempotency_key_belongs_to_its_principal(admin):
    key = admin.post("/v1/keys", json={"name": "k", "scopes": ["users:write"]}).json["data"]["key"]
    body, once = {"name": "Ann", "email": "ann@example.test"}, {"Idempotency-Key": "k"}
    assert admin.post("/v1/users", json=body, headers=once).status_code == 201
    assert admin.post("/v1/users", json=body, headers={**once, "X-API-Key": key}).status_code == 409


def test_a_cookie_lets_nobody_in(client):
    """A browser sends cookies by itself, whichever page asks: what proves who one is must be put there on purpose."""
    key = client.post("/v1/keys", json={"name": "k", "scopes": ["users:read"]}).json["data"]["key"]
    for name in ("X-API-Key", "Authorization", "session", "access_token"):
        client.set_cookie(name, key)
    assert client.get("/v1/users", headers={"Authorization": ""}).status_code == 401
    answer = client.get("/v1/users", headers={"X-API-Key": key})
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers
