"""Tokens of an external issuer: a real one over HTTPS, from the login page to the audit log, and what is refused."""

import base64
import hashlib
import html
import json
import re
import secrets
import ssl
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from prometheus_client import CollectorRegistry

from app.core import issuer_keys
from app.core.issuer import ExternalIssuer, IssuerTokens
from app.core.issuer_keys import COOLDOWN_SECONDS, FRESH_SECONDS, IssuerAwayError, IssuerKeys, fetch_from
from app.core.parts import parts_of
from app.core.tokens import TokenError
from app.factory import create_app
from infra import tls

CLIENT, AUDIENCE = "a-page-in-a-browser", "payload"
PEOPLE = {"ann": "correct horse", "bob": "battery staple"}
ROLES = {"ann": ["editors", "cooks"], "bob": ["cooks"]}
KEYS = {name: rsa.generate_private_key(65537, 2048) for name in ("k1", "k2", "stranger")}


class Issuer(ThreadingHTTPServer):
    """A small OpenID provider: public clients, authorization code, PKCE with S256 and nothing else."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Page)
        now = datetime.now(UTC)
        authority = tls.authority("Issuer test", days=2, now=now)
        pair = tls.server(["localhost", "127.0.0.1"], authority, days=1, now=now)
        self.ca_file = folder / "issuer-ca.pem"
        self.ca_file.write_text(authority.certificate)
        file = folder / "issuer.pem"
        file.write_text(pair.certificate + pair.private_key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"https://localhost:{self.server_port}"
        self.kids = ["k1"]
        self.jwks = None  # answers the next questions for keys instead of the right answer
        self.jwks_asked = 0
        self.codes = {}
        self.closing = threading.Event()

    def trusted(self, **values):
        defaults = {
            "issuer": self.url,
            "jwks_url": f"{self.url}/jwks",
            "audience": AUDIENCE,
            "grants": {"editors": "editor", "viewers": "viewer", "payload.courses": "courses:read"},
            "ca_file": self.ca_file,
        }
        return ExternalIssuer.model_validate({**defaults, **values})

    def claims(self, **values):
        now = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": "ann", "roles": ["editors"], "iat": now, "exp": now + 300}
        return {name: value for name, value in {**claims, **values}.items() if value is not None}

    def token(self, *, kid="k1", key=None, algorithm="RS256", typ="at+jwt", **claims):
        headers = {"typ": typ, **({"kid": kid} if kid else {})}
        return jwt.encode(self.claims(**claims), KEYS[key or kid], algorithm, headers=headers)

    def handle_error(self, *_):
        """A client that went away, or does not trust us, is what tests want."""


class Page(BaseHTTPRequestHandler):
    server: Issuer

    def do_GET(self):
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path == "/.well-known/openid-configuration":
            places = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/jwks"}
            document = {name: self.server.url + place for name, place in places.items()}
            self.answer({**document, "issuer": self.server.url, "code_challenge_methods_supported": ["S256"]})
        elif path == "/jwks":
            self.server.jwks_asked += 1
            if self.server.jwks is not None:
                self.server.jwks(self)
                return
            self.answer({"keys": [public(kid) for kid in self.server.kids]})
        elif path == "/authorize" and query.get("client_id") == [CLIENT]:
            fields = "".join(
                f'<input type="hidden" name="{name}" value="{html.escape(values[0])}">'
                for name, values in query.items()
            )
            self.answer(f'<form method="post">{fields}<input name="user"><input name="password"></form>')
        else:
            self.answer({"error": "invalid_request"}, 400)

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        given = {name: values[0] for name, values in form.items()}
        if urlsplit(self.path).path == "/authorize":
            self.log_in(given)
        else:
            self.redeem(given)

    def log_in(self, given):
        if PEOPLE.get(given["user"]) != given["password"] or given.get("code_challenge_method") != "S256":
            self.answer({"error": "access_denied"}, 403)
            return
        code = secrets.token_urlsafe(16)
        self.server.codes[code] = given
        back = urlencode({"code": code, "state": given["state"]})
        self.send_response(302)
        self.send_header("Location", f"{given['redirect_uri']}?{back}")
        self.end_headers()

    def redeem(self, given):
        asked = self.server.codes.pop(given["code"], None)  # once, also if what follows is wrong
        same = asked and all(given[name] == asked[name] for name in ("client_id", "redirect_uri"))
        if not same or challenge(given["code_verifier"]) != asked["code_challenge"]:
            self.answer({"error": "invalid_grant"}, 400)
            return
        user = asked["user"]
        identity = self.server.token(typ="JWT", sub=user, aud=CLIENT, nonce=asked["nonce"])
        access = self.server.token(sub=user, roles=ROLES[user], client_id=CLIENT)
        self.answer({"access_token": access, "id_token": identity, "token_type": "Bearer", "expires_in": 300})

    def answer(self, body, status=200):
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Says nothing."""


def public(kid):
    return {**json.loads(RSAAlgorithm.to_jwk(KEYS[kid].public_key())), "kid": kid, "use": "sig", "alg": "RS256"}


def challenge(verifier):
    """What a client shows first of a secret that it tells later (RFC 7636, S256)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def issuer(tmp_path):
    with Issuer(tmp_path) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def app(settings, key_file, issuer):
    made = create_app(
        settings.model_copy(update={"signing_key_file": key_file, "external_issuer": issuer.trusted()}),
        CollectorRegistry(),
    )
    yield made
    parts_of(made).database.close()


@pytest.fixture
def api(app):
    return app.test_client()


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


class Client:
    """What a client does, step by step (docs/how-to/external-issuer.md)."""

    redirect = "http://127.0.0.1:7777/back"

    def __init__(self, issuer):
        self.http = httpx.Client(verify=ssl.create_default_context(cafile=str(issuer.ca_file)))
        self.places = self.http.get(f"{issuer.url}/.well-known/openid-configuration").raise_for_status().json()
        self.verifier, self.state, self.nonce = (secrets.token_urlsafe(32) for _ in range(3))

    def code(self, user):
        """Send the person to the issuer, and take the code that comes back."""
        query = {
            "response_type": "code",
            "client_id": CLIENT,
            "redirect_uri": self.redirect,
            "scope": "openid payload",
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": challenge(self.verifier),
            "code_challenge_method": "S256",
        }
        page = self.http.get(self.places["authorization_endpoint"], params=query).raise_for_status().text
        hidden = {name: html.unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', page)}
        form = {**hidden, "user": user, "password": PEOPLE[user]}
        back = urlsplit(self.http.post(self.places["authorization_endpoint"], data=form).headers["Location"])
        told = parse_qs(back.query)
        assert (f"{back.scheme}://{back.netloc}{back.path}", told["state"]) == (self.redirect, [self.state])
        return told["code"][0]

    def redeem(self, code, verifier=None):
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect,
            "client_id": CLIENT,
            "code_verifier": verifier or self.verifier,
        }
        return self.http.post(self.places["token_endpoint"], data=form)


def test_a_client_gets_a_code_redeems_it_and_writes_and_who_it_was_is_remembered(serve, issuer, postgres, migrated):
    with serve(SLIPWAY_EXTERNAL_ISSUER=issuer.trusted(token_type="at+jwt").model_dump_json()) as running:
        ann = Client(issuer)
        code = ann.code("ann")
        tokens = ann.redeem(code).raise_for_status().json()
        assert jwt.decode(tokens["id_token"], options={"verify_signature": False})["nonce"] == ann.nonce
        me = bearer(tokens["access_token"])
        made = httpx.post(f"{running.api}/v1/courses", json={"title": "C", "seats": 1}, headers=me)
        assert made.status_code == 201
        assert httpx.get(f"{running.api}{made.headers['Location']}", headers=me).json()["data"]["title"] == "C"
        # What may be done with keys and passwords is for administrators.
        assert httpx.get(f"{running.api}/v1/keys", headers=me).status_code == 403
        # Who is known and has no role that is listed may do nothing.
        bob = Client(issuer)
        his = bearer(bob.redeem(bob.code("bob")).json()["access_token"])
        assert httpx.get(f"{running.api}/v1/courses", headers=his).status_code == 403
        # A token about a person is for the client, and no key to the API.
        assert httpx.get(f"{running.api}/v1/courses", headers=bearer(tokens["id_token"])).status_code == 401
    with postgres.admin(migrated) as admin:
        assert admin.execute("SELECT actor, action FROM audit_log").fetchall() == [("oidc:ann", "course.create")]


def test_a_code_is_nothing_without_its_secret_and_works_once(issuer):
    client = Client(issuer)
    stolen = client.redeem(client.code("ann"), verifier="a guess")
    assert (stolen.status_code, stolen.json()) == (400, {"error": "invalid_grant"})
    code = client.code("ann")
    assert [client.redeem(code).status_code for _ in range(2)] == [200, 400]


def test_the_token_that_is_not_forged_works(api, issuer):
    assert api.get("/v1/users", headers=bearer(issuer.token())).status_code == 200


# Not by the clock: tests that run side by side must agree on their names.
PAST, FUTURE = 1_700_000_000, 4_000_000_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://login.example"},
        {"iss": None},
        {"aud": CLIENT},
        {"aud": [CLIENT, "other"]},
        {"aud": None},
        {"exp": PAST},
        {"exp": None},
        {"exp": float("inf")},
        {"exp": "soon"},
        {"iat": None},
        {"nbf": FUTURE},
        {"sub": None},
        {"sub": ""},
        {"sub": "ann\n"},
        {"sub": "a" * 96},
        {"sub": "änn"},
        {"algorithm": "PS256"},
        {"algorithm": "RS512"},
        {"key": "stranger"},
        {"kid": "stranger"},
        {"kid": None, "key": "k1"},
    ],
    ids=" ".join,  # no moments: the names are the same in every process
)
def test_a_token_with_something_wrong_is_refused(api, issuer, wrong):
    answer = api.get("/v1/users", headers=bearer(issuer.token(**wrong)))
    assert (answer.status_code, answer.json["code"]) == (401, "unauthenticated")


def test_a_token_that_is_signed_with_what_everybody_knows_is_refused(api, issuer):
    modulus = public("k1")["n"]
    head = {"kid": "k1", "typ": "at+jwt"}
    for token in (
        jwt.encode(issuer.claims(), modulus, "HS256", headers=head),
        jwt.encode(issuer.claims(), None, "none", headers=head),
    ):
        assert api.get("/v1/users", headers=bearer(token)).status_code == 401


def test_several_audiences_and_a_clock_that_is_a_little_off_are_no_mistake(api, issuer):
    for right in ({"aud": [CLIENT, AUDIENCE]}, {"exp": int(time.time()) - 3}, {"nbf": int(time.time()) + 3}):
        assert api.get("/v1/users", headers=bearer(issuer.token(**right))).status_code == 200


@pytest.mark.parametrize(
    ("roles", "read", "write"),
    [
        (["editors"], 200, 201),
        (["viewers", "unknown"], 200, 403),
        (["payload.courses"], 200, 403),
        ("viewers payload.courses", 200, 403),
        (["admin"], 403, 403),
        ([], 403, 403),
        (None, 403, 403),
        ({"editors": True}, 403, 403),
    ],
)
def test_what_is_not_listed_is_denied(api, issuer, roles, read, write):
    me = bearer(issuer.token(roles=roles))
    assert api.get("/v1/courses", headers=me).status_code == read
    assert api.post("/v1/courses", json={"title": "C", "seats": 1}, headers=me).status_code == write


def test_nobody_of_another_issuer_is_one_of_our_users(api, issuer):
    user = api.post("/v1/users", json={"name": "A", "email": "a@example.test"}).json["data"]["id"]
    change = {"password": "another long password"}
    answer = api.put(f"/v1/users/{user}/password", json=change, headers=bearer(issuer.token(sub=user)))
    assert answer.status_code == 403


def test_a_token_of_ours_is_not_judged_by_the_other_issuer_nor_the_other_way_round(app, api, issuer):
    keyring = parts_of(app).keyring
    ours = jwt.encode(issuer.claims(), keyring.signing, "EdDSA", headers={"kid": keyring.kid})
    theirs = issuer.token(iss="slipway-payload", role="admin", sub="00000000-0000-4000-8000-000000000000")
    for token in (ours, theirs):
        assert api.get("/v1/users", headers=bearer(token)).status_code == 401


def test_while_the_issuer_hangs_our_own_tokens_and_keys_work_and_its_tokens_are_neither_good_nor_bad(
    api, issuer, monkeypatch
):
    monkeypatch.setattr(issuer_keys, "_READ_SECONDS", 0.2)
    issuer.jwks = lambda page: page.server.closing.wait()
    user = api.post("/v1/users", json={"name": "A", "email": "a@example.test"}).json["data"]["id"]
    login = {"email": "a@example.test", "password": "a long enough password"}
    api.put(f"/v1/users/{user}/password", json={"password": login["password"], "role": "viewer"})
    own = api.post("/v1/tokens", json=login).json["data"]["access_token"]
    assert api.get("/v1/users", headers=bearer(own)).status_code == 200
    assert issuer.jwks_asked == 0
    for number in range(3):
        answer = api.get("/v1/users", headers=bearer(issuer.token(sub=f"s{number}")))
        assert (answer.status_code, answer.json["code"]) == (503, "issuer_unavailable")
        assert answer.headers["Retry-After"] == "1"
    assert issuer.jwks_asked == 1
    assert api.get("/livez", headers=bearer(issuer.token())).status_code == 200


def test_keys_rotate(issuer):
    now = [0.0]
    trusted = issuer.trusted()
    keys = IssuerKeys(fetch_from(trusted.jwks_url, trusted.ca_file, trusted.algorithms), lambda: now[0])
    tokens = IssuerTokens(trusted, keys)
    old, new = issuer.token(kid="k1"), issuer.token(kid="k2")
    assert tokens.verify(old)[0].name == "oidc:ann"
    issuer.kids = ["k2", "k1"]
    now[0] = COOLDOWN_SECONDS
    assert [tokens.verify(token)[0].name for token in (new, old)] == ["oidc:ann"] * 2
    issuer.kids = ["k2"]
    now[0] += FRESH_SECONDS
    assert tokens.verify(new)[0].name == "oidc:ann"
    with pytest.raises(TokenError, match="no key 'k1'"):
        tokens.verify(old)
    assert issuer.jwks_asked == 3


def trickle(page):
    page.send_response(200)
    page.end_headers()
    while not page.server.closing.wait(0.05):
        page.wfile.write(b" ")


def redirect(page):
    page.send_response(302)
    page.send_header("Location", f"{page.server.url}/jwks?again")
    page.send_header("Content-Length", "0")
    page.end_headers()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda page: page.answer({}, 500), "answered 500"),
        (redirect, "answered 302; needed: 200, without a redirect"),
        (lambda page: page.answer("<html>"), "JSONDecodeError"),
        (lambda page: page.answer("[" * 100_000), "RecursionError"),
        (lambda page: page.answer({"keys": []}), "no key with a kid for RS256"),
        (lambda page: page.answer(" " * 300_000), "more than 262144 bytes"),
        (lambda page: page.server.closing.wait(), "ReadTimeoutError"),
        (trickle, "not read within"),
    ],
    ids=["status", "redirect", "no JSON", "deep JSON", "no keys", "long", "nothing", "a byte now and then"],
)
def test_an_answer_that_is_no_set_of_keys_is_none_and_takes_no_long_time(issuer, monkeypatch, answer, told):
    monkeypatch.setattr(issuer_keys, "_READ_SECONDS", 0.3)
    monkeypatch.setattr(issuer_keys, "_BODY_SECONDS", 0.5)
    issuer.jwks = answer
    began = time.monotonic()
    with pytest.raises(IssuerAwayError, match=told):
        fetch_from(f"{issuer.url}/jwks", issuer.ca_file, ("RS256",))()
    assert time.monotonic() - began < 5
    assert issuer.jwks_asked == 1


def test_an_issuer_that_cannot_prove_its_name_is_not_asked(issuer, tmp_path):
    for ca_file in (None, tmp_path / "gone.pem"):
        with pytest.raises(IssuerAwayError):
            fetch_from(f"{issuer.url}/jwks", ca_file, ("RS256",))()
    assert issuer.jwks_asked == 0
